# SPDX-License-Identifier: Apache-2.0
# A guest's own IOMMU (virtio-iommu): bare guests that confine their disks, and a function of the machine, to a few pages and try to get out
# of them; and a stock Linux that knows nothing of it (Debian's kernels are built without its driver).
import re

import pytest

from machine import config, guest_file, linux
from test_guests import RUN_TIME, Guest
from test_iommu import vtd

DISKS = 'disks { one { memory = "1M"; }; two { memory = "1M"; }; data { memory = "48M"; }; }; networks { lan { }; };'


def test_confined_disks(boot):
    """Everything that the guest checks from inside."""
    guest = Guest("virtio.elf", cmdline="iommu", more='iommu = "virtio"; entropy = "no";',
                  nodes='disk0 { disk = "one"; }; disk1 { disk = "two"; };')
    text, image = guest.properties("viommu")
    machine = boot(config({"viommu": text}, 'when-idle = "poweroff";', DISKS), {image: guest_file(f"tests/{image}")})
    machine.wait_poweroff(RUN_TIME)
    output = machine.output()
    failed = re.findall(r"^\[viommu\] FAIL.*", output, re.M)
    assert not failed and re.search(r"guest viommu: exit code 0", output), "\n".join(failed) or output[-2000:]
    # The log says which disk did what.
    assert "viommu: disk0: queue 0: a descriptor's memory is outside RAM; the device has to be reset" in output
    assert "viommu: disk0: queue 0: one of its areas is not mapped any more; the device has to be reset" in output
    assert "viommu: disk0: the driver's features 100000000 are refused: VIRTIO_F_ACCESS_PLATFORM is not among them" in output


def test_linux_without_driver(boot):
    """A stock Linux, whose kernel has no driver for the IOMMU: its devices bypass it, also while the service VM starts again."""
    nodes = 'iommu = "virtio"; net0 { network = "lan"; }; disk0 { disk = "data"; };'
    files = {"vmlinuz": "vmlinuz-cloud", "initrd.gz": "initrd.gz"}
    text = config({"behind": linux("behind", nodes, "net=10.0.0.1/24 data=vda", "192M"),
                   "other": linux("other", 'net0 { network = "lan"; };', "net=10.0.0.2/24", "192M")}, more=DISKS)
    machine = boot(text, {name: guest_file(path) for name, path in files.items()}, memory="1536M")
    machine.wait_ready("behind", "other")
    machine.send("\r")
    machine.prompt()
    with machine.console("behind"):
        assert machine.shell("grep -l 0x1057 /sys/bus/pci/devices/0000:00:17.0/device")[0] == 0
        # Bit 33: they are behind it all the same.
        assert machine.shell("cut -c 34 /sys/block/vda/device/features | grep 1")[0] == 0
        status, shown = machine.shell("dd if=/dev/urandom of=/data/kept bs=1M count=8 2>/dev/null && sync && md5sum /data/kept; "
                                      "ping -c 3 -W 10 10.0.0.2")
        kept = re.search(r"[0-9a-f]{32}", shown).group(0)
        assert "3 packets received" in shown, shown
    machine.command("service restart")
    machine.expect(r"service: start 2,")
    machine.send("\r")
    machine.prompt()
    with machine.console("behind"):
        status, shown = machine.shell("echo 3 >/proc/sys/vm/drop_caches; md5sum /data/kept; ping -c 3 -W 30 10.0.0.2", 300)
        assert status == 0 and kept in shown, shown
    assert "has to be reset" not in machine.output()


# Not with QEMU 7.2's AMD-Vi: it takes a function behind a bridge for one of bus 0, and edu, which has no reset of its own, has to be there.
@pytest.mark.parametrize("unit", [vtd("off"), vtd("on", bits=39)], ids=["vtd", "vtd-caching-39-bits"])
def test_passed_function(boot, unit):
    """A function of the machine that the guest has to itself and confines: QEMU's edu, which copies wherever it is told to."""
    guest = Guest("virtio.elf", cmdline="passed", more='iommu = "virtio"; entropy = "no"; passthrough = "0000:01:00.0";')
    text, image = guest.properties("passed")
    extra = [*unit.options, "-device", "pcie-root-port,id=port1,chassis=1,slot=1,addr=0x10", "-device", "edu,bus=port1"]
    machine = boot(config({"passed": text}, 'when-idle = "poweroff";'), {image: guest_file(f"tests/{image}")}, extra=extra)
    machine.wait_poweroff(RUN_TIME)
    output = machine.output()
    failed = re.findall(r"^\[passed\] FAIL.*", output, re.M)
    assert not failed and re.search(r"guest passed: exit code 0", output), "\n".join(failed) or output[-2000:]
    assert re.search(r"IOMMU: PCI 0000:01:00\.0 \(passed\): write at 0x8000000 blocked", output)
