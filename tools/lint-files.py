#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Checks of whole files: an SPDX line and a purpose at the top, length, white space, no path of one machine.
import re
import sys

from source_files import source_files

MAX_LINES = 700
# Files that may be longer, each with its reason.
LONG_FILES = {
    "tests/unit/test_exit.c": 800,  # every exit over one engine of the test's own
}

CODE = (".awk", ".c", ".h", ".S", ".lds", ".py", ".sh", ".mk", ".dts")
# The licence's text, inputs of the fuzzers, and this file, which has to spell what it looks for.
NOT_OURS = ("LICENSE", "tests/fuzz/seeds/", "tools/lint-files.py")
MACHINE_PATHS = re.compile(r"(^|[\s\"'=:(])/(work|home|root|tmp/sg)/")


def check_file(name):
    with open(name, "rb") as file:
        data = file.read()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return []
    if "\0" in text:
        return []
    lines = text.split("\n")
    problems = []
    is_code = name.endswith(CODE) or name in ("Makefile", ".ci/run") or text.startswith("#!")
    if is_code:
        head = lines[:4]
        if not any("SPDX-License-Identifier: Apache-2.0" in line for line in head):
            problems.append((1, "no line \"SPDX-License-Identifier: Apache-2.0\" at the top"))
        limit = LONG_FILES.get(name, MAX_LINES)
        if len(lines) - 1 > limit:
            problems.append((len(lines) - 1, f"longer than {limit} lines; one file, one purpose"))
        for number, line in enumerate(lines, 1):
            if line != line.rstrip():
                problems.append((number, "blanks at the end of the line"))
    if is_code or name.endswith((".md", ".txt")):
        for number, line in enumerate(lines, 1):
            if MACHINE_PATHS.search(line):
                problems.append((number, "a path of one machine"))
        if text and not text.endswith("\n"):
            problems.append((len(lines), "no newline at the end"))
    return problems


def main():
    failed = False
    for name in source_files():
        if name.startswith(NOT_OURS):
            continue
        for number, what in check_file(name):
            print(f"{name}:{number}: {what}")
            failed = True
    sys.exit(1 if failed else 0)


main()
