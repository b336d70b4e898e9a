# SPDX-License-Identifier: Apache-2.0
# The machine's PCI functions: what the hypervisor finds of them.
import re

from machine import config, linux

IDLE = config({"web": linux("web", 'autostart = "no";')})
DEVICES = ("-device", "pcie-root-port,id=below,chassis=1,slot=1,addr=5", "-netdev", "user,id=n0",
           "-device", "virtio-net-pci,netdev=n0,bus=below,disable-legacy=on", "-drive", "if=none,id=d0,format=raw,file.driver=null-co,file.size=1M",
           "-device", "nvme,serial=one,drive=d0,addr=6",
           "-netdev", "user,id=n1", "-device", "e1000,netdev=n1,addr=7")


def test_devices(boot, linux_files):
    machine = boot(IDLE, linux_files, extra=DEVICES)
    machine.expect("host ")
    machine.send("\r")
    machine.prompt()
    answer = machine.monitor("devices")
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in answer.splitlines()}
    assert lines["ADDRESS"].startswith("ID CLASS OWNER")
    assert lines["0000:00:00.0"] == "8086:29c0 host bridge hypervisor"
    assert lines["0000:00:05.0"].startswith("1b36:000c PCI bridge hypervisor")
    assert re.fullmatch(r"1b36:0010 NVMe disk - MSI-X \d+ line A", lines["0000:00:06.0"])
    assert lines["0000:00:07.0"] == "8086:100e Ethernet card - line A"
    assert lines["0000:00:1f.2"] == "8086:2922 SATA disks - MSI 1 line A"
    behind = [line for name, line in lines.items() if re.fullmatch(r"0000:0[1-9]:00\.0", name)]
    assert len(behind) == 1 and re.fullmatch(r"1af4:1041 Ethernet card - MSI-X \d line A", behind[0]), answer
