# SPDX-License-Identifier: Apache-2.0
# Stock Linux guests of several kinds: 64-bit and 32-bit kernels, one and several vCPUs, more vCPUs than the machine has CPUs.
import os
import re
import shutil
import subprocess

from machine import config, guest_file, linux

BUSYBOX = os.path.join(os.environ.get("SAGUARO_CACHE") or os.path.expanduser("~/.cache/saguaro"), "guests/busybox-amd64")

# What somebody else's initramfs would do: a program of theirs as the first process, no script of ours.
INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
exec </dev/console >/dev/console 2>&1
echo "MY-SYSTEM-UP $(/bin/busybox grep -c ^processor /proc/cpuinfo) processors, $(/bin/busybox uname -r)"
/bin/busybox stty -echo
exec /bin/busybox sh
"""


def own_initramfs(folder):
    """Another initramfs than the tests' own, uncompressed."""
    root = folder / "root"
    (root / "bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin" / "busybox")
    (root / "bin" / "busybox").chmod(0o755)
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    (root / "dev").mkdir()
    names = "\n".join(os.path.relpath(os.path.join(at, name), root) for at, folders, files in os.walk(root)
                      for name in folders + files)
    with open(folder / "system.cpio", "wb") as out:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], input=names.encode(), stdout=out, cwd=root, check=True, timeout=60)
    return str(folder / "system.cpio")


def test_someone_elses_folder(boot, tmp_path):
    """Debian's generic kernel, an initramfs of one's own, other names, folders; 4 vCPUs in one guest and 1 in the other."""
    text = """/* The machine in the cellar. */
/dts-v1/;
/ {
    compatible = "saguaro,host";
    host { name = "cellar"; };
    guests {
        build-box {
            kernel = "systems/linux/bzImage.debian";
            initrd = "systems/my-system.cpio";
            memory = "0x20000000"; vcpus = <4>;
            cmdline = "console=ttyS0,115200";
        };
        /include/ "systems/small.dtsi"
    };
};
"""
    small = """small { kernel = "systems/linux/bzImage.debian"; initrd = "systems/my-system.cpio";
    memory = "192M"; cmdline = "console=ttyS0 quiet"; };
"""
    machine = boot(text, {"systems/linux/bzImage.debian": guest_file("vmlinuz-generic"), "systems/small.dtsi": small.encode(),
                          "systems/my-system.cpio": own_initramfs(tmp_path)})
    machine.expect_all([r"\[build-box\] MY-SYSTEM-UP 4 processors, \S+-amd64", r"\[small\] MY-SYSTEM-UP 1 processors, \S+-amd64"],
                       timeout=300)
    machine.send("\r")
    machine.prompt()
    with machine.console("build-box"):
        assert machine.shell("busybox nproc")[1].endswith("4\n")
        assert machine.shell("busybox awk '/MemTotal/ { print ($2 > 450000) }' /proc/meminfo")[1].endswith("1\n")
    with machine.console("small"):
        assert machine.shell("busybox nproc")[1].endswith("1\n")
    assert "cellar" in machine.monitor("log 500")


def test_more_vcpus_than_cpus(boot, linux_files):
    """4 + 1 vCPUs on 2 CPUs: all of them come up, do work, and are on time."""
    machine = boot(config({"big": linux("big", "vcpus = <4>;", memory="256M"), "one": linux("one", "cpus = <1>;")}), linux_files)
    machine.wait_ready("big", "one", timeout=300)
    machine.send("\r")
    machine.prompt()
    with machine.console("big"):
        assert machine.shell("nproc") == (0, "4\n")
        # Each CPU by itself: interrupts between them, timers, and a program pinned to each one.
        for cpu in range(4):
            status, text = machine.shell(f"taskset -c {cpu} sh -c 'echo on $(cut -d\" \" -f39 /proc/self/stat)'")
            assert status == 0 and text.startswith("on "), text
        status, _ = machine.shell("for i in 1 2 3 4; do (j=0; while [ $j -lt 2000 ]; do j=$((j+1)); done) & done; wait", 120)
        assert status == 0
        status, text = machine.shell("grep -E 'LOC|RES|CAL' /proc/interrupts")
        for name in ("LOC", "CAL"):
            counts = re.search(rf"{name}:((?: +\d+)+)", text).group(1).split()
            assert len(counts) == 4 and all(int(count) > 0 for count in counts[:1]), text
        # No CPU was found stuck, no clock was given up.
        status, text = machine.shell("dmesg | grep -iE 'stall|soft lockup|hard LOCKUP|Unknown NMI|BUG:|WARNING: CPU'")
        assert status == 1, text
    with machine.console("one"):
        assert machine.shell("nproc") == (0, "1\n")
    answer = machine.monitor("vms big")
    assert re.search(r"^big +running +4 +256 MiB", answer, re.M)


def test_taking_processors_away_and_back(boot, linux_files):
    """A guest's own hot-plug of processors: INIT and SIPI once more."""
    machine = boot(config({"smp": linux("smp", "vcpus = <2>;")}), linux_files)
    machine.wait_ready("smp")
    machine.send("\r")
    machine.prompt()
    with machine.console("smp"):
        for _ in range(2):
            assert machine.shell("echo 0 >/sys/devices/system/cpu/cpu1/online")[0] == 0
            assert machine.shell("nproc")[1].endswith("1\n")
            assert machine.shell("echo 1 >/sys/devices/system/cpu/cpu1/online")[0] == 0
            assert machine.shell("nproc")[1].endswith("2\n")


def test_32_bit_kernel(boot):
    """Debian's 686-pae kernel: protected mode, PAE paging, a 32-bit user space; next to a 64-bit guest."""
    machine = boot(config({"old": linux("old", kernel="vmlinuz-686", initrd="initrd-686.gz", memory="192M"),
                           "new": linux("new")}),
                   {"vmlinuz-686": guest_file("vmlinuz-686-pae"), "initrd-686.gz": guest_file("initrd-686.gz"),
                    "vmlinuz": guest_file("vmlinuz-cloud"), "initrd.gz": guest_file("initrd.gz")})
    machine.wait_ready("old", "new", timeout=300)
    machine.send("\r")
    machine.prompt()
    with machine.console("old"):
        status, text = machine.shell("uname -m")
        assert (status, text.splitlines()[-1]) == (0, "i686")
    with machine.console("new"):
        assert machine.shell("uname -m") == (0, "x86_64\n")


def test_clocks(boot, linux_files):
    """Wall clock and monotonic clock of a guest go on as the host's do; kvmclock is the clock source."""
    machine = boot(config({"clock": linux("clock")}), linux_files)
    machine.wait_ready("clock")
    machine.send("\r")
    machine.prompt()
    with machine.console("clock"):
        assert machine.shell("cat /sys/devices/system/clocksource/clocksource0/current_clocksource") == (0, "kvm-clock\n")
        start = int(machine.shell("date +%s")[1])
        host_start = int(subprocess.run(["date", "+%s"], capture_output=True, text=True, check=True).stdout)
        # The hardware clock of the machine is the emulator's, in UTC.
        assert abs(start - host_start) < 60
        machine.shell("sleep 5")
        end = int(machine.shell("date +%s")[1])
        host_end = int(subprocess.run(["date", "+%s"], capture_output=True, text=True, check=True).stdout)
        assert abs((end - start) - (host_end - host_start)) <= 2
