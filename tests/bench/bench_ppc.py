#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# `make bench ARCH=ppc`: what Saguaro costs on PowerPC. A table on the screen; the figures with how they were taken in a JSON file.
#
#   bench_ppc.py [--out FILE] [PART ...]      parts: ops boot getpid virtio
import argparse
import json
import os
import re
import statistics
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests/boot"))

from emulated import MachineError, config  # noqa: E402
from machine_ppc import NativePpc, PpcMachine, bare, guest_file, linux  # noqa: E402

LIMIT = 300  # seconds for one step; ample on a machine whose CPUs others use as well
RUNS = 3
CALLS = 10000  # getpid.c's, in each of its rounds
ROUNDS = 3  # getpid.c's, reads.c's
READS = 1000  # reads.c's, in each of its rounds
COUNTING = ["-icount", "shift=0,sleep=off"]
TICKS = 0.4  # of the time base, 400 MHz, for each instruction at shift=0
COUNTED = "QEMU -icount shift=0,sleep=off: instructions of guest and hypervisor together"
OPS_HOW = (f"{COUNTED}; -smp 1; bare guest; 2000 times, less the same loop without it; median of 5; the time base counts {TICKS} ticks "
           "for an instruction")
OPS = {
    "mfmsr": "mfmsr",
    "wrteei": "wrteei",
    "mtmsr": "mtmsr",
    "mfspr-sprg0": "mfspr of SPRG0",
    "mtspr-srr0": "mtspr of SRR0",
    "rfi": "rfi",
    "sc-rfi": "sc to the guest's own vector, and back by rfi",
    "tlbwe": "tlbwe",
    "tlb-fill": "TLB fill: a miss that the guest's TLB answers",
    "hypercall": "hypercall by sc 1: features",
    "hypercall-kvm": "hypercall by KVM's number in r0: features",
}
KERNELS = {"": "vmlinux", " with the magic page": "bench/vmlinux-magic"}
BOOT_HOW = ("Linux 6.1 and busybox initramfs, 256 MiB, one CPU; natively and under Saguaro in turn, "
            f"{RUNS} times; median")
BOOT_TIMES = (
    ("uptime", "; the guest's clock at init"),
    ("wall time", "; from the kernel's first line to init"),
    ("wall time from the emulator's start", "; includes Saguaro's own start, the scrubbing of the guest's RAM and the copying of its files"),
    ("CPU time of the emulator", "; from its start to init; less dependent on what else the machine does"),
)
MAGIC_HOW = "; the same kernel with two lines of its source changed, so that it uses the magic page"

# How a virtio device of PCI reports what it has done, and what the kernel's command line has for it.
WAYS = {"MSI-X": "", "INTx": "pci=nomsi"}

figures = []


def figure(name, value, unit, how, native=None):
    figures.append({"name": name, "value": value, "unit": unit, "how": how, **({"native": native} if native is not None else {})})


def say(text):
    print(text, file=sys.stderr, flush=True)


def values(output):
    """What a guest measured, from its lines "BENCH name total count": {name: [value, ...]}."""
    found = {}
    for name, total, count in re.findall(r"BENCH (\S+) (\d+) (\d+)\s*$", output, re.M):
        found.setdefault(name, []).append(int(total) / int(count))
    return found


def exits_by_cause(machine, guest):
    """{cause: count}, by the monitor; the most frequent first."""
    exits = {}
    for line in re.findall(r"exits: (.*)", machine.monitor(f"vms {guest}", LIMIT)):
        for name, count in re.findall(r"([A-Za-z][^,]*?) (\d+)(?:,|$)", line.strip()):
            exits[name.strip()] = exits.get(name.strip(), 0) + int(count)
    return dict(sorted(exits.items(), key=lambda item: -item[1]))


# ---- single operations


def ops_native():
    with NativePpc("bench-ops-native", guest_file("bench/ops.elf"), memory="64M", extra=COUNTING) as machine:
        machine.wait_poweroff(LIMIT)
        return values(machine.output())


def ops_saguaro():
    text = config({"ops": bare("ops.elf", "hypercalls")}, 'when-idle = "poweroff";')
    with PpcMachine("bench-ops", text, {"ops.elf": guest_file("bench/ops.elf")}, smp=1, memory="256M", extra=COUNTING) as machine:
        machine.wait_poweroff(LIMIT)
        return values(machine.output())


def measure_ops():
    native, own = ops_native(), ops_saguaro()
    if "done" not in native or "done" not in own:
        raise MachineError("the bare guest did not come to its end; see build/boot/bench-ops*")
    scale = statistics.median(native["scale"]) / 100  # of a hundred instructions that do nothing
    if abs(scale - TICKS) > 0.01:
        raise MachineError(f"the time base counts {scale:.3f} ticks for an instruction, not {TICKS}")
    figure("time base for an instruction", round(scale, 3), "ticks", f"{COUNTED}; 2000 times 100 nop", round(scale, 3))
    for name, title in OPS.items():
        figure(title, round(statistics.median(own[name]) / TICKS), "instructions", OPS_HOW,
               round(statistics.median(native[name]) / TICKS) if name in native else None)


# ---- Linux


class Timed:
    """Of a machine: when its emulator was started."""

    def _launch(self, *arguments, **more):
        self.begin = time.monotonic()
        super()._launch(*arguments, **more)


class TimedNative(Timed, NativePpc):
    pass


class TimedSaguaro(Timed, PpcMachine):
    pass


def cpu_time(pid):
    """Seconds of CPU that a process has had."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def native_linux(name, kernel, cmdline="", extra=()):
    return TimedNative(name, guest_file(kernel), guest_file("bench/initrd.gz"), f"console=ttyS0 guest=web {cmdline}".strip(),
                       extra=extra)


def saguaro_linux(name, kernel, cmdline="", extra=()):
    return TimedSaguaro(name, config({"web": linux("web", memory="256M", cmdline=cmdline)}),
                        {"vmlinux": guest_file(kernel), "initrd.gz": guest_file("bench/initrd.gz")}, smp=1, extra=extra)


def boot_once(make, *arguments):
    """BOOT_TIMES in seconds, and the exits if there is somebody to tell."""
    with make(*arguments) as machine:
        machine.expect("Linux version", LIMIT)
        first = time.monotonic()
        uptime = float(machine.expect(r"GUEST-READY web uptime ([0-9.]+)\s", LIMIT).group(1))
        ready = time.monotonic()
        times = uptime, ready - first, ready - machine.begin, cpu_time(machine.qemu.pid)
        if make is native_linux:
            return times, {}
        machine.send("\r")
        machine.prompt()
        return times, exits_by_cause(machine, "web")


def program_once(make, name, kernel, extra=()):
    """What bench/getpid tells: uptime at its start in seconds, and the milliseconds of its calls, the median of its rounds."""
    with make(name, kernel, "run=getpid", extra) as machine:
        machine.expect(r"GUEST-DONE getpid status 0", LIMIT)
        found = values(machine.output())
        return found["uptime"][0] / 1e6, statistics.median(found["getpid"]) / 1000


def measure_boot_of(title, kernel):
    how = BOOT_HOW + (MAGIC_HOW if title else "")
    runs = []
    for i in range(RUNS):
        say(f"  boot{title}: {i + 1} of {RUNS}")
        runs.append((boot_once(native_linux, "bench-boot-native", kernel), boot_once(saguaro_linux, "bench-boot", kernel)))
    for index, (what, more) in enumerate(BOOT_TIMES):
        pairs = [(native[0][index], own[0][index]) for native, own in runs]
        native, own = (statistics.median(column) for column in zip(*pairs))
        figure(f"boot to init{title}: {what}", round(own, 2), "s", how + more, round(native, 2))
        figure(f"boot to init{title}: {what}", round(statistics.median(own / native for native, own in pairs), 2), "times native",
               how + " of the ratios" + more)
    say(f"  boot{title}: counted")
    native, own = (program_once(make, f"bench-boot-counted-{make.__name__}", kernel, COUNTING)[0] for make in (native_linux, saguaro_linux))
    how = f"{COUNTED}; a pause counts as so many; the guest's clock, to a program that init starts when it is up"
    figure(f"boot to a program{title}: instructions", round(own * 1000), "millions", how, round(native * 1000))
    figure(f"boot to a program{title}: instructions", round(own / native, 2), "times native", how)
    exits = runs[-1][1][1]
    how = "the last of these boots; the monitor's vms"
    figure(f"boot to init{title}: exits", sum(exits.values()), "exits", how)
    for cause, count in exits.items():
        figure(f"boot to init{title}: exits by {cause}", count, "exits", how)


def exits_of_program(kernel):
    """{cause: count} of the exits while bench/getpid runs, started from a shell."""
    with saguaro_linux("bench-getpid-exits", kernel) as machine:
        machine.wait_ready("web")
        machine.send("\r")
        machine.prompt()
        before = exits_by_cause(machine, "web")
        with machine.console("web"):
            if machine.shell("/getpid")[0]:
                raise MachineError("the program failed")
        return {cause: count - before.get(cause, 0) for cause, count in exits_by_cause(machine, "web").items()}


def measure_getpid_of(title, kernel):
    runs = []
    for i in range(RUNS):
        say(f"  getpid{title}: {i + 1} of {RUNS}")
        runs.append([program_once(make, "bench-getpid", kernel)[1] for make in (native_linux, saguaro_linux)])
    native, own = (statistics.median(column) for column in zip(*runs))
    figure(f"{CALLS:,} getpid system calls{title}", round(own, 1), "ms",
           f"the guest's clock; median of three rounds in {RUNS} boots each{MAGIC_HOW if title else ''}", round(native, 1))
    say(f"  getpid{title}: counted")
    native, own = (program_once(make, "bench-getpid-counted", kernel, COUNTING)[1] for make in (native_linux, saguaro_linux))
    figure(f"a getpid system call{title}", round(own * 1e6 / CALLS), "instructions", COUNTED, round(native * 1e6 / CALLS))
    say(f"  getpid{title}: exits")
    for cause, count in exits_of_program(kernel).items():
        if count >= CALLS:
            figure(f"a getpid system call{title}: exits by {cause}", round(count / (ROUNDS * CALLS), 2), "exits",
                   "of a program that makes 30,000 and little else, by the monitor's vms before and after")


# ---- devices of the service VM


def reads_once(cmdline, extra=()):
    """Microseconds of a read, the median of bench/reads' rounds, and {cause: count} of the guest's exits for one read."""
    text = config({"web": linux("web", 'disk0 { disk = "data"; };', cmdline, memory="256M")},
                  more='disks { data { memory = "32M"; }; };')
    with PpcMachine("bench-reads", text, {"vmlinux": guest_file("vmlinux"), "initrd.gz": guest_file("bench/initrd.gz")}, smp=1,
                    extra=extra) as machine:
        machine.wait_ready("web", timeout=LIMIT)
        machine.send("\r")
        machine.prompt()
        before = exits_by_cause(machine, "web")
        with machine.console("web"):
            status, output = machine.shell("/reads", LIMIT)
            if status:
                raise MachineError("the program failed")
        after = exits_by_cause(machine, "web")
        return (statistics.median(values(output)["reads"]),
                {cause: (count - before.get(cause, 0)) / (ROUNDS * READS) for cause, count in after.items()})


def measure_virtio():
    for way, cmdline in WAYS.items():
        say(f"  virtio by {way}")
        took, exits = reads_once(cmdline, COUNTING)
        name = f"4 KiB read from a virtio disk by {way}"
        how = f"stock Linux 6.1, one CPU, direct reads one after the other from a disk in memory, {READS} of them"
        figure(name, round(took * 1000), "instructions", f"{COUNTED}, service VM included; {how}; median of {ROUNDS} rounds")
        for cause, count in exits.items():
            if count >= 0.1:
                figure(f"{name}: exits by {cause}", round(count, 2), "exits", f"{how}, {ROUNDS} times; by the monitor's vms before and after")


def for_kernels(measure):
    def measure_all():
        for title, kernel in KERNELS.items():
            measure(title, kernel)
    return measure_all


PARTS = {"ops": measure_ops, "boot": for_kernels(measure_boot_of), "getpid": for_kernels(measure_getpid_of), "virtio": measure_virtio}


def print_table():
    width = max(len(entry["name"]) for entry in figures)
    print(f"{'':{width}}  {'Saguaro':>12}  {'native':>10}  unit")
    for entry in figures:
        native = f"{entry['native']:,}" if "native" in entry else ""
        print(f"{entry['name']:{width}}  {entry['value']:>12,}  {native:>10}  {entry['unit']}")


def main():
    parser = argparse.ArgumentParser(description="measures what Saguaro costs on PowerPC")
    parser.add_argument("--out", help="JSON file for the figures")
    parser.add_argument("parts", nargs="*", metavar="PART", help=" ".join(PARTS))
    arguments = parser.parse_args()
    unknown = [part for part in arguments.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part {unknown[0]}; there are {' '.join(PARTS)}")
    failed = []
    for name in arguments.parts or PARTS:
        begin = time.monotonic()
        say(f"bench: {name}")
        try:
            PARTS[name]()
        except (MachineError, KeyError, OSError) as problem:
            failed.append(name)
            say(f"bench: {name} failed: {type(problem).__name__}: {problem}")
        say(f"bench: {name}: {time.monotonic() - begin:.0f} s")
    if figures:
        print_table()
    if arguments.out:
        with open(arguments.out, "w", encoding="utf-8") as file:
            json.dump(figures, file, indent=1)
            file.write("\n")
    if failed:
        sys.exit(f"bench: failed: {' '.join(failed)}")


if __name__ == "__main__":
    main()
