# SPDX-License-Identifier: Apache-2.0
# A hostile guest (tests/guests/attack) that drives its own functions of the machine, an NVMe disk and QEMU's educational device, against
# everything else by DMA: with an IOMMU nothing of it comes through; without one, the control run, all of it does.
import contextlib
import os
import re
import secrets
import struct

import pytest

from machine import BOOT_TIME, BUILD, config, guest_file
from physical import Physical, entry_code
from test_iommu import amdvi, memory_of, vtd
from test_machine import drive, make_image

MIB, PAGE = 1 << 20, 4096
MEMORY = 512 * MIB  # of the machine
OWN = 16 * MIB  # of each guest
# The disk resets itself; the educational device is alone below a port, whose bus the firmware numbers 1.
NVME, EDU = "0000:00:11.0", "0000:01:00.0"
# What the educational device writes; and what a read shows of which nothing came: the guest's own filling, or what a bus answers.
VALUE = 0xA77AC4ED
NOTHING = {0, 0xFFFFFFFF, 0xB0B0B0B0}
# Below 1 MiB: nobody's for the machine, and RAM of the guest's for the guest.
LOW = 0x50000
# Blocks of the disk: one with a pattern, one with forged messages, one that is empty.
PATTERN, MESSAGES, EMPTY = 0, 0x8, 0x10
# A vector of the machine's that nobody has.
VECTOR = 0xDF
UNUSED = rf"interrupt at vector {VECTOR:#x}, which nobody uses"
# Of the other guest's pattern: as the guest makes it.
FACTOR = secrets.randbits(63) | 1


def pattern(first, count):
    return b"".join(struct.pack("<Q", (first + i + 1) * FACTOR & (1 << 64) - 1) for i in range(count))


def words(content):
    return list(struct.unpack(f"<{len(content) // 4}I", content))


class Attack:
    """A machine with the attacker, which has `functions`, and a guest beside it; .target: {name: physical address} of what does not change
    by itself, all of it outside of the guest-physical addresses of the attacker."""

    def __init__(self, boot, tmp_path, physical, unit, functions, more=""):
        self.secret = secrets.token_hex(16)
        self.disk = secrets.token_bytes(PAGE)
        image = make_image(tmp_path / "ssd.img", 8)
        with open(image, "r+b") as file:
            file.write(self.disk + struct.pack("<I", VECTOR) * (PAGE // 4))
        passed = ", ".join(f'"{address}"' for address in functions)
        bare = f'multiboot = "attack.elf"; memory = "{OWN // MIB}M"; entropy = "no";'
        text = config({"attack": f"{bare} passthrough = {passed}; {more}",
                       "victim": f'{bare} cmdline = "victim={FACTOR:x} secret={self.secret}";'})
        extra = [*physical.options, *(unit.options if unit else ()), *drive("ssd", image, "nvme,serial=SSD-0001,addr=0x11"),
                 "-device", "pcie-root-port,id=port1,chassis=1,slot=1,addr=0x10",
                 "-device", "edu,bus=port1,dma_mask=0xffffffffffffffff"]
        self.lines = 0
        self.tmp_path, self.physical = tmp_path, physical
        self.machine = boot(text, {"attack.elf": guest_file("tests/attack.elf")}, memory=f"{MEMORY // MIB}M", extra=extra)
        self.machine.expect_all([r"\[attack\] ready for commands", r"\[victim\] ready for commands"], BOOT_TIME)
        self.machine.send("\r")
        self.machine.prompt()
        self.target = self._targets()

    def _targets(self):
        """The other guest's memory, code of the hypervisor and of the service VM that does not run any more, each place that has the other
        guest's command line, and the screen's memory where nothing is shown, a BAR of a function that is nobody's."""
        victim = self.physical.find(pattern(0, 64))
        assert len(victim) == 1
        target = {"victim": victim[0]}
        for name, path, memory in (("hypervisor", "saguaro-stripped.elf", None), ("service", "service-stripped.elf", self._service())):
            code, offset = entry_code(os.path.join(BUILD, "x86", path), 64)
            places = [at for at in self.physical.find(code, *(memory or ())) if at % PAGE == offset % PAGE and at >= OWN]
            assert places, f"the code of {name} is not found"
            target.update({f"{name}-{number}": at for number, at in enumerate(places)})
        places = [at & ~3 for at in self.physical.find(self.secret.encode()) if at >= OWN]
        assert places
        target.update({f"secret-{number}": at for number, at in enumerate(places[:4])})
        target["screen"] = self._screen() + 15 * MIB
        return target

    def _service(self):
        size, base = re.search(r"service VM: (\d+) MiB at 0x([0-9a-f]+)", self.machine.output()).groups()
        return int(base, 16), int(base, 16) + int(size) * MIB

    def _screen(self):
        """BAR 0 of the machine's display, which has 16 MiB."""
        for bus in self.machine.qmp("query-pci"):
            for function in bus["devices"]:
                if function["class_info"]["class"] == 0x300:
                    return next(region["address"] for region in function["regions"] if region["bar"] == 0)
        raise AssertionError("no display")

    def content(self, address, size=64):
        """What is at a physical address of the machine: RAM, or registers."""
        return self.physical.read(address, size) if address < MEMORY else memory_of(self.machine, self.tmp_path, address, size)

    def ask(self, guest, *lines):
        """What a guest answers to each of these lines on its console."""
        answers = []
        with self.machine.console(guest):
            for line in lines:
                self.lines += 1
                self.machine.send(f"{self.lines:x} {line}\r")
                # A message of the hypervisor's may come within the line's end: the line is drawn anew then, with its cursor at the left.
                answers.append(self.machine.expect(rf"(?m)^{self.lines:x} [a-z ]+: ([^\r\n\b]*)[\r\b]*\n", 120).group(1))
        return answers

    def edu(self, address, size=64, value=VALUE):
        """Writes, and reads: what the read brought, in words."""
        wrote, read = self.ask("attack", f"edu write {address:x} {size:x} {value:x}", f"edu read {address:x} {size:x}")
        assert wrote == "done" and read.startswith("done ")
        return [int(word, 16) for word in read.split()[1:]]

    def block(self, block):
        """The first words of a block of the disk."""
        answer, = self.ask("attack", f"nvme show {block:x}")
        assert answer.startswith("status 0 ")
        return [int(word, 16) for word in answer.split()[2:]]

    def faults(self, function):
        """How often the unit has told of the function, and the last time: (count, where, why)."""
        line = re.search(rf"^{re.escape(function)}: domain \d+, faults (\d+)(?:, last: (?:read|write) at (0x[0-9a-f]+): (.*))?$",
                         self.machine.monitor("iommu"), re.M)
        return int(line.group(1)), int(line.group(2) or "0", 16), line.group(3)

    def check_others(self):
        """The other guest has what it had, nobody sent it an interrupt, and the service VM, whose the prompt is, goes on."""
        assert self.ask("victim", "look") == ["wrong 0 interrupts 0"]
        assert re.search(r"^victim +running", self.machine.monitor("vms"), re.M)
        assert "FAIL" not in self.machine.output()


@contextlib.contextmanager
def attack(boot, tmp_path, unit, functions, more=""):
    with Physical(tmp_path / "memory.raw", MEMORY) as physical:
        yield Attack(boot, tmp_path, physical, unit, functions, more)


@contextlib.contextmanager
def told(run, unit, function, address, why=None):
    """What is done within is blocked, and the unit tells of it where it does that."""
    before = run.faults(function)[0]
    yield
    count, where, reason = run.faults(function)
    if unit.reports:
        assert count > before and where == address & ~(PAGE - 1), f"{address:#x}: {count} faults after {before}, the last at {where:#x}"
        assert why is None or reason == why
    else:
        assert count == 0


# Where nothing is that has to stay as it is: what is behind the guest's RAM, and in the hole below 1 MiB; the registers of the I/O APIC and
# of both units, where the machine has them; the first address of 5 GiB, of a second map of 39 and of 48 bits, the last page of
# 48 bits, and the end of all, which a transfer goes beyond.
ADDRESSES = (OWN, 0xA0000, 0xFEC00000, 0xFED80018, 0xFED90018, 5 << 30, 1 << 39, 1 << 48, (1 << 48) - PAGE, (1 << 64) - PAGE)


def test_educational_device(boot, tmp_path):
    """Behind a port, which QEMU's AMD-Vi unit cannot tell from the root bus; so it is VT-d alone."""
    unit = vtd()
    with attack(boot, tmp_path, unit, (NVME, EDU)) as run:
        before = {at: run.content(at) for at in run.target.values()}
        for name, at in run.target.items():
            with told(run, unit, EDU, at):
                read = run.edu(at)
            assert set(read) <= NOTHING, f"{name} was read: {read}"
            assert name == "screen" or not set(words(before[at])) <= NOTHING
            assert run.content(at) == before[at], f"{name} was written"
        for at in (*ADDRESSES, (1 << 48) | run.target["victim"], (1 << 63) | run.target["victim"]):
            with told(run, unit, EDU, at, "no address that it can have" if at >= 1 << 48 else None):
                assert set(run.edu(at)) <= NOTHING
        # Half of it before the end of all addresses, half behind it.
        with told(run, unit, EDU, (1 << 64) - 32):
            run.edu((1 << 64) - 32)
        # The guest's own memory is where the guest has it, not where the machine has the same number.
        low, count = run.content(LOW), run.faults(EDU)[0]
        assert run.edu(LOW) == [VALUE] * 8
        assert run.content(LOW) == low != VALUE.to_bytes(4, "little") * 16
        assert run.faults(EDU)[0] == count
        assert {at: run.content(at) for at in before} == before
        run.check_others()


@pytest.mark.parametrize("unit", [vtd(), amdvi()], ids=["vtd", "amdvi"])
def test_disk(boot, tmp_path, unit):
    """What commands write and read, their lists of pages, and all four queues."""
    with attack(boot, tmp_path, unit, (NVME,)) as run:
        page = {name: at & ~(PAGE - 1) for name, at in run.target.items()}
        before = {at: run.content(at, PAGE) for name, at in page.items() if not name.startswith("secret")}
        assert run.block(EMPTY) == [0] * 8
        for at in (*page.values(), *(at & ~(PAGE - 1) for at in ADDRESSES)):
            for command in (f"identify {at:x}", f"read {at:x} {PATTERN:x}", f"write {at:x} {EMPTY:x}", f"list {at:x} {PATTERN:x}"):
                with told(run, unit, NVME, at):
                    run.ask("attack", "nvme " + command)
            read = run.block(EMPTY)
            # QEMU 7.2's AMD-Vi unit leaves out the upper 16 bits of an address: what came is then what the guest itself has at 0.
            assert set(read) <= NOTHING or (unit.name == "AMD-Vi" and at == 1 << 48 and read == words(run.disk[:32])), f"{at:#x} was read"
            assert all(run.content(at, PAGE) == content for at, content in before.items())
        for name in ("victim", "hypervisor-0"):
            for queue, stage in enumerate((1, 1, 4, 4)):
                places = ["0"] * 4
                places[queue] = f"{page[name]:x}"
                with told(run, unit, NVME, page[name]):
                    assert run.ask("attack", "nvme start " + " ".join(places)) == [f"stage {stage} fatal 1"]
                assert run.ask("attack", "nvme start") == ["stage 5 fatal 0"]
        assert all(run.content(at, PAGE) == content for at, content in before.items())
        assert run.block(PATTERN) == words(run.disk[:32])
        run.check_others()


@pytest.mark.parametrize("unit", [vtd(), amdvi()], ids=["vtd", "amdvi"])
def test_messages(boot, tmp_path, unit):
    """DMA to where messages go: 1024 of a vector that nobody has, by the disk. QEMU 7.2's VT-d unit lets messages of the plain format
    pass, so that they come; the machine goes on all the same. Those of the format of remapped ones come to nothing on both."""
    with attack(boot, tmp_path, unit, (NVME,)) as run:
        # The last ones of the format of remapped messages, before the end of a page; then plain ones.
        for at, comes in ((0xFEEFFFF0, False), (0xFEE00000, unit.plain)):
            assert run.ask("attack", f"nvme read {at:x} {MESSAGES:x}") == ["status 0"]
            run.check_others()
            assert bool(re.search(UNUSED, run.machine.output())) == comes
        assert run.ask("attack", "nvme start") == ["stage 5 fatal 0"]


def test_storm(boot, tmp_path):
    """A function that goes on and on: its guest ends as crashed, and can be started again. The unit has to report for that."""
    unit = vtd()
    with attack(boot, tmp_path, unit, (NVME,)) as run:
        before = run.content(run.target["victim"], PAGE)
        run.machine.command("console attack")
        run.machine.send(f"0 nvme storm {run.target['victim'] & ~(PAGE - 1):x}\r")
        run.machine.expect(rf"guest attack crashed: PCI {re.escape(NVME)} goes on with DMA where it may not", BOOT_TIME)
        run.machine.send("\x1d")
        run.machine.expect(r"--- left the console of attack ---")
        run.machine.prompt()
        assert run.content(run.target["victim"], PAGE) == before
        run.check_others()
        run.machine.command("start attack")
        run.machine.expect(r"\[attack\] ready for commands", BOOT_TIME)
        assert run.ask("attack", "nvme start") == ["stage 5 fatal 0"]
        run.check_others()


def test_control(boot, tmp_path):
    """The same guest and the same attacks on a machine without an IOMMU, which its config allows: they come through."""
    with attack(boot, tmp_path, None, (NVME, EDU), 'identity-memory = "dma-unprotected";') as run:
        for name, at in run.target.items():
            before = words(run.content(at, 32))
            read, = run.ask("attack", f"edu read {at:x} 20")
            assert [int(word, 16) for word in read.split()[1:]] == before, f"{name} was not read"
        # Code that does not run any more, memory of the other guest's, of nobody's, and registers.
        for at in [at for name, at in run.target.items() if not name.startswith("secret")] + [LOW]:
            assert run.edu(at, 16) == [VALUE] * 4
            assert run.content(at, 16) == VALUE.to_bytes(4, "little") * 4
        wrong, interrupts = re.fullmatch(r"wrong (\d+) interrupts (\d+)", run.ask("victim", "look")[0]).groups()
        assert (wrong, interrupts) == ("2", "0")
        victim = (run.target["victim"] & ~(PAGE - 1)) + 16 * PAGE
        assert run.ask("attack", f"nvme write {victim:x} {EMPTY:x}", f"nvme read {victim:x} {PATTERN:x}") == ["status 0"] * 2
        assert run.block(EMPTY) == words(pattern(16 * PAGE // 8, 4))
        assert run.content(victim, PAGE) == run.disk
        assert run.ask("attack", f"nvme identify {victim + PAGE:x}") == ["status 0"]
        assert b"SSD-0001" in run.content(victim + PAGE, PAGE)
        # A completion of the disk's, with the status of success and the phase of the first round.
        assert run.ask("attack", f"nvme start 0 {victim + 2 * PAGE:x} 0 0")[0].startswith("stage 1 ")
        assert words(run.content(victim + 2 * PAGE, 16))[3] >> 16 == 1
        assert not re.search(UNUSED, run.machine.output())
        assert run.ask("attack", "nvme start", f"nvme read {0xFEE00000:x} {MESSAGES:x}") == ["stage 5 fatal 0", "status 0"]
        assert run.machine.monitor("vms")
        assert re.search(UNUSED, run.machine.output())
