# SPDX-License-Identifier: Apache-2.0
# Memory balloons with the stock Linux guest: what it says of its memory, free pages that it reports, pages that it gives back and
# takes again, when it runs out of memory, too; over restarts of its driver, the service VM and the guest.
import re
import time

import pytest

from machine import config, linux

UNIT = {"KiB": 1 << 10, "MiB": 1 << 20}
ANSWER_TIME = 60
KEPT = "head -c 20000000 /dev/urandom >/kept; md5sum </kept >/kept.md5"


def figures(machine):
    """What `balloon web` says at once: (wanted, given, cleared), in bytes; and, once it comes, what the guest says of its memory."""
    text = machine.monitor("balloon web")
    found = re.match(r"web: asked to give back (\d+) ([KM]iB), has given back (\d+) ([KM]iB); (\d+) ([KM]iB) were cleared\n", text)
    assert found, text
    said = re.search(r"web says: (.*)\n", text)  # a guest on another CPU may be quicker than the prompt
    said = said or machine.expect(r"web says: (.*)\r\n", ANSWER_TIME)
    numbers = found.groups()
    return tuple(int(numbers[i]) * UNIT[numbers[i + 1]] for i in (0, 2, 4)), said.group(1)


def until(machine, what):
    """Asks until that holds of (wanted, given, cleared); the guest's driver works by and by, and its answers pace this."""
    end = time.monotonic() + 120
    while True:
        found = figures(machine)[0]
        if what(*found):
            return found
        assert time.monotonic() < end, found


def memory_of(machine):
    """/proc/meminfo of the guest, in bytes."""
    with machine.console("web"):
        text = machine.shell("grep -E '^Mem' /proc/meminfo")[1]
    return {name: int(size) << 10 for name, size in re.findall(r"(Mem\w+): +(\d+) kB", text)}


def intact(machine):
    with machine.console("web"):
        status, text = machine.shell("[ \"$(md5sum </kept)\" = \"$(cat /kept.md5)\" ]", 120)
    assert status == 0, text


def give(machine, mib):
    machine.monitor(f"balloon web {mib}M")
    return until(machine, lambda wanted, given, cleared: wanted == given == mib << 20)


def start(boot, files, more=""):
    machine = boot(config({"web": linux("web", f'balloon = "yes"; {more}', memory="256M")}), files)
    machine.wait_ready("web")
    machine.send("\r")
    machine.prompt()
    return machine


def test_balloon(boot, linux_files):
    machine = start(boot, linux_files)
    found, said = figures(machine)
    assert found[:2] == (0, 0)
    said = re.fullmatch(r"(\d+) MiB in all, (\d+) MiB free, (\d+) MiB available, (\d+) MiB caches", said)
    whole, free, available, _ = (int(size) for size in said.groups())
    assert 200 <= whole <= 256 and free <= available <= whole
    before = memory_of(machine)
    assert abs((before["MemTotal"] >> 20) - whole) <= 1

    # Memory that was in use and is free again: the guest reports it by and by, and it is cleared.
    with machine.console("web"):
        assert machine.shell(KEPT, 120)[0] == 0
        assert machine.shell("head -c 80000000 /dev/urandom >/gone && rm /gone", 120)[0] == 0
    until(machine, lambda wanted, given, cleared: cleared >= 60 << 20)
    intact(machine)

    # What it gives back it has not; all of it once that is over.
    give(machine, 64)
    less = memory_of(machine)
    assert less["MemFree"] < before["MemFree"] - (60 << 20), (before, less)
    assert "web has no more than 256 MiB" in machine.monitor("balloon web 257M")
    intact(machine)

    # The driver comes anew, and the service VM, and both know what was wanted.
    with machine.console("web"):
        assert machine.shell("rmmod virtio_balloon")[0] == 0
    assert machine.monitor("balloon web").endswith("its driver is not there\n")
    with machine.console("web"):
        assert machine.shell("insmod /lib/modules/$(uname -r)/virtio_balloon.ko")[0] == 0
    until(machine, lambda wanted, given, cleared: wanted == given == 64 << 20)
    machine.command("service restart")
    machine.expect(r"service: start 2,")
    machine.prompt()
    assert figures(machine)[0][:2] == (64 << 20, 64 << 20)
    give(machine, 96)
    give(machine, 0)
    intact(machine)
    wanted = (less["MemFree"] + (50 << 20)) >> 10
    with machine.console("web"):  # pages that are being reported are not free meanwhile
        status, text = machine.shell(f"for i in $(seq 60); do [ $(awk '/^MemFree/ {{ print $2 }}' /proc/meminfo) -gt {wanted} ] && break; "
                                     "sleep 1; done; grep MemFree /proc/meminfo; [ $i != 60 ]", 120)
    assert status == 0, text

    # A guest that needs it takes it back although it was asked for.
    give(machine, 150)
    with machine.console("web"):
        status, text = machine.shell("head -c 80000000 /dev/urandom >/much && [ $(wc -c </much) = 80000000 ] && rm /much", 240)
        assert status == 0, text
    intact(machine)

    # A new start: all of its memory is its own, and zero or its own, again.
    machine.send("reset web\r")
    machine.wait_ready("web")
    machine.send("\r")
    machine.prompt()
    assert until(machine, lambda wanted, given, cleared: wanted == 0)[1] == 0
    assert memory_of(machine)["MemTotal"] == before["MemTotal"]


@pytest.mark.parametrize("more", ['iommu = "virtio"; entropy = "yes";', 'transport = "mmio";'], ids=["iommu", "mmio"])
def test_balloon_elsewhere(boot, linux_files, more):
    """Beside an IOMMU, which its page numbers do not go through; without PCI."""
    machine = start(boot, linux_files, more)
    with machine.console("web"):
        assert machine.shell(KEPT, 120)[0] == 0
    give(machine, 100)
    intact(machine)
    give(machine, 0)
    intact(machine)


def test_no_balloon(boot, linux_files):
    machine = boot(config({"web": linux("web")}), linux_files)
    machine.wait_ready("web")
    machine.send("\r")
    machine.prompt()
    assert machine.monitor("balloon web") == 'web has no balloon; its config wants balloon = "yes" for that\n'
