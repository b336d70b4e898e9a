# SPDX-License-Identifier: Apache-2.0
# The bench's part "virtio-linux": what stock Linux guests get from their virtio cards and disks in memory, by time.
import os
import re
import shutil
import statistics
import tempfile

from common import figure
from linux_guests import Native, run
from machine import Machine, config, guest_file, linux

DISK = 48  # MiB
FILE = 64  # MiB
PINGS = 50

HOW = "stock Debian cloud kernel and busybox initramfs, 256 MiB, one vCPU each; two CPUs"
DD_HOW = (f"busybox dd, {DISK} MiB in pieces of 128 KiB, O_DIRECT, a disk in memory; on Saguaro, and on the bare emulated machine with the "
          "same kernel and QEMU's own virtio disk, backed by a file in memory (cache=unsafe); median of 3 each")


def files():
    return {"vmlinuz": guest_file("vmlinuz-cloud"), "initrd.gz": guest_file("initrd.gz")}


def timed(machine, command):
    """Seconds that a command takes by the guest's clock."""
    text = run(machine, f"read a b </proc/uptime; {command} 2>/dev/null && read c d </proc/uptime; echo TIME $a $c")
    begin, end = map(float, re.search(r"TIME (\S+) (\S+)", text).groups())
    return end - begin


def disk_speeds(machine):
    """MB/s of reading and writing."""
    count = DISK * 8
    commands = (f"dd if=/dev/vda of=/dev/null bs=128k count={count} iflag=direct",
                f"dd if=/dev/zero of=/dev/vda bs=128k count={count} oflag=direct")
    return [(DISK << 20) / 1e6 / statistics.median(timed(machine, command) for _ in range(3)) for command in commands]


def measure_disk(machine):
    with machine.console("web"):
        ours = disk_speeds(machine)
    folder = tempfile.mkdtemp(prefix="saguaro-bench-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    try:
        path = os.path.join(folder, "disk")
        with open(path, "wb") as file:
            file.write(bytes(DISK << 20))
        options = ["-drive", f"if=none,id=disk,format=raw,cache=unsafe,file={path}", "-device", "virtio-blk-pci,drive=disk"]
        with Native("bench-virtio-native", options, *files().values()) as native:
            theirs = disk_speeds(native)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for name, our, their in zip(("read", "write"), ours, theirs):
        figure(f"disk, 128 KiB {name}s: Saguaro's speed", round(our / their, 2), "times bare", f"{HOW}; {DD_HOW}")
        figure(f"disk, 128 KiB {name}s on Saguaro", round(our, 1), "MB/s", f"{HOW}; {DD_HOW}")
        figure(f"disk, 128 KiB {name}s on the bare machine", round(their, 1), "MB/s", f"{HOW}; {DD_HOW}")


def measure_network(machine):
    with machine.console("db"):
        run(machine, f"mkdir -p /www; dd if=/dev/zero of=/www/file bs=1M count={FILE} 2>/dev/null; httpd -h /www")
    with machine.console("web"):
        seconds = statistics.median(timed(machine, "wget -q -O /dev/null http://10.0.0.2/file") for _ in range(3))
        text = run(machine, f"ping -c {PINGS} -i 0.1 10.0.0.2")
    figure("TCP from guest to guest", round((FILE << 20) / 1e6 / seconds, 1), "MB/s",
           f"{HOW}; busybox wget of {FILE} MiB from busybox httpd; median of 3")
    times = [float(value) for value in re.findall(r"time=([0-9.]+) ms", text)]
    figure("ping from guest to guest, round trip", statistics.median(times), "ms", f"{HOW}; busybox ping, {PINGS} times; median")


def measure_virtio_linux():
    card = 'net0 {{ network = "lan"; }}; disk0 {{ disk = "{0}"; }};'
    text = config({name: linux(name, card.format(name), f"net=10.0.0.{number}/24", "256M")
                   for number, name in enumerate(("web", "db"), 1)},
                  'frame-buffer = "off";', f'networks {{ lan {{ }}; }}; disks {{ web {{ memory = "{DISK}M"; }}; db {{ memory = "{DISK}M"; }}; }};')
    with Machine("bench-virtio-linux", text, files(), memory="1536M") as machine:
        machine.wait_ready("web", "db")
        machine.send("\r")
        machine.prompt()
        measure_network(machine)
        measure_disk(machine)
