# SPDX-License-Identifier: Apache-2.0
# The host platform: what the hypervisor reports of faults of its own, its CPUs, clock, consoles, power-off and reset.
# selftest=NAME on the loader's command line asks for a fault (arch/x86/selftest.h).
import time

import pytest
from machine import config, linux

# A guest that is not started: the machine is what is tested.
IDLE = config({"web": linux("web", 'autostart = "no";')})
BOOT = 180


def start(boot, linux_files, selftest, **keywords):
    machine = boot(IDLE, linux_files, options=f"selftest={selftest}", **keywords)
    machine.expect("Saguaro hypervisor", timeout=BOOT)
    machine.expect(r"TSC: (\d+) kHz")
    machine.expect(rf"selftest: {selftest.split()[0]}")
    return machine


REPORTS = {
    "text": [r"\*\*\* CPU 0: page fault \(vector 14, error code 0x3\)",
             r"write to 0xffff870000000000, which is mapped but not writable"],
    "data": [r"\*\*\* CPU 0: page fault \(vector 14, error code 0x11\)",
             r"instruction fetch from 0xffff87[0-9a-f]{10}, which is mapped but not executable"],
    "null": [r"\*\*\* CPU 0: page fault \(vector 14, error code 0x0\)", r"read of 0x0, which is not mapped"],
    "guard": [r"\*\*\* CPU 0: double fault", r"stack overflow on CPU 0 \(its main stack\)"],
    "panic": [r"PANIC: selftest"],
}


@pytest.mark.parametrize("name", REPORTS)
def test_report(boot, linux_files, name):
    machine = start(boot, linux_files, name)
    for line in REPORTS[name]:
        machine.expect(line)
    machine.expect("guest: none")
    machine.expect("backtrace:")
    machine.expect(r"selftest_run\+0x[0-9a-f]+")
    machine.expect(r"start_c\+0x[0-9a-f]+")
    machine.expect("last log lines:")
    machine.expect(rf"selftest: {name}")
    machine.expect("The machine has stopped.")


def test_fault_inside_a_report(boot, linux_files):
    machine = start(boot, linux_files, "nested")
    machine.expect(r"\*\*\* CPU 0: page fault")
    machine.expect(r"page fault while reporting: rip [0-9a-f]{16} cr2 ffff87[0-9a-f]{10}. Stopped.")
    machine.expect_silence("while reporting", 2)


def test_nmi_is_reported_and_survived(boot, linux_files):
    machine = start(boot, linux_files, "nmi")
    machine.expect("NMI of unknown origin on CPU 0; going on")
    machine.expect(r"rip 0x[0-9a-f]{16} \w+\+0x")
    machine.expect("backtrace:")
    machine.prompt()


def test_fixups(boot, linux_files):
    machine = start(boot, linux_files, "safe")
    machine.expect("selftest safe: ok")


@pytest.mark.parametrize("how", ["", " power=efi"])
def test_power_off(boot, linux_files, how):
    start(boot, linux_files, "poweroff" + how).wait_poweroff()


@pytest.mark.parametrize("how", ["", " power=efi"])
def test_reboot(boot, linux_files, how):
    machine = start(boot, linux_files, "reboot" + how)
    machine.expect("Saguaro loader", timeout=BOOT)


@pytest.mark.parametrize("cpus", [1, 4])
def test_all_cpus_start(boot, linux_files, cpus):
    machine = start(boot, linux_files, "safe", smp=cpus)
    machine.prompt()
    assert f"{cpus} of {cpus} CPUs run" in machine.output()


def test_much_memory(boot, linux_files):
    """Memory above 4 GiB is used; tables for starting CPUs still lie below."""
    machine = start(boot, linux_files, "safe", memory="5G", smp=2)
    machine.prompt()
    assert "2 of 2 CPUs run" in machine.output()
    megabytes = int(machine.output().split(" MiB of memory")[0].split()[-1])
    assert megabytes > 4900


def test_without_acpi(boot, linux_files):
    """No tables: CPUs come from EFI, the TSC is measured against the 8254, COM1 is polled, EFI switches off."""
    machine = boot(IDLE, linux_files, options="selftest=safe", extra=["-no-acpi"])
    machine.expect("no MADT in the ACPI tables", timeout=BOOT)
    machine.expect("no FADT in the ACPI tables")
    machine.expect(r"TSC: \d+ kHz, by the 8254")
    machine.expect("COM1 has no interrupt here: it is looked at by a timer")
    machine.expect("2 of 2 CPUs run")
    machine.prompt()
    assert "poweroff" in machine.monitor("help")
    machine.send("poweroff\r")
    machine.wait_poweroff()


def test_screen(boot, linux_files, tmp_path):
    """Without a serial port everything is on the screen: something is drawn, in the text's colour."""
    machine = boot(IDLE, linux_files, options="selftest=panic", serial=False)
    wanted = bytes((0xd0, 0xd0, 0xd0))
    for _ in range(BOOT):
        path = str(tmp_path / "screen.ppm")
        machine.qmp("screendump", filename=path)
        with open(path, "rb") as file:
            pixels = file.read().split(b"\n", 3)[3]
        count = sum(pixels[i:i + 3] == wanted for i in range(0, len(pixels), 3))
        if count > 2000:
            break
        time.sleep(1)
    assert count > 2000


def test_config_takes_the_serial_port_away(boot, linux_files):
    """console = "none": once the config is read the port is left alone, reports included."""
    guests = {"web": linux("web", 'autostart = "no";')}
    machine = boot(config(guests, 'console = "none";'), linux_files, options="selftest=panic")
    machine.expect("Starting the hypervisor.", timeout=BOOT)
    machine.expect("MiB free")
    machine.expect_silence(r"\w", 10)
