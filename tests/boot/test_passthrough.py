# SPDX-License-Identifier: Apache-2.0
# Functions of the machine that a stock Linux guest has to itself, behind an Intel VT-d or AMD-Vi unit: an NVMe disk and an Intel network
# card, over all kinds of ends and starts of the guest; the same without an IOMMU, with identity-memory; and
# what is refused.
import hashlib
import random
import re
import struct

import pytest

from machine import BOOT_TIME, config, guest_file, linux
from test_iommu import amdvi, vtd
from test_machine import drive, make_image, run, uplink

FILES = {"vmlinuz-generic": "vmlinuz-generic", "initrd-generic.gz": "initrd-generic.gz"}
MAC = "52:54:00:00:0c:01"
# The disk resets itself; the card is alone below a port, whose bus the firmware numbers 1. QEMU's AMD-Vi unit takes what is below a port
# for a function of the root bus, so that a guest has the disk alone there.
NVME, CARD = "0000:00:11.0", "0000:01:00.0"


def guest(more=f'passthrough = "{NVME}", "{CARD}";', memory="256M", nodes=""):
    return config({"own": linux("own", f'entropy = "no"; vcpus = <2>; {more}', "net=10.1.0.15/24", memory, "vmlinuz-generic",
                                "initrd-generic.gz")}, more=nodes)


def devices(tmp_path):
    disk = make_image(tmp_path / "ssd.img", 64)
    return ["-device", "pcie-root-port,id=port1,chassis=1,slot=1,addr=0x10", *uplink(1, "e1000e", MAC, ",bus=port1"),
            *drive("ssd", disk, "nvme,serial=SSD-0001,addr=0x11")]


def boot_guest(boot, text, extra, memory="1536M"):
    machine = boot(text, {name: guest_file(path) for name, path in FILES.items()}, memory=memory, extra=extra)
    machine.wait_ready("own")
    machine.send("\r")
    machine.prompt()
    return machine


def check(machine, kept=None, card=True):
    """The disk, mounted, with its file, and the network, if there is a card; the file's checksum."""
    with machine.console("own"):
        run(machine, "for i in $(seq 300); do [ -b /dev/nvme0n1 ] && break; sleep 0.1; done; [ -b /dev/nvme0n1 ]")
        run(machine, "mkdir -p /data; mount -t ext4 /dev/nvme0n1 /data 2>/dev/null || "
                     "{ mke2fs -q /dev/nvme0n1; mount -t ext4 /dev/nvme0n1 /data; }")
        if kept is None:
            run(machine, "dd if=/dev/urandom of=/data/kept bs=1M count=16 2>/dev/null && sync")
            kept = run(machine, "md5sum /data/kept").split()[0]
        assert kept in run(machine, "echo 3 >/proc/sys/vm/drop_caches; md5sum /data/kept")
        if card:
            run(machine, "for i in $(seq 300); do grep -q 1 /sys/class/net/eth0/carrier && break; sleep 0.1; done")
            assert "5 packets received" in run(machine, "ping -c 5 -W 10 10.1.0.2")
        # Messages, with counts; nothing had to be waited for until it timed out.
        assert re.search(r"[1-9]\d* .*MSI.*nvme0q", run(machine, "grep -E 'nvme0q|eth0' /proc/interrupts"))
        assert machine.shell("dmesg | grep -E 'I/O error|QID [0-9]+ timeout|Call Trace|NETDEV WATCHDOG|Detected Hardware Unit Hang'")[0] != 0
        run(machine, "umount /data")
    return kept


@pytest.mark.parametrize("unit", [vtd(), pytest.param(vtd("on"), marks=pytest.mark.long), amdvi()], ids=["vtd", "vtd-caching", "amdvi"])
def test_disk_and_card(boot, tmp_path, unit):
    """A file system and pings; the guest's own reboot, a reset, a stop and a start, each while the disk is at work."""
    functions = (NVME, CARD) if unit.bridges else (NVME,)
    text = guest("passthrough = " + ", ".join(f'"{address}"' for address in functions) + ";")
    machine = boot_guest(boot, text, [*unit.options, *devices(tmp_path)])
    shown = machine.monitor("devices")
    for address in functions:
        assert re.search(rf"^{address} .* own  .*group", shown, re.M), shown
    assert re.search(r"^domain \d+: own, requesters [1-9]\d*, faults 0$", machine.monitor("iommu"), re.M)
    kept = check(machine, card=unit.bridges)
    with machine.console("own"):
        machine.send("reboot -f\r")
        machine.expect("GUEST-READY own uptime", BOOT_TIME)
        machine.expect("own:/# ")
    check(machine, kept, unit.bridges)
    for commands in (("reset own",), ("stop own", "start own")):
        with machine.console("own"):
            run(machine, "{ (while :; do dd if=/dev/nvme0n1 of=/dev/null bs=1M 2>/dev/null; echo 3 >/proc/sys/vm/drop_caches; done) & }")
        for command in commands:
            machine.command(command)
            if command == "stop own":
                machine.expect("guest own: stopped by command")
        machine.wait_ready("own")
        machine.send("\r")
        machine.prompt()
        check(machine, kept, unit.bridges)
    assert "blocked" not in machine.output()


# The machine with 5 GiB has 2 of them below 4 GiB.
@pytest.mark.parametrize("extra,mib,memory", [((), 256, "1536M"), pytest.param((), 2304, "5G", marks=pytest.mark.long),
                                              pytest.param(vtd().options, 256, "1536M", marks=pytest.mark.long)],
                         ids=["no-iommu", "above-4-gib", "vtd"])
def test_identity(boot, tmp_path, extra, mib, memory):
    """A guest whose RAM is at the machine's own addresses: the same disk and card without an IOMMU, with a warning for each at each start;
    and with one, which protects as always. The service VM finds that RAM as well."""
    text = guest(f'identity-memory = "dma-unprotected"; passthrough = "{NVME}", "{CARD}"; disk0 {{ disk = "data"; type = "ahci"; }};', f"{mib}M",
                 'disks { data { memory = "8M"; }; };')
    machine = boot_guest(boot, text, [*extra, *devices(tmp_path)], memory)
    begin, end = re.search(r"guest own: its RAM is at the machine's own addresses, 0x([0-9a-f]+) to 0x([0-9a-f]+)", machine.output()).groups()
    assert int(end, 16) + 1 - int(begin, 16) == mib - 2 << 20 and int(begin, 16) % (2 << 20) == 0
    assert (int(begin, 16) >= 1 << 32) == (mib > 2048)

    def check_map(starts):
        """Of RAM the guest has that piece, and below 1 MiB no more than it starts CPUs with; both CPUs are there."""
        with machine.console("own"):
            ram = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) : System RAM", run(machine, "cat /proc/iomem"), re.M)
            assert run(machine, "cat /sys/devices/system/cpu/online").strip() == "0-1"
        assert (int(begin, 16), int(end, 16)) in [(int(a, 16), int(b, 16)) for a, b in ram]
        assert all(int(b, 16) < 0x20000 for a, b in ram if int(a, 16) != int(begin, 16)), ram
        for address in (NVME, CARD):
            warned = machine.output().count(f"guest own: DMA of PCI {address} is unprotected: it can read and write all of the machine's memory")
            assert warned == (0 if extra else starts)

    check_map(1)
    kept = check(machine)
    with machine.console("own"):
        run(machine, "for i in $(seq 300); do [ -b /dev/sda ] && break; sleep 0.1; done")
        run(machine, "dd if=/dev/urandom of=/tmp/data bs=1M count=8 2>/dev/null; dd if=/tmp/data of=/dev/sda bs=1M && sync")
        run(machine, "echo 3 >/proc/sys/vm/drop_caches; cmp /dev/sda /tmp/data; rm /tmp/data")
    with machine.console("own"):
        machine.send("reboot -f\r")
        machine.expect("GUEST-READY own uptime", BOOT_TIME)
        machine.expect("own:/# ")
    check(machine, kept)
    check_map(2)
    with machine.console("own"):
        run(machine, "{ (while :; do dd if=/dev/nvme0n1 of=/dev/null bs=1M 2>/dev/null; echo 3 >/proc/sys/vm/drop_caches; done) & }")
    machine.command("reset own")
    machine.wait_ready("own")
    machine.send("\r")
    machine.prompt()
    check(machine, kept)
    check_map(3)
    assert "blocked" not in machine.output()


def expansion_rom(size):
    """An image of `size` bytes for any function's expansion ROM (PCI Firmware 3.0, 5.1): of code for old PCs, which no firmware here runs."""
    rom = bytearray(random.Random(size).randbytes(size))
    rom[:28] = struct.pack("<HB21xHH", 0xAA55, size // 512, 28, 0)
    rom[28:52] = struct.pack("<4sHHHHB3BHHBBH", b"PCIR", 0x1B36, 0x0010, 0, 24, 0, 2, 8, 1, size // 512, 0, 0, 0x80, 0)
    return bytes(rom)


@pytest.mark.parametrize("unit", [vtd()], ids=["vtd"])
def test_expansion_rom(boot, tmp_path, unit):
    """A guest reads its function's expansion ROM to the last byte; a reset and a start later it is the same."""
    image = expansion_rom(9 * 512)
    (tmp_path / "rom.bin").write_bytes(image)
    disk = make_image(tmp_path / "ssd.img", 64)
    text = guest(f'passthrough = "{NVME}";')
    machine = boot_guest(boot, text, [*unit.options, *drive("ssd", disk, f"nvme,serial=SSD-0001,addr=0x11,romfile={tmp_path}/rom.bin")])
    for commands in ((), ("reset own",), ("stop own", "start own")):
        for command in commands:
            machine.command(command)
            if command == "stop own":
                machine.expect("guest own: stopped by command")
        if commands:
            machine.wait_ready("own")
            machine.send("\r")
            machine.prompt()
        with machine.console("own"):
            run(machine, "cd $(dirname $(grep -l 0x010802 /sys/bus/pci/devices/*/class)); echo 1 >rom")
            assert run(machine, "md5sum <rom").split()[0] == hashlib.md5(image).hexdigest()
            # The room that the register asks for is a power of two.
            begin, end = run(machine, "sed -n 7p resource").split()[:2]
            assert int(end, 16) - int(begin, 16) + 1 == 8192
            run(machine, "echo 0 >rom; cd /")
    assert "expansion ROM" not in machine.output()


@pytest.mark.parametrize("unit", [vtd(), amdvi()], ids=["vtd", "amdvi"])
def test_beside_the_service(boot, tmp_path, unit):
    """The service VM is not offered what a guest has: its search for a disk by serial number does not find that one."""
    text = config({"own": linux("own", f'entropy = "no"; passthrough = "{NVME}"; disk0 {{ disk = "data"; type = "ahci"; }};', "", "256M",
                                "vmlinuz-generic", "initrd-generic.gz")},
                  more='disks { data { device = "SSD-0002"; }; };')
    second = make_image(tmp_path / "second.img", 32)
    machine = boot_guest(boot, text, [*unit.options, *devices(tmp_path), *drive("second", second, "nvme,serial=SSD-0002,addr=0x12")])
    shown = machine.monitor("devices")
    assert re.search(rf"^{NVME} .* own  ", shown, re.M) and re.search(r"^0000:00:12\.0 .* service VM ", shown, re.M), shown
    with machine.console("own"):
        run(machine, "for i in $(seq 300); do [ -b /dev/nvme0n1 ] && [ -b /dev/sda ] && break; sleep 0.1; done")
        assert run(machine, "cat /sys/block/nvme0n1/size /sys/block/sda/size").split() == ["131072", "65536"]


@pytest.mark.parametrize("extra,address,why", [
    ((), NVME, "no IOMMU is in use: switch it on"),
    (vtd(remap="off").options, NVME, "the IOMMU does not remap its interrupts"),
    (amdvi(remap="off").options, NVME, "the IOMMU does not remap its interrupts"),
    (vtd().options, "0000:00:1f.2", "a function that it cannot be kept apart from is somebody else's"),
    (vtd().options, "0000:00:10.0", "it is a bridge, or a part of the machine that the hypervisor needs"),
    (vtd().options, "0000:00:1e.7", "this machine has no such function")],
    ids=["no-iommu", "no-remapping", "no-remapping-amdvi", "group", "bridge", "missing"])
def test_refused(boot, tmp_path, extra, address, why):
    machine = boot(guest(f'passthrough = "{address}";'), {name: guest_file(path) for name, path in FILES.items()}, memory="1536M",
                   extra=[*extra, *devices(tmp_path)])
    machine.expect(f"guest own: PCI {re.escape(address)} cannot be passed through: {re.escape(why)}", BOOT_TIME)
    machine.expect("guest own: it cannot have a function of the machine")
