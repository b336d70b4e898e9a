#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Makes what a machine boots from: a disk image for a USB stick (GPT, one FAT32 EFI system partition) or a folder for a
# TFTP server. Both hold the loader, the config as saguaro.dts (or saguaro.dtb) and every file that the config names.
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

SECTOR = 512
MIB = 1 << 20
ALIGNMENT = MIB  # of the partition's start
TAIL = MIB  # behind the partition: the second partition table
FAT_LARGEST = (1 << 32) - 1  # bytes of a file
SMALLEST = 64 * MIB  # of the partition; FAT32 needs 65525 clusters
FAT_FORBIDDEN = set('\\:*?"<>|') | {chr(c) for c in range(32)}


class ImageError(Exception):
    pass


def run(*command):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        raise ImageError(f"{command[0]} failed:\n{result.stdout.rstrip()}")


def check_config(checker, config):
    """Has the checker look at the config; returns the names of the files that it names. Its complaints go to stderr."""
    result = subprocess.run([checker, "--files", config], stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        raise ImageError(f"nothing was made: {config} has errors")
    names = []
    for line in result.stdout.splitlines():
        # "GUEST PROPERTY NAME SIZE", or "DISK file NAME SIZE"; the name may hold blanks.
        match = re.fullmatch(r"(\S+) ([a-z0-9-]+) (.+) (\d+)", line)
        if match:
            names.append(match.group(3))
        else:
            print(line)
    return names


def included_files(folder, config):
    """Names that /include/ lines give, relative to the config's folder, also those of included files."""
    names, waiting = [], [config]
    while waiting:
        with open(waiting.pop(), encoding="latin-1") as source:
            text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", source.read(), flags=re.DOTALL)
        for name in re.findall(r'/include/\s*"([^"\n]+)"', text):
            path = os.path.join(folder, name)
            if name not in names and os.path.isfile(path):
                names.append(name)
                waiting.append(path)
    return names


def list_files(arguments):
    """(name on the medium, path here) of everything but the loader."""
    config = arguments.config
    folder = os.path.dirname(config)
    compiled = config.endswith(".dtb")
    names = check_config(arguments.checker, config)
    if not compiled:
        names += included_files(folder, config)
    medium_name = "saguaro.dtb" if compiled else "saguaro.dts"
    files = {medium_name.lower(): (medium_name, config)}
    for name in names:
        if FAT_FORBIDDEN & set(name):
            raise ImageError(f'file "{name}": a FAT volume cannot hold that name')
        path = os.path.join(folder, name)
        known = files.get(name.lower())
        if known is not None and known != (name, path):
            raise ImageError(f'files "{known[0]}" and "{name}" would be one file on a FAT volume')
        files[name.lower()] = (name, path)
    return list(files.values())


def make_folder(folder, files):
    os.makedirs(folder, exist_ok=True)
    for name, path in files:
        target = os.path.join(folder, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.exists(target) and os.path.samefile(path, target):
            continue
        shutil.copyfile(path, target)


def partition_size(files):
    for name, path in files:
        if os.path.getsize(path) > FAT_LARGEST:
            raise ImageError(f'file "{name}" is too large: a FAT volume holds files of less than 4 GiB')
    size = sum(os.path.getsize(path) for _, path in files)
    # Directories, the two FATs and the last cluster of each file fit in a sixteenth and some MiB.
    wanted = size + size // 16 + 8 * MIB
    return max(SMALLEST, (wanted + MIB - 1) // MIB * MIB)


def fill_partition(part, files):
    made = set()
    for name, path in files:
        folder = os.path.dirname(name)
        steps = folder.split("/") if folder else []
        for depth in range(1, len(steps) + 1):
            step = "/".join(steps[:depth])
            if step.lower() not in made:
                made.add(step.lower())
                run("mmd", "-i", part, "::" + step)
        run("mcopy", "-i", part, path, "::" + name)


def make_disk(out, files):
    size = partition_size(files)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(os.path.abspath(out))) as work:
        part = os.path.join(work, "part")
        disk = os.path.join(work, "disk")
        with open(part, "wb") as image:
            image.truncate(size)
        run("mkfs.vfat", "-F", "32", "-n", "SAGUARO", part)
        fill_partition(part, files)
        with open(disk, "wb") as image:
            image.truncate(ALIGNMENT + size + TAIL)
        first = ALIGNMENT // SECTOR
        last = first + size // SECTOR - 1
        run("sgdisk", "--clear", f"--new=1:{first}:{last}", "--typecode=1:ef00", "--change-name=1:Saguaro", disk)
        run("dd", f"if={part}", f"of={disk}", f"bs={MIB}", f"seek={ALIGNMENT // MIB}", "conv=notrunc,sparse", "status=none")
        os.replace(disk, out)


def main():
    parser = argparse.ArgumentParser(description="Makes a bootable disk image or a PXE folder.")
    parser.add_argument("kind", choices=("image", "pxe"))
    parser.add_argument("--config", required=True)
    parser.add_argument("--loader", required=True)
    parser.add_argument("--checker", required=True)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    # sgdisk and mkfs.vfat lie in sbin, which not every user's PATH has.
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    os.environ["MTOOLS_SKIP_CHECK"] = "1"
    try:
        files = list_files(arguments)
        if arguments.kind == "image":
            make_disk(arguments.out, [("EFI/BOOT/BOOTX64.EFI", arguments.loader)] + files)
            size = os.path.getsize(arguments.out) // MIB
            print(f"{arguments.out}: {size} MiB, {len(files)} files beside the loader; write it to a stick with")
            print(f"    dd if={arguments.out} of=/dev/sdX bs=4M conv=fsync")
        else:
            make_folder(arguments.out, [("saguaro.efi", arguments.loader)] + files)
            print(f"{arguments.out}: {len(files)} files beside saguaro.efi, which is the boot file to name in DHCP")
    except (ImageError, OSError) as error:
        print(f"make-image: {error}", file=sys.stderr)
        sys.exit(1)


main()
