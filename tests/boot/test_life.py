# SPDX-License-Identifier: Apache-2.0
# How guests end, and what follows: power-off, reboot, panic, crash, exit port; restart policies; what the machine does then.
import re

from machine import config, guest_file, linux
from tiny import LOADED_AT, TRIPLE_FAULT, end, say, tiny

def tiny_guest(file, more=""):
    return f'multiboot = "{file}"; memory = "4M"; {more}'


FILES = {"crash": tiny(say("crashing") + TRIPLE_FAULT), "seven": tiny(say("seven") + end(7)), "zero": tiny(end(0)),
         "full": tiny(end(255)), "spin": tiny(b"\xeb\xfe")}


def test_summary(boot):
    """Once all have stopped the machine goes off, and says how each one ended."""
    machine = boot(config({
        "zero": tiny_guest("zero"), "seven": tiny_guest("seven"), "full": tiny_guest("full", 'restart = "on-crash";'),
        "crash": tiny_guest("crash", 'restart = "never";'), "late": tiny_guest("zero", 'autostart = "no";'),
    }, 'when-idle = "poweroff";'), FILES, smp=1)
    machine.wait_poweroff(240)
    output = machine.output()
    summary = output[output.index("every guest has stopped: powering off"):]
    found = dict(re.findall(r"guest (\S+): (.*)", summary))
    assert found == {"zero": "exit code 0", "seven": "exit code 7", "full": "exit code 255", "late": "not started",
                     "crash": found["crash"]}
    assert found["crash"].startswith("crashed: ") and "triple fault" in found["crash"]
    # A crash leaves a report: where it was, its registers, what led there.
    report = output[output.index("guest crash crashed: "):]
    place = LOADED_AT + len(say("crashing") + TRIPLE_FAULT) - 2
    assert f"RIP 0010:{place:016x}" in report
    assert re.search(rf"last exits, oldest first:(.*\n)*.* IOIO .*(.*\n)*.* SHUTDOWN +code 7f .* at {place:016x}", report)


def test_when_idle_reboot(boot):
    machine = boot(config({"seven": tiny_guest("seven")}, 'when-idle = "reboot";'), FILES, smp=1)
    machine.expect("every guest has stopped: rebooting", timeout=240)
    machine.expect("guest seven: exit code 7")
    machine.expect("Saguaro loader", timeout=120)
    machine.expect("every guest has stopped: rebooting", timeout=240)


def test_restart_policies(boot):
    """Never, after a crash, always: the first time at once, then after 1, 2, 4 seconds; a stop by hand ends it."""
    machine = boot(config({
        "never": tiny_guest("crash", 'restart = "never";'),
        "crash": tiny_guest("crash", 'restart = "on-crash";'),
        "exit": tiny_guest("seven", 'restart = "on-crash";'),
        "always": tiny_guest("seven", 'restart = "always";'),
    }), FILES)
    machine.expect_all([r"guest never crashed: ", r"guest exit: exit code 7"]
                       + [f"guest {name}: starts again in {seconds} s" for name in ("crash", "always") for seconds in (1, 2, 4)],
                       timeout=240)
    machine.send("\r")
    machine.prompt()
    output = machine.output()
    # At once, and after 1 and 2 seconds: by now each has started four times; those that are not to did not start again.
    assert output.count("[crash] crashing") == 4 and output.count("[always] seven") == 4
    assert output.count("[never] crashing") == 1 and output.count("[exit] seven") == 1
    # The report tells of the last life only.
    report = output[output.rindex("guest crash crashed: "):]
    assert len(re.findall(r" SHUTDOWN +code", report)) == 1, report
    answer = machine.monitor("vms")
    for name, state, restarts in (("never", "crashed", 0), ("exit", "off", 0), ("crash", "restarting", 4),
                                  ("always", "restarting", 4)):
        assert re.search(rf"^{name} +{state} .* {restarts}$", answer, re.M), answer
    assert "ended: exit code 7" in machine.monitor("vms exit")
    # A wait for the next start is ended by hand; started by hand the count begins again.
    machine.monitor("stop crash")
    machine.monitor("stop always")
    machine.expect_silence(r"\[crash\] crashing|\[always\] seven", 6)
    machine.command("start crash")
    machine.expect(r"guest crash: starts again in 1 s", timeout=30)
    machine.monitor("stop crash")
    # A guest that is off can be started again, and reset starts one as well.
    machine.command("start exit")
    machine.expect(r"\[exit\] seven")
    machine.expect(r"guest exit: exit code 7")
    machine.command("reset never")
    machine.expect(r"\[never\] crashing")


def test_no_guest_can_be_created(boot):
    """A CPU that is too old for every guest: when-idle counts, and the summary names each."""
    machine = boot(config({"old": tiny_guest("seven", 'cpu-model = "x86-64-v3";')}, 'when-idle = "poweroff";'), FILES, smp=1,
                   cpu="EPYC,+svm,+npt,-avx2")
    machine.expect("every guest has stopped: powering off")
    machine.expect("guest old: could not be created: this CPU cannot run it")
    machine.wait_poweroff()


def test_frequency_that_cannot_be(boot):
    """A TSC of a frequency of its own, on a CPU that does not scale: the guest is named with the reason, others run."""
    machine = boot(config({"fast": tiny_guest("seven", "tsc-khz = <9999999>;"), "one": tiny_guest("seven")}, 'when-idle = "poweroff";'),
                   FILES, smp=1)
    machine.expect(r"guest fast: tsc-khz = <9999999>: the TSC of this machine has \d+ kHz, and the CPU cannot scale it to that; "
                   "leave tsc-khz away")
    machine.expect_all(["guest fast: could not be created: this CPU cannot run it", "guest one: exit code 7"])
    machine.wait_poweroff()


def test_no_prompt(boot):
    """A CPU that runs no guest runs no service VM either, which is the prompt: who types is told."""
    machine = boot(config({"zero": tiny_guest("zero")}), FILES, smp=1, cpu="qemu64,-svm")
    machine.expect(r"the service VM cannot be made: this CPU cannot run it \(-\d+\); there is no prompt", timeout=240)
    machine.expect("guest zero: this CPU cannot run it")
    machine.send("vms\r")
    machine.expect("there is no prompt: the service VM is not there")


def test_shutdown(boot):
    """The power button: a guest that shuts down by it stays off, with "restart = always", too; then the machine goes off."""
    files = {"vmlinuz": guest_file("vmlinuz-generic"), "initrd.gz": guest_file("initrd-generic.gz")}
    machine = boot(config({"web": linux("web", 'restart = "always";', cmdline="quiet"), "bare": tiny_guest("spin")}, 'when-idle = "poweroff";'),
                   {**FILES, **files})
    machine.wait_ready("web")
    machine.send("\r")
    machine.prompt()
    with machine.console("web"):
        # The driver of the button counts; what shuts a system down is its user space.
        assert machine.shell("insmod /lib/modules/*/button.ko")[0] == 0
        assert machine.shell("grep -c ' 0 .*enabled' /sys/firmware/acpi/interrupts/ff_pwr_btn") == (0, "1\n")
    assert machine.monitor("shutdown web") == "web: asked to shut down\n"
    with machine.console("web"):
        assert machine.shell("grep -c ' 1 .*enabled' /sys/firmware/acpi/interrupts/ff_pwr_btn") == (0, "1\n")
        machine.shell("(until grep -q ' 2 ' /sys/firmware/acpi/interrupts/ff_pwr_btn; do sleep 0.2; done; poweroff) > /dev/null 2>&1 & true")
    # Nobody has to listen.
    answer = machine.monitor("shutdown")
    assert answer.startswith("web: asked to shut down\nbare: asked to shut down\n"), answer
    machine.expect("guest web: powered off")
    machine.send("\r")
    machine.prompt()
    assert re.search(r"^web +off ", machine.monitor("vms"), re.M)
    assert machine.monitor("shutdown web") == "cannot shut down web: it is off\n"
    machine.command("stop bare")
    machine.expect("every guest has stopped: powering off")
    machine.wait_poweroff()


def test_linux_ends(boot, linux_files):
    """Power-off, a panic that reboots, a reboot from the shell; the machine goes off when the last one has."""
    machine = boot(config({
        "off": linux("off", cmdline="run=poweroff quiet"),
        "panic": linux("panic", cmdline="panic=1 run=panic quiet"),
        "again": linux("again", cmdline="quiet"),
    }, 'when-idle = "poweroff";'), linux_files)
    # A reboot starts the guest again, whatever its restart policy says.
    machine.expect_all([r"\[off\] GUEST-READY off", r"guest off: powered off", r"\[panic\] GUEST-READY panic",
                        r"\[panic\] .*Kernel panic - not syncing: sysrq triggered crash", r"guest panic: reset itself",
                        r"\[again\] GUEST-READY again"], timeout=300)
    machine.send("\r")
    machine.prompt()
    machine.monitor("stop panic")
    with machine.console("again"):
        machine.shell("touch /tmp/before")
        machine.send("reboot\r")
        machine.expect("guest again: reset itself", timeout=120)
        machine.expect("GUEST-READY again", timeout=300)
        machine.expect("again:/# ")
        assert machine.shell("ls /tmp") == (0, "")
    machine.command("console again")
    machine.send("poweroff\r")
    machine.expect("every guest has stopped: powering off", timeout=120)
    machine.wait_poweroff()
    assert {"guest off: powered off", "guest panic: stopped by command", "guest again: powered off"} <= {
        line.split("] ", 1)[-1].strip() for line in machine.output().splitlines()[-8:]}
