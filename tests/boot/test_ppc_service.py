# SPDX-License-Identifier: Apache-2.0
# The service VM and its devices on PowerPC, with Linux guests: a network, disks, each kind of interrupts, and what becomes of them
# when a guest or the service VM itself starts again.
import re

import pytest

import test_balloon as balloon
from emulated import config
from machine_ppc import guest_file, linux

RUN_TIME = 300
BAD = "dmesg | grep -iE 'I/O error|Call Trace|NETDEV WATCHDOG|stall|soft lockup|BUG:|Oops|nobody cared'"


def two_guests(web="", db="", web_cmdline="", db_cmdline="", memory="96M"):
    """Two guests on one network, each with a disk of its own at /data."""
    def guest(name, address, more, cmdline):
        return linux(name, f'{more} net0 {{ network = "lan"; }}; disk0 {{ disk = "{name}"; }};',
                     f"net={address}/24 data=vda{cmdline}", memory, "vmlinux-smp" if "vcpus" in more else "vmlinux")

    return config({"web": guest("web", "10.0.0.1", web, web_cmdline), "db": guest("db", "10.0.0.2", db, db_cmdline)},
                  more='networks { lan { }; }; disks { web { memory = "24M"; }; db { memory = "24M"; }; };')


def start(boot, text, files, memory="512M"):
    machine = boot(text, files, memory=memory)
    machine.wait_ready("web", "db", timeout=RUN_TIME)
    machine.send("\r")
    machine.prompt()
    return machine


def publish(machine, guest, size):
    """That guest offers a file of so many MiB of random bytes by HTTP. Its checksum."""
    with machine.console(guest):
        status, text = machine.shell(f"mkdir -p /www; dd if=/dev/urandom of=/www/file bs=1M count={size} 2>/dev/null; httpd -h /www; "
                                     "md5sum /www/file", RUN_TIME)
    assert status == 0, text
    return text.split()[0]


def fetch(machine, guest, address, checksum):
    with machine.console(guest):
        status, text = machine.shell(f"rm -f /tmp/file; wget -q -O /tmp/file http://{address}/file; md5sum /tmp/file", RUN_TIME)
        assert text.startswith(checksum), text


def interrupts(machine):
    """{what takes them: (kind, [number on each CPU])} of the guest that has the console."""
    status, text = machine.shell("cat /proc/interrupts")
    assert status == 0
    lines = re.findall(r"^ *\d+: +((?:\d+ +)+)(\S+) +\d+ +\w+ +(virtio\S+)$", text, re.M)
    return {name: (kind, [int(count) for count in counts.split()]) for counts, kind, name in lines}


@pytest.fixture(scope="module")
def machine(boot_ppc_shared, ppc_files):
    """`web` takes messages, `db` the pins of the PCI bus."""
    return start(boot_ppc_shared, two_guests(db_cmdline=" pci=nomsi"), ppc_files)


def test_network(machine):
    """Both guests reach each other, and files come across whole, whatever way the interrupts take."""
    with machine.console("web"):
        status, text = machine.shell("ping -c 3 -W 10 10.0.0.2")
        assert status == 0 and "3 packets received" in text, text
    fetch(machine, "db", "10.0.0.1", publish(machine, "web", 4))
    fetch(machine, "web", "10.0.0.2", publish(machine, "db", 4))


def test_interrupts(machine):
    with machine.console("web"):
        assert machine.shell("ping -c 1 -W 10 10.0.0.2; echo 3 >/proc/sys/vm/drop_caches; ls /data")[0] == 0
        found = interrupts(machine)
        for name in ("virtio0-input.0", "virtio1-req.0"):
            kind, numbers = found[name]
            assert kind.startswith("fsl-msi") and sum(numbers) > 0, found
        assert machine.shell(BAD) == (1, "")
    with machine.console("db"):
        found = interrupts(machine)
        for name in ("virtio0", "virtio1"):
            kind, numbers = found[name]
            assert kind == "OpenPIC" and sum(numbers) > 0, found
        assert machine.shell(BAD) == (1, "")


def test_message_affinity(boot_ppc, ppc_files):
    """Messages come to the CPU that the guest sends their register's interrupt to, from then on."""
    text = config({"web": linux("web", 'vcpus = <2>; disk0 { disk = "web"; };', kernel="vmlinux-smp")},
                  more='disks { web { memory = "24M"; }; };')
    machine = boot_ppc(text, {"vmlinux-smp": guest_file("vmlinux-smp"), "initrd.gz": ppc_files["initrd.gz"]}, memory="512M")
    machine.wait_ready("web", timeout=RUN_TIME)
    machine.send("\r")
    machine.prompt()
    with machine.console("web"):
        found = interrupts(machine)
        requests = [name for name in found if name.startswith("virtio0-req")]
        # The kernel's name for them ends with the number of the interrupt that all messages of one register share.
        registers = {found[name][0].rpartition("-")[2] for name in requests}
        assert requests and len(registers) == 1, found
        path = f"/proc/irq/{registers.pop()}/smp_affinity"
        for cpu in (1, 0, 1):
            assert machine.shell(f"echo {1 << cpu} >{path} && cat {path}") == (0, f"{1 << cpu}\n")
            before = interrupts(machine)
            # Read twice, by both CPUs: each may have a queue of its own.
            for by in (1, 2):
                status, answer = machine.shell("echo 3 >/proc/sys/vm/drop_caches; "
                                               f"taskset {by} dd if=/dev/vda of=/dev/null bs=64k count=16", RUN_TIME)
                assert status == 0, answer
            after = interrupts(machine)
            grown = [sum(after[name][1][i] - before[name][1][i] for name in requests) for i in (0, 1)]
            assert grown[cpu] > 0 and grown[1 - cpu] == 0, (cpu, before, after)
        assert machine.shell(BAD) == (1, "")


@pytest.mark.parametrize("guest", ["web", "db"])
def test_disk_outlives_guest(machine, guest):
    """What a guest wrote is there after it has started again, and so is the network."""
    with machine.console(guest):
        status, text = machine.shell("dd if=/dev/urandom of=/data/kept bs=1M count=6 2>/dev/null && sync && md5sum /data/kept")
        assert status == 0, text
        kept = text.split()[0]
        machine.send("umount /data; reboot\r")
        machine.expect(f"GUEST-READY {guest} uptime", RUN_TIME)
        machine.expect(f"{guest}:/# ")
        status, text = machine.shell("md5sum /data/kept")
        assert status == 0 and text.startswith(kept), text
        assert machine.shell("ping -c 2 -W 10 10.0.0." + ("2" if guest == "web" else "1"))[0] == 0
    assert re.search(r"running, 16 MiB, .* started 1 times", machine.monitor("service"))


@pytest.mark.parametrize("web", ['transport = "mmio";', "vcpus = <2>;"], ids=["one-cpu-mmio", "two-cpus"])
def test_service_restart(boot_ppc, ppc_files, web):
    """Three times during a checked copy and a transfer: nothing is lost, nothing comes twice."""
    machine = start(boot_ppc, two_guests(web, db_cmdline=" pci=nomsi"), {**ppc_files, "vmlinux-smp": guest_file("vmlinux-smp")})
    sent = publish(machine, "db", 16)
    with machine.console("web"):
        if "mmio" in web:
            assert machine.shell("ls /sys/bus/platform/drivers/virtio-mmio | grep -c '\\.virtio$'")[1].strip() == "2"
        assert machine.shell("dd if=/dev/urandom of=/tmp/big bs=1M count=4 2>/dev/null")[0] == 0
        # Short lines: no more than 256 bytes wait for a guest that is slow to read.
        machine.shell("copies() { for i in 1 2 3 4 5 6; do cp /tmp/big /data/copy; sync; echo 3 >/proc/sys/vm/drop_caches; "
                      "cmp /tmp/big /data/copy && echo COPY''-GOOD || echo COPY''-BAD; done; }")
        machine.shell("get() { wget -q -O /tmp/file http://10.0.0.2/file; md5sum /tmp/file; }")
        machine.shell("{ (copies & get & wait; echo ALL''-DONE) 2>&1 & }")
    for number in range(2, 5):
        machine.command("service restart")
        machine.expect(rf"service: start {number},")
        if number == 2:
            machine.expect("COPY-GOOD", RUN_TIME)
    machine.expect("ALL-DONE", RUN_TIME)
    machine.send("\r")
    machine.prompt()
    output = machine.output()
    assert "COPY-BAD" not in output and output.count("COPY-GOOD") >= 6
    assert sent in output[output.index("service: start 2"):]
    assert re.search(r"started 4 times", machine.monitor("service"))
    for guest, other in (("web", "10.0.0.2"), ("db", "10.0.0.1")):
        with machine.console(guest):
            assert machine.shell(f"ping -c 3 -W 10 {other}")[0] == 0
            assert machine.shell(BAD) == (1, "")
    if "mmio" in web:
        with machine.console("web"):
            found = interrupts(machine)
            assert len(found) == 2 and all(kind == "OpenPIC" and sum(counts) > 0 for kind, counts in found.values()), found


def test_virtio_console(boot_ppc, ppc_files):
    """A shell on hvc0 beside the serial port: both directions, long output, a restart of the service VM."""
    machine = boot_ppc(config({"web": linux("web", 'virtio-console = "yes";', "console=hvc0")}), ppc_files, memory="512M")
    machine.wait_ready("web", timeout=RUN_TIME)
    machine.send("\r")
    machine.prompt()
    with machine.console("web"):
        machine.expect("web:/# ", RUN_TIME)
        assert machine.shell("tty")[1].strip() == "/dev/hvc0"
        machine.shell("{ (sleep 1; echo by-serial''-port >/dev/ttyS0) & }")  # after what the shell says of it
        machine.expect("by-serial-port", RUN_TIME)
        text = machine.shell("seq 1 3000", RUN_TIME)[1]
        assert text.split() == [str(number) for number in range(1, 3001)], text[-400:]
    machine.command("service restart")
    machine.expect(r"service: start 2,")
    machine.prompt()
    with machine.console("web"):
        assert machine.shell("tty")[1].strip() == "/dev/hvc0"
        assert machine.shell(BAD) == (1, "")


@pytest.mark.parametrize("more", ["", 'transport = "mmio";'], ids=["pci", "mmio"])
def test_balloon(boot_ppc, ppc_files, more):
    """Memory that a guest gives back and takes again, and reports; over a restart of the service VM. (Linux reports pages while it has
    128 MiB free.)"""
    machine = boot_ppc(config({"web": linux("web", f'balloon = "yes"; {more}', memory="256M")}), ppc_files, memory="512M")
    machine.wait_ready("web", timeout=RUN_TIME)
    machine.send("\r")
    machine.prompt()
    with machine.console("web"):
        assert machine.shell("head -c 5000000 /dev/urandom >/kept; md5sum </kept >/kept.md5", RUN_TIME)[0] == 0
        assert machine.shell("head -c 20000000 /dev/urandom >/gone && rm /gone", RUN_TIME)[0] == 0
    balloon.until(machine, lambda wanted, given, cleared: cleared >= 10 << 20)
    balloon.give(machine, 40)
    machine.command("service restart")
    machine.expect(r"service: start 2,")
    machine.prompt()
    assert balloon.figures(machine)[0][:2] == (40 << 20, 40 << 20)
    balloon.give(machine, 0)
    balloon.intact(machine)
    with machine.console("web"):
        assert machine.shell(BAD) == (1, "")
