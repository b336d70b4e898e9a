# SPDX-License-Identifier: Apache-2.0
# Writes into the physical memory of a machine on QEMU, through its GDB stub: what a program inside would do if it went wrong.
import os
import re
import shutil
import socket
import tempfile

from emulated import ANSWER_TIME, MachineError


class Poke:
    """Before the machine starts; .options are QEMU's. The machine stands still while write() is at work."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="saguaro-")
        self.path = os.path.join(self.folder, "gdb")
        self.options = ("-gdb", f"unix:{self.path},server=on,wait=off")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def _ask(stub, text):
        """A packet of GDB's remote protocol, and its answer, which is "OK". That the machine stands still may be said before it."""
        stub.sendall(f"${text}#{sum(text.encode()) & 255:02x}".encode())
        answer = b""
        while not re.search(rb"\$OK#..", answer):
            part = stub.recv(4096)
            answer += part
            if not part or re.search(rb"\$(E[^#]*)?#..", answer):
                raise MachineError(f"the GDB stub answers {answer!r} to {text[:40]!r}")
        stub.sendall(b"+")

    def write(self, values):
        """Numbers of 64 bits: {physical address: value}."""
        with socket.socket(socket.AF_UNIX) as stub:
            stub.settimeout(ANSWER_TIME)
            stub.connect(self.path)
            self._ask(stub, "Qqemu.PhyMemMode:1")
            for address, value in values.items():
                self._ask(stub, f"M{address:x},8:{value.to_bytes(8, 'little').hex()}")
            self._ask(stub, "Qqemu.PhyMemMode:0")
            self._ask(stub, "D")
