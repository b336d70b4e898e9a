# SPDX-License-Identifier: Apache-2.0
# From each boot medium to guests at a shell.
from machine import config, linux

TWO = config({"web": linux("web", "cpus = <0>;"), "db": linux("db", "cpus = <1>;")})


def check_progress(machine):
    """The loader shows each file with its size, up to 100 percent."""
    machine.expect("Saguaro loader", timeout=120)
    machine.expect("saguaro.dts: 2 guests; ")
    for name in ("vmlinuz", "initrd.gz"):
        machine.expect(rf"  {name} +\d+ KiB 100%")
    machine.expect("Starting the hypervisor.")


def test_disk(boot, linux_files):
    machine = boot(TWO, linux_files)
    check_progress(machine)
    machine.wait_ready("web", "db")
