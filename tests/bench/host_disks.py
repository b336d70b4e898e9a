# SPDX-License-Identifier: Apache-2.0
# The bench's parts "disk" and "restart": what disks of the machine give through the service VM, against the same disks without Saguaro;
# what an idle service VM takes, and how long a guest's card and disks stand still while it starts again.
import contextlib
import os
import re
import shutil
import statistics
import tempfile
import time

from common import ANSWER, LIMIT, exits_in, figure
from linux_guests import KERNEL, RUNS, SERVED, Native, exits_used, files, generic, measured, run
from machine import Machine, config

DISK = 64  # MiB
SEQUENTIAL = 128 << 10, 256  # bytes of a piece, pieces
RANDOM = 4 << 10, 500
IDLE = 10  # s
BEAT = 8  # s; the service VM starts again within them
PAUSE = 10000  # us between two datagrams

# name: (its serial number, its device file in a guest, on the bare machine, QEMU's device)
DISKS = {"virtio-blk": ("BENCHBLK", "/dev/vda", "/dev/vda", "virtio-blk-pci"), "NVMe": ("BENCHNVME", "/dev/vdb", "/dev/nvme0n1", "nvme")}
NODES = "; ".join(f'd{number} {{ device = "{disk[0]}"; }}' for number, disk in enumerate(DISKS.values())) + ";"

DISK_HOW = (f"{KERNEL}; QEMU's virtio-blk-pci or nvme on a file in memory (cache=unsafe), the guest's by virtio-blk on Saguaro (two CPUs), and on "
            f"the bare emulated machine, both by turns; O_DIRECT, one request at a time; median of {RUNS} in one run, the guest's clock")
RESTART_HOW = f"{KERNEL}; two CPUs; while the service VM starts again once"


@contextlib.contextmanager
def disk_devices():
    """QEMU's options for the disks, files in memory of their own."""
    folder = tempfile.mkdtemp(prefix="saguaro-bench-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    try:
        options = []
        for serial, _, _, device in DISKS.values():
            path = os.path.join(folder, serial)
            with open(path, "wb") as file:
                file.write(bytes(DISK << 20))
            options += ["-drive", f"if=none,id={serial},format=raw,cache=unsafe,file={path}", "-device", f"{device},drive={serial},serial={serial}"]
        yield options
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def accesses(path, sequential=SEQUENTIAL, random=RANDOM):
    """{what: (arguments of measure, bytes)}; of each kind (bytes of a piece, pieces)."""
    return {f"{kind} {way}s": (f"{way} {path} {step} {size} {count}", size * count)
            for kind, step, (size, count) in (("128 KiB sequential", "next", sequential), ("4 KiB random", "random", random))
            for way in ("read", "write")}


def compare(machine, native, ours, theirs, size):
    """MB/s of moving `size` bytes on both machines, by turns: what else their host does then concerns both. Medians of RUNS."""
    speeds = [(size / measured(machine, ours)[0], size / measured(native, theirs)[0]) for _ in range(RUNS)]
    return [statistics.median(values) for values in zip(*speeds)]


def measure_disk():
    speeds, exits = {}, {}
    guest = 'disk0 { disk = "d0"; }; disk1 { disk = "d1"; };'
    text = config({"web": generic("web", guest)}, 'frame-buffer = "off";', f"disks {{ {NODES} }};")
    with disk_devices() as options, disk_devices() as others, Machine("bench-disk", text, files(), extra=options) as machine, \
            Native("bench-disk-native", others, files()["vmlinuz"], files()["initrd.gz"]) as native:
        machine.wait_ready("web")
        machine.send("\r")
        machine.prompt()
        for name, (_, path, native_path, _) in DISKS.items():
            theirs = accesses(native_path)
            for what, (arguments, size) in accesses(path).items():
                exits[name, what] = exits_used(machine, "web", lambda: speeds.update(
                    {(name, what): compare(machine, native, arguments, theirs[what][0], size)}))
    for (name, what), (ours, bare) in speeds.items():
        figure(f"{name} disk, {what}: Saguaro's speed", round(ours / bare, 2), "times bare", DISK_HOW)
    for (name, what), (ours, bare) in speeds.items():
        figure(f"{name} disk, {what} on Saguaro", round(ours, 2), "MB/s", DISK_HOW)
        figure(f"{name} disk, {what} on the bare machine", round(bare, 2), "MB/s", DISK_HOW)
        count = RUNS * (SEQUENTIAL if what.startswith("128") else RANDOM)[1]
        for who, number in zip(("guest", "service VM"), exits[name, what]):
            figure(f"{name} disk, {what}: exits of a request: the {who}'s", round(number / count, 1), "exits",
                   f"{DISK_HOW}; the monitor's vms and service, exits by ports (the console's) left out")


def service_use(machine):
    """Of the service VM: seconds of CPU time, and exits."""
    text = machine.monitor("service", ANSWER)
    return float(re.search(r"CPU time ([0-9.]+) s,", text).group(1)), sum(exits_in(text).values())


def measure_idle(machine):
    before = service_use(machine)
    time.sleep(IDLE)
    used, exits = (after - earlier for earlier, after in zip(before, service_use(machine)))
    how = f"{KERNEL}; two CPUs; two guests idle at their prompts, two disks and a card of the machine; the monitor's service"
    figure(f"service VM's CPU time in {IDLE} idle seconds", round(used, 1), "s", how + ", which says tenths of a second")
    figure(f"service VM's exits in {IDLE} idle seconds", exits, "exits", how)


def measure_gaps(machine):
    """The longest gaps that programs of one guest see, all at the same time."""
    beats = {"card": f"echo 10.0.0.2 {SERVED} {BEAT} {PAUSE}", "memory": f"beat /dev/vdc {BEAT}",
             **{name: f"beat {disk[1]} {BEAT}" for name, disk in DISKS.items()}}
    with machine.console("db"):
        run(machine, "{ measure serve >/served 2>&1 & }")
    with machine.console("web"):
        run(machine, "{ " + " ".join(f"measure {arguments} >/gap-{name} 2>&1 &" for name, arguments in beats.items()) + " }; sleep 2")
    machine.monitor("service restart")
    with machine.console("web"):
        run(machine, "wait; while pidof measure >/dev/null; do sleep 1; done", LIMIT)
        gaps = {name: [int(word) for word in re.search(r"MEASURED (\d+) (\d+) (\d+)", run(machine, f"cat /gap-{name}")).groups()] for name in beats}
    count, usual, longest = gaps.pop("card")
    figure("restart of the service VM: longest time between two answers to a ping", round(longest / 1e6, 3), "s",
           f"{RESTART_HOW}; UDP there and back to another guest, {PAUSE // 1000} ms after each other, {count} of them; {usual / 1000:.1f} ms "
           "there and back otherwise (median)")
    for name, (count, usual, longest) in gaps.items():
        disk = "disk in memory" if name == "memory" else f"{name} disk of the machine"
        figure(f"restart of the service VM: longest write, {disk}", round(longest / 1e6, 3), "s",
               f"{RESTART_HOW}; 4 KiB each, O_DIRECT, {count} of them one after another; {usual / 1000:.1f} ms otherwise (median)")


def measure_restart():
    disks = 'disk0 { disk = "d0"; }; disk1 { disk = "d1"; }; disk2 { disk = "memory"; };'
    text = config({"web": generic("web", f'net0 {{ network = "lan"; }}; {disks}', "net=10.0.0.1/24"),
                   "db": generic("db", 'net0 { network = "lan"; };', "net=10.0.0.2/24")}, 'frame-buffer = "off";',
                  f'networks {{ lan {{ uplink = "52:54:00:12:34:56"; }}; }}; disks {{ {NODES} memory {{ memory = "{DISK}M"; }}; }};')
    card = ["-netdev", "user,id=world", "-device", "virtio-net-pci,netdev=world,mac=52:54:00:12:34:56"]
    with disk_devices() as options, Machine("bench-restart", text, files(), memory="1536M", extra=options + card) as machine:
        machine.wait_ready("web", "db")
        machine.send("\r")
        machine.prompt()
        measure_idle(machine)
        measure_gaps(machine)
