#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Writes the symbol table of lib/symbols.h as assembly to standard output, from `nm -n --defined-only -S` of the linked
# image on standard input. Without input the table is empty: that is what the first link uses.
import sys

MAX_NAME = 63


def read_functions(lines):
    """(address, size, name) of each function, sorted; one name where several share an address."""
    functions = {}
    for line in lines:
        fields = line.split()
        if len(fields) == 4:
            address, size, kind, name = int(fields[0], 16), int(fields[1], 16), fields[2], fields[3]
        elif len(fields) == 3:
            address, size, kind, name = int(fields[0], 16), 0, fields[1], fields[2]
        else:
            continue
        if kind not in "tTwW" or name.startswith("."):
            continue
        known = functions.get(address)
        # Of aliases the sized one is the function itself; the others are labels of the linker script.
        if known is None or (known[0] == 0 and size > 0):
            functions[address] = (size, name)
    return [(address, *functions[address]) for address in sorted(functions)]


def main():
    functions = read_functions(sys.stdin)
    base = functions[0][0] if functions else 0
    size = functions[-1][0] + max(functions[-1][1], 1) - base if functions else 0
    out = ['    .section .rodata.symbols, "a", @progbits']
    for name in ("symbol_base", "symbol_size", "symbol_count", "symbol_table", "symbol_names"):
        out += [f"    .globl {name}", f"    .hidden {name}"]
    out += ["    .balign 8", "symbol_base:", f"    .quad {base:#x}"]
    out += ["symbol_size:", f"    .long {size}", "symbol_count:", f"    .long {len(functions)}", "symbol_table:"]
    offset = 0
    names = []
    for address, _, name in functions:
        name = name[:MAX_NAME]
        out.append(f"    .long {address - base}, {offset}")
        names.append(f'    .asciz "{name}"')
        offset += len(name) + 1
    out += ["symbol_names:", *names, '    .byte 0', '    .section .note.GNU-stack, "", @progbits']
    print("\n".join(out))


main()
