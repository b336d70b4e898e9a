# SPDX-License-Identifier: Apache-2.0
# The PowerPC guests on the bare emulated machine: what a guest has to do under Saguaro it must do here, and a test that fails
# here tells of the guest or the emulator, not of Saguaro.
import pytest

from machine_ppc import HOSTILE, guest_file


def test_linux(boot_native_ppc):
    machine = boot_native_ppc(guest_file("vmlinux"), guest_file("initrd.gz"), "console=ttyS0 guest=bare")
    machine.wait_ready("bare")
    assert machine.shell("uname -m; nproc") == (0, "ppc\n1\n")
    assert machine.shell("echo $((6 * 7)); false")[0] == 1
    machine.send("poweroff\r")
    machine.wait_poweroff()


def test_linux_smp(boot_native_ppc):
    machine = boot_native_ppc(guest_file("vmlinux-smp"), guest_file("initrd.gz"), "console=ttyS0 guest=bare", smp=2)
    machine.wait_ready("bare")
    assert machine.shell("nproc") == (0, "2\n")
    for cpu in range(2):
        assert machine.shell(f"taskset -c {cpu} true")[0] == 0
    machine.send("reboot\r")
    machine.wait_ready("bare")


@pytest.mark.parametrize("image, cmdline", [("cpu.elf", ""), ("tlb.elf", ""), ("witness.elf", ""),
                                            *(("hostile.elf", mode) for mode in HOSTILE)])
def test_bare_guest(boot_native_ppc, image, cmdline):
    machine = boot_native_ppc(guest_file(f"tests/{image}"), cmdline=cmdline, memory="64M")
    machine.wait_poweroff()
    lines = machine.output().splitlines()
    assert [line for line in lines if line.startswith("FAIL")] == []
    assert lines[-1] == "DONE pass" and any(line.startswith("ok ") for line in lines)
