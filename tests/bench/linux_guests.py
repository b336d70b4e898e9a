# SPDX-License-Identifier: Apache-2.0
# What the parts of `make bench` with Linux guests share: the same kernel as a guest and on the bare emulated machine, commands in its
# shell, what tests/bench/linux/measure.c prints, and exits of a guest and of the service VM while something runs.
import os
import re
import statistics

from common import ANSWER, BENCH_GUESTS, LIMIT, exits_in
from emulated import BOOT_TIME, Emulated
from machine import MachineError, guest_file, linux

RUNS = 3  # of each measurement; the median counts
KERNEL = "stock Debian generic kernel and busybox initramfs, 256 MiB, one vCPU each"
SERVED = 5000  # the port of `measure serve`


def files():
    """The files of generic() guests on the medium."""
    return {"vmlinuz": guest_file("vmlinuz-generic"), "initrd.gz": os.path.join(BENCH_GUESTS, "initrd.gz")}


def generic(name, more, cmdline=""):
    return linux(name, more, cmdline, "256M")


class Native(Emulated):
    """The guest web's kernel on the emulated machine itself, one CPU, 256 MiB; `devices`: its devices, by QEMU's options; `accel`: QEMU's;
    `timeout`: seconds that it may take to come up."""

    PROGRAM = "qemu-system-x86_64"

    def __init__(self, name, devices, kernel, initrd, more="", accel="tcg,thread=multi", timeout=BOOT_TIME):
        super().__init__(name)
        try:
            self._launch(["-accel", accel, "-machine", "q35", "-cpu", "EPYC,+svm,+npt", "-m", "256", "-smp", "1", "-nic", "none",
                          "-kernel", kernel, "-initrd", initrd, "-append", f"console=ttyS0 guest=web {more}".rstrip(), *devices])
            self.expect("GUEST-READY web", timeout)
            self.expect("web:/# ", timeout)
        except BaseException:
            self.close()
            raise


def run(machine, command, timeout=LIMIT):
    status, text = machine.shell(command, timeout)
    if status != 0:
        raise MachineError(f"{command}: status {status}: {text}")
    return text


def measured(machine, arguments):
    """The numbers that measure.c prints."""
    text = run(machine, f"measure {arguments}")
    match = re.search(r"MEASURED ([0-9 ]+)", text)
    if not match:
        raise MachineError(f"measure {arguments}: {text}")
    return [int(word) for word in match.group(1).split()]


def megabytes(machine, arguments, size):
    """MB/s of moving `size` bytes, the median of RUNS."""
    return size / statistics.median(measured(machine, arguments)[0] for _ in range(RUNS))


def exits_used(machine, guest, action):
    """(guest's, service VM's) exits while action() runs in the guest's shell; without those by ports, which its console makes, and those
    that are counted under another cause, too."""
    def count():
        return [sum(number for cause, number in exits_in(machine.monitor(command, ANSWER)).items()
                    if cause != "port" and "(of " not in cause)
                for command in (f"vms {guest}", "service")]

    before = count()
    with machine.console(guest):
        action()
    return [after - earlier for earlier, after in zip(before, count())]
