# SPDX-License-Identifier: Apache-2.0
# Cards and disks of the machine, driven by the service VM for stock Linux guests: files through each uplink, file systems on each
# kind of disk, restarts of the service VM and of a guest, drivers that guests load anew, and what is missing, fails or has no link.
import hashlib
import json
import os
import re
import shutil
import subprocess

import pytest

from machine import config, guest_file, linux
from peers import FilePeer

FILES = {"vmlinuz": "vmlinuz-cloud", "initrd.gz": "initrd.gz"}
MIB = 1 << 20
# Networks of QEMU's: the host is 10.N.0.2 there, which is 127.0.0.1 of this machine.
CARDS = (("virtio-net-pci", "virtio-net", "52:54:00:00:0a:01"), ("e1000", "e1000", "52:54:00:00:0b:01"),
         ("e1000e", "e1000", "52:54:00:00:0c:01"))
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"


def make_image(path, size, partitions=()):
    """An empty disk image, in MiB; with a GPT of partitions [(first MiB, MiB)]."""
    with open(path, "wb") as file:
        file.truncate(size * MIB)
    if partitions:
        subprocess.run([shutil.which("sgdisk", path=PATH), "--clear",
                        *(f"--new={number}:{first * 2048}:{(first + length) * 2048 - 1}"
                          for number, (first, length) in enumerate(partitions, 1)), path],
                       check=True, timeout=60, stdout=subprocess.DEVNULL)
    return str(path)


def uplink(number, card, mac, more=""):
    return ("-netdev", f"user,id=net{number},net=10.{number}.0.0/24",
            "-device", f"{card},id=card{number},netdev=net{number},mac={mac}{more}")


def drive(name, path, device, more=""):
    return ("-drive", f"if=none,id={name},format=raw,file={path}{more}", "-device", f"{device},drive={name}")


def start(boot, text, extra, *guests):
    machine = boot(text, {name: guest_file(path) for name, path in FILES.items()}, memory="1536M", extra=extra)
    machine.wait_ready(*guests)
    machine.send("\r")
    machine.prompt()
    return machine


def run(machine, command, timeout=120):
    """The output of a command that has to succeed."""
    status, text = machine.shell(command, timeout)
    assert status == 0, f"{command}: status {status}\n{text}"
    return text


def give_addresses(machine, first=0):
    """eth0 has its address by the kernel's command line unless its driver was loaded anew."""
    for number in range(first, len(CARDS)):
        run(machine, f"ip link set eth{number} up; ip addr add 10.{number + 1}.0.15/24 dev eth{number}")


def check_uplinks(machine, peer):
    """A file each way through each uplink, with its checksum."""
    with machine.console("web"):
        give_addresses(machine, 1)
        run(machine, "dd if=/dev/urandom of=/tmp/big bs=1M count=8 2>/dev/null")
        sum_here = run(machine, "md5sum /tmp/big").split()[0]
        for number in range(1, len(CARDS) + 1):
            assert peer.md5 in run(machine, f"nc 10.{number}.0.2 {peer.give} </dev/null | md5sum")
            assert sum_here in run(machine, f"nc 10.{number}.0.2 {peer.take} </tmp/big")
        # The other guest of that network is there as well.
        assert "3 packets received" in run(machine, "ping -c 3 -W 10 10.1.0.16")
    with machine.console("db"):
        assert peer.md5 in run(machine, f"nc 10.1.0.2 {peer.give} </dev/null | md5sum")


def fill_disks(machine):
    """A file on each disk of both guests, read again from the disk: {disk: MD5 sum}."""
    sums = {}
    for guest, disks in (("web", ("vda", "vdb", "vdc")), ("db", ("vda",))):
        with machine.console(guest):
            for disk in disks:
                place = "/data" if disk == "vda" else f"/{disk}"
                if disk != "vda":
                    run(machine, f"mke2fs -q -b 4096 /dev/{disk} && mkdir {place} && mount -t ext4 /dev/{disk} {place}")
                run(machine, f"dd if=/dev/urandom of={place}/kept bs=1M count=8 2>/dev/null && sync")
                sums[guest, disk] = run(machine, f"md5sum {place}/kept").split()[0]
                run(machine, f"umount {place} && mount -t ext4 /dev/{disk} {place} && echo 3 >/proc/sys/vm/drop_caches")
                assert sums[guest, disk] in run(machine, f"md5sum {place}/kept")
    return sums


def restart_service(machine, peer):
    """While files are copied to the NVMe disk, and fetched through each uplink."""
    before = machine.output().count(peer.md5)
    with machine.console("web"):
        run(machine, "copy() { cp /tmp/big /data/copy; sync; echo 3 >/proc/sys/vm/drop_caches; cmp /tmp/big /data/copy; }")
        run(machine, "{ (for i in 1 2 3; do copy && echo COPY''-GOOD || echo COPY''-BAD; done) 2>&1 & }")
        for number in range(1, len(CARDS) + 1):
            run(machine, f"{{ (nc 10.{number}.0.2 {peer.give} </dev/null | md5sum; echo FETCH''-DONE) 2>&1 & }}")
    machine.command("service restart")
    machine.expect("service: start 2,")
    counts = {"COPY-GOOD": 3, "FETCH-DONE": len(CARDS)}
    while any(machine.output().count(end) < count for end, count in counts.items()):
        machine.expect(["COPY-GOOD", "COPY-BAD", "FETCH-DONE"], 300)
    machine.send("\r")
    machine.prompt()
    assert "COPY-BAD" not in machine.output()
    assert machine.output().count(peer.md5) == before + len(CARDS)
    with machine.console("web"):
        assert machine.shell("dmesg | grep -E 'I/O error|Call Trace|NETDEV WATCHDOG'")[0] != 0


# Functions of a guest's shell, in lines that a console holds while the guest is busy: `again COUNT MODULE` loads a driver anew
# so many times, and says how often what follows did not work.
RELOAD = ("check_virtio_net() { ip link set eth0 up && ip addr add 10.1.0.16/24 dev eth0 && ping -c 1 -W 10 10.1.0.2 >/dev/null; }",
          "look() { dd if=/dev/vda bs=64k count=4 2>/dev/null | md5sum; }; before=$(look)",
          'check_virtio_blk() { [ "$(look)" = "$before" ]; }',
          "reload() { rmmod $1 && insmod /lib/modules/$(uname -r)/$1.ko && check_$1; }",
          "again() { bad=0; for i in $(seq $1); do reload $2 || bad=$((bad+1)); done; echo bad $bad; }")


def reload_drivers(machine, count, timeout):
    """The guest that has the console, 10.1.0.16, loads its drivers of network cards and of disks anew. No disk is mounted."""
    for line in RELOAD:
        run(machine, line)
    for module in ("virtio_net", "virtio_blk"):
        text = run(machine, f"again {count} {module}", timeout)
        assert text.split()[-2:] == ["bad", "0"], text
    assert machine.shell("dmesg | grep -E 'I/O error|Call Trace|NETDEV WATCHDOG|failed'")[0] != 0


def check_image(path, md5, first=0, length=None):
    """The file system that a guest left in an image, first and length in MiB: sound, with the file in it."""
    part = f"{path}.part"
    with open(path, "rb") as image, open(part, "wb") as file:
        image.seek(first * MIB)
        file.write(image.read() if length is None else image.read(length * MIB))
    check = subprocess.run([shutil.which("e2fsck", path=PATH), "-fn", part], capture_output=True, timeout=60, text=True)
    assert check.returncode == 0, check.stdout
    kept = subprocess.run([shutil.which("debugfs", path=PATH), "-R", "cat /kept", part], capture_output=True, timeout=60, check=True)
    assert hashlib.md5(kept.stdout).hexdigest() == md5
    os.unlink(part)


def test_cards_and_disks(boot, tmp_path):
    """Three kinds of cards, two kinds of disks and partitions, found by their own names and by PCI addresses."""
    ssd, old = make_image(tmp_path / "ssd.img", 48), make_image(tmp_path / "old.img", 24)
    parts = [(1, 24), (25, 24)]
    both = make_image(tmp_path / "both.img", 50, parts)
    text = config(
        {"web": linux("web", 'net0 { network = "a"; }; net1 { network = "b"; }; net2 { network = "c"; }; disk0 { disk = "ssd"; }; '
                             'disk1 { disk = "old"; }; disk2 { disk = "both"; partition = <1>; };', "net=10.1.0.15/24 data=vda", "192M"),
         "db": linux("db", 'net0 { network = "a"; }; disk0 { disk = "both"; partition = <2>; };', "net=10.1.0.16/24 data=vda")},
        more=f'networks {{ a {{ uplink = "{CARDS[0][2]}"; }}; b {{ uplink = "0000:00:12.0"; }}; c {{ uplink = "{CARDS[2][2]}"; }}; }}; '
             'disks { ssd { device = "SSD-0001"; }; old { device = "OLD-0001"; }; both { device = "00:16.0"; }; };')
    extra = [argument for number, (card, _, mac) in enumerate(CARDS)
             for argument in uplink(number + 1, card, mac, f",addr={0x11 + number:#x}")]
    extra += [*drive("ssd", ssd, "nvme,serial=SSD-0001,addr=0x14"), *drive("old", old, "virtio-blk-pci,serial=OLD-0001,addr=0x15"),
              *drive("both", both, "nvme,serial=BOTH-0001,addr=0x16")]
    with FilePeer(8 * MIB) as peer:
        machine = start(boot, text, extra, "web", "db")
        output = machine.output()
        for number, (network, (_, driver, mac)) in enumerate(zip("abc", CARDS)):
            assert f"network {network}: uplink {mac}, {driver} at 0000:00:{0x11 + number:02x}.0" in output
        for line in ('ssd: NVMe at 0000:00:14.0, serial number "SSD-0001", 48 MiB',
                     'old: virtio-blk at 0000:00:15.0, serial number "OLD-0001", 24 MiB',
                     'both: NVMe at 0000:00:16.0, serial number "BOTH-0001", 50 MiB'):
            assert f"disk {line}" in output
        owners = machine.monitor("devices")
        for slot in range(0x11, 0x17):
            assert re.search(rf"^0000:00:{slot:x}\.0 .* service ", owners, re.M), owners
        check_uplinks(machine, peer)
        sums = fill_disks(machine)
        restart_service(machine, peer)
        with machine.console("web"):
            # What was written is there after the guest has started again.
            machine.send("umount /data /vdb /vdc; reboot\r")
            machine.expect("GUEST-READY web uptime")
            machine.expect("web:/# ")
            for disk in ("vda", "vdb", "vdc"):
                run(machine, f"[ {disk} = vda ] || {{ mkdir -p /{disk} && mount -t ext4 /dev/{disk} /{disk}; }}")
                assert sums["web", disk] in run(machine, f"md5sum /{'data' if disk == 'vda' else disk}/kept")
            assert peer.md5 in run(machine, f"nc 10.1.0.2 {peer.give} </dev/null | md5sum")
            run(machine, "umount /data /vdb /vdc")
        with machine.console("db"):
            run(machine, "umount /data")
            reload_drivers(machine, 20, 300)
        machine.send("poweroff\r")
        machine.wait_poweroff()
    check_image(ssd, sums["web", "vda"])
    check_image(old, sums["web", "vdb"])
    check_image(both, sums["web", "vdc"], *parts[0])
    check_image(both, sums["db", "vda"], *parts[1])


def bad_drive(name, path, device):
    """A disk that fails to write its sector 2048 and to read its sector 4096."""
    errors = [{"event": "none", "iotype": "write", "sector": 2048, "errno": 5},
              {"event": "none", "iotype": "read", "sector": 4096, "errno": 5}]
    node = {"driver": "blkdebug", "node-name": name, "image": {"driver": "file", "filename": path}, "inject-error": errors}
    return "-blockdev", json.dumps(node), "-device", f"{device},drive={name}"


def test_what_fails(boot, tmp_path):
    """Uplinks and disks that are not there, links that go, a disk that cannot be written, and two that have bad sectors. Everything
    else goes on."""
    images = [make_image(tmp_path / f"{name}.img", 8) for name in ("good", "bad-nvme", "bad-virtio", "fixed")]
    disks = ("good", "bad-nvme", "bad-virtio", "fixed", "lost", "nowhere")
    text = config(
        {"web": linux("web", "".join(f'net{number} {{ network = "{name}"; }}; ' for number, name in enumerate("abcd")) +
                             "".join(f'disk{number} {{ disk = "{name}"; }}; ' for number, name in enumerate(disks) if number != 3) +
                             'disk3 { disk = "fixed"; read-only = "yes"; };', "net=10.1.0.15/24 data=vda", "192M")},
        more=f'networks {{ a {{ uplink = "{CARDS[0][2]}"; }}; b {{ uplink = "{CARDS[1][2]}"; }}; '
             'c { uplink = "52:54:00:00:0f:0f"; }; d { uplink = "0000:00:1e.0"; }; }; '
             'disks { good { device = "GOOD"; }; bad-nvme { device = "BAD-1"; }; bad-virtio { device = "BAD-2"; }; '
             'fixed { device = "FIXED"; }; lost { device = "LOST"; }; nowhere { device = "0000:00:1d.0"; }; };')
    extra = [*uplink(1, *CARDS[0][::2]), *uplink(2, "e1000e", CARDS[1][2]), *drive("good", images[0], "nvme,serial=GOOD"),
             *bad_drive("bad1", images[1], "nvme,serial=BAD-1"), *bad_drive("bad2", images[2], "virtio-blk-pci,serial=BAD-2"),
             *drive("fixed", images[3], "virtio-blk-pci,serial=FIXED", ",readonly=on")]
    machine = start(boot, text, extra, "web")
    output = machine.output()
    assert re.search(r"uplink 52:54:00:00:0f:0f of network c is not there: no network card has the MAC 52:54:00:00:0f:0f, "
                     rf"there are:.*{CARDS[0][2]} \(virtio-net at", output)
    assert "uplink 0000:00:1e.0 of network d is not there: no network card has the address 0000:00:1e.0, there are:" in output
    assert re.search(r'disk lost is not there: no disk of the machine has the serial number "LOST", there are:.*"GOOD" \(NVMe at', output)
    assert "disk nowhere is not there: no disk of the machine has the address 0000:00:1d.0, there are:" in output
    assert re.search(r'disk fixed: virtio-blk at \S+, serial number "FIXED", 8 MiB, read-only', output)
    with machine.console("web"):
        run(machine, "ip link set eth1 up; ip addr add 10.2.0.15/24 dev eth1")
        run(machine, "[ -d /sys/class/net/eth3 ] && [ -b /dev/vdd ] && ! [ -b /dev/vde ] && [ $(cat /sys/block/vdd/ro) = 1 ]")
        run(machine, "dd if=/dev/urandom of=/data/kept bs=1M count=4 2>/dev/null; sync; md5sum /data/kept >/sum")
        for number, disk in enumerate(("vdb", "vdc"), 1):
            # Around the bad sectors all is well.
            write = f"dd if=/data/kept of=/dev/{disk} bs=4096 oflag=direct"
            assert machine.shell(f"{write} skip=256 seek=256 count=1")[0] != 0
            run(machine, f"{write} skip=257 seek=257 count=255 && {write} count=256")
            assert machine.shell(f"dd if=/dev/{disk} of=/dev/null bs=4096 skip=512 count=1 iflag=direct")[0] != 0
            run(machine, f"dd if=/dev/{disk} bs=4096 count=256 iflag=direct 2>/dev/null | cmp -n 1048576 - /data/kept")
            run(machine, f"dmesg | grep 'I/O error, dev {disk}, sector 2048' && dmesg | grep 'I/O error, dev {disk}, sector 4096'")
            assert f"guest web: disk{number}: I/O error" in machine.output()
        assert machine.shell("dd if=/dev/zero of=/dev/vdd bs=4096 count=1 oflag=direct")[0] != 0
        for number, network in ((1, "a"), (2, "b")):
            ping = f"ping -c 1 -W {{}} 10.{number}.0.2"
            run(machine, ping.format(10))
            name = CARDS[number - 1][2]
            machine.qmp("set_link", name=f"card{number}", up=False)
            machine.expect(f"uplink {name} of network {network} has no link")
            assert machine.shell(ping.format(2))[0] != 0
            machine.qmp("set_link", name=f"card{number}", up=True)
            machine.expect(f"uplink {name} of network {network} has a link")
            run(machine, ping.format(30))
        run(machine, "echo 3 >/proc/sys/vm/drop_caches; md5sum -c /sum")
        assert machine.shell("dmesg | grep -E 'I/O error, dev vda|Call Trace'")[0] != 0


@pytest.mark.long
def test_many_driver_reloads(boot, tmp_path):
    """A thousand times each."""
    ssd = make_image(tmp_path / "ssd.img", 16)
    text = config({"web": linux("web", 'net0 { network = "a"; }; disk0 { disk = "ssd"; };', "net=10.1.0.16/24 data=vda")},
                  more=f'networks {{ a {{ uplink = "{CARDS[0][2]}"; }}; }}; disks {{ ssd {{ device = "SSD-0001"; }}; }};')
    machine = start(boot, text, [*uplink(1, *CARDS[0][::2]), *drive("ssd", ssd, "nvme,serial=SSD-0001")], "web")
    with machine.console("web"):
        run(machine, "umount /data")
        reload_drivers(machine, 1000, 3600)
    assert "guest web crashed" not in machine.output()
