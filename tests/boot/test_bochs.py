# SPDX-License-Identifier: Apache-2.0
# The same image on Intel's VT-x and on another maker's idea of SVM, both on Bochs: a machine without ACPI tables, whose TSC is
# not what CPUID says, with an i440FX.
import re
import socket

import pytest

import machine as machines
from bochs import BOOT_TIME, Bochs
from peers import FramePeer
from test_guests import FILES, GROUPS, Guest

ANSWER_TIME = 300

ENGINES = {"vtx": "VT-x", "svm": "SVM"}
UPLINK = "52:54:00:12:34:56"


def check_host(machine, cpus, cpu):
    output = machine.output()
    assert "the firmware has no ACPI tables" in output
    assert re.search(r"TSC: \d+ kHz, by the 8254", output)
    assert f"engine: {ENGINES[cpu]}" in output
    assert f"{cpus} of {cpus} CPUs run" in output


def has_localhost():
    try:
        socket.gethostbyname("localhost")
    except OSError:
        return False
    return True


def test_two_linux_guests(linux_files):
    """VT-x: Debian's stock kernel twice, each on a CPU of its own, the CPUs as EFI lists them; the monitor and both shells answer.
    They have a network and disks, by the service VM; the network has an uplink, an 82540EM without an interrupt that is known. (Bochs 2.7
    dies of such a card where the name localhost is not known: there the machine has none, and the log has to say so.)"""
    card = has_localhost()
    guests = {name: machines.linux(name, f'cpus = <{cpu}>; net0 {{ network = "lan"; }}; disk0 {{ disk = "{name}"; }};',
                                   f"net=10.0.0.{cpu + 1}/24 data=vda") for cpu, name in enumerate(("web", "db"))}
    devices = f'networks {{ lan {{ uplink = "{UPLINK}"; }}; }}; ' \
              'disks { web { memory = "8M"; }; db { memory = "8M"; }; };'
    with FramePeer("10.0.0.9") as peer, Bochs("bochs-two", machines.config(guests, more=devices), linux_files, smp=2,
                                              card=(UPLINK, peer.port) if card else None) as machine:
        machine.expect_all([f"network lan: uplink {UPLINK}, e1000 at", "no interrupt of it can be used here: it is polled"] if card else
                           [f"uplink {UPLINK} of network lan is not there"], BOOT_TIME)
        machine.wait_ready("web", "db", timeout=BOOT_TIME)
        check_host(machine, 2, "vtx")
        machine.send("\r")
        machine.prompt(ANSWER_TIME)
        assert re.search(r"^web +running ", machine.monitor("vms", ANSWER_TIME), re.M)
        for name in guests:
            machine.command(f"console {name}", ANSWER_TIME)
            machine.expect(re.escape(f"{name}:/# "), ANSWER_TIME)
            assert machine.shell("hostname", ANSWER_TIME) == (0, f"{name}\n")
            assert machine.shell("grep -c ^processor /proc/cpuinfo", ANSWER_TIME) == (0, "1\n")
            assert machine.shell("dd if=/dev/urandom of=/data/file bs=64k count=16 && sync && echo 3 >/proc/sys/vm/drop_caches && "
                                 "dd if=/data/file of=/dev/null", ANSWER_TIME)[0] == 0
            status, text = machine.shell("ping -c 3 -W 30 10.0.0.1 && ping -c 3 -W 30 10.0.0.2", ANSWER_TIME)
            assert status == 0, text
            if card:  # outside of the machine
                before = peer.pings
                status, text = machine.shell("ping -c 3 -W 30 10.0.0.9", ANSWER_TIME)
                assert status == 0 and peer.pings >= before + 3, text
            machine.send("\x1d")
            machine.expect("--- left the console", ANSWER_TIME)
            machine.prompt(ANSWER_TIME)


def run_guests(name, chosen, cpu):
    """Bare guests of test_guests.py, {name: Guest}, together on one machine."""
    guests, files = {}, dict(FILES)
    for guest, what in chosen.items():
        guests[guest], image = what.properties(guest)
        if image not in FILES:
            files[image] = machines.guest_file(f"tests/{image}")
    with Bochs(f"bochs-{name}", machines.config(guests, 'when-idle = "poweroff";'), files, cpu=cpu, smp=2,
               memory="1G") as machine:
        machine.expect("every guest has stopped", BOOT_TIME)
        machine.expect_all([rf"guest {guest}: [^\r\n]+\r\n" for guest in guests], ANSWER_TIME)
        check_host(machine, 2, cpu)
        output = machine.output()
    summary = output[output.rindex("every guest has stopped"):]
    problems = []
    for guest, what in chosen.items():
        end = re.search(rf"guest {guest}: (.*)", summary)
        end = end.group(1).strip() if end else "nothing"
        failed = re.findall(rf"^\[{guest}\] (FAIL.*)", output, re.MULTILINE)
        if failed or not re.fullmatch(what.ends, end):
            problems += [f"{guest}: {end}; expected {what.ends}", *failed]
    assert not problems, "\n".join(problems)


# What each platform has to do alike. (Those that end by a reset, or that the loader refuses, have nothing to do with the engine.)
PLATFORM = {name: guest for group in ("start", "interrupts", "clocks", "platform", "smp", "emulation", "modes")
            for name, guest in GROUPS[group].items()}
HOSTILE = {name: guest for group in ("hostile", "hostile-code") for name, guest in GROUPS[group].items()}
# The CPU delivers interrupts by itself; here it does not.
BY_HAND = 'apic-virtualization = "off";'


def scaled(image, khz, **keywords):
    """With a TSC of another frequency than the machine's 200 MHz."""
    return Guest(image, more=f"tsc-khz = <{khz}>;", **keywords)


def test_guests_on_vtx():
    """VT-x: the platform's bare guests, with the interrupts of some injected by the hypervisor, and TSCs of some scaled by the CPU."""
    run_guests("guests", PLATFORM | {"pm-slow": scaled("pm.elf", 100000, cmdline="timer"), "pit-fast": scaled("pit.elf", 777777),
                                     "lapic-fast": scaled("lapic.elf", 333333), "pv-slow": scaled("pv.elf", 123456, vcpus=2, cmdline="no-pv-eoi"),
                                     "lapic-by-hand": Guest("lapic.elf", more=BY_HAND),
                                     "pv": Guest(vcpus=2, cmdline="no-pv-eoi"),
                                     "pv-by-hand": Guest("pv.elf", vcpus=2, more=BY_HAND),
                                     "smp-by-hand": Guest("smp.elf", vcpus=4, cmdline="x2apic", more=BY_HAND)}, "vtx")


# Bochs 2.7's SVM takes an intercepted virtual interrupt some instructions after IF is set, which "lapic" and "irq" see; it ends with
# an error when a vCPU enters real mode, as second vCPUs do, and resets the machine in "exceptions" or "paging32".
NOT_ON_SVM = {"lapic", "irq", "smp", "smp-x2apic", "pv", "realmode", "exceptions", "paging32", "bad-cr0"}


def test_guests_on_svm():
    """SVM with NRIP save, flush-by-ASID and a pause filter: the paths that QEMU's does not take."""
    run_guests("svm-guests", {name: guest for name, guest in PLATFORM.items() if name not in NOT_ON_SVM}, "svm")


@pytest.mark.parametrize("cpu, lacks", [("core2_penryn_t9600", "EPT"), ("corei5_lynnfield_750", "unrestricted guest")])
def test_old_cpu(cpu, lacks):
    """A CPU whose VT-x is too old is named with what it lacks; it runs no service VM either, and so there is no prompt."""
    with Bochs(f"bochs-old-{cpu}", machines.config({"one": Guest("boot.elf").properties("one")[0]}),
               {"boot.elf": machines.guest_file("tests/boot.elf")}, cpu=cpu) as machine:
        machine.expect(rf'guests cannot run: this CPU\'s VT-x lacks "{lacks}", which Saguaro needs', BOOT_TIME)
        machine.expect("guest one: this CPU cannot run it", ANSWER_TIME)
        machine.send("log\r")
        machine.expect("there is no prompt: the service VM is not there", ANSWER_TIME)


@pytest.mark.long
def test_hostile_guests_on_vtx():
    run_guests("hostile", HOSTILE, "vtx")


@pytest.mark.long
def test_linux_on_svm(linux_files):
    """SVM with NRIP save, flush-by-ASID and a pause filter: the paths that QEMU's does not take."""
    with Bochs("bochs-svm", machines.config({"web": machines.linux("web")}), linux_files, cpu="svm") as machine:
        machine.wait_ready("web", timeout=BOOT_TIME)
        check_host(machine, 1, "svm")


@pytest.mark.long
def test_32_bit_linux_on_vtx():
    """Debian's 686-pae kernel leaves its local APICs in xAPIC mode; two vCPUs on two CPUs."""
    files = {"vmlinuz": machines.guest_file("vmlinuz-686-pae"), "initrd.gz": machines.guest_file("initrd-686.gz")}
    with Bochs("bochs-686", machines.config({"old": machines.linux("old", "vcpus = <2>;", memory="192M")}), files, smp=2) as machine:
        machine.wait_ready("old", timeout=BOOT_TIME)
        check_host(machine, 2, "vtx")
        machine.prompt(ANSWER_TIME)
        assert re.search(r"^old +running ", machine.monitor("vms", ANSWER_TIME), re.M)
