# SPDX-License-Identifier: Apache-2.0
# The service VM and its devices, with stock Linux guests: a network, disks, and what becomes of them when a guest or the service VM
# itself starts again.
import re

from emulated import ANSWER_TIME
from machine import config, guest_file, linux

LAN = 'networks { lan { }; };'
DISKS = 'disks { web { memory = "48M"; }; more { memory = "16M"; }; db { memory = "48M"; }; };'
FILES = {"vmlinuz": "vmlinuz-cloud", "initrd.gz": "initrd.gz"}


def two_guests(web="", db=""):
    """Two guests on one network, each with a disk of its own at /data: `web` over PCI but for a second disk, `db` over MMIO."""
    card = 'net0 { network = "lan"; }; '
    return config({"web": linux("web", f'vcpus = <2>; {card} disk0 {{ disk = "web"; }}; disk1 {{ disk = "more"; transport = "mmio"; }}; {web}',
                                "net=10.0.0.1/24 data=vda", "192M"),
                   "db": linux("db", f'transport = "mmio"; {card} disk0 {{ disk = "db"; }}; {db}', "net=10.0.0.2/24 data=vda", "192M")},
                  more=LAN + DISKS)


def start(boot, text):
    machine = boot(text, {name: guest_file(path) for name, path in FILES.items()}, memory="1536M")
    machine.wait_ready("web", "db")
    machine.send("\r")
    machine.prompt()
    return machine


def fetch(machine, client, server, address, size, tries=1):
    """A file of random bytes from one guest to the other, by HTTP; its checksum has to be the same on both."""
    with machine.console(server):
        status, text = machine.shell(f"mkdir -p /www; dd if=/dev/urandom of=/www/file bs=1M count={size} 2>/dev/null; httpd -h /www; "
                                     "md5sum /www/file")
        assert status == 0, text
        sent = re.search(r"[0-9a-f]{32}", text).group(0)
    with machine.console(client):
        for _ in range(tries):
            status, text = machine.shell(f"rm -f /tmp/file; wget -q -O /tmp/file http://{address}/file; md5sum /tmp/file", 300)
            assert sent in text, text


MORE = "mke2fs /dev/vdb >/dev/null && mkdir -p /more && mount -t ext4 /dev/vdb /more"


def over_mmio(machine, paths):
    """All of these, in the guest that has the console, are devices with registers in memory that ACPI names."""
    status, text = machine.shell(f"for path in {' '.join(paths)}; do readlink -f $path; done")
    found = re.findall(r"^/sys/.*$", text, re.M)
    assert status == 0 and found and all("/LNRO0005:" in path for path in found), text


def test_network_and_disks(boot):
    machine = start(boot, two_guests())
    with machine.console("web"):
        status, text = machine.shell("ping -c 3 -W 10 10.0.0.2")
        assert status == 0 and "3 packets received" in text, text
        # Debian's drivers take message-signalled interrupts for each queue.
        status, text = machine.shell("grep -c virtio /proc/interrupts")
        assert int(text) >= 5, text
        status, text = machine.shell("dd if=/dev/urandom of=/data/kept bs=1M count=20 2>/dev/null && sync && md5sum /data/kept")
        assert status == 0, text
        kept = re.search(r"[0-9a-f]{32}", text).group(0)
        over_mmio(machine, ["/sys/block/vdb"])
        status, text = machine.shell(f"{MORE} && dd if=/dev/urandom of=/more/file bs=1M count=8 2>/dev/null && md5sum /more/file && "
                                     "umount /more && mount /dev/vdb /more && md5sum /more/file", 300)
        sums = re.findall(r"[0-9a-f]{32}", text)
        assert status == 0 and len(sums) == 2 and sums[0] == sums[1], text
    with machine.console("db"):
        over_mmio(machine, ["/sys/bus/virtio/devices/*"])
        # Each device has one interrupt, whatever its queues; lines are shared.
        status, text = machine.shell("grep virtio /proc/interrupts")
        assert status == 0 and re.search(r"IO-APIC +\d+-fasteoi +(virtio\d, )*virtio\d", text) and "MSI" not in text, text
    fetch(machine, "db", "web", "10.0.0.1", 8)
    fetch(machine, "web", "db", "10.0.0.2", 8)
    # What a guest wrote is there after it has started again.
    with machine.console("web"):
        machine.send("umount /data; reboot\r")
        machine.expect("GUEST-READY web uptime")
        machine.expect("web:/# ")
        status, text = machine.shell("md5sum /data/kept")
        assert status == 0 and kept in text, text
        assert machine.shell("ping -c 3 -W 10 10.0.0.2")[0] == 0
    assert re.search(r"running, 64 MiB, .* started 1 times", machine.monitor("service"))
    figures(machine)


def figures(machine):
    """The monitor's `net`, `disks` and rates, after 16 MiB went over the network and 20 MiB to a disk."""
    answer = machine.monitor("net", ANSWER_TIME)
    assert answer.startswith("lan: no uplink\n"), answer
    ports = {name: (int(sent), int(received)) for name, sent, received in
             re.findall(r"^  (\w+) net0 +(?:[0-9a-f]{2}:){5}[0-9a-f]{2} up +(\d+) +[0-9.]+ \w+ +(\d+) +[0-9.]+ \w+$", answer, re.M)}
    assert set(ports) == {"web", "db"} and min(min(pair) for pair in ports.values()) > 100, answer
    answer = machine.monitor("disks", ANSWER_TIME)
    assert re.search(r"^web: memory, 48 MiB, blocks of 512 bytes\n  web disk0: virtio\n"
                     r"      reads [1-9]\d* \(.*\), writes [1-9]\d* \(\d+ MiB\), others \d+, errors 0$", answer, re.M), answer
    assert re.search(r"^db: memory, .*\n  db disk0: virtio\n", answer, re.M), answer
    answer = machine.monitor("vms", ANSWER_TIME)
    assert len(re.findall(r"^    devices: \d+\.\d packets/s, \d+\.\d disk requests/s$", answer, re.M)) == 2, answer
    # What was typed meanwhile is done in its turn.
    machine.send("net\rhelp stop\r")
    machine.expect("stop NAME - ", ANSWER_TIME)
    machine.prompt()


def test_service_restart(boot):
    """Three times during checked copies to disks over PCI and MMIO, and a transfer: nothing is lost, nothing comes twice."""
    machine = start(boot, two_guests())
    with machine.console("db"):
        assert machine.shell("mkdir /www; dd if=/dev/urandom of=/www/file bs=1M count=24 2>/dev/null; httpd -h /www")[0] == 0
        sent = machine.shell("md5sum /www/file")[1].split()[0]
    with machine.console("web"):
        assert machine.shell(f"{MORE} && dd if=/dev/urandom of=/tmp/big bs=1M count=8 2>/dev/null", 300)[0] == 0
        # Short lines: no more than 256 bytes wait for a guest that is slow to read.
        machine.shell("check() { cmp /tmp/big /$1/copy && echo COPY''-GOOD || echo COPY''-BAD; }")
        machine.shell("copies() { for i in 1 2 3 4 5 6; do cp /tmp/big /data/copy; cp /tmp/big /more/copy; sync; "
                      "echo 3 >/proc/sys/vm/drop_caches; check data; check more; done; echo COPIES''-DONE; }")
        machine.shell("{ copies 2>&1 & }")
        machine.shell("{ (wget -q -O /tmp/file http://10.0.0.2/file; md5sum /tmp/file; echo FETCH''-DONE) 2>&1 & }")
    for number in range(2, 5):
        machine.command("service restart")
        machine.expect(rf"service: start {number},")
        machine.expect("COPY-GOOD", 300)
    machine.expect_all([end for end in ("COPIES-DONE", "FETCH-DONE") if end not in machine.output()], 300)
    machine.send("\r")
    machine.prompt()
    output = machine.output()
    assert "COPY-BAD" not in output and output.count("COPY-GOOD") >= 12
    assert sent in output.replace("\r", "")
    assert re.search(r"started 4 times", machine.monitor("service"))
    with machine.console("web"):
        assert machine.shell("ping -c 3 -W 10 10.0.0.2")[0] == 0
        assert machine.shell("dmesg | grep -E 'I/O error|Call Trace|NETDEV WATCHDOG'")[0] != 0


def test_partition_that_is_not_there(boot):
    """The guest starts, without that disk; the log says which and why."""
    text = config({"web": linux("web", 'disk0 { disk = "empty"; partition = <2>; }; disk1 { disk = "empty"; read-only = "yes"; };')},
                  more='disks { empty { memory = "1M"; }; };')
    machine = boot(text, {name: guest_file(path) for name, path in FILES.items()})
    machine.expect(r"disk empty: partition 2: ")
    machine.wait_ready("web")
    machine.send("\r")
    machine.prompt()
    with machine.console("web"):
        assert machine.shell("test -b /dev/vda && ! test -b /dev/vdb && cat /sys/block/vda/ro")[1].strip() == "1"
