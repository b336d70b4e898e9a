# SPDX-License-Identifier: Apache-2.0
# Fixtures of the boot tests: machines that end with the test that started them.
import os
import re
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import machine as machines  # noqa: E402


def folder_name(request, name):
    """Of a test: file-test, with what a path cannot hold replaced."""
    parts = [os.path.splitext(os.path.basename(str(request.node.fspath)))[0].replace("test_", "", 1), name]
    return re.sub(r"[^A-Za-z0-9.-]+", "-", "-".join(parts)).strip("-")


def starter(request, name):
    started = []

    def start(config, *arguments, **keywords):
        label = folder_name(request, name) + (f"-{len(started) + 1}" if started else "")
        started.append(machines.Machine(label, config, *arguments, **keywords))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def boot(request):
    """boot(config, files, ...) starts a Machine for one test."""
    yield from starter(request, request.node.name.replace("test_", "", 1))


@pytest.fixture(scope="module")
def boot_shared(request):
    """The same for a machine that all tests of a file share."""
    yield from starter(request, "shared")


@pytest.fixture(scope="session")
def linux_files():
    """The files of a stock Linux guest: Debian's cloud kernel and the test initramfs."""
    return {"vmlinuz": machines.guest_file("vmlinuz-cloud"), "initrd.gz": machines.guest_file("initrd.gz")}
