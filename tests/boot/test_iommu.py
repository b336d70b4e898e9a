# SPDX-License-Identifier: Apache-2.0
# Cards and disks of the machine behind an Intel VT-d or AMD-Vi unit: the service VM drives them, and what they may not reach they do not
# reach.
import collections
import re

import pytest

from machine import BOOT_TIME, config, linux
from peers import FilePeer
from poke import Poke
from test_machine import CARDS, MIB, check_uplinks, drive, fill_disks, make_image, restart_service, run, start, uplink

# Virtio devices of QEMU's take the short way around the unit unless they are told not to.
BEHIND = ",disable-legacy=on,iommu_platform=on"


# An emulated unit: its options; a pattern of its line in the monitor after its number, from "at" on; whether it remaps interrupts; whether
# functions behind bridges come under IDs of their own buses (QEMU 7.2's AMD-Vi takes all for bus 0); whether it reports what it blocks
# (that one does not report what page tables do not map); whether messages of the plain format pass that a function sends by DMA (QEMU 7.2's
# VT-d lets them).
Unit = collections.namedtuple("Unit", "name options shown remaps bridges reports plain")


def vtd(caching="off", remap="on", bits=48):
    return Unit("VT-d", ("-device", f"intel-iommu,intremap={remap},caching-mode={caching},aw-bits={bits}"),
                rf"at 0xfed90000, {bits} bits, pages up to 1 GiB, queued invalidation{', caching mode' if caching == 'on' else ''}"
                rf"{', interrupts remapped' if remap == 'on' else ''}, tables", remap == "on", True, True, True)


def amdvi(remap="on"):
    return Unit("AMD-Vi", ("-device", f"amd-iommu,intremap={remap}"),
                rf"at 0xfed80000, 48 bits, pages up to 1 GiB(, remembers what is absent)?{', interrupts remapped' if remap == 'on' else ''}",
                remap == "on", False, False, remap != "on")


def check_unit(machine, unit):
    """What the monitor shows: the unit, and the service VM's domain with its functions, one of them under two IDs if it is behind a bridge."""
    shown = machine.monitor("iommu")
    assert re.search(rf"^{unit.name} 0: faults 0, lost 0: {unit.shown}", shown, re.M), shown
    domain = re.findall(r"^(\S+): domain 1, faults 0$", shown, re.M)
    assert f"domain 1: the service VM, requesters {len(domain)}, faults 0\n" in shown
    devices = machine.monitor("devices")
    owned = re.findall(r"^(\S+) .* service VM .* group (\S+)$", devices, re.M)
    aliases = []
    if unit.bridges:
        old, = (name for name, group in owned if group == "00:10")
        assert old.endswith(":03.0")
        aliases = [old.rpartition(":")[0] + ":00.0"]
    assert sorted(domain) == sorted([*(name for name, _ in owned), *aliases]), shown + devices
    assert len(owned) >= 6
    assert ("does not remap interrupts" in machine.output()) != unit.remaps


@pytest.mark.parametrize("unit", [vtd("off", "on", 48), pytest.param(vtd("on", "off", 39), marks=pytest.mark.long), amdvi("on"),
                                  pytest.param(amdvi("off"), marks=pytest.mark.long)],
                         ids=["vtd", "vtd-caching", "amdvi", "amdvi-plain-interrupts"])
def test_cards_and_disks(boot, tmp_path, unit):
    """Three kinds of cards and two kinds of disks, with a restart of the service VM while they are at work."""
    ssd, old, both = (make_image(tmp_path / f"{name}.img", 48, parts)
                      for name, parts in (("ssd", ()), ("old", ()), ("both", [(1, 22), (23, 24)])))
    text = config(
        {"web": linux("web", 'net0 { network = "a"; }; net1 { network = "b"; }; net2 { network = "c"; }; disk0 { disk = "ssd"; }; '
                             'disk1 { disk = "old"; }; disk2 { disk = "both"; partition = <1>; };', "net=10.1.0.15/24 data=vda", "192M"),
         "db": linux("db", 'net0 { network = "a"; }; disk0 { disk = "both"; partition = <2>; };', "net=10.1.0.16/24 data=vda")},
        more=f'networks {{ a {{ uplink = "{CARDS[0][2]}"; }}; b {{ uplink = "{CARDS[1][2]}"; }}; c {{ uplink = "{CARDS[2][2]}"; }}; }}; '
             'disks { ssd { device = "SSD-0001"; }; old { device = "OLD-0001"; }; both { device = "BOTH-0001"; }; };')
    # The 82540EM is behind a bridge from PCI Express to PCI, the NVMe disk below a root port.
    bridges = ("-device", "pcie-root-port,id=port1,chassis=1,slot=1,addr=0x10", "-device", "pcie-root-port,id=port2,chassis=2,slot=2,addr=0x11",
               "-device", "pcie-pci-bridge,id=old,bus=port1")
    extra = [*unit.options, *(bridges if unit.bridges else ()),
             *uplink(1, CARDS[0][0], CARDS[0][2], BEHIND),
             *uplink(2, CARDS[1][0].replace("-pci", ""), CARDS[1][2], ",bus=old,addr=3" if unit.bridges else ""),
             *uplink(3, CARDS[2][0], CARDS[2][2]),
             *drive("ssd", ssd, f"nvme,serial=SSD-0001{',bus=port2' if unit.bridges else ''}"), *drive("old", old, f"virtio-blk-pci,serial=OLD-0001{BEHIND}"),
             *drive("both", both, "nvme,serial=BOTH-0001")]
    with FilePeer(8 * MIB) as peer:
        machine = start(boot, text, extra, "web", "db")
        check_unit(machine, unit)
        check_uplinks(machine, peer)
        fill_disks(machine)
        restart_service(machine, peer)
        check_unit(machine, unit)
    assert "blocked" not in machine.output()


# Memory below 1 MiB that is not the service VM's, nor anybody's.
ELSEWHERE = 0x50000


def memory_of(machine, tmp_path, address, size):
    path = str(tmp_path / "memory")
    machine.qmp("pmemsave", val=address, size=size, filename=path)
    with open(path, "rb") as file:
        return file.read()


@pytest.mark.parametrize("unit", [vtd(), amdvi(), None], ids=["vtd", "amdvi", "none"])
def test_dma_elsewhere(boot, tmp_path, unit):
    """A card whose receive buffers lie where the service VM has nothing: blocked, and told where the unit reports it; without a unit, the
    control run, it writes there. The other devices go on, and a new start of the service VM puts it right."""
    protected = unit is not None
    told = protected and unit.reports
    ssd = make_image(tmp_path / "ssd.img", 16)
    text = config({"web": linux("web", 'net0 { network = "a"; }; disk0 { disk = "ssd"; };', "net=10.1.0.15/24 data=vda", "192M")},
                  more=f'networks {{ a {{ uplink = "{CARDS[0][2]}"; }}; }}; disks {{ ssd {{ device = "SSD-0001"; }}; }};')
    with Poke() as poke:
        extra = [*(unit.options if protected else ()), *poke.options, *uplink(1, CARDS[0][0], CARDS[0][2], BEHIND + ",addr=0x10"),
                 *drive("ssd", ssd, "nvme,serial=SSD-0001,addr=0x11")]
        machine = start(boot, text, extra, "web")
        assert ("no IOMMU is in use: DMA is unprotected" in machine.output()) != protected
        with machine.console("web"):
            run(machine, "ping -c 1 -W 10 10.1.0.2")
        before = memory_of(machine, tmp_path, ELSEWHERE, 4096)
        queue = machine.qmp("x-query-virtio-queue-status", path="/machine/peripheral/card1/virtio-backend", queue=0)
        poke.write({queue["vring-desc"] + 16 * number: ELSEWHERE for number in range(queue["vring-num"])})
        with machine.console("web"):
            assert machine.shell("ping -c 1 -W 3 10.1.0.2")[0] != 0
            run(machine, "dd if=/dev/urandom of=/data/file bs=1M count=2 2>/dev/null; sync; echo 3 >/proc/sys/vm/drop_caches; md5sum /data/file")
        after = memory_of(machine, tmp_path, ELSEWHERE, 4096)
        assert (before == after) == protected
        fault = rf"0000:00:10\.0 \(the service VM\): write at {ELSEWHERE:#x} blocked: it may not write there"
        assert bool(re.search(rf"IOMMU: PCI {fault}", machine.output())) == told
        shown = machine.monitor("iommu")
        if told:
            assert re.search(r"^domain 1: the service VM, requesters \d+, faults [1-9]\d*$", shown, re.M), shown
            assert re.search(rf"^0000:00:10\.0: domain 1, faults [1-9]\d*, last: write at {ELSEWHERE:#x}: it may not write there$", shown, re.M), shown
        elif protected:
            assert re.search(r"^domain 1: the service VM, requesters \d+, faults 0$", shown, re.M), shown
        else:
            assert shown == "no IOMMU is in use: DMA is unprotected\n"
        machine.command("service restart")
        machine.expect("service: start 2,")
        with machine.console("web"):
            run(machine, "ping -c 3 -W 30 10.1.0.2")


@pytest.mark.parametrize("unit", [vtd(), amdvi()], ids=["vtd", "amdvi"])
@pytest.mark.parametrize("options", ["iommu=off", ""], ids=["off", "on"])
def test_left_off(boot, linux_files, options, unit):
    """A unit that the loader's command line leaves alone; and one that nothing of the service VM's is behind."""
    machine = boot(config({"web": linux("web", 'autostart = "no";')}), linux_files, options=options, extra=unit.options)
    machine.expect("host ", BOOT_TIME)
    machine.send("\r")
    machine.prompt()
    answer = r"no IOMMU is in use: DMA is unprotected\n" if options else rf"{unit.name} 0: faults \d+, lost 0: {unit.shown}"
    assert re.match(answer, machine.monitor("iommu"))
