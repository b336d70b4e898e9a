#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Makes a bundle (abi/bundle.h): one file with the compiled config and every file that it names, for machines whose firmware
# loads a kernel and one blob beside it. The config is checked first, for PowerPC.
import argparse
import os
import re
import struct
import subprocess
import sys
import tempfile
import zlib

ALIGN = 4096
MAX_FILES = 256
NAME = 204
HEADER = struct.Struct(">8sIIQII")  # magic, version, files, size, CRC-32, reserved
ENTRY = struct.Struct(f">QQ{NAME}sI")  # offset, size, name, reserved
CRC_AT = 24
CONFIG = "saguaro.dtb"


class BundleError(Exception):
    pass


def compile_config(checker, config, tree):
    """Has the checker look at the config and compile it; returns the files that it names. Its complaints go to stderr."""
    result = subprocess.run([checker, "--arch", "ppc", "--files", "--dtb", tree, config], stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise BundleError(f"nothing was made: {config} has errors")
    names = []
    for line in result.stdout.splitlines():
        match = re.fullmatch(r"\S+ [a-z0-9-]+ (\S+) \d+", line)  # "GUEST PROPERTY NAME SIZE", or "DISK file NAME SIZE"
        if match:
            names.append(match.group(1))
        else:
            print(line)
    return names


def read(path):
    with open(path, "rb") as file:
        return file.read()


def pack(contents):
    """The bundle's bytes, of [(name, content)]."""
    if len(contents) > MAX_FILES:
        raise BundleError(f"the config names {len(contents) - 1} files; a bundle holds {MAX_FILES - 1} beside the config")
    offset = HEADER.size + len(contents) * ENTRY.size
    entries, pieces = [], []
    for name, content in contents:
        padding = -offset % ALIGN
        entries.append(ENTRY.pack(offset + padding, len(content), name.encode("ascii"), 0))
        pieces += [bytes(padding), content]
        offset += padding + len(content)
    bundle = bytearray(HEADER.pack(b"SAGUARO\0", 1, len(contents), offset, 0, 0) + b"".join(entries + pieces))
    struct.pack_into(">I", bundle, CRC_AT, zlib.crc32(bundle))
    return bundle


def make(config, checker, out):
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(out))) as work:
        tree = os.path.join(work, CONFIG)
        names = compile_config(checker, config, tree)
        if CONFIG in names:
            raise BundleError(f'a guest\'s file cannot be named "{CONFIG}": that is the config')
        folder = os.path.dirname(config)
        contents = [(CONFIG, read(tree))] + [(name, read(os.path.join(folder, name))) for name in names]
        bundle = pack(contents)
        temporary = os.path.join(work, "bundle")
        with open(temporary, "wb") as file:
            file.write(bundle)
        os.replace(temporary, out)
    return len(names), len(bundle)


def main():
    parser = argparse.ArgumentParser(description="Makes a bundle for a PowerPC machine.")
    parser.add_argument("--config", required=True)
    parser.add_argument("--checker", required=True)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    try:
        files, size = make(arguments.config, arguments.checker, arguments.out)
        print(f"{arguments.out}: {size / (1 << 20):.1f} MiB, the config and {files} files; it goes beside saguaro.elf as its "
              "initial RAM disk")
    except (BundleError, OSError) as error:
        print(f"make-bundle: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
