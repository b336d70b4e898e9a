#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Lines of code of what is linked into the hypervisor, without blank lines and comments: sources by the linker's map, headers
# by the compiler's dependency files.
#
#   count-lines.py [--map build/x86/saguaro.map] [--libfdt FOLDER] [--files]
import argparse
import os
import re
import sys

TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_lines(text):
    """Lines that hold more than blanks and comments."""
    def keep(match):
        token = match.group()
        return token if token[0] in "\"'" else "\n" * token.count("\n") or " "
    return sum(1 for line in TOKEN.sub(keep, text).splitlines() if line.strip())


def count(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return code_lines(file.read())


def linked(map_path):
    """Sources of the objects that were linked, and names of libfdt's."""
    folder = os.path.dirname(map_path)
    with open(map_path, encoding="utf-8") as file:
        text = file.read()
    objects = [name for name in re.findall(r"^LOAD (\S+\.o)$", text, re.M) if re.search(r"\.[cS]\.o$", name)]
    members = set(re.findall(r"libfdt\.a\((\w+)\.o\)", text))
    if not objects:
        sys.exit(f"count-lines.py: {map_path} names no objects")
    sources = set()
    for name in objects:
        sources.add(os.path.relpath(name[:-2], folder))
        with open(name[:-2] + ".d", encoding="utf-8") as file:
            for word in file.read().replace("\\\n", " ").split():
                if not word.endswith(":") and not os.path.isabs(word) and word.endswith((".h", ".c", ".S")):
                    sources.add(os.path.normpath(word))
    return sorted(sources), sorted(members)


def totals(map_path, libfdt=None):
    """{folder: lines} of this tree's part, and libfdt's lines (None: its source is not known)."""
    sources, members = linked(map_path)
    by_folder = {}
    for path in sources:
        folder = os.path.dirname(path)
        by_folder[folder] = by_folder.get(folder, 0) + count(path)
    theirs = None
    if libfdt and os.path.isdir(libfdt):
        theirs = sum(count(os.path.join(libfdt, name + ".c")) for name in members)
        theirs += sum(count(os.path.join(libfdt, name)) for name in sorted(os.listdir(libfdt)) if name.endswith(".h"))
    return by_folder, theirs


def main():
    parser = argparse.ArgumentParser(description="lines of code of what is linked into the hypervisor")
    parser.add_argument("--map", default="build/x86/saguaro.map")
    parser.add_argument("--libfdt", default=os.environ.get("LIBFDT_DIR") or os.path.join(
        os.environ.get("SAGUARO_CACHE") or os.path.expanduser("~/.cache/saguaro"), "libfdt"))
    parser.add_argument("--files", action="store_true", help="one line for each file")
    arguments = parser.parse_args()
    if arguments.files:
        for path in linked(arguments.map)[0]:
            print(f"{count(path):7} {path}")
    by_folder, theirs = totals(arguments.map, arguments.libfdt)
    for folder, lines in sorted(by_folder.items()):
        print(f"{lines:7} {folder}/")
    print(f"{sum(by_folder.values()):7} in all")
    if theirs is not None:
        print(f"{theirs:7} of libfdt besides")


if __name__ == "__main__":
    main()
