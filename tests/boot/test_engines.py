# SPDX-License-Identifier: Apache-2.0
# What has to be the same whatever runs the guests: life and death of guests and the monitor's commands, on SVM without and with
# what QEMU's lacks, and on VT-x.
import re

import pytest

import machine as machines
from bochs import BOOT_TIME, Bochs

ANSWER_TIME = 300
PAGES = 3000
GUESTS = {
    "writer": 'multiboot = "writes.elf"; memory = "64M"; cmdline = "3000-pages"; cpus = <0>;',
    "quiet": 'multiboot = "writes.elf"; memory = "64M"; cpus = <1>;',
    "crasher": 'multiboot = "pm.elf"; memory = "16M"; cmdline = "triple-fault"; autostart = "no"; restart = "never";',
    "resetter": 'multiboot = "pm.elf"; memory = "16M"; cmdline = "reset-cf9"; autostart = "no"; restart = "never";',
}
MACHINES = {
    "qemu-svm": machines.Machine,
    "bochs-vtx": lambda *arguments: Bochs(*arguments, cpu="vtx", smp=2, memory="512M"),
    "bochs-svm": lambda *arguments: Bochs(*arguments, cpu="svm", smp=2, memory="512M"),
}


@pytest.fixture(scope="module", params=list(MACHINES))
def machine(request):
    files = {image: machines.guest_file(f"tests/{image}") for image in ("writes.elf", "pm.elf")}
    with MACHINES[request.param](f"engines-{request.param}", machines.config(GUESTS), files) as started:
        started.engine = request.param
        started.expect_all([rf"\[writer\] writing to {PAGES} pages", r"\[quiet\] writing to 0 pages"], BOOT_TIME)
        started.send("\r")
        started.prompt(ANSWER_TIME)
        yield started


def state(machine, guest):
    match = re.search(rf"^{guest} +(\S+) +\d+ +\d+ MiB ", machine.monitor(f"vms {guest}", ANSWER_TIME), re.M)
    assert match, f"no line about {guest}"
    return match.group(1)


def wait_state(machine, guest, wanted):
    for _ in range(100):
        if state(machine, guest) == wanted:
            return
    raise AssertionError(f"{guest} did not become {wanted}")


def writes(machine, guest, size):
    """Pages that a guest wrote within a second."""
    assert machine.monitor(f"writes {guest}", ANSWER_TIME) == f"{guest}: counting for a second\n"
    match = machine.expect(rf"guest {guest}: wrote (\d+) of {size} pages in (\d+)\.\d+ s", ANSWER_TIME)
    return int(match.group(1))


def test_writes(machine):
    """The CPU notes each page that a guest writes, and no other."""
    for _ in range(2):
        assert PAGES <= writes(machine, "writer", 16384) <= PAGES + 20
        assert writes(machine, "quiet", 16384) <= 20
    if machine.engine == "bochs-vtx":
        # More pages than the CPU's log holds.
        assert re.search(r"page log full [1-9]", machine.monitor("vms writer", ANSWER_TIME))


def test_writes_of_no_guest(machine):
    assert machine.monitor("writes crasher", ANSWER_TIME) == "crasher does not run\n"
    assert 'no guest "nobody"' in machine.monitor("writes nobody", ANSWER_TIME)


def test_pause(machine):
    assert machine.monitor("pause writer", ANSWER_TIME) == "writer: pausing\n"
    wait_state(machine, "writer", "paused")
    assert machine.monitor("writes writer", ANSWER_TIME) == "writer does not run\n"
    assert machine.monitor("resume writer", ANSWER_TIME) == "writer: running\n"
    assert PAGES <= writes(machine, "writer", 16384) <= PAGES + 20


def test_stop_while_writes_are_counted(machine):
    machine.monitor("writes writer", ANSWER_TIME)
    machine.monitor("stop writer", ANSWER_TIME)
    machine.expect(r"guest writer: wrote \d+ of 16384 pages", ANSWER_TIME)
    wait_state(machine, "writer", "off")
    machine.monitor("start writer", ANSWER_TIME)
    machine.expect(rf"\[writer\] writing to {PAGES} pages", ANSWER_TIME)
    assert PAGES <= writes(machine, "writer", 16384) <= PAGES + 20


def test_crash(machine):
    """A triple fault is reported with the registers; others go on."""
    if machine.engine == "bochs-svm":
        pytest.skip("Bochs 2.7 ends by itself when a guest under SVM shuts down, whatever is intercepted")
    machine.monitor("start crasher", ANSWER_TIME)
    machine.expect(r"guest crasher, vCPU 0 \(.*\):", ANSWER_TIME)
    machine.expect(r"RIP [0-9a-f]{4}:[0-9a-f]{16}", ANSWER_TIME)
    wait_state(machine, "crasher", "crashed")
    assert re.search(r"ended: crashed: .*triple fault", machine.monitor("vms crasher", ANSWER_TIME))
    assert state(machine, "quiet") == "running"


def test_reset_by_the_guest(machine):
    """It starts again at once, with RAM and CPU as after power-on, which it checks itself."""
    machine.monitor("start resetter", ANSWER_TIME)
    machine.expect(r"\[resetter\] [^\r\n]*second boot", ANSWER_TIME)
    wait_state(machine, "resetter", "off")
    assert "ended: exit code 0" in machine.monitor("vms resetter", ANSWER_TIME)


def test_host(machine):
    assert re.search(r"^ +1 +\d+ online ", machine.monitor("cpus", ANSWER_TIME), re.M)
    assert re.search(r"^memory: \d+ MiB", machine.monitor("mem", ANSWER_TIME), re.M)
    assert "engine: " in machine.monitor("log 500", ANSWER_TIME)
