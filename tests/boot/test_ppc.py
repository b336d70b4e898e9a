# SPDX-License-Identifier: Apache-2.0
# Saguaro on PowerPC: Linux guests with one CPU and two, the monitor, how guests end, bad configs and bundles, and the bare
# guests of tests/guests/ppc/.
import functools
import re
import struct
import subprocess
import sys
import time
import zlib

import pytest

from emulated import CHECK_CONFIG, config
from machine_ppc import HOSTILE, MAKE_BUNDLE, PpcMachine, bare, guest_file, linux

COUNT = "i=0; while true; do i=$((i+1)); echo tick $i; sleep 0.5; done &"
RUN_TIME = 300


# ---- Linux

def test_one_guest(boot_ppc, ppc_files):
    """To its shell, which works; power-off of the only guest switches the machine off."""
    machine = boot_ppc(config({"only": linux("only")}, 'when-idle = "poweroff";'), ppc_files)
    machine.wait_ready("only")
    machine.send("\r")
    machine.prompt()
    with machine.console("only"):
        assert machine.shell("uname -m; nproc; hostname") == (0, "ppc\n1\nonly\n")
        status, text = machine.shell("grep -E 'cpu|platform' /proc/cpuinfo")
        assert status == 0 and "e500v2" in text and "QEMU e500" in text, text
        # Programs of all kinds: pipes, signals, floating point, which the guest's kernel emulates.
        assert machine.shell("seq 1 200 | awk '{ s += $1 * 0.5 } END { print s }'") == (0, "10050\n")
        assert machine.shell("sh -c 'kill $$'")[0] == 143
        assert machine.shell("dd if=/dev/zero of=/tmp/x bs=1M count=16 2>/dev/null; md5sum /tmp/x")[1].startswith(
            "2c7ab85a893283e98c931e9511add182")
        status, text = machine.shell("dmesg | grep -iE 'stall|soft lockup|BUG:|WARNING: CPU|Oops'")
        assert status == 1, text
    machine.command("console only")
    machine.send("poweroff\r")
    machine.expect("every guest has stopped: powering off", timeout=120)
    machine.wait_poweroff()
    assert "guest only: powered off" in machine.output()


def test_clock(boot_ppc, ppc_files):
    """A guest's clock goes on as the host's does."""
    machine = boot_ppc(config({"clock": linux("clock")}), ppc_files)
    machine.wait_ready("clock")
    machine.send("\r")
    machine.prompt()
    with machine.console("clock"):
        start, before = float(machine.shell("cut -d' ' -f1 /proc/uptime")[1]), time.monotonic()
        machine.shell("sleep 5")
        end, after = float(machine.shell("cut -d' ' -f1 /proc/uptime")[1]), time.monotonic()
        assert end - start >= 4.9 and abs((end - start) - (after - before)) <= 2


def test_smp_guest(boot_ppc, ppc_files):
    """Two virtual CPUs come up by the spin table, interrupt each other, and share a machine with another guest."""
    files = {**ppc_files, "vmlinux-smp": guest_file("vmlinux-smp")}
    machine = boot_ppc(config({"smp": linux("smp", "vcpus = <2>;", kernel="vmlinux-smp"), "one": linux("one", "cpus = <1>;")}),
                       files)
    machine.wait_ready("smp", "one", timeout=RUN_TIME)
    machine.send("\r")
    machine.prompt()
    with machine.console("smp"):
        assert machine.shell("nproc") == (0, "2\n")
        for cpu in range(2):
            status, text = machine.shell(f"taskset -c {cpu} sh -c 'echo on $(cut -d\" \" -f39 /proc/self/stat)'")
            assert (status, text) == (0, f"on {cpu}\n")
        status, _ = machine.shell("for i in 1 2 3 4; do (j=0; while [ $j -lt 2000 ]; do j=$((j+1)); done) & done; wait", 180)
        assert status == 0
        status, text = machine.shell("dmesg | grep -iE 'stall|soft lockup|stuck|BUG:|WARNING: CPU|Oops'")
        assert status == 1, text
    with machine.console("one"):
        assert machine.shell("nproc") == (0, "1\n")
    assert re.search(r"^smp +running +2 +96 MiB", machine.monitor("vms smp"), re.M)


def test_smp_guest_on_one_cpu(boot_ppc, ppc_files):
    """Both virtual CPUs on one of the machine's."""
    machine = boot_ppc(config({"smp": linux("smp", "vcpus = <2>; cpus = <0>;", kernel="vmlinux-smp")}),
                       {"vmlinux-smp": guest_file("vmlinux-smp"), "initrd.gz": ppc_files["initrd.gz"]}, smp=1, memory="256M")
    machine.wait_ready("smp", timeout=RUN_TIME)
    machine.send("\r")
    machine.prompt()
    with machine.console("smp"):
        assert machine.shell("nproc") == (0, "2\n")
        assert machine.shell("taskset -c 1 true")[0] == 0


# ---- the monitor, on one machine

@pytest.fixture(scope="module")
def machine(boot_ppc_shared, ppc_files):
    machine = boot_ppc_shared(config({"web": linux("web", "cpus = <0>;"), "db": linux("db", "cpus = <1>;")},
                                     'name = "shared-1";'), ppc_files)
    machine.wait_ready("web", "db")
    machine.send("\r")
    machine.prompt()
    return machine


def state(machine, guest):
    match = re.search(rf"^{guest} +(\S+) +(\d+) +(\d+) MiB +([0-9.]+) s +(\d+)$", machine.monitor(f"vms {guest}"), re.M)
    assert match, f"no line about {guest}"
    return match.group(1)


def wait_state(machine, guest, wanted, seconds=30):
    deadline = time.monotonic() + seconds
    while state(machine, guest) != wanted:
        assert time.monotonic() < deadline, f"{guest} did not become {wanted}"
        time.sleep(0.2)


def test_vms(machine):
    answer = machine.monitor("vms")
    assert answer.splitlines()[0].split() == ["NAME", "STATE", "VCPUS", "MEMORY", "CPU", "TIME", "RESTARTS"]
    for name in ("web", "db"):
        assert re.search(rf"^{name} +running +1 +96 MiB +[0-9.]+ s +0$", answer, re.M)
    assert answer.count("exits: ") >= 2
    assert "db" not in machine.monitor("vms web")
    assert machine.monitor("shutdown db") == "cannot shut down db: its machine has no power button; use its console, or \"stop\"\n"


def test_console(machine):
    """A guest's shell answers; the other guest's lines keep coming, marked; Ctrl-] leaves."""
    with machine.console("web"):
        machine.expect(re.escape("web:/# "))
        assert machine.shell("hostname") == (0, "web\n")
        assert machine.shell("false")[0] == 1
        # One that says so itself: between a line's commands a Ctrl-C may find none of them.
        machine.send("sh -c 'echo started-$((1+1)); exec sleep 1000'\r")
        machine.expect("started-2\r\n")
        machine.send("\x03")
        machine.expect(re.escape("web:/# "))
    with machine.console("db"):
        assert machine.shell("hostname") == (0, "db\n")
        machine.send(COUNT + "\r")
        machine.expect("tick 2\r\n")
    machine.expect(r"\[db\] tick \d+")
    with machine.console("db"):
        machine.shell("kill %1")


def test_pause_stops_time(machine):
    with machine.console("web"):
        machine.send(COUNT + "\r")
        machine.expect("tick 2\r\n")
    machine.expect(r"\[web\] tick \d+")
    assert machine.monitor("pause web") == "web: pausing\n"
    wait_state(machine, "web", "paused")
    machine.expect_silence(r"\[web\] tick", 3)
    with machine.console("db"):
        assert machine.shell("echo alive") == (0, "alive\n")
    assert machine.monitor("resume web") == "web: running\n"
    machine.expect(r"\[web\] tick \d+")
    assert state(machine, "web") == "running"


def test_stop_and_start(machine):
    assert "web: stopping" in machine.monitor("stop web")
    wait_state(machine, "web", "off")
    assert "ended: stopped by command" in machine.monitor("vms web")
    assert "web: starting" in machine.monitor("start web")
    machine.wait_ready("web")
    assert state(machine, "web") == "running"
    machine.monitor("pause web")
    wait_state(machine, "web", "paused")
    machine.monitor("stop web")
    wait_state(machine, "web", "off")
    machine.monitor("start web")
    machine.wait_ready("web")


def test_reset(machine):
    assert "web: resetting" in machine.monitor("reset web")
    machine.wait_ready("web")
    assert state(machine, "db") == "running"


def writes(machine, guest):
    """Pages that a guest wrote within a second."""
    assert machine.monitor(f"writes {guest}") == f"{guest}: counting for a second\n"
    return int(machine.expect(rf"guest {guest}: wrote (\d+) of 24576 pages in \d+\.\d+ s").group(1))


def test_writes(machine):
    """A guest at its prompt writes little; one that fills 8 MiB again and again at least these."""
    assert writes(machine, "web") < 1000
    with machine.console("web"):
        machine.send("while true; do dd if=/dev/zero of=/tmp/x bs=1M count=8 2>/dev/null; done &\r")
        machine.expect(re.escape("web:/# "))
    assert writes(machine, "web") >= 2048
    assert writes(machine, "db") < 1000
    with machine.console("web"):
        machine.shell("kill %1; rm -f /tmp/x")


def test_memory_and_cpus(machine):
    total, free = re.search(r"^memory: (\d+) MiB, (\d+) MiB free", machine.monitor("mem"), re.M).groups()
    assert 400 < int(total) <= 512
    assert int(free) < int(total) - 2 * 96
    machine.monitor("cpus")
    time.sleep(3)
    answer = machine.monitor("cpus")
    idle = [int(value) for value in re.findall(r"^ +\d +\d+ online +(\d+) %  \S+$", answer, re.M)]
    # Both guests wait at their prompts: virtual CPUs that rest cost next to nothing.
    assert len(idle) == 2 and min(idle) > 50, answer


def test_log_and_help(machine):
    assert "host shared-1: 2 CPUs, 2 guests" in machine.monitor("log 500")
    assert len(machine.monitor("log 3").splitlines()) == 3
    assert machine.monitor("help stop").startswith("stop NAME - ")
    assert machine.monitor("vsm") == 'no command "vsm"; did you mean "vms"?\n'
    assert machine.monitor("stop wob") == 'no guest "wob"; did you mean "web"?\n'


def test_reboot_and_poweroff(machine):
    machine.command("reboot")
    machine.wait_ready("web", "db")
    machine.send("\r")
    machine.prompt()
    machine.command("poweroff")
    machine.wait_poweroff()


# ---- how guests end

def test_linux_ends(boot_ppc, ppc_files):
    """Power-off, a panic that reboots, a reboot from the shell; the machine goes off when the last one has."""
    machine = boot_ppc(config({
        "off": linux("off", cmdline="run=poweroff quiet"),
        "panic": linux("panic", cmdline="panic=1 run=panic quiet"),
        "again": linux("again", cmdline="quiet"),
    }, 'when-idle = "poweroff";'), ppc_files)
    # A reboot starts the guest again, whatever its restart policy says.
    machine.expect_all([r"\[off\] GUEST-READY off", r"guest off: powered off", r"\[panic\] GUEST-READY panic",
                        r"\[panic\] .*Kernel panic - not syncing: sysrq triggered crash", r"guest panic: reset itself",
                        r"\[again\] GUEST-READY again"], timeout=RUN_TIME)
    machine.send("\r")
    machine.prompt()
    machine.monitor("stop panic")
    with machine.console("again"):
        machine.shell("touch /tmp/before")
        machine.send("reboot\r")
        machine.expect("guest again: reset itself", timeout=120)
        machine.expect("GUEST-READY again", timeout=RUN_TIME)
        machine.expect("again:/# ")
        assert machine.shell("ls /tmp") == (0, "")
    machine.command("console again")
    machine.send("poweroff\r")
    machine.expect("every guest has stopped: powering off", timeout=120)
    machine.wait_poweroff()


def test_crash_report(boot_ppc):
    """What ends a guest that cannot go on is said with the place, the registers and the last exits; its neighbour goes on."""
    guests = {"bad": bare("hostile.elf", "checkstop"), "good": bare("witness.elf")}
    machine = boot_ppc(config(guests, 'when-idle = "poweroff";'),
                       {name: guest_file(f"tests/{name}") for name in ("hostile.elf", "witness.elf")})
    machine.expect(r"\[bad\] ok about to stop", timeout=RUN_TIME)
    machine.wait_poweroff(RUN_TIME)
    output = machine.output()
    assert "[good] DONE pass" in output
    report = output[output.index("guest bad crashed: "):]
    assert "checkstop" in report and "10000000" in report and "last exits, oldest first:" in report, report[:2000]


# ---- what cannot be started

@pytest.mark.parametrize("properties, error", [
    ('kernel = "k"; memory = "64M"; exit-port = "no";', '"exit-port" is for x86; this config is for PowerPC'),
    ('multiboot = "k"; memory = "64M";', '"multiboot" is for x86; this config is for PowerPC'),
    ('kernel = "k"; memory = "64M"; vcpus = <3>;', '"vcpus" must be a number from 1 to 2; found 3'),
    ('kernel = "k"; memory = "2G";', '"memory" must be a size from "1M" to "1536M"'),
    ('kernel = "k"; memory = "64M"; initrd = "none";', 'file "none" is missing'),
    ('kernel = "saguaro.dts"; memory = "64M";', 'file "saguaro.dts" '),
])
def test_config_errors(tmp_path, properties, error):
    """A bundle is made of a sound config only."""
    (tmp_path / "k").write_bytes(open(guest_file("tests/witness.elf"), "rb").read())
    (tmp_path / "saguaro.dts").write_text(config({"a": properties}))
    result = subprocess.run([sys.executable, MAKE_BUNDLE, "--config", tmp_path / "saguaro.dts", "--checker", CHECK_CONFIG,
                             "--out", tmp_path / "out"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1 and error in result.stderr, result.stderr
    assert not (tmp_path / "out").exists()


def damaged(bundle):
    changed = bytearray(bundle)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)


def newer(bundle):
    changed = bytearray(bundle)
    struct.pack_into(">I", changed, 8, 2)
    struct.pack_into(">I", changed, 24, 0)
    struct.pack_into(">I", changed, 24, zlib.crc32(changed))
    return bytes(changed)


@pytest.mark.parametrize("change, error", [
    (lambda bundle: b"", "bundle"),
    (lambda bundle: bytes(8192), "is none"),
    (lambda bundle: bundle[:-4096], "is cut off"),
    (damaged, "is damaged: its checksum is wrong"),
    (newer, "is of version 2; version 1 is understood"),
], ids=("none", "zeros", "cut", "damaged", "newer"))
def test_bad_bundle(boot_ppc, tmp_path, change, error):
    """The hypervisor says what is wrong with its bundle, and starts nothing."""
    (tmp_path / "k").write_bytes(open(guest_file("tests/witness.elf"), "rb").read())
    (tmp_path / "saguaro.dts").write_text(config({"a": bare("k")}))
    subprocess.run([sys.executable, MAKE_BUNDLE, "--config", tmp_path / "saguaro.dts", "--checker", CHECK_CONFIG,
                    "--out", tmp_path / "out"], check=True, stdout=subprocess.DEVNULL, timeout=60)
    machine = boot_ppc(None, bundle=change((tmp_path / "out").read_bytes()))
    machine.expect(re.escape(error))
    machine.expect_silence("witness watches", 3)


# ---- bare guests

GROUPS = {
    "platform": {"cpu": bare("cpu.elf", "exact shared"), "cpu-magic": bare("cpu.elf", "exact shared magic"), "tlb": bare("tlb.elf")},
    "hostile": {**{mode: bare("hostile.elf", mode) for mode in HOSTILE if mode not in ("tlb", "memory")},
                "witness": bare("witness.elf", more="priority = <20>;")},
    "hostile-memory": {"memory": bare("hostile.elf", "memory"), "tlb": bare("hostile.elf", "tlb anywhere"),
                       "witness": bare("witness.elf", more="priority = <20>;")},
}


@functools.lru_cache(maxsize=None)
def run(group):
    """Boots a group and waits for the power-off. {guest: (how it ended, its lines)}"""
    files = {name: guest_file(f"tests/{name}") for name in ("cpu.elf", "tlb.elf", "hostile.elf", "witness.elf")}
    with PpcMachine(f"ppc-{group}", config(GROUPS[group], 'when-idle = "poweroff";'), files) as machine:
        machine.wait_poweroff(RUN_TIME)
        output = machine.output()
    summary = output[output.rindex("every guest has stopped"):]
    result = {}
    for name in GROUPS[group]:
        end = re.search(rf"guest {name}: (.*)", summary)
        lines = re.findall(rf"^\[{name}\] (.*)", output, re.MULTILINE)
        result[name] = end.group(1).strip() if end else "nothing", lines
    return result


@pytest.mark.parametrize("group, name", [(group, name) for group in GROUPS for name in GROUPS[group]])
def test_bare_guest(group, name):
    end, lines = run(group)[name]
    assert [line for line in lines if line.startswith("FAIL")] == []
    assert end == "powered off" and lines[-1] == "DONE pass", "\n".join([end, *lines[-5:]])
    assert any(line.startswith("ok ") for line in lines)


def test_guests_that_never_let_go(boot_ppc):
    """Loops with interrupts off, and an interrupt without end, on every CPU: the witness and the monitor are served all the
    same."""
    guests = {"spin": bare("hostile.elf", "spin", more="cpus = <0>;"), "lost": bare("hostile.elf", "lost", more="cpus = <1>;"),
              "halt": bare("hostile.elf", "halt"), "witness": bare("witness.elf", more="priority = <20>;")}
    machine = boot_ppc(config(guests, 'when-idle = "poweroff";'),
                       {name: guest_file(f"tests/{name}") for name in ("hostile.elf", "witness.elf")})
    machine.expect_all([r"\[spin\] ok about to spin", r"\[halt\] ok about to halt", r"\[lost\] ok about to be lost",
                        r"\[witness\] DONE pass"], RUN_TIME)
    machine.send("\r")
    machine.prompt()
    table = machine.monitor("vms")
    assert re.search(r"spin +running", table) and re.search(r"halt +running", table), table
    for name in ("halt", "spin"):
        machine.monitor(f"stop {name}")
    if re.search(r"lost +running", table):
        machine.monitor("stop lost")
    machine.wait_poweroff()
