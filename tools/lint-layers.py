#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Checks who includes whom, by the table of docs/contributing.md ("Who may include whom"), and that core/ and lib/ hold
# no #if on an architecture.
import os
import re
import sys

from source_files import source_files

SERVICE = ("virtio/", "migrate/", "service/", "drivers/pci/", "drivers/net/", "drivers/block/", "lib/", "abi/")

# The first prefix that fits decides. Values: prefixes that may be included, prefixes that may not although they fit.
RULES = (
    ("abi/", (("abi/",), ())),
    ("lib/", (("abi/", "lib/"), ())),
    ("core/", (("core/", "lib/", "abi/"), ("abi/x86/", "abi/ppc/"))),
    ("arch/x86/emulate/", (("arch/x86/emulate/", "lib/", "abi/", "core/"), ())),
    ("arch/x86/", (("arch/x86/", "devices/", "drivers/serial/", "drivers/iommu/", "core/", "lib/", "abi/"), ())),
    ("arch/ppc/", (("arch/ppc/", "devices/", "drivers/serial/", "drivers/iommu/", "core/", "lib/", "abi/"), ())),
    ("devices/", (("devices/", "drivers/iommu/", "core/", "lib/", "abi/"), ("abi/x86/", "abi/ppc/"))),
    ("drivers/serial/", (("drivers/serial/", "core/", "lib/", "abi/"), ("abi/x86/", "abi/ppc/"))),
    ("drivers/iommu/", (("drivers/iommu/", "core/", "lib/", "abi/"), ())),
    ("drivers/", (SERVICE, ())),
    ("virtio/", (SERVICE, ())),
    ("migrate/", (SERVICE, ())),
    ("service/", (SERVICE, ())),
    ("boot/", (("boot/", "lib/", "abi/"), ())),
)
# Freestanding code has these of the C library, and libfdt.
SYSTEM = {"stdint.h", "stddef.h", "stdbool.h", "stdarg.h", "limits.h", "string.h", "stdio.h", "errno.h", "assert.h",
          "libfdt.h", "fdt.h", "stdlib.h"}
SYSTEM_EXTRA = {"arch/x86/": {"cpuid.h", "arch_inline.h", "vmx_inline.h"}, "arch/ppc/": {"ppc_instructions.h", "ppc_offsets.h"}, "core/": {"arch_inline.h"}, "boot/": {"cpuid.h", "efi.h", "efilib.h", "efiprot.h", "efipxebc.h", "protocol/*"}}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')
ARCHITECTURE = re.compile(
    r"^\s*#\s*(if|elif|ifdef|ifndef)\b.*\b(__x86_64__|__i386__|__powerpc__|__PPC__|__aarch64__|__amd64__|CONFIG_X86\w*)")


def system_allowed(name, header):
    if header in SYSTEM:
        return True
    for part, headers in SYSTEM_EXTRA.items():
        if name.startswith(part):
            for pattern in headers:
                if header == pattern or (pattern.endswith("*") and header.startswith(pattern[:-1])):
                    return True
    return False


def check_include(name, rule, quote, header):
    allowed, forbidden = rule
    if quote == "<":
        return None if system_allowed(name, header) else f"<{header}> is not for freestanding code"
    if not os.path.isfile(header):
        return f'"{header}" is not a file from the top of the tree'
    if header.startswith(tuple(forbidden)) or not header.startswith(tuple(allowed)):
        return f'"{header}" is of a part that this one may not include'
    return None


def check_file(name):
    rule = next((rule for prefix, rule in RULES if name.startswith(prefix)), None)
    problems = []
    if rule is None:
        return problems
    with open(name, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            match = INCLUDE.match(line)
            if match:
                problem = check_include(name, rule, match.group(1), match.group(2))
                if problem:
                    problems.append((number, problem))
            if name.startswith(("core/", "lib/")) and not name.startswith("lib/freestanding/") and ARCHITECTURE.match(line):
                problems.append((number, "#if on an architecture: put it behind core/arch.h"))
    return problems


def main():
    failed = False
    for name in source_files():
        if not name.endswith((".c", ".h", ".S")):
            continue
        for number, what in check_file(name):
            print(f"{name}:{number}: {what}")
            failed = True
    sys.exit(1 if failed else 0)


main()
