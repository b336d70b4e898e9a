# SPDX-License-Identifier: Apache-2.0
# What the parts of `make bench` share: the list of figures, bare guests, what these print, and exits by the monitor.
import os
import re
import sys

from machine import GUESTS, MachineError

BENCH_GUESTS = os.path.join(GUESTS, "bench")
LIMIT = 300  # seconds for one step; ample on a machine whose CPUs others use as well
ANSWER = 300  # s for an answer of the monitor
COUNTED = "QEMU -icount shift=0,sleep=off: instructions of guest and hypervisor together"

figures = []


def figure(name, value, unit, how, kvm=None):
    figures.append({"name": name, "value": value, "unit": unit, "how": how, **({"kvm": kvm} if kvm is not None else {})})


def say(text):
    print(text, file=sys.stderr, flush=True)


def bare(name, more=""):
    return f'multiboot = "{name}.elf"; memory = "16M"; {more}'


def bare_files(*names):
    return {f"{name}.elf": os.path.join(BENCH_GUESTS, f"{name}.elf") for name in names}


def guest_figures(machine, guest):
    """What the guest measured: {name: [value, ...]}. Waits for its end."""
    machine.expect(rf"\[{guest}\] BENCH (done|failed)[^\n]*\n", LIMIT)
    values = {}
    for name, total, count in re.findall(rf"\[{guest}\] BENCH (\S+) (\d+) (\d+)$", machine.output(), re.M):
        values.setdefault(name, []).append(int(total) / int(count))
    if "done" not in values:
        raise MachineError(f"guest {guest} failed; see {machine.log_path}")
    return values


def exits_in(text):
    """{cause: count} of an answer of the monitor."""
    return {name.strip(): int(count) for line in re.findall(r"exits: (.*)", text)
            for name, count in re.findall(r"([A-Za-z][^,]*?) (\d+)(?:,|$)", line.strip())}


def exits_by_cause(machine, guest="web"):
    """{cause: count} and how much memory a guest costs, by the monitor."""
    exits = exits_in(machine.monitor(f"vms {guest}", ANSWER))
    memory = re.search(rf"^{guest}\s+\d+ MiB\s+(\d+) (KiB|MiB)", machine.monitor("mem", ANSWER), re.M)
    return exits, int(memory.group(1)) * (1024 if memory.group(2) == "KiB" else 1 << 20)
