# SPDX-License-Identifier: Apache-2.0
# The emulated 82540EM: a stock Linux guest that has no virtio driver, and one with virtio-net, on the same network.
import re

from machine import config, guest_file, linux

FILES = {"vmlinuz": "vmlinuz-cloud", "initrd.gz": "initrd.gz", "vmlinuz-generic": "vmlinuz-generic",
         "initrd-generic.gz": "initrd-generic.gz"}


def serve(machine, guest):
    """A file of random bytes at `guest`, offered by HTTP; its checksum."""
    with machine.console(guest):
        status, text = machine.shell("mkdir -p /www; dd if=/dev/urandom of=/www/file bs=1M count=4 2>/dev/null; httpd -h /www; "
                                     "md5sum /www/file")
        assert status == 0, text
        return re.search(r"[0-9a-f]{32}", text).group(0)


def fetch(machine, guest, address, checksum):
    with machine.console(guest):
        status, text = machine.shell(f"rm -f /tmp/file; wget -q -O /tmp/file http://{address}/file; md5sum /tmp/file", 300)
        assert status == 0 and checksum in text, text


def test_e1000(boot):
    """Pings, files both ways, a transfer during which the service VM starts again, a start of the guest."""
    text = config({"old": linux("old", 'net0 { type = "e1000"; network = "lan"; };', "net=10.0.0.1/24", "192M", "vmlinuz-generic",
                                "initrd-generic.gz"),
                   "new": linux("new", 'net0 { network = "lan"; };', "net=10.0.0.2/24", "192M")},
                  more="networks { lan { }; };")
    machine = boot(text, {name: guest_file(path) for name, path in FILES.items()}, memory="1536M", smp=1)
    machine.wait_ready("old", "new", timeout=600)  # the driver reads the EEPROM bit by bit
    machine.send("\r")
    machine.prompt()
    with machine.console("old"):
        # No virtio device at all, but this card.
        assert machine.shell("grep -l 0x1af4 /sys/bus/pci/devices/*/vendor")[0] != 0
        status, text = machine.shell("dmesg | grep e1000; ping -c 3 -W 10 10.0.0.2")
        assert "Link is Up 1000 Mbps Full Duplex" in text and "3 packets received" in text, text
    sums = {guest: serve(machine, guest) for guest in ("old", "new")}
    fetch(machine, "new", "10.0.0.1", sums["old"])
    fetch(machine, "old", "10.0.0.2", sums["new"])
    with machine.console("old"):
        machine.shell("{ (wget -q -O /tmp/file http://10.0.0.2/file; md5sum /tmp/file; echo FETCH''-DONE) 2>&1 & }")
    machine.command("service restart")
    machine.expect(r"service: start 2,")
    machine.expect("FETCH-DONE", 300)
    machine.send("\r")
    machine.prompt()
    assert machine.output().replace("\r", "").count(sums["new"]) >= 3
    with machine.console("old"):
        status, text = machine.shell("dmesg | grep -E 'Call Trace|NETDEV WATCHDOG|Detected Tx Unit Hang|Reset adapter'")
        assert status != 0, text
        machine.send("reboot -f\r")
        machine.expect("GUEST-READY old uptime", 300)
        machine.expect("old:/# ")
        assert machine.shell("ping -c 3 -W 10 10.0.0.2")[0] == 0
