# SPDX-License-Identifier: Apache-2.0
# From each boot medium to guests at a shell.
import subprocess

import pytest

from machine import CHECK_CONFIG, config, linux

TWO = config({"web": linux("web", "cpus = <0>;"), "db": linux("db", "cpus = <1>;")})


def check_start(machine, files=("vmlinuz", "initrd.gz"), name="saguaro.dts"):
    """The loader shows each file with its size, up to 100 percent; two guests come up, and their shells answer."""
    machine.expect("Saguaro loader", timeout=120)
    machine.expect(rf"{name}: 2 guests; \d+ MiB of memory, 2 CPUs")
    for file in files:
        machine.expect(rf"  {file} +\d+ KiB 100%", timeout=120)
    machine.expect("Starting the hypervisor.")
    machine.wait_ready("web", "db")
    machine.send("\r")
    machine.prompt()
    for guest in ("web", "db"):
        with machine.console(guest):
            assert machine.shell("hostname") == (0, guest + "\n")


def test_usb_stick(boot, linux_files, tmp_path):
    """An image of make-image.py on a USB stick; the config lies where a user would keep it."""
    for name, path in linux_files.items():
        (tmp_path / name).symlink_to(path)
    (tmp_path / "my.dts").write_text(TWO)
    check_start(boot(str(tmp_path / "my.dts"), boot="usb"))


def test_pxe(boot, linux_files, tmp_path):
    for name, path in linux_files.items():
        (tmp_path / name).symlink_to(path)
    (tmp_path / "my.dts").write_text(TWO)
    check_start(boot(str(tmp_path / "my.dts"), boot="pxe"))


def test_compiled_config(boot, linux_files, tmp_path):
    for name, path in linux_files.items():
        (tmp_path / name).symlink_to(path)
    (tmp_path / "my.dts").write_text(TWO)
    subprocess.run([CHECK_CONFIG, "--dtb", tmp_path / "my.dtb", tmp_path / "my.dts"], check=True, timeout=20)
    check_start(boot(str(tmp_path / "my.dtb"), linux_files), name="saguaro.dtb")


@pytest.mark.parametrize("smp", [1, 4])
def test_one_guest(boot, linux_files, smp):
    """On one CPU and on several; a guest's output and the prompt share the screen."""
    machine = boot(config({"only": linux("only")}), linux_files, smp=smp)
    machine.wait_ready("only")
    machine.send("\r")
    machine.prompt()
    assert machine.monitor("cpus").count("online") == smp
