# SPDX-License-Identifier: Apache-2.0
# Guests of a few instructions, for tests of a guest's life: multiboot kernels that start at their first byte of code, in
# 32-bit protected mode with interrupts off.
from images import multiboot_image

ENTRY = 0x20  # of the image that multiboot_image() makes
LOADED_AT = 0x100000 + ENTRY


def tiny(code):
    image = bytearray(multiboot_image())
    image[ENTRY:ENTRY + len(code)] = code
    return bytes(image)


def say(text):
    """Code that writes a line to COM1."""
    code = b"\x66\xba\xf8\x03"  # mov dx, 0x3f8
    for byte in text.encode() + b"\n":
        code += bytes((0xB0, byte, 0xEE))  # mov al, byte; out dx, al
    return code


def end(value):
    """Code that ends the guest with an exit code."""
    return bytes((0xB0, value, 0xE6, 0xF4, 0xF4))  # mov al, value; out 0xf4, al; hlt


SPIN = b"\xeb\xfe"  # jmp itself
HALT = b"\xf4\xeb\xfd"  # hlt, and again
# An interrupt descriptor table of no bytes and an undefined instruction: mov esp, 0x200000; push 0 twice; lidt [esp]; ud2.
TRIPLE_FAULT = b"\xbc\x00\x00\x20\x00\x6a\x00\x6a\x00\x0f\x01\x1c\x24\x0f\x0b"
