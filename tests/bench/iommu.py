# SPDX-License-Identifier: Apache-2.0
# The bench's part "iommu": what a domain of an IOMMU costs. A debugger goes from call to call of the hypervisor's own iommu_map(),
# iommu_unmap() and iommu_flush() while it makes a bare guest with a card of the machine, and while that guest opens and closes a window of
# its memory (tests/bench/guests/window.c); instructions are counted from each call to its return. Which commands the emulated VT-d unit got is
# told by QEMU's trace. Linux guests with cards and disks of the machine: passed.py.
import collections
import os
import re
import statistics
import subprocess

from common import BENCH_GUESTS, COUNTED, LIMIT, bare_files, figure, guest_figures
from counted import HYPERVISOR, Debugger, counted_machine
from machine import BUILD, MachineError, config
from virtio import instructions, run_to

PAGE, LARGE = 4 << 10, 2 << 20
CARD = "0000:01:00.0"  # below the first port, whose bus the firmware numbers 1
CALLS = ("iommu_map", "iommu_unmap", "iommu_flush")
END = "window_done"
MOST_CALLS = 200
# gdb's numbers of registers (QEMU's gdb-xml/i386-64bit.xml).
RDX, RCX, RSI, RSP, RIP = 3, 2, 4, 7, 16
# Each command that the unit is given is a line in QEMU's log.
TRACE = ["-trace", "vtd_inv_desc"]

Call = collections.namedtuple("Call", "name address physical size instructions commands")

HOW = (f"{COUNTED}; -smp 1; QEMU's intel-iommu, 48 bits; a debugger stops at the call and at its return: ")
START = HOW + "the start of a bare guest of 64 MiB that has an e1000e card of the machine"
WINDOW = HOW + ("a bare guest that has an e1000e card of the machine opens and closes the window at 0xA0000, 32 pages of 4 KiB, which its domain "
                "follows; median of 5")
COMMANDS = "commands that QEMU's unit traced, its wait commands left out; "


def unit(caching="off"):
    return ["-device", f"intel-iommu,intremap=on,caching-mode={caching},aw-bits=48"]


def port(number, netdev):
    """An e1000e card, alone below a port of PCI Express, so that it can be reset."""
    return ["-device", f"pcie-root-port,id=port{number},chassis={number},slot={number},addr={0x10 + number:#x}",
            "-device", f"e1000e,netdev={netdev},mac=52:54:00:00:0e:{number:02x},bus=port{number}"]


def commands(machine):
    """{kind: number} of all commands that the unit was given so far, but those that only ask whether the others are done."""
    with open(os.path.join(machine.folder, "resets.log"), encoding="utf-8", errors="replace") as file:
        kinds = collections.Counter(re.findall(r"vtd_inv_desc invalidate desc type (\S+) ", file.read()))
    if not kinds:
        raise MachineError(f"QEMU traced no command of the IOMMU's; see {machine.folder}/resets.log")
    del kinds["wait"]
    return kinds


def addresses():
    """{address: symbol} of where the machine is stopped."""
    result = {}
    for path, names in ((HYPERVISOR, CALLS), (os.path.join(BENCH_GUESTS, "window.elf"), (END,))):
        out = subprocess.run(["nm", path], check=True, capture_output=True, text=True).stdout
        found = {name: int(address, 16) for address, name in re.findall(r"^([0-9a-f]+) T (\S+)$", out, re.M)}
        result.update((found[name], name) for name in names)
    return result


def number(text):
    """Of bytes in the order of memory, as the debugger shows them."""
    return int.from_bytes(bytes.fromhex(text), "little")


def next_call(machine, debugger, places):
    """Runs through the next call of a function; None: the guest is done."""
    for address in places:
        debugger.ask(f"Z1,{address:x},1", "OK")
    stop = debugger.ask("c")
    for address in places:
        debugger.ask(f"z1,{address:x},1", "OK")
    if not stop.startswith("T05"):
        raise MachineError(f"the machine did not come to a call: {stop}")
    rip, rsi, rdx, rcx, rsp = (number(debugger.ask(f"p{register:x}")) for register in (RIP, RSI, RDX, RCX, RSP))
    name = places[rip]
    if name == END:
        return None
    before, told = instructions(machine), sum(commands(machine).values())
    run_to(debugger, number(debugger.ask(f"m{rsp:x},8")))
    # What the registers hold that a function takes no argument in means nothing.
    size = {"iommu_map": rcx, "iommu_unmap": rdx, "iommu_flush": 0}[name]
    return Call(name, rsi if size else 0, rdx if name == "iommu_map" else 0, size, instructions(machine) - before,
                sum(commands(machine).values()) - told)


def follow(caching):
    """All calls, in their order, up to the guest's end."""
    name = f"bench-iommu-{caching}"
    socket = os.path.join(BUILD, "boot", f"{name}.gdb")
    text = config({"window": f'multiboot = "window.elf"; memory = "64M"; passthrough = "{CARD}"; entropy = "no";'}, 'frame-buffer = "off";')
    devices = [*unit(caching), *port(1, "none"), "-netdev", "hubport,id=none,hubid=0"]
    try:
        with counted_machine(name, text, bare_files("window"), devices=devices, hold=True,
                             extra=["-gdb", f"unix:{socket},server=on,wait=off", *TRACE]) as machine:
            debugger = Debugger(socket, LIMIT)
            try:
                debugger.ask("?")
                debugger.ask("qXfer:features:read:target.xml:0,1")  # QEMU shows single registers only to who has asked for it
                places, calls = addresses(), []
                while (call := next_call(machine, debugger, places)) is not None:
                    calls.append(call)
                    if len(calls) > MOST_CALLS:
                        raise MachineError("the guest does not come to its end")
                debugger.ask("D", "OK")
            finally:
                debugger.close()
            guest_figures(machine, "window")  # it saw its window
    finally:
        if os.path.exists(socket):
            os.unlink(socket)
    return calls


def window_calls(calls):
    """Those from the first opening of the window on: each opening is a map and a flush, each closing an unmap and a flush."""
    first = next(i for i, call in enumerate(calls) if call.name == "iommu_map" and call.address == 0xa0000)
    kinds = ["iommu_map", "iommu_flush", "iommu_unmap", "iommu_flush"]
    own = calls[first:]
    if not own or len(own) % len(kinds) or [call.name for call in own] != kinds * (len(own) // len(kinds)):
        raise MachineError(f"the window's calls are not as expected: {own}")
    return calls[:first], [own[i::len(kinds)] for i in range(len(kinds))]


def measure_calls():
    for caching in ("off", "on"):
        start, (opens, open_flushes, closes, close_flushes) = window_calls(follow(caching))
        mode = "" if caching == "off" else ", caching mode"
        maps = [call for call in start if call.name == "iommu_map"]
        large = [call.instructions for call in maps if call.size == LARGE and call.address % LARGE == 0 and call.physical % LARGE == 0]
        # The first call makes the tables; this one, behind the legacy hole, finds them.
        small = max((call for call in maps if call.size < LARGE), key=lambda call: call.address)
        figure(f"IOMMU: map of a page of 2 MiB{mode}", round(statistics.median(large)), "instructions",
               f"{START}; {len(large)} calls of iommu_map() for such a page each; median")
        figure(f"IOMMU: map of a page of 4 KiB among {small.size // PAGE}{mode}", round(small.instructions / (small.size // PAGE), 1), "instructions",
               f"{START}; one call of iommu_map() for {small.size // PAGE} pages, in tables that are there")
        pages = opens[0].size // PAGE
        for what, calls in (("map", opens), ("unmap", closes)):
            figure(f"IOMMU: {what} of a page of 4 KiB among {pages}{mode}",
                   round(statistics.median(call.instructions for call in calls) / pages, 1), "instructions", WINDOW)
        for what, calls in (("map", open_flushes), ("unmap", close_flushes)):
            figure(f"IOMMU: flush after a {what} of {pages} pages{mode}", round(statistics.median(call.instructions for call in calls)),
                   "instructions", WINDOW)
            figure(f"IOMMU: commands of a {what} of {pages} pages{mode}", statistics.median(call.commands for call in calls), "commands",
                   f"{COMMANDS}{WINDOW}; without batching it would be one for each page")
        figure(f"IOMMU: calls of iommu_map() for a guest of 64 MiB{mode}", len(maps), "calls", START)
        figure(f"IOMMU: commands of these calls and their flush{mode}", sum(call.commands for call in start), "commands",
               f"{COMMANDS}{START}; nobody is in the domain yet")
