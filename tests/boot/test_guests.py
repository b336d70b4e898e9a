# SPDX-License-Identifier: Apache-2.0
# The bare guests of tests/guests/: each checks one part of the platform from inside, and ends with the number of the first
# check that failed. Several run side by side on one machine, whose summary tells how each ended.
import functools
import re

import pytest

import machine as machines
from images import linux_image, multiboot_image

RUN_TIME = 240  # seconds from power-on to power-off, on a machine that others use as well
ANYHOW = "exit code .*|crashed: .*|powered off"
IDENTITY = 'identity-memory = "dma-unprotected";'
COUNTER = bytes(i % 256 for i in range(8192))


class Guest:
    """more: further properties; nodes: its devices; ends: regular expression for the whole of how it ends."""

    def __init__(self, image=None, kind="multiboot", memory="16M", cmdline="", vcpus=1, more="", nodes="",
                 ends="exit code 0"):
        self.image, self.kind, self.memory, self.cmdline = image, kind, memory, cmdline
        self.vcpus, self.more, self.nodes, self.ends = vcpus, more, nodes, ends

    def properties(self, name):
        image = self.image or f"{name}.elf"
        text = f'{self.kind} = "{image}"; memory = "{self.memory}"; vcpus = <{self.vcpus}>; {self.more}'
        return text + (f' cmdline = "{self.cmdline}"; ' if self.cmdline else " ") + self.nodes, image


def virtio(cmdline="", disk="scratch", **others):
    """Two cards and two disks."""
    cards = 'net0 { network = "lan"; }; net1 { network = "lan"; }; '
    disks = f'disk0 {{ disk = "{disk}"; serial = "scratch-1"; }}; disk1 {{ disk = "counter"; }};'
    return Guest("virtio.elf", cmdline=cmdline, nodes=cards + disks, **others)


# Those of one group share a machine.
GROUPS = {
    "start": {
        "boot": Guest(cmdline="boot word=1  two", more='modules = "one.bin first module", "two.bin";'),
        "boot-identity": Guest("boot.elf", cmdline="boot word=1  two identity", more='modules = "one.bin first module", "two.bin"; ' + IDENTITY),
        "boot-pvh": Guest("boot.elf", kind="pvh", cmdline="boot word=1  two", more='initrd = "one.bin";'),
    },
    "interrupts": {name: Guest() for name in ("lapic", "irq", "uart")},
    "clocks": {name: Guest() for name in ("pit", "rtc")} | {"pm": Guest(cmdline="timer")},
    "platform": {name: Guest() for name in ("pci", "fwcfg", "cpu")} | {
        "bad-cr0": Guest("cpu.elf", cmdline="bad-cr0", ends="exit code 0|crashed: VMRUN refused the guest's state.*")},
    "smp": {"smp": Guest(vcpus=4), "smp-x2apic": Guest("smp.elf", vcpus=4, cmdline="x2apic")},
    "emulation": {
        "mmio": Guest(),
        "fetch": Guest("mmio.elf", cmdline="fetch", ends="crashed: .*"),
        "exceptions": Guest(),
        # QEMU's guests are not offered to end interrupts without an exit (docs/support.md); test_bochs.py has one that is.
        "pv": Guest(vcpus=2, cmdline="no-pv-eoi"),
    },
    "modes": {"paging32": Guest(), "realmode": Guest("realmode.bin", kind="firmware")},
    "hostile": {
        "ports": Guest("hostile.elf", cmdline="ports"),
        "msrs": Guest("hostile.elf", cmdline="msrs"),
        "memory": Guest("hostile.elf", cmdline="memory"),
        "hypercalls": Guest("hostile.elf", cmdline="hypercalls"),
        "witness": Guest("witness.elf", more="priority = <20>;"),
    },
    "hostile-code": {
        "user": Guest("hostile.elf", cmdline="user"),
        # It may well shoot itself.
        "kernel": Guest("hostile.elf", cmdline="kernel", ends=ANYHOW),
        "triple-fault": Guest("hostile.elf", cmdline="triple-fault", ends="crashed: .*triple fault.*"),
        "unknown": Guest("hostile.elf", cmdline="unknown",
                         ends=r"crashed: cannot emulate the instruction db 00 .*\(address 0xd0000000\)"),
        "witness": Guest("witness.elf", more="priority = <20>;"),
    },
    "virtio": {"virtio": virtio(),
               "virtio-mmio": Guest("virtio.elf", cmdline="mmio", nodes='disk0 { disk = "other"; serial = "s"; transport = "mmio"; };')},
    # Beside one that breaks all rules, and on the same network, another one goes on.
    "virtio-hostile": {"virtio-hostile": virtio("hostile"), "virtio-watch": virtio("watch", disk="other", more="priority = <20>;")},
    "virtio-noise": {"virtio-noise": virtio("noise"), "virtio-watch": virtio("watch", disk="other", more="priority = <20>;"),
                     "witness": Guest("witness.elf", more="priority = <20>;")},
    # Sound images that their guests' memory has no place for.
    "refused": {
        "low": Guest("low.bin", ends=r'cannot be started: "low.bin" loads at 0x20000; 0x10000 to 0x37fff holds .*'),
        "hole": Guest("hole.bin", ends=r'cannot be started: "hole.bin" needs memory from 0x9f000 to 0xa0fff; not all .*'),
        "high": Guest("high.bin", ends=r'cannot be started: "high.bin" needs memory from 0x100000 to 0x10fffff; .* 16 MiB'),
        "module": Guest("boot.elf", more='modules = "one.bin", "large.bin";',
                        ends=r'cannot be started: module "large.bin" needs 15728640 bytes from 0x\w+ on; .* 16 MiB ends before'),
        "initrd": Guest("boot.elf", kind="pvh", more='initrd = "large.bin";',
                        ends=r'cannot be started: "large.bin" \(15728640 bytes\) does not fit beside the kernel in 16 MiB'),
        "linux": Guest("linux.bin", kind="kernel", ends=r'cannot be started: "linux.bin" needs .*'),
    },
    "ends": {
        "s5": Guest("pm.elf", cmdline="s5", ends="powered off"),
        "reset-cf9": Guest("pm.elf", cmdline="reset-cf9"),
        "reset-keyboard": Guest("pm.elf", cmdline="reset-keyboard"),
        "reset-92": Guest("pm.elf", cmdline="reset-92"),
        "triple-fault": Guest("pm.elf", cmdline="triple-fault", ends="crashed: .*triple fault.*"),
        "triple-fault-again": Guest("pm.elf", cmdline="triple-fault", more='restart = "on-crash";'),
    },
}
# What the guests of a group need of the machine.
DEVICES = ('networks { lan { }; };\n'
           '    disks { scratch { memory = "1M"; }; other { memory = "1M"; }; counter { file = "two.img"; read-only = "yes"; }; };')
NODES = {name: DEVICES for name in GROUPS if name.startswith("virtio")}
FILES = {
    "one.bin": COUNTER[1:5001],
    "two.bin": COUNTER[7:5007],
    "two.img": COUNTER,
    "low.bin": multiboot_image(address=0x20000),
    "hole.bin": multiboot_image(size=8192, address=0x9F000),
    "high.bin": multiboot_image(memory=16 << 20),
    "linux.bin": linux_image(8192),
    "large.bin": bytes(15 << 20),
}


@functools.lru_cache(maxsize=None)
def run(group):
    """Boots a group and waits for the power-off. {guest: (how it ended, its lines)}"""
    guests, files = {}, {name: FILES[name] for name in ("one.bin", "two.bin", "two.img", "large.bin")}
    for name, guest in GROUPS[group].items():
        guests[name], image = guest.properties(name)
        files[image] = FILES[image] if image in FILES else machines.guest_file(f"tests/{image}")
    with machines.Machine(f"guests-{group}", machines.config(guests, 'when-idle = "poweroff";', NODES.get(group, "")), files) as machine:
        machine.wait_poweroff(RUN_TIME)
        output = machine.output()
    summary = output[output.rindex("every guest has stopped"):]
    result = {}
    for name in guests:
        end = re.search(rf"guest {name}: (.*)", summary)
        lines = re.findall(rf"^\[{name}\] (.*)", output, re.MULTILINE)
        result[name] = end.group(1).strip() if end else "nothing", lines
    return result


machines.caches.append(run.cache_clear)


@pytest.mark.parametrize("group, name", [(group, name) for group in GROUPS for name in GROUPS[group]])
def test_guest(group, name):
    end, lines = run(group)[name]
    wanted = GROUPS[group][name].ends
    failed = [line for line in lines if line.startswith("FAIL") and wanted != ANYHOW]
    if "triple fault" in end and not re.fullmatch(wanted, end):
        machines.qemu_faults.append(f"{name}: {end}")  # also where another test of the group ran the machine
    assert re.fullmatch(wanted, end) and not failed, "\n".join([f"{name}: {end}; expected {wanted}", *(failed or lines[-5:])])
    if end == "exit code 0":  # and not before it checked anything
        assert any(line.startswith("ok") for line in lines)


def test_guests_that_never_let_go(boot):
    """Loops with interrupts off on every CPU: the witness and the monitor are served all the same."""
    spin = Guest("hostile.elf", cmdline="spin")
    guests = {"spin-0": spin.properties("spin-0")[0] + " cpus = <0>;", "spin-1": spin.properties("spin-1")[0] + " cpus = <1>;",
              "halt": Guest("hostile.elf", cmdline="halt").properties("halt")[0],
              "witness": Guest("witness.elf", more="priority = <20>;").properties("witness")[0]}
    files = {name: machines.guest_file(f"tests/{name}") for name in ("hostile.elf", "witness.elf")}
    machine = boot(machines.config(guests, 'when-idle = "poweroff";'), files)
    machine.expect_all([r"\[spin-0\] ok about to spin", r"\[spin-1\] ok about to spin", r"\[halt\] ok about to halt"],
                       machines.BOOT_TIME)
    machine.expect("guest witness: exit code 0", RUN_TIME)
    table = machine.monitor("vms")
    assert re.search(r"spin-0 +running", table) and re.search(r"halt +running", table), table
    machine.monitor("stop halt")
    machine.monitor("stop spin-0")
    machine.send("stop spin-1\r")
    machine.wait_poweroff()
    assert "guest spin-1: stopped by command" in machine.output()
