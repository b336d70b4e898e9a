# SPDX-License-Identifier: Apache-2.0
# Disks of guests that know no virtio: the AHCI controller, with Debian's generic kernel, whose drivers are ahci, libata and sd.
import re

from machine import config, guest_file, linux

FILES = {"vmlinuz": "vmlinuz-generic", "initrd.gz": "initrd-generic.gz"}


def guest():
    """A guest with a disk to write and one that it can only read, both AHCI."""
    return config({"old": linux("old", 'entropy = "no"; disk0 { disk = "data"; type = "ahci"; serial = "AHCI-0001"; }; '
                                       'disk1 { disk = "text"; type = "ahci"; };',memory="256M")},
                  more='disks { data { memory = "48M"; }; text { file = "text.img"; read-only = "yes"; }; };')


def start(boot):
    text = b"".join(b"line %06d\n" % number for number in range(131072))
    machine = boot(guest(), {**{name: guest_file(path) for name, path in FILES.items()}, "text.img": text}, memory="1536M")
    machine.wait_ready("old")
    machine.send("\r")
    machine.prompt()
    with machine.console("old"):
        mount(machine)
    return machine


def mount(machine):
    """The disk to write is $data, and mounted at /data; the other one is $text. Linux finds them at the same time, so their names vary."""
    for command in ("for i in $(seq 300); do [ -b /dev/sdb ] && break; sleep 0.1; done",
                    "data=/dev/$(grep -lx 98304 /sys/block/sd?/size | cut -d/ -f4)",
                    "text=/dev/$(grep -lx 3072 /sys/block/sd?/size | cut -d/ -f4)",
                    "mkdir -p /data; mount -t ext4 $data /data 2>/dev/null || { mke2fs -q $data; mount -t ext4 $data /data; }"):
        status, text = machine.shell(command, 60)
        assert status == 0, text


def test_ahci(boot):
    """A file system on one disk, before and after the guest has started again; the other one is read."""
    machine = start(boot)
    with machine.console("old"):
        status, text = machine.shell("mount | grep /data; cat /sys/block/sda/device/model")
        assert "on /data type ext4" in text and "Saguaro disk" in text, text
        status, text = machine.shell("dd if=/dev/urandom of=/data/kept bs=1M count=12 2>/dev/null && sync && md5sum /data/kept")
        assert status == 0, text
        kept = text.split()[0]
        status, text = machine.shell("echo 3 >/proc/sys/vm/drop_caches; md5sum /data/kept")
        assert kept in text, text
        status, text = machine.shell("dd if=$text bs=12 skip=100000 count=1 2>/dev/null")
        assert "line 100000" in text, text
        # A write to a disk that cannot be written is an error, not a hang, and the disk can be read afterwards.
        assert machine.shell("dd if=/dev/zero of=$text bs=4096 count=1 conv=fsync", 120)[0] != 0
        status, text = machine.shell("echo 3 >/proc/sys/vm/drop_caches; dd if=$text bs=12 count=1 2>/dev/null", 120)
        assert "line 000000" in text, text
        machine.send("umount /data; reboot\r")
        machine.expect("GUEST-READY old uptime")
        machine.expect("old:/# ")
        mount(machine)
        status, text = machine.shell("md5sum /data/kept")
        assert status == 0 and kept in text, text
        assert machine.shell("dmesg | grep -E 'ata[0-9].*(error|exception|failed)|Call Trace'")[0] != 0


def test_ahci_service_restart(boot):
    """The service VM starts anew twice during a checked copy."""
    machine = start(boot)
    with machine.console("old"):
        assert machine.shell("dd if=/dev/urandom of=/tmp/big bs=1M count=8 2>/dev/null")[0] == 0
        machine.shell("{ (for i in 1 2 3 4; do cp /tmp/big /data/copy; sync; echo 3 >/proc/sys/vm/drop_caches; "
                      "cmp /tmp/big /data/copy && echo COPY''-GOOD || echo COPY''-BAD; done; echo COPIES''-DONE) 2>&1 & }")
    for number in range(2, 4):
        machine.command("service restart")
        machine.expect(rf"service: start {number},")
        machine.expect("COPY-GOOD", 300)
    if "COPIES-DONE" not in machine.output():
        machine.expect("COPIES-DONE", 300)
    machine.send("\r")
    machine.prompt()
    output = machine.output()
    assert "COPY-BAD" not in output and output.count("COPY-GOOD") == 4
    assert re.search(r"started 3 times", machine.monitor("service"))
    with machine.console("old"):
        assert machine.shell("dmesg | grep -E 'ata[0-9].*(error|exception|failed)|Call Trace'")[0] != 0
