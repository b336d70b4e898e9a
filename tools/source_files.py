#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# The files of the source tree, as git knows them, or all that lie outside build/ where there is no git. As a program:
# prints those whose names end in one of its arguments.
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def source_files():
    """Names relative to the top of the tree, sorted."""
    command = ["git", "-C", TOP, "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               text=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        names = []
        for folder, folders, files in os.walk(TOP):
            folders[:] = [name for name in folders if name not in (".git", "build", "__pycache__")]
            names += [os.path.relpath(os.path.join(folder, name), TOP) for name in files]
    return sorted({name for name in names if os.path.isfile(os.path.join(TOP, name))})


if __name__ == "__main__":
    for found in source_files():
        if found.endswith(tuple(sys.argv[1:])):
            print(found)
