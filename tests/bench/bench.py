#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# `make bench`: what Saguaro costs. A table on the screen; the figures with how they were taken in a JSON file.
#
#   bench.py [--out FILE] [PART ...]      parts: sizes start exits ipi interrupts jitter boot boot-counted virtio virtio-linux e1000 uplink
#                                         disk restart iommu vtx
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path[:0] = [os.path.join(TOP, "tests/boot"), os.path.join(TOP, "tools"), os.path.dirname(os.path.abspath(__file__))]

import pexpect  # noqa: E402

from bochs import BOOT_TIME as BOCHS_TIME, Bochs  # noqa: E402
from cards import measure_e1000, measure_uplink  # noqa: E402
from common import (ANSWER, COUNTED, LIMIT, bare, bare_files, exits_by_cause, figure, figures, guest_figures,  # noqa: E402
                    say)
from counted import COUNTING, HYPERVISOR, counted_machine  # noqa: E402
from host_disks import measure_disk, measure_restart  # noqa: E402
from iommu import measure_calls  # noqa: E402
from machine import BUILD, Machine, MachineError, config, guest_file, linux  # noqa: E402
from passed import measure_passed  # noqa: E402
from virtio import measure_virtio  # noqa: E402
from virtio_linux import measure_virtio_linux  # noqa: E402

count_lines = __import__("count-lines")

BOOTS = 3
INTERRUPTS, BETWEEN = 100000, 10000  # apic.elf's, to oneself and between two vCPUs
CMDLINE = "console=ttyS0 guest=web"

SINGLE = f"{COUNTED}; -smp 1; bare guest; 2000 times, less the same loop without the instruction; median of 5"

# name in the guest's output: (name, unit, how, what KVM takes on the same emulated machine)
EXITS = {
    "cpuid": ("CPUID", SINGLE, 2746),
    "vmmcall": ("VMMCALL, hypercall 1", SINGLE, None),
    "vmcall": ("VMCALL, hypercall 1", SINGLE, None),
    "pic-read": ("PIC: read of port 0x21", SINGLE, 1648),
    "pm-timer": ("PM timer: read of its port", SINGLE, None),
    "port80-write": ("write of port 0x80", SINGLE, 3311),
    "rdmsr": ("RDMSR of an emulated MSR (0x2ff)", SINGLE, None),
    "wrmsr": ("WRMSR of an emulated MSR (0x2ff)", SINGLE, None),
    "x2apic-eoi": ("x2APIC: EOI, nothing in service", SINGLE, None),
    "x2apic-eoi-in-service": ("x2APIC: EOI of an interrupt in service",
                              f"{COUNTED}; -smp 1; inside the handler of a self-IPI, less the same code without the WRMSR; mean of 2000, median of 5",
                              None),
    "self-ipi": ("x2APIC: self-IPI to its handler",
                 f"{COUNTED}; -smp 1; from before the WRMSR to the handler's first instruction; mean of 2000, median of 5", None),
    "deadline-write": ("TSC deadline: write", SINGLE, None),
    "xapic-read": ("xAPIC: memory read of a register", SINGLE, None),
    "xapic-write": ("xAPIC: memory write of a register", SINGLE, None),
    "xapic-eoi": ("xAPIC: EOI by memory write", SINGLE, None),
    "ioapic-read": ("I/O APIC: read of a register", SINGLE, None),
    "halt-wake-median": ("HLT: timer to handler, median",
                         f"{COUNTED}; -smp 1; from the TSC deadline to the handler's first instruction, the CPU idle before; 5000 wakes", None),
    "halt-wake-worst": ("HLT: timer to handler, worst", "as the median", None),
    "halt-cycle": ("HLT and wake, without the sleep",
                   f"{COUNTED}; -smp 1; from HLT to the handler's first instruction with the deadline as close to the HLT as the CPU still gets to sleep",
                   None),
}
IPI_HOW = (f"{COUNTED}; -smp 2; from before the WRMSR of the ICR to the handler's first instruction, the receiver's CPU halted "
           "before; 1000 times")
JITTER_HOW = (f"{COUNTED}; -smp 1; from TSC deadline to the handler's first instruction; bare guest of priority 50, every 200 us, beside one "
              "that spins and one that executes CPUID in a loop, priority 10, one CPU, messages on the serial port alone; 5000 wakes")

VTX_HOW = ("Bochs 2.7, corei7_skylake_x, whose TSC counts instructions of guest and hypervisor together; one CPU; the same guest as "
           "under SVM")
# What the CPU's taking care of the local APIC changes.
VTX_DIFFERS = {"x2apic-eoi", "x2apic-eoi-in-service", "self-ipi", "halt-wake-median", "halt-cycle"}
EXITS_HOW = f"{INTERRUPTS} interrupts ({BETWEEN} between vCPUs) of a bare guest, x2APIC; all exits of its vCPUs from their start on, by interrupt; the monitor's vms"


def ready_line(machine, guest):
    match = re.search(rf"guest {guest}: ready (\d+) TSC ticks after the hypervisor's start, (\d+) after", machine.output())
    if not match:
        raise MachineError(f"the log does not say when guest {guest} was ready; see {machine.log_path}")
    return int(match.group(1)), int(match.group(2))


# ---- parts


def symbol(text, name):
    """The value of a symbol in nm's output."""
    return int(re.search(rf"^([0-9a-f]+) \S {name}$", text, re.M).group(1), 16)


def measure_sizes():
    out = subprocess.run(["size", HYPERVISOR], check=True, capture_output=True, text=True).stdout.splitlines()[1].split()
    names = subprocess.run(["nm", HYPERVISOR], check=True, capture_output=True, text=True).stdout
    image = symbol(names, "service_image_end") - symbol(names, "service_image_start")
    how = "size build/x86/saguaro.elf"
    figure("hypervisor: text and read-only data", int(out[0]) - image, "bytes", how + ", without the service VM's image, which it carries")
    figure("hypervisor: data", int(out[1]), "bytes", how)
    figure("hypervisor: bss", int(out[2]), "bytes", how)
    text = subprocess.run(["size", "-A", HYPERVISOR], check=True, capture_output=True, text=True).stdout
    figure("hypervisor: code alone", int(re.search(r"^\.text\s+(\d+)", text, re.M).group(1)), "bytes", "size -A, section .text")
    figure("service VM: its image", image, "bytes", "service_image_start to service_image_end in the hypervisor's image: a stripped ELF file")
    libfdt = os.environ.get("LIBFDT_DIR") or os.path.join(
        os.environ.get("SAGUARO_CACHE") or os.path.expanduser("~/.cache/saguaro"), "libfdt")
    folders, theirs = count_lines.totals(os.path.join(BUILD, "x86/saguaro.map"), libfdt)
    how = "tools/count-lines.py: files linked into the hypervisor and their headers, without blank lines and comments"
    figure("trusted part: lines of code", sum(folders.values()), "lines", how)
    if theirs is not None:
        figure("trusted part: libfdt besides", theirs, "lines", how)


def measure_start():
    with counted_machine("bench-start", config({"first": bare("first")}, 'when-idle = "poweroff"; log-level = "debug";'),
                         bare_files("first")) as machine:
        machine.expect(r"guest first: exit code \d+\s", LIMIT)
        ready, own = ready_line(machine, "first")
        tsc = int(re.search(r"guest first: exit code (\d+)", machine.output()).group(1))
    figure("start: hypervisor's first instruction to the guest's", ready + tsc - own, "instructions",
           f"{COUNTED}, waiting loops of the clock's calibration included; -smp 1; one bare guest of 16 MiB, which tells the TSC of its first "
           "instruction")


def measure_exits():
    with counted_machine("bench-exits", config({"exits": bare("exits")}), bare_files("exits")) as machine:
        values = guest_figures(machine, "exits")
    for name, (title, how, kvm) in EXITS.items():
        figure(title, round(statistics.median(values[name])), "instructions", how, kvm)


def measure_ipi():
    with counted_machine("bench-ipi", config({"ipi": bare("ipi", "vcpus = <2>;")}), bare_files("ipi"), smp=2) as machine:
        values = guest_figures(machine, "ipi")
    for name in ("median", "worst"):
        figure(f"IPI to a halted vCPU on another CPU, {name}", round(values[f"ipi-{name}"][0]), "instructions", IPI_HOW)


def exits_per_interrupt(machine, guest):
    """Of apic.elf, which has done its work and halts."""
    count = guest_figures(machine, guest)["interrupts"][0]
    if count != (INTERRUPTS if guest.startswith("self") else BETWEEN):
        raise MachineError(f"{guest} took {count} interrupts, which is not what it was to")
    return round(sum(exits_by_cause(machine, guest)[0].values()) / count, 2)


def measure_interrupts():
    text = config({"self": bare("apic", 'cmdline = "self";'), "other": bare("apic", 'cmdline = "other"; vcpus = <2>; autostart = "no";')})
    with Machine("bench-interrupts", text, bare_files("apic")) as machine:
        figure("SVM: exits of a self-IPI with its EOI", exits_per_interrupt(machine, "self"), "exits", EXITS_HOW)
        machine.monitor("stop self")
        machine.monitor("start other")
        figure("SVM: exits of an IPI to a running vCPU with its EOI", exits_per_interrupt(machine, "other"), "exits", EXITS_HOW)


def vtx_config(guests):
    """Each guest with and without APIC virtualisation, started by hand."""
    return config({f"{name}-{form}": f'{text} autostart = "no"; apic-virtualization = "{form}";'
                   for name, text in guests.items() for form in ("on", "off")})


def vtx_runs(machine, name):
    """Runs a guest in both forms, one after the other: (how its figures' names begin, its name)."""
    for form, title in (("on", "VT-x"), ("off", "VT-x without APIC virtualisation")):
        say(f"  {name}, {form}")
        machine.monitor(f"start {name}-{form}", ANSWER)
        yield title, f"{name}-{form}"
        if re.search(rf"^{name}-{form} +running", machine.monitor("vms", ANSWER), re.M):
            machine.monitor(f"stop {name}-{form}", ANSWER)


def measure_vtx():
    """On Bochs: instructions, and exits. Two machines: the TSC of one with two CPUs moves in steps."""
    text = vtx_config({"exits": bare("exits"), "self": bare("apic", 'cmdline = "self";'), "web": linux("web", memory="128M")})
    files = bare_files("exits", "apic") | {"vmlinuz": guest_file("vmlinuz-cloud"), "initrd.gz": guest_file("initrd.gz")}
    with Bochs("bench-vtx", text, files) as machine:
        machine.prompt(BOCHS_TIME)
        for title, guest in vtx_runs(machine, "exits"):
            values = guest_figures(machine, guest)
            for name, (what, _, _) in EXITS.items():
                if title == "VT-x" or name in VTX_DIFFERS:
                    figure(f"{title}: {what}", round(statistics.median(values[name])), "instructions", VTX_HOW)
        for title, guest in vtx_runs(machine, "self"):
            figure(f"{title}: exits of a self-IPI with its EOI", exits_per_interrupt(machine, guest), "exits", EXITS_HOW)
        for title, guest in vtx_runs(machine, "web"):
            machine.expect(rf"\[{guest}\] GUEST-READY web", BOCHS_TIME)
            exits = exits_by_cause(machine, guest)[0]
            how = "stock Debian cloud kernel and busybox initramfs, 128 MiB, one CPU, on Bochs 2.7, to init; the monitor's vms"
            figure(f"{title}: boot to init: exits", sum(exits.values()), "exits", how)
            for cause, count in sorted(exits.items(), key=lambda item: -item[1]):
                figure(f"{title}: boot to init: exits by {cause}", count, "exits", how)
    text = vtx_config({"other": bare("apic", 'cmdline = "other"; vcpus = <2>;')})
    with Bochs("bench-vtx-2", text, bare_files("apic"), smp=2) as machine:
        machine.prompt(BOCHS_TIME)
        for title, guest in vtx_runs(machine, "other"):
            figure(f"{title}: exits of an IPI to a running vCPU with its EOI", exits_per_interrupt(machine, guest), "exits",
                   EXITS_HOW)


def jitter(name, host, *neighbours):
    guests = {"jitter": bare("jitter", "priority = <50>;"), **{guest: bare(guest) for guest in neighbours}}
    with counted_machine(name, config(guests, host), bare_files(*guests)) as machine:
        return guest_figures(machine, "jitter")


def measure_jitter():
    values = jitter("bench-jitter", 'frame-buffer = "off";', "spin", "noisy")
    for name, title in (("median", "median"), ("p999", "99.9th percentile"), ("worst", "worst")):
        figure(f"wake-up beside two noisy guests, {title}", round(values[f"jitter-{name}"][0]), "instructions", JITTER_HOW)
    values = jitter("bench-jitter-screen", "", "spin")
    figure("wake-up while the screen is drawn, worst", round(values["jitter-worst"][0]), "instructions",
           "as above, beside the one that spins alone, with messages of the start drawn on the frame buffer meanwhile")


def cpu_time(pid):
    """Seconds of CPU that a process has had."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def boot_bare(name, counted):
    """The guest's kernel on the emulated machine itself: its uptime at /init; wall and CPU seconds from the firmware's jump to that."""
    command = ["-machine", "q35", "-cpu", "EPYC,+svm,+npt", "-m", "256", "-smp", "1",
               "-accel", "tcg" if counted else "tcg,thread=multi", *(COUNTING if counted else []),
               "-kernel", guest_file("vmlinuz-cloud"), "-initrd", guest_file("initrd.gz"), "-append", CMDLINE,
               "-display", "none", "-monitor", "none", "-nic", "none", "-chardev", "stdio,id=com1,mux=on,signal=off", "-serial",
               "chardev:com1", "-device", "isa-debugcon,iobase=0x402,chardev=com1"]  # the firmware's own messages
    folder = os.path.join(BUILD, "boot", name)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "serial.log"), "w", encoding="utf-8", errors="replace") as log:
        qemu = pexpect.spawn("qemu-system-x86_64", command, timeout=LIMIT, encoding="utf-8", codec_errors="replace")
        qemu.logfile_read = log
        try:
            qemu.expect("Booting from ROM")
            begin, cpu = time.monotonic(), cpu_time(qemu.pid)
            qemu.expect(r"GUEST-READY web uptime ([0-9.]+)\s")
            return float(qemu.match.group(1)), time.monotonic() - begin, cpu_time(qemu.pid) - cpu
        except (pexpect.TIMEOUT, pexpect.EOF):
            raise MachineError(f"the kernel did not come up on the bare machine; see {folder}") from None
        finally:
            qemu.close(force=True)


def web(memory="256M"):
    guest = linux("web", memory=memory)
    return config({"web": guest}, 'log-level = "debug";'), {
        "vmlinuz": guest_file("vmlinuz-cloud"), "initrd.gz": guest_file("initrd.gz")}


def boot_saguaro(name):
    text, files = web()
    with Machine(name, text, files, smp=1) as machine:
        if machine.expect(["guest web: ready", r"error: guest web[^\n]*\n"], LIMIT).group().startswith("error"):
            raise MachineError(f"the guest was not made; see {machine.log_path}")
        begin, cpu = time.monotonic(), cpu_time(machine.qemu.pid)
        uptime = float(machine.expect(r"\[web\] GUEST-READY web uptime ([0-9.]+)\s", LIMIT).group(1))
        wall, cpu = time.monotonic() - begin, cpu_time(machine.qemu.pid) - cpu
        machine.prompt()
        exits, overhead = exits_by_cause(machine)
        ready, _ = ready_line(machine, "web")
        khz = int(re.search(r"TSC: (\d+) kHz", machine.output()).group(1))
    return uptime, wall, cpu, exits, overhead, ready / khz


def measure_boot():
    runs = []
    for i in range(BOOTS):
        say(f"  boot {i + 1} of {BOOTS}")
        runs.append((boot_bare("bench-bare", False), boot_saguaro("bench-boot")))
    how = (f"stock Debian cloud kernel and busybox initramfs, 256 MiB, one CPU; on Saguaro and on the bare emulated machine in turn, {BOOTS} times; "
           "median")
    def median(pick):
        return statistics.median(pick(bare_run, run) for bare_run, run in runs)
    figure("boot to init by the guest's uptime", round(median(lambda b, s: s[0] / b[0]), 2), "times bare", how + " of the ratios", 3.7)
    figure("boot to init by wall time", round(median(lambda b, s: s[1] / b[1]), 2), "times bare",
           how + " of the ratios; from where the guest's image is loaded, or the firmware loads it, to init; the scrubbing of the guest's RAM "
           "comes before", 6)
    figure("boot to init by the emulator's CPU time", round(median(lambda b, s: s[2] / b[2]), 2), "times bare",
           how + " of the ratios; between the same moments as wall time, and less dependent on what else the machine does")
    figure("boot to init, uptime on Saguaro", round(median(lambda b, s: s[0]), 2), "s", how)
    figure("boot to init, uptime on the bare machine", round(median(lambda b, s: b[0]), 2), "s", how)
    exits, overhead = runs[-1][1][3:5]
    figure("boot to init: exits", round(median(lambda b, s: sum(s[3].values()))), "exits", how + "; the monitor's vms")
    for cause, count in sorted(exits.items(), key=lambda item: -item[1]):
        figure(f"boot to init: exits by {cause}", count, "exits", "the last of these boots; the monitor's vms")
    figure("start: hypervisor's start to the guest's kernel loaded", round(median(lambda b, s: s[5]), 1), "ms",
           how + "; by the TSC; 256 MiB of RAM are scrubbed; this machine's speed and load decide")
    figure("memory of a guest beside its RAM", overhead, "bytes", "256 MiB, one vCPU; the monitor's mem, which rounds to KiB")


def measure_boot_counted():
    say("  the bare machine")
    uptime_bare = boot_bare("bench-bare-counted", True)[0]
    say("  Saguaro")
    text, files = web()
    with counted_machine("bench-boot", text, files) as machine:
        # A guest without RDRAND may gather its first randomness from its clock: for a second or more, each a billion instructions.
        uptime = float(machine.expect(r"\[web\] GUEST-READY web uptime ([0-9.]+)\s", 5 * LIMIT).group(1))
    figure("boot to init by instructions", round(uptime / uptime_bare, 2), "times bare",
           f"as by uptime, but {COUNTED}; a pause counts as so many instructions; the kernel's clock, {uptime} s and {uptime_bare} s")


def measure_iommu():
    measure_calls()
    measure_passed()


PARTS = {
    "sizes": measure_sizes,
    "start": measure_start,
    "exits": measure_exits,
    "ipi": measure_ipi,
    "interrupts": measure_interrupts,
    "jitter": measure_jitter,
    "boot": measure_boot,
    "boot-counted": measure_boot_counted,
    "virtio": measure_virtio,
    "virtio-linux": measure_virtio_linux,
    "e1000": measure_e1000,
    "uplink": measure_uplink,
    "disk": measure_disk,
    "restart": measure_restart,
    "iommu": measure_iommu,
    "vtx": measure_vtx,
}


def print_table():
    width = max(len(entry["name"]) for entry in figures)
    print(f"{'':{width}}  {'Saguaro':>12}  {'KVM':>8}  unit")
    for entry in figures:
        value = f"{entry['value']:,}"
        kvm = f"{entry['kvm']:,}" if "kvm" in entry else ""
        print(f"{entry['name']:{width}}  {value:>12}  {kvm:>8}  {entry['unit']}")
    print("KVM: Linux 6.1's, nested on the same kind of emulated machine, measured once, not in this run; its port write is one that user space\n"
          "handles. VMRUN and #VMEXIT with the registers saved and restored take 67 instructions (a floor measured separately).")


def main():
    parser = argparse.ArgumentParser(description="measures what Saguaro costs")
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
        except (MachineError, KeyError, OSError, subprocess.SubprocessError) as problem:
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
