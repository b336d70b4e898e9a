# SPDX-License-Identifier: Apache-2.0
# Cards and disks of the PowerPC machine's own PCI, driven by the service VM for a stock Linux guest: the way out through an uplink, a
# disk by its serial number, and both after the service VM has started again.
import hashlib
import os
import re

from emulated import config
from machine_ppc import linux

RUN_TIME = 180
MAC = "52:54:00:12:34:56"
DISK_SIZE = 16 << 20
BAD = "dmesg | grep -iE 'I/O error|Call Trace|NETDEV WATCHDOG|stall|soft lockup|BUG:|Oops|nobody cared'"


def md5(data):
    return hashlib.md5(data).hexdigest()


def test_card_and_disk(boot_ppc, ppc_files, tmp_path):
    """Interrupts come by the pins of the bus, for there are no messages here."""
    image = tmp_path / "disk.raw"
    content = os.urandom(64 << 10)
    with open(image, "wb") as file:
        file.write(content)
        file.truncate(DISK_SIZE)
    text = config({"web": linux("web", 'net0 { network = "lan"; }; disk0 { disk = "data"; };', "net=10.0.2.15/24")},
                  more=f'networks {{ lan {{ uplink = "{MAC}"; }}; }}; disks {{ data {{ device = "physical1"; }}; }};')
    devices = ("-netdev", "user,id=n0", "-device", f"virtio-net-pci,netdev=n0,mac={MAC}",
               "-drive", f"if=none,id=d0,format=raw,file={image}", "-device", "virtio-blk-pci,drive=d0,serial=physical1")
    machine = boot_ppc(text, ppc_files, memory="512M", extra=devices)
    machine.wait_ready("web", timeout=RUN_TIME)
    machine.send("\r")
    machine.prompt()
    listed = machine.monitor("devices")
    assert len(re.findall(r"1af4:\S+ .* service VM .* line A", listed)) == 2, listed

    def use(start, seek):
        """The world answers; a piece that the host wrote is there; one that the guest writes is there when it is read again."""
        with machine.console("web"):
            status, answer = machine.shell("ping -c 2 -W 10 10.0.2.2", RUN_TIME)
            assert status == 0 and "2 packets received" in answer, (start, answer)
            # Short lines: no more than 256 bytes wait for a guest that is slow to read.
            machine.shell("dd if=/dev/vda of=/tmp/first bs=64k count=1; dd if=/dev/urandom of=/tmp/new bs=1M count=2", RUN_TIME)
            machine.shell(f"dd if=/tmp/new of=/dev/vda bs=1M seek={seek} conv=fsync; echo 3 >/proc/sys/vm/drop_caches", RUN_TIME)
            machine.shell(f"dd if=/dev/vda of=/tmp/again bs=1M skip={seek} count=2", RUN_TIME)
            status, answer = machine.shell("cmp /tmp/new /tmp/again && md5sum /tmp/first /tmp/new", RUN_TIME)
            assert status == 0, (start, answer)
            assert machine.shell(BAD) == (1, "")
        return [line.split()[0] for line in answer.splitlines()]

    written = {}
    for start, seek in ((1, 2), (2, 8)):
        if start > 1:
            machine.command("service restart")
            machine.expect(rf"service: start {start},")
            machine.prompt()
        first, written[seek] = use(start, seek)
        assert first == md5(content)
    # It is the machine's disk indeed.
    with open(image, "rb") as file:
        for seek, checksum in written.items():
            file.seek(seek << 20)
            assert md5(file.read(2 << 20)) == checksum
    output = machine.output()
    assert "is polled" not in output and "has no interrupts" not in output
