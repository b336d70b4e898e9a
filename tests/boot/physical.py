# SPDX-License-Identifier: Apache-2.0
# The physical memory of a machine on QEMU, to be looked at and searched while it runs; and what is known of the images in it.
import mmap
import os
import struct


class Physical:
    """Before the machine starts: RAM of `size` bytes, all of it at addresses from 0 on, in a file at `path`; .options are QEMU's. The
    machine has to have as much memory."""

    def __init__(self, path, size):
        self.path = str(path)
        with open(self.path, "w+b") as file:
            file.truncate(size)
            self.memory = mmap.mmap(file.fileno(), size, prot=mmap.PROT_READ)
        self.options = ("-object", f"memory-backend-file,id=physical,size={size},mem-path={self.path},share=on",
                        "-machine", "memory-backend=physical")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.memory.close()
        os.unlink(self.path)

    def read(self, address, size):
        return self.memory[address:address + size]

    def find(self, content, begin=0, end=None):
        """All addresses of these bytes in [begin, end)."""
        found, end = [], len(self.memory) if end is None else end
        at = self.memory.find(content, begin, end)
        while at >= 0:
            found.append(at)
            at = self.memory.find(content, at + 1, end)
        return found


def entry_code(path, size):
    """The first bytes of an ELF64 file's code from its entry point on, and the entry's offset in its page."""
    with open(path, "rb") as file:
        image = file.read()
    entry, headers = struct.unpack_from("<QQ", image, 24)
    entry_size, count = struct.unpack_from("<HH", image, 54)
    for number in range(count):
        kind, _, offset, virtual, physical, in_file = struct.unpack_from("<IIQQQQ", image, headers + number * entry_size)
        for base in (virtual, physical):
            if kind == 1 and base <= entry and entry + size <= base + in_file:
                at = offset + entry - base
                return image[at:at + size], entry % 4096
    raise ValueError(f"{path} has no entry point")
