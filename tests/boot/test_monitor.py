# SPDX-License-Identifier: Apache-2.0
# The monitor and the consoles of two Linux guests: every command, on machines that the tests of this file share.
import re
import time

import pytest

from machine import PROMPT, config, linux

COUNT = "i=0; while true; do i=$((i+1)); echo tick $i; sleep 0.5; done &"


@pytest.fixture(scope="module")
def machine(boot_shared, linux_files):
    machine = boot_shared(config({"web": linux("web", "cpus = <0>;"), "db": linux("db", "cpus = <1>;")},
                                 'name = "shared-1";'), linux_files)
    machine.wait_ready("web", "db")
    machine.send("\r")
    machine.prompt()
    return machine


def state(machine, guest):
    match = re.search(rf"^{guest} +(\S+) +(\d+) +(\d+) MiB +([0-9.]+) s +(\d+)$", machine.monitor(f"vms {guest}"), re.M)
    assert match, f"no line about {guest}"
    return match.group(1)


def wait_state(machine, guest, wanted, seconds=30):
    deadline = time.monotonic() + seconds
    while state(machine, guest) != wanted:
        assert time.monotonic() < deadline, f"{guest} did not become {wanted}"
        time.sleep(0.2)


def test_vms(machine):
    answer = machine.monitor("vms")
    lines = answer.splitlines()
    assert lines[0].split() == ["NAME", "STATE", "VCPUS", "MEMORY", "CPU", "TIME", "RESTARTS"]
    for name in ("web", "db"):
        assert re.search(rf"^{name} +running +1 +128 MiB +[0-9.]+ s +0$", answer, re.M)
    # Linux reads CPUID and touches I/O ports on its way up.
    assert answer.count("exits: ") >= 2
    assert "db" not in machine.monitor("vms web")


def test_console(machine):
    """A guest's shell answers; the other guest's lines keep coming, marked; Ctrl-] leaves."""
    with machine.console("web"):
        machine.expect(re.escape("web:/# "))  # what it showed before is shown again
        assert machine.shell("hostname") == (0, "web\n")
        assert machine.shell("false")[0] == 1
        # A program that reads single keys gets them: Ctrl-C is the guest's.
        # One that says so itself: between a line's commands a Ctrl-C may find none of them.
        machine.send("sh -c 'echo started-$((1+1)); exec sleep 1000'\r")
        machine.expect("started-2\r\n")
        machine.send("\x03")
        machine.expect(re.escape("web:/# "))
        machine.shell("echo to-kernel-log >/dev/kmsg")
    with machine.console("db"):
        assert machine.shell("hostname") == (0, "db\n")
        machine.send(COUNT + "\r")
        machine.expect("tick 2\r\n")
    machine.expect(r"\[db\] tick \d+")


def test_attached_guest_sees_the_other(machine):
    with machine.console("web"):
        machine.expect(r"\[db\] tick \d+\r\n")
        machine.expect(r"\[db\] tick \d+\r\n")
    with machine.console("db"):
        machine.shell("kill %1")


def test_pause_stops_time(machine):
    with machine.console("web"):
        machine.send(COUNT + "\r")
        machine.expect("tick 2\r\n")
    machine.expect(r"\[web\] tick \d+")
    assert machine.monitor("pause web") == "web: pausing\n"
    wait_state(machine, "web", "paused")
    # Lines that were on their way when it stopped have been shown with the last answer.
    machine.expect_silence(r"\[web\] tick", 3)
    assert machine.monitor("pause web") == "web is paused already\n"
    assert machine.monitor("start web") == "cannot start web: it is paused\n"
    # The other one is not touched.
    with machine.console("db"):
        assert machine.shell("echo alive") == (0, "alive\n")
    assert machine.monitor("resume web") == "web: running\n"
    machine.expect(r"\[web\] tick \d+")
    assert state(machine, "web") == "running"
    assert machine.monitor("resume web") == "web is running already\n"


def test_stop_and_start(machine):
    assert "web: stopping" in machine.monitor("stop web")
    wait_state(machine, "web", "off")
    assert "ended: stopped by command" in machine.monitor("vms web")
    assert machine.monitor("stop web") == "web is off already\n"
    assert machine.monitor("pause web") == "cannot pause web: it is off\n"
    assert machine.monitor("resume web") == "cannot resume web: it is off\n"
    assert "web: starting" in machine.monitor("start web")
    machine.wait_ready("web")
    assert state(machine, "web") == "running"
    assert machine.monitor("start web") == "web is running already\n"


def test_stop_while_paused(machine):
    machine.monitor("pause web")
    wait_state(machine, "web", "paused")
    machine.monitor("stop web")
    wait_state(machine, "web", "off")
    machine.monitor("start web")
    machine.wait_ready("web")


def test_reset(machine):
    assert "web: resetting" in machine.monitor("reset web")
    machine.wait_ready("web")
    assert state(machine, "db") == "running"


def test_memory(machine):
    answer = machine.monitor("mem")
    total, free = re.search(r"^memory: (\d+) MiB, (\d+) MiB free, largest free block (\d+) MiB$", answer, re.M).groups()[:2]
    assert 900 < int(total) <= 1024
    assert int(total) - 2 * 128 - 200 < int(free) < int(total) - 2 * 128
    assert re.search(r"^web +128 MiB +\d+ [KM]iB$", answer, re.M)


def test_cpus(machine):
    machine.monitor("cpus")
    time.sleep(3)
    answer = machine.monitor("cpus")
    idle = [int(value) for value in re.findall(r"^ +\d +\d+ online +(\d+) %  \S+$", answer, re.M)]
    assert len(idle) == 2, answer
    # Both guests wait at their prompts: halted vCPUs cost next to nothing.
    assert min(idle) > 50, answer


def test_log(machine):
    assert "host shared-1: 2 CPUs, 2 guests" in machine.monitor("log 500")
    assert len(machine.monitor("log 3").splitlines()) == 3
    assert machine.monitor("log x") == '"x" is no number from 0 to 100000\n'


def test_help_and_mistakes(machine):
    answer = machine.monitor("help")
    for command in ("vms", "console", "start", "stop", "reset", "pause", "resume", "writes", "net", "disks", "log", "mem", "cpus", "devices", "reboot",
                    "poweroff", "help"):
        assert re.search(rf"^  {command}\b.* {{2,}}\w|^  {command}[ A-Z\[\]]* \w", answer, re.M), command
    assert machine.monitor("help stop").startswith("stop NAME - ")
    assert machine.monitor("vsm") == 'no command "vsm"; did you mean "vms"?\n'
    assert machine.monitor("frobnicate") == 'no command "frobnicate"; "help" lists them\n'
    assert machine.monitor("stop wob") == 'no guest "wob"; did you mean "web"?\n'
    assert machine.monitor("stop") == "usage: stop NAME\n"
    assert machine.monitor("console web db") == "usage: console NAME\n"
    assert machine.monitor("") == ""


def test_line_editing(machine):
    # Arrow left twice, a letter, end of line; then history; then completion of command and name.
    machine.send("hlp\x1b[D\x1b[De\x1b[F stop\r")
    machine.expect("stop NAME - ")
    machine.prompt()
    machine.send("\x1b[A\r")
    machine.expect("stop NAME - ")
    machine.prompt()
    machine.send("cons\tw\t\r")
    machine.expect(r"--- console of web; Ctrl-\] leaves ---")
    machine.send("\x1d")
    machine.expect(r"--- left the console of web ---")
    machine.prompt()


def test_prompt_over_restart(machine):
    """The shell starts anew: keys typed meanwhile, history and figures are there, and guests were not touched."""
    assert machine.monitor("service").startswith("running, 4 MiB, ")
    machine.monitor("help stop")
    machine.send("service restart\rhelp st")
    machine.expect("the service VM starts again\r\n")
    machine.expect(r"service: start 2,")
    machine.expect(PROMPT + "help st", text=True)
    machine.send("op\r")
    machine.expect("stop NAME - ")
    machine.prompt()
    machine.send("\x1b[A\x1b[A\x1b[A\r")  # before it came "service restart"
    machine.expect("stop NAME - ")
    machine.prompt()
    assert re.search(r", started 2 times$", machine.monitor("service"), re.M)
    assert state(machine, "web") == state(machine, "db") == "running"
    with machine.console("db"):
        assert machine.shell("echo alive") == (0, "alive\n")


def test_reboot_and_poweroff(machine):
    machine.command("reboot")
    machine.expect("Saguaro loader", timeout=120)
    machine.wait_ready("web", "db")
    machine.send("\r")
    machine.prompt()
    machine.command("poweroff")
    machine.wait_poweroff()
