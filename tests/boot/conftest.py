# SPDX-License-Identifier: Apache-2.0
# Fixtures of the boot tests: machines that end with the test that started them; and what is done about races in QEMU.
import os
import re
import sys

import pytest
from _pytest.runner import runtestprotocol

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import machine as machines  # noqa: E402
import machine_ppc  # noqa: E402


# QEMU 7.2: an FRSTOR, FXRSTOR or XRSTOR on any CPU rewrites a word of the first CPU's state without a lock (cpu_clear_ignne()), and may
# take "nested paging is on" out of it when the first CPU just enters a guest: that guest sees the machine's memory in place of
# its page tables, and ends in a triple fault. Or the word says after a #VMEXIT that interrupts are open, as they were in the guest: the
# machine itself ends so, and resets. Both were caught in the act (docs/support.md); they need two CPUs that are emulated by two
# threads.
#
# QEMU 7.2: code is translated before its page is guarded against changes (tb_gen_code() ahead of tb_link_page()), so that what another
# CPU changes meanwhile may be run as it was for ever. Linux replaces an instruction by INT3 first. A CPU that is left with that goes
# round: its handler finds the breakpoint gone and has the instruction run again. The one place where that was seen is run by each
# tick, and changed when Linux says "sched_clock: Marking stable".
#
# A test that fails when one of these happened is run once more, and the summary names it.
repeated = []


# Emulators that are one thread: those of several threads are disturbed more by a neighbour, and disturb it more.
BESIDE = ("bochs", "test_ppc", "test_e1000", "test_loader")


def pytest_collection_modifyitems(items):
    for item in items:
        if any(name in item.nodeid for name in BESIDE):
            item.add_marker("beside")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    machines.qemu_faults.clear()
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if any(report.failed for report in reports) and machines.qemu_faults:
        repeated.append((item.nodeid, list(machines.qemu_faults)))
        for forget in machines.caches:
            forget()
        item._initrequest()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter):
    for test, faults in repeated:
        terminalreporter.write_line(f"RUN AGAIN after a fault of QEMU's (conftest.py says which): {test}: {'; '.join(faults)}")


def folder_name(request, name):
    """Of a test: file-test, with what a path cannot hold replaced."""
    parts = [os.path.splitext(os.path.basename(str(request.node.fspath)))[0].replace("test_", "", 1), name]
    return re.sub(r"[^A-Za-z0-9.-]+", "-", "-".join(parts)).strip("-")


def starter(request, name, kind=machines.Machine):
    started = []

    def start(config, *arguments, **keywords):
        label = folder_name(request, name) + (f"-{len(started) + 1}" if started else "")
        started.append(kind(label, config, *arguments, **keywords))
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


@pytest.fixture
def boot_ppc(request):
    """boot_ppc(config, files, ...) starts a PpcMachine for one test."""
    yield from starter(request, request.node.name.replace("test_", "", 1), machine_ppc.PpcMachine)


@pytest.fixture(scope="module")
def boot_ppc_shared(request):
    """The same for a machine that all tests of a file share."""
    yield from starter(request, "shared", machine_ppc.PpcMachine)


@pytest.fixture
def boot_native_ppc(request):
    """boot_native_ppc(kernel, initrd, ...) starts a NativePpc for one test."""
    yield from starter(request, request.node.name.replace("test_", "", 1), machine_ppc.NativePpc)


@pytest.fixture(scope="session")
def ppc_files():
    """The files of a Linux guest for PowerPC: its kernel and the test initramfs."""
    return {"vmlinux": machine_ppc.guest_file("vmlinux"), "initrd.gz": machine_ppc.guest_file("initrd.gz")}


@pytest.fixture(scope="session")
def linux_files():
    """The files of a stock Linux guest: Debian's cloud kernel and the test initramfs."""
    return {"vmlinuz": machines.guest_file("vmlinuz-cloud"), "initrd.gz": machines.guest_file("initrd.gz")}
