# SPDX-License-Identifier: Apache-2.0
# The bench's part "virtio": what doorbells, block requests and frames cost in instructions and exits, with a bare guest
# (tests/bench/guests/virtio.c) that has two network cards on one network and a disk in memory.
import os
import re
import statistics
import subprocess

from common import BENCH_GUESTS, COUNTED, LIMIT, bare, bare_files, exits_in, figure, guest_figures
from counted import HYPERVISOR, Debugger, counted_machine
from machine import BUILD, Machine, MachineError, config

DEVICES = 'net0 { network = "lan"; }; net1 { network = "lan"; }; disk0 { disk = "data"; };'
NODES = 'networks { lan { }; }; disks { data { memory = "8M"; }; };'
# All of the CPU for the service VM: its budget, used up in a loop of requests, would show as a wait.
SERVICE = "budget = <1000000>; period = <1000000>;"
TIMES = 3  # steps() of the guest

HOW = f"{COUNTED}, of the service VM as well; -smp 1; bare guest; "
ROUND = HOW + "from before the doorbell to the handler's first instruction; mean of 200, median of 5"
ALONE = ROUND + "; nothing else is under way"
BLOCKS = ROUND + "; 32 requests rung for once, by request"
FRAMES = ROUND + "; 64 frames rung for once, by frame; from one card of the guest to its other one"

# name in the guest's output: (name, how)
COUNTS = {
    "doorbell": ("doorbell to the next instruction, the service VM asleep, the only CPU",
                 HOW + "the CPU is the service VM's until it sleeps again; 2000 times, less the same loop without the write; median of 5; a "
                 "receive queue's: nothing is to be done"),
    "blk-id": ("block: GET_ID, doorbell to handler", ALONE),
    "blk-flush": ("block: flush, doorbell to handler", ALONE),
    "blk-read-4k": ("block: read of 4 KiB, doorbell to handler", ALONE),
    "blk-write-4k": ("block: write of 4 KiB, doorbell to handler", ALONE),
    "blk-read-128k": ("block: read of 128 KiB, doorbell to handler", ALONE),
    "blk-write-128k": ("block: write of 128 KiB, doorbell to handler", ALONE),
    "blk-read-4k-batch": ("block: read of 4 KiB among 32", BLOCKS),
    "blk-write-4k-batch": ("block: write of 4 KiB among 32", BLOCKS),
    "frame-64": ("net: frame of 64 bytes, doorbell to the receiver's handler", ALONE),
    "frame-1514": ("net: frame of 1514 bytes, doorbell to the receiver's handler", ALONE),
    "frame-64-batch": ("net: frame of 64 bytes among 64", FRAMES),
    "frame-1514-batch": ("net: frame of 1514 bytes among 64", FRAMES),
}

# The way of a request, by the symbols of guest, hypervisor and service VM that it comes to: (image, symbol, what it takes up to there).
# The first one is where the count begins.
WAY = [
    ("guest", "bench_ring_write", None),
    ("hypervisor", "service_doorbell", "the guest's write to the hypervisor's service_doorbell()"),
    ("service", "virtq_take", "from there to the back end's first look at the queue"),
    ("service", "virtio_device_flush", "the back end's own work"),
    ("hypervisor", "service_pci_interrupt", "from the back end's interrupt call to the hypervisor's service_pci_interrupt()"),
    ("guest", "bench_stub", "from there to the guest's handler, the service VM's way to sleep included"),
]
WAY_HOW = HOW + "stopped by a debugger at each of these places; median of 3"

AWAKE_HOW = f"{COUNTED}; -smp 2; bare guest; what the guest's CPU executes, the service VM having the other one; "
ONCE = "one at a time, less the same code without the write; median of "
EXITS_HOW = "of a bare guest; exits of its vCPU and of the service VM's from their start on, by operation; 10000 of them; the monitor's vms and service"
EXITS = {
    "count-blk": "block: exits of a single request (read of 4 KiB)",
    "count-frame": "net: exits of a single frame",
    "count-frames": "net: exits of a frame among 64",
}


def guest(name="virtio", mode="", more=""):
    return {name: bare("virtio", f'cmdline = "{mode}"; {more} {DEVICES}')}


def symbols():
    """{image: {symbol: address}} of all that the way of a request goes through."""
    paths = {"guest": os.path.join(BENCH_GUESTS, "virtio.elf"), "hypervisor": HYPERVISOR, "service": os.path.join(BUILD, "x86/service.elf")}
    result = {}
    for image, path in paths.items():
        out = subprocess.run(["nm", path], check=True, capture_output=True, text=True).stdout
        result[image] = {name: int(address, 16) for address, name in re.findall(r"^([0-9a-f]+) [tT] (\S+)$", out, re.M)}
    return result


def instructions(machine):
    """How many the machine, which stands still, has executed."""
    return machine.qmp("query-replay")["icount"]


def run_to(debugger, address):
    debugger.ask(f"Z1,{address:x},1", "OK")
    stop = debugger.ask("c")
    debugger.ask(f"z1,{address:x},1", "OK")
    if not stop.startswith("T05"):
        raise MachineError(f"the machine did not come to {address:x}: {stop}")


def follow(machine, debugger, places):
    """Instructions from one to the next of WAY, TIMES times."""
    samples = []
    debugger.ask("qXfer:features:read:target.xml:0,1")  # QEMU lets only who has asked for it write a single register
    for _ in range(TIMES):
        run_to(debugger, places["guest"]["bench_steps"])  # a loop
        debugger.ask(f"P10={places['guest']['bench_steps_end'].to_bytes(8, 'little').hex()}", "OK")  # RIP
        counts = []
        for image, symbol, _ in WAY:
            run_to(debugger, places[image][symbol])
            counts.append(instructions(machine))
        samples.append([after - before for before, after in zip(counts, counts[1:])])
    return [statistics.median(sample) for sample in zip(*samples)]


def measure_counts():
    socket = os.path.join(BUILD, "boot", "bench-virtio.gdb")
    text = config(guest(), 'frame-buffer = "off";', f"{NODES} service {{ {SERVICE} }};")
    try:
        with counted_machine("bench-virtio", text, bare_files("virtio"), extra=["-gdb", f"unix:{socket},server=on,wait=off"]) as machine:
            machine.expect(r"\[virtio\] BENCH (steps|failed)[^\n]*\n", LIMIT)
            machine.qmp("stop")
            debugger = Debugger(socket, LIMIT)
            try:
                steps = follow(machine, debugger, symbols())
                debugger.ask("D", "OK")
            finally:
                debugger.close()
            machine.qmp("cont")
            values = guest_figures(machine, "virtio")
    finally:
        if os.path.exists(socket):
            os.unlink(socket)
    for name, (title, how) in COUNTS.items():
        figure(title, round(statistics.median(values[name])), "instructions", how)
    for (_, _, title), value in zip(WAY[1:], steps):
        figure(f"block: GET_ID: {title}", round(value), "instructions", WAY_HOW)


def measure_awake():
    text = config(guest(mode="awake", more="cpus = <0>;"), 'frame-buffer = "off";', f"{NODES} service {{ {SERVICE} cpus = <1>; }};")
    with counted_machine("bench-virtio-awake", text, bare_files("virtio"), smp=2) as machine:
        values = guest_figures(machine, "virtio")
    figure("doorbell to the next instruction, the service VM asleep, another CPU", round(values["doorbell-asleep-median"][0]), "instructions",
           AWAKE_HOW + ONCE + "16")
    figure("doorbell to the next instruction, the service VM awake", round(values["doorbell-awake-median"][0]), "instructions",
           AWAKE_HOW + "it copies megabytes; " + ONCE + "32")
    figure("doorbell to the next instruction, it rings already", round(values["doorbell-again"][0]), "instructions",
           AWAKE_HOW + "it copies megabytes; 100 times, less the same loop without the write; mean of 16")


def measure_exits():
    for mode, title in EXITS.items():
        text = config(guest(mode=mode), "", f"{NODES} service {{ {SERVICE} }};")
        with Machine(f"bench-virtio-{mode}", text, bare_files("virtio"), smp=1) as machine:
            count = guest_figures(machine, "virtio")["operations"][0]
            machine.send("\r")
            machine.prompt()
            exits = [sum(exits_in(machine.monitor(command)).values()) for command in ("vms virtio", "service")]
        for name, value in zip(("guest", "service VM"), exits):
            figure(f"{title}: the {name}'s", round(value / count, 2), "exits", EXITS_HOW)


def measure_virtio():
    measure_counts()
    measure_awake()
    measure_exits()
