# SPDX-License-Identifier: Apache-2.0
# What guests write over a disk that they share, and random numbers: stock kernels, restarts of a guest and of the service VM, and
# memory for overlays that runs out.
from machine import linux

CONFIG = f"""/dts-v1/;
/ {{
    compatible = "saguaro,host";
    service {{ overlay-memory = "8M"; }};
    disks {{ base {{ memory = "32M"; read-only = "yes"; }}; }};
    guests {{
        web {{ {linux("web", cmdline="data=vda", memory="256M")} disk0 {{ disk = "base"; overlay = "yes"; }}; }};
        db {{ {linux("db", cmdline="data=vda", memory="256M")} entropy = "no"; disk0 {{ disk = "base"; overlay = "yes"; }}; }};
    }};
}};
"""
FRESH = "echo 3 > /proc/sys/vm/drop_caches"  # what is read afterwards comes from the disk


def run(machine, command):
    """The output of a command that has to succeed."""
    status, output = machine.shell(command, timeout=90)
    assert status == 0, output
    return output


def test_overlay(boot, linux_files):
    machine = boot(CONFIG, linux_files, memory="2G")
    machine.wait_ready("web", "db", timeout=120)
    machine.send("\r")
    machine.prompt()
    with machine.console("web"):
        assert "virtio_rng" in run(machine, "cat /sys/class/misc/hw_random/rng_current")
        draw = "dd if=/dev/hwrng bs=16 count=256 iflag=fullblock 2>/dev/null | md5sum"
        assert run(machine, draw) != run(machine, draw)
        run(machine, "dd if=/dev/urandom of=/data/a bs=64k count=24 2>/dev/null; sync; md5sum /data/a > /sum")

    # The service VM starts again: what was written is there, and random numbers come on.
    machine.monitor("service restart")
    with machine.console("web"):
        run(machine, f"{FRESH}; md5sum -c /sum")
        assert run(machine, draw) != run(machine, draw)

    # The other guest has an overlay of its own, which is kept when it starts again.
    with machine.console("db"):
        run(machine, "[ ! -e /dev/hwrng ] || [ ! -s /sys/class/misc/hw_random/rng_available ] || ! grep -q virtio "
                     "/sys/class/misc/hw_random/rng_available")
        run(machine, "[ ! -e /data/a ] && echo from-before > /data/b && sync")
        machine.send("reboot -f\r")
        machine.expect("GUEST-READY db", timeout=120)
        machine.expect("db:/# ")
        assert "from-before" in run(machine, "cat /data/b")

    # The memory runs out: I/O errors, and a line in the log. What is there stays, over a restart, too.
    with machine.console("web"):
        run(machine, "dd if=/dev/urandom of=/data/c bs=64k count=200 2>/dev/null; sync; dmesg | grep -q 'I/O error, dev vda'")
        run(machine, f"{FRESH}; md5sum -c /sum")
    assert "guest web: disk0: disk overlay: no memory left" in machine.output()
    machine.monitor("service restart")
    with machine.console("web"):
        run(machine, f"{FRESH}; md5sum -c /sum")
