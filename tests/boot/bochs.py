# SPDX-License-Identifier: Apache-2.0
# The emulated machine of the boot tests with another emulator: Bochs, whose CPUs have VT-x, or an SVM that QEMU does not have.
# It is several times slower than QEMU, so that few tests use it.
import os
import socket
import subprocess
import sys
import time

from pexpect import fdpexpect

from machine import ANSWER_TIME, TOP, Machine, MachineError

sys.path.insert(0, os.path.join(TOP, "tools"))
import run_bochs  # noqa: E402

BOOT_TIME = 900  # s; a fifth of it on a machine that does nothing else


class SlowPort(fdpexpect.fdspawn):
    """A port whose FIFO loses what is sent faster than the machine takes it."""

    def send(self, s):
        for character in s:
            super().send(character)
            time.sleep(0.02)
        return len(s)


class Bochs(Machine):
    """cpu: "vtx", "svm" or a CPU model of Bochs's own; card: an Ethernet card, see run_bochs.write_config(). What of Machine's keywords it does not have: boot, options, serial, accel,
    extra."""

    def __init__(self, name, config, files=None, cpu="vtx", smp=1, memory="512M", card=None):
        self.card = card
        super().__init__(name, config, files, boot="usb", smp=smp, memory=memory, cpu=cpu)

    def _start(self, medium, serial, smp, memory, cpu, accel, extra):
        megabytes = int(memory[:-1]) * {"M": 1, "G": 1024}[memory[-1]]
        with socket.create_server(("127.0.0.1", 0)) as listener:
            run_bochs.write_config(self.folder, os.path.join(self.folder, "disk.img"), listener.getsockname()[1], model=cpu,
                                   cpus=smp, memory=megabytes, card=self.card)
            self.log = open(self.log_path, "w", encoding="utf-8", errors="replace", newline="")
            with open(os.path.join(self.folder, "bochs.log"), "wb") as output:
                self.qemu = subprocess.Popen(run_bochs.command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output,
                                             stderr=output)
            listener.settimeout(ANSWER_TIME)
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                raise MachineError(f"the emulator did not start; see {self.folder}/bochs.log") from None
        self.port = SlowPort(connection.detach(), timeout=ANSWER_TIME, encoding="utf-8", codec_errors="replace", maxread=1 << 16)
        self.port.delaybeforesend = None
        self.port.logfile_read = self.log

    def close(self):
        super().close()
        for name in ("ovmf.fd", "disk.img.lock"):
            path = os.path.join(self.folder, name)
            if os.path.exists(path):
                os.unlink(path)
