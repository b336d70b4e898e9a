# SPDX-License-Identifier: Apache-2.0
# The bench's part "virtio-linux": what stock Linux guests get from their virtio cards and disks, by time; the service VM's CPU time
# while they are idle, and the longest gap while it starts again.
import os
import re
import shutil
import statistics
import tempfile
import time

from common import ANSWER, LIMIT, exits_in, figure
from emulated import BOOT_TIME, Emulated
from machine import Machine, MachineError, config, guest_file, linux

DISK = 48  # MiB
FILE = 64  # MiB
PINGS = 50
IDLE = 10  # s
CMDLINE = "console=ttyS0 guest=web"

HOW = "stock Debian cloud kernel and busybox initramfs, 256 MiB, one vCPU each; two CPUs"
DD_HOW = (f"busybox dd, {DISK} MiB in pieces of 128 KiB, O_DIRECT, a disk in memory; on Saguaro, and on the bare emulated machine with the "
          "same kernel and QEMU's own virtio disk, backed by a file in memory (cache=unsafe); median of 3 each")


class Native(Emulated):
    """The guest's kernel on the emulated machine itself, with a disk in memory."""

    PROGRAM = "qemu-system-x86_64"

    def __init__(self, name):
        super().__init__(name)
        self.memory = tempfile.mkdtemp(prefix="saguaro-bench-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
        try:
            path = os.path.join(self.memory, "disk")
            with open(path, "wb") as file:
                file.write(bytes(DISK << 20))
            self._launch(["-accel", "tcg,thread=multi", "-machine", "q35", "-cpu", "EPYC,+svm,+npt", "-m", "256", "-smp", "1", "-nic", "none",
                          "-kernel", guest_file("vmlinuz-cloud"), "-initrd", guest_file("initrd.gz"), "-append", CMDLINE,
                          "-drive", f"if=none,id=disk,format=raw,cache=unsafe,file={path}", "-device", "virtio-blk-pci,drive=disk"])
            self.expect("GUEST-READY web", BOOT_TIME)
            self.expect("web:/# ", BOOT_TIME)
        except BaseException:
            self.close()
            raise

    def close(self):
        super().close()
        shutil.rmtree(self.memory, ignore_errors=True)


def run(machine, command, timeout=LIMIT):
    status, text = machine.shell(command, timeout)
    if status != 0:
        raise MachineError(f"{command}: status {status}: {text}")
    return text


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
    with Native("bench-virtio-native") as native:
        theirs = disk_speeds(native)
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


def service_use(machine):
    """Of the service VM: seconds of CPU time, and exits."""
    text = machine.monitor("service", ANSWER)
    return float(re.search(r"CPU time ([0-9.]+) s,", text).group(1)), sum(exits_in(text).values())


def measure_idle(machine):
    before = service_use(machine)
    time.sleep(IDLE)
    used, exits = (after - earlier for earlier, after in zip(before, service_use(machine)))
    how = f"{HOW}, idle at their prompts; the monitor's service"
    figure(f"service VM's CPU time in {IDLE} idle seconds", round(used, 1), "s", how + ", which says tenths of a second")
    figure(f"service VM's exits in {IDLE} idle seconds", exits, "exits", how)


def measure_restart(machine):
    """Gaps in what each of two guests sees, while the service VM starts again once."""
    with machine.console("db"):
        run(machine, "{ while ! test -e /stop; do dd if=/dev/vda of=/dev/null bs=128k count=1 iflag=direct 2>/dev/null; read a b </proc/uptime; "
                     "echo $a; done >/times; } & true")
    with machine.console("web"):
        run(machine, "{ ping -c 80 -i 0.1 10.0.0.2 >/pings; echo PINGS''-DONE; } & true")
    time.sleep(3)
    machine.monitor("service restart")
    machine.expect("PINGS-DONE", LIMIT)
    machine.send("\r")
    machine.prompt()
    with machine.console("web"):
        pings = [(int(number) / 10 + float(passed) / 1000) for number, passed in
                 re.findall(r"seq=(\d+) .*time=([0-9.]+) ms", run(machine, "cat /pings"))]
    with machine.console("db"):
        times = [float(value) for value in run(machine, "touch /stop; sleep 1; cat /times").split()]
    how = f"{HOW}; while the service VM starts again once"
    figure("restart of the service VM: longest gap of a ping every 100 ms", round(max(b - a for a, b in zip(pings, pings[1:])), 2), "s",
           how + "; between two answers")
    gaps = [b - a for a, b in zip(times, times[1:])]
    figure("restart of the service VM: longest gap of reads", round(max(gaps), 2), "s",
           how + f"; a loop of busybox dd, 128 KiB each, that takes {statistics.median(gaps):.2f} s otherwise (median)")


def measure_virtio_linux():
    card = 'net0 {{ network = "lan"; }}; disk0 {{ disk = "{0}"; }};'
    text = config({name: linux(name, card.format(name), f"net=10.0.0.{number}/24", "256M")
                   for number, name in enumerate(("web", "db"), 1)},
                  'frame-buffer = "off";', f'networks {{ lan {{ }}; }}; disks {{ web {{ memory = "{DISK}M"; }}; db {{ memory = "{DISK}M"; }}; }};')
    files = {"vmlinuz": guest_file("vmlinuz-cloud"), "initrd.gz": guest_file("initrd.gz")}
    with Machine("bench-virtio-linux", text, files, memory="1536M") as machine:
        machine.wait_ready("web", "db")
        machine.send("\r")
        machine.prompt()
        measure_idle(machine)
        measure_network(machine)
        measure_disk(machine)
        measure_restart(machine)
