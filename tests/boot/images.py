# SPDX-License-Identifier: Apache-2.0
# Kernel images made of nothing but sound headers, for tests that never start them.
import struct


def linux_image(size=8192, filler=b"\0"):
    """A bzImage of boot protocol 2.15 with the 64-bit entry."""
    image = bytearray(filler * (size // len(filler) + 1))[:size]
    image[0x1F1] = 4  # set-up sectors
    struct.pack_into("<I", image, 0x1F4, (size - 5 * 512) // 16)
    image[0x1FE:0x206] = b"\x55\xaa\xeb\x66HdrS"
    struct.pack_into("<H", image, 0x206, 0x20F)
    image[0x211] = 1  # loaded high
    struct.pack_into("<II", image, 0x22C, 0x7FFFFFFF, 0x200000)
    image[0x234] = 1
    struct.pack_into("<HI", image, 0x236, 0x3, 2047)
    struct.pack_into("<QI", image, 0x258, 0x1000000, 0x100000)
    return bytes(image)


def multiboot_image(size=4096, address=0x100000, memory=0):
    """A flat multiboot 1 kernel, loaded to `address`; `memory` bytes with what is zero behind it."""
    image = bytearray(size)
    struct.pack_into("<IIIIIIII", image, 0, 0x1BADB002, 0x10000, (-0x1BADB002 - 0x10000) & 0xFFFFFFFF,
                     address, address, 0, address + memory if memory else 0, address + 32)
    return bytes(image)
