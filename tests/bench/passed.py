# SPDX-License-Identifier: Apache-2.0
# The bench's part "iommu": what a stock Linux guest gets from an NVMe disk and e1000e cards that it has to itself, behind an emulated VT-d unit,
# against the same kernel and initramfs on the emulated machine without Saguaro (the unit is there, and the kernel leaves it off): by time, by
# turns, and by instructions; its exits by cause, and what the unit is told meanwhile.
import contextlib
import os
import shutil
import statistics
import tempfile

from cards import Peer
from common import ANSWER, LIMIT, exits_in, figure
from host_disks import accesses
from iommu import COMMANDS, TRACE, commands, port, unit
from linux_guests import KERNEL, SERVED, Native, files, generic, measured, run
from machine import BOOT_TIME, Machine, config
from virtio import instructions

RUNS = 5  # of each measurement, by turns
DISK = 64  # MiB
NVME = "0000:00:10.0"  # resets itself
CARDS = "0000:01:00.0", "0000:02:00.0"  # below ports whose buses the firmware numbers 1 and 2
DEVICE = "/dev/nvme0n1"
SEGMENT = 1448  # bytes of TCP in a frame of 1514
KERNEL_OFF = "intel_iommu=off intremap=off"  # for the bare machine's

# By time: how often; bytes of a request. By instructions: how often at the least.
SEQUENTIAL, RANDOM = (128 << 10, 2000, 50), (4 << 10, 2000, 200)
MIB = 64  # of a transfer by time
FEW_MIB = 4  # of one by instructions
LONGER = 4  # times: what two lengths differ in is left when the shell's part is taken off
COUNTED_RUNS = 3
SLOW = 1800  # s; firmware and loader count their instructions as well

# The virtual clock stands for instructions, and for real time where nothing is to be done: files and bottom halves of QEMU's take that.
COUNTING = ["-icount", "shift=0,sleep=on"]

WHERE = (f"{KERNEL}; QEMU's intel-iommu; on Saguaro, one CPU, passed through; and on the bare emulated machine, the kernel's IOMMU off")
TIME_HOW = f"{WHERE}; by turns, median of {RUNS} in one run, the guest's clock"
DISK_HOW = "QEMU's nvme on a file in memory (cache=unsafe), O_DIRECT, one request at a time"
CARD_HOW = f"QEMU's e1000e in its user network, to a Python program beside QEMU, TCP, {MIB} MiB"
PAIR_HOW = "two of QEMU's e1000e cards on one hub, the second in a network namespace of its own, TCP by a program that only sends and receives"
COUNT_HOW = (f"{WHERE}; QEMU -icount shift=0,sleep=on; instructions that the machine executes, waiting left out; difference of two lengths, 1 to {LONGER}; "
             f"median of {COUNTED_RUNS}")
EXITS_HOW = "; the monitor's vms in a run of its own, exits by ports (the console's) left out"


@contextlib.contextmanager
def disk():
    """QEMU's options for an NVMe disk, a file in memory of its own."""
    folder = tempfile.mkdtemp(prefix="saguaro-bench-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    try:
        path = os.path.join(folder, "disk")
        with open(path, "wb") as file:
            file.write(bytes(DISK << 20))
        yield ["-drive", f"if=none,id=passed,format=raw,cache=unsafe,file={path}", "-device", "nvme,drive=passed,serial=BENCHNVME,addr=0x10"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def guest(*functions):
    """A config with one guest that has these functions, and is started by hand."""
    passed = ", ".join(f'"{function}"' for function in functions)
    return config({"web": generic("web", f'passthrough = {passed}; entropy = "no"; autostart = "no";')}, 'frame-buffer = "off";')


def come_up(machine, timeout=BOOT_TIME):
    machine.expect("host ", timeout)
    machine.send("\r")
    machine.prompt(timeout)


def start_guest(machine, timeout=BOOT_TIME):
    machine.command("start web", ANSWER)
    machine.wait_ready("web", timeout=timeout)
    machine.send("\r")
    machine.prompt(ANSWER)


def wait_for_disk(machine):
    run(machine, f"(n=0; until [ -b {DEVICE} ]; do n=$((n+1)); test $n -lt 300 || exit 1; sleep 0.1; done)")


def wait_for_answer(machine, address):
    run(machine, f"(n=0; until ping -c 1 -W 5 {address} >/dev/null; do n=$((n+1)); test $n -lt 20 || exit 1; done)")


def seconds(machine, arguments):
    return measured(machine, arguments)[0] / 1e6


# ---- by time


def disk_accesses(long):
    """{what: (arguments of measure, bytes)}, of as many requests by time, or as few by instructions."""
    return accesses(DEVICE, *((size, many if long else few) for size, many, few in (SEQUENTIAL, RANDOM)))


def exits_by_cause(machine):
    """{cause: number} of the guest, without the console's."""
    return {cause: number for cause, number in exits_in(machine.monitor("vms web", ANSWER)).items() if cause != "port"}


def exits_during(machine, arguments):
    """({cause: number}, seconds) of a run."""
    before = exits_by_cause(machine)
    with machine.console("web"):
        time = seconds(machine, arguments)
    return {cause: number - before.get(cause, 0) for cause, number in exits_by_cause(machine).items()}, time


def report_exits(what, unit_name, exits, count, time, how):
    total = sum(number for cause, number in exits.items() if "(of " not in cause)  # those are counted under another cause, too
    figure(f"{what}: exits of a {unit_name}", round(total / count, 2), "exits", how + EXITS_HOW)
    figure(f"{what}: exits in a second", round(total / time), "exits", how + EXITS_HOW)
    for cause, number in sorted(exits.items(), key=lambda item: -item[1]):
        if number / count >= 0.005:
            figure(f"{what}: exits of a {unit_name} by {cause}", round(number / count, 2), "exits", how + EXITS_HOW)


def report_times(what, runs, size, how):
    """`runs`: pairs of seconds, Saguaro's and the bare machine's."""
    figure(f"{what}: speed", round(statistics.median(theirs / ours for ours, theirs in runs), 2), "times bare", f"{how}; {TIME_HOW}, of the ratios")
    for name, times in zip(("on Saguaro", "on the bare machine"), zip(*runs)):
        figure(f"{what}: {name}", round(size / statistics.median(times) / 1e6, 2), "MB/s", f"{how}; {TIME_HOW}")


def measure_disk_time(machine, native):
    for what, (arguments, size) in disk_accesses(True).items():
        name = f"passed NVMe disk, {what}"
        with machine.console("web"):
            runs = [(seconds(machine, arguments), seconds(native, arguments)) for _ in range(RUNS)]
        report_times(name, runs, size, DISK_HOW)
        exits, time = exits_during(machine, arguments)
        report_exits(name, "request", exits, (SEQUENTIAL if what.startswith("128") else RANDOM)[1], time, f"{WHERE}; {DISK_HOW}")


def measure_card_time(machine, native, peer):
    for way in ("send", "receive"):
        name, arguments = f"passed e1000e card, {way}", f"{way} 10.0.2.2 {peer.port} {MIB}"
        with machine.console("web"):
            runs = [(seconds(machine, arguments), seconds(native, arguments)) for _ in range(RUNS)]
        report_times(name, runs, MIB << 20, CARD_HOW)
        exits, time = exits_during(machine, arguments)
        report_exits(name, "packet", exits, (MIB << 20) / SEGMENT, time, f"{WHERE}; {CARD_HOW}; by {SEGMENT} bytes")


def report_commands(what, before, after):
    kinds = {kind: number for kind, number in (after - before).items() if number}
    shown = ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items())) or "none"
    figure(f"IOMMU: commands for {what}", sum(kinds.values()), "commands",
           f"{COMMANDS}{KERNEL}; the guest has an NVMe disk and an e1000e card; by kind: {shown}")


def measure_time():
    devices = [*unit(), *port(1, "world"), "-netdev", "user,id=world"]
    with Peer() as peer, disk() as ours, disk() as theirs, \
            Machine("bench-passed", guest(NVME, CARDS[0]), files(), smp=1, extra=[*devices, *ours, *TRACE]) as machine, \
            Native("bench-passed-native", [*devices, *theirs], *files().values(), KERNEL_OFF) as native:
        come_up(machine)
        made = commands(machine)
        start_guest(machine)
        with machine.console("web"):
            for one in (machine, native):
                wait_for_disk(one)
                run(one, "ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0")
                wait_for_answer(one, "10.0.2.2")
        started = commands(machine)
        report_commands("the start of a guest", made, started)
        measure_disk_time(machine, native)
        measure_card_time(machine, native, peer)
        used = commands(machine)
        report_commands("all the transfers", started, used)
        machine.command("stop web", ANSWER)
        machine.expect("guest web: stopped", ANSWER)
        machine.prompt(ANSWER)
        report_commands("the end of a guest", used, commands(machine))


# ---- by instructions


def executed_so_far(machine):
    machine.qmp("stop")
    count = instructions(machine)
    machine.qmp("cont")
    return count


def executed(machine, command):
    """Instructions of the machine while a command runs in the shell that has the console."""
    before = executed_so_far(machine)
    run(machine, command, SLOW)
    return executed_so_far(machine) - before


def cost(machine, short, long, units):
    """Instructions of each of as many units as a long command has more than a short one."""
    return statistics.median((executed(machine, f"measure {long}") - executed(machine, f"measure {short}")) / units for _ in range(COUNTED_RUNS))


def costs(machine):
    """{what: (instructions of it, by what)} in the shell that has the console."""
    for command in ("unshare -n sleep 100000 & other=$!",
                    '(n=0; until [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do '
                    "n=$((n+1)); test $n -lt 100 || exit 1; sleep 0.1; done)",
                    "ip link set eth1 netns $other",
                    "nsenter -t $other -n sh -c 'ip link set eth1 up; ip addr add 10.9.0.2/24 dev eth1; measure serve >/served 2>&1 &'",
                    "ip link set eth0 up; ip addr add 10.9.0.1/24 dev eth0"):
        run(machine, command)
    wait_for_disk(machine)
    wait_for_answer(machine, "10.9.0.2")
    result = {}
    for what, (arguments, _) in disk_accesses(False).items():
        words = arguments.split()
        few = int(words[-1])
        long = " ".join([*words[:-1], str(LONGER * few)])
        result[f"passed NVMe disk, {what}"] = cost(machine, arguments, long, (LONGER - 1) * few), "a request", DISK_HOW
    send = f"send 10.9.0.2 {SERVED} "
    result["passed e1000e cards, card to card"] = \
        cost(machine, send + str(FEW_MIB), send + str(LONGER * FEW_MIB), (LONGER - 1) * (FEW_MIB << 20) / SEGMENT), f"{SEGMENT} bytes", PAIR_HOW
    return result


def measure_instructions():
    devices = [*unit(), *port(1, "one"), *port(2, "two"), "-netdev", "hubport,id=one,hubid=0", "-netdev", "hubport,id=two,hubid=0", *COUNTING]
    with disk() as options, \
            Machine("bench-passed-counted", guest(NVME, *CARDS), files(), smp=1, accel="tcg", extra=[*devices, *options]) as machine:
        come_up(machine, SLOW)
        start_guest(machine, SLOW)
        with machine.console("web"):
            ours = costs(machine)
    with disk() as options, \
            Native("bench-passed-counted-native", [*devices, *options], *files().values(), KERNEL_OFF, accel="tcg", timeout=SLOW) as native:
        theirs = costs(native)
    for what, (our, each, how) in ours.items():
        their = theirs[what][0]
        figure(f"{what}: speed by instructions", round(their / our, 2), "times bare", f"{how}; {COUNT_HOW}")
        figure(f"{what}: instructions of {each} on Saguaro", round(our), "instructions", f"{how}; {COUNT_HOW}")
        figure(f"{what}: instructions of {each} on the bare machine", round(their), "instructions", f"{how}; {COUNT_HOW}")


def measure_passed():
    measure_time()
    measure_instructions()
