# SPDX-License-Identifier: Apache-2.0
# Who runs when: priorities, turns among equals, budgets; a guest that never rests does not take the machine.
import re
import time

import pytest

from machine import config, linux
from tiny import HALT, SPIN, say, tiny

pytestmark = pytest.mark.alone

TINY = 'memory = "4M"; cpus = <0>; autostart = "no"; multiboot = '
# On one CPU: whatever runs takes it from the others.
GUESTS = {
    "linux": linux("linux", 'cpus = <0>; priority = <20>;'),
    "spin": TINY + '"spin";',
    "spin2": TINY + '"spin";',
    "hog": TINY + '"spin"; priority = <90>;',
    "limited": TINY + '"spin"; priority = <90>; budget = <2000>; period = <10000>;',
    "rest": TINY + '"halt"; priority = <90>;',
}


@pytest.fixture(scope="module")
def machine(boot_shared, linux_files):
    files = dict(linux_files, spin=tiny(say("spinning") + SPIN), halt=tiny(say("resting") + HALT))
    machine = boot_shared(config(GUESTS), files, smp=1)
    machine.wait_ready("linux")
    machine.send("\r")
    machine.prompt()
    return machine


@pytest.fixture(autouse=True)
def stop_all(machine):
    yield
    for guest in ("hog", "limited", "rest", "spin", "spin2"):
        machine.monitor(f"stop {guest}")
    deadline = time.monotonic() + 60
    while re.search(r" stopping ", machine.monitor("vms")):
        assert time.monotonic() < deadline, "a guest does not stop"
        time.sleep(0.2)


def cpu_times(machine):
    """{guest: seconds of CPU time}"""
    return {name: float(value) for name, value in
            re.findall(r"^(\S+) +\S+ +\d+ +\d+ MiB +([0-9.]+) s +\d+$", machine.monitor("vms"), re.M)}


def shares(machine, seconds):
    """The part of the CPU that each guest gets while so much time passes."""
    start, begun = cpu_times(machine), time.monotonic()
    time.sleep(seconds)
    stop, passed = cpu_times(machine), time.monotonic() - begun
    return {name: (stop[name] - start[name]) / passed for name in start}


def test_resting_guest_costs_nothing(machine):
    machine.command("start rest")
    machine.expect(r"\[rest\] resting")
    part = shares(machine, 10)
    assert part["rest"] < 0.02 and part["linux"] < 0.3, part


def test_equals_take_turns(machine):
    machine.monitor("start spin")
    machine.command("start spin2")
    machine.expect(r"\[spin2\] spinning")
    part = shares(machine, 15)
    assert part["spin"] + part["spin2"] > 0.7, part
    assert 0.8 < part["spin"] / part["spin2"] < 1.25, part


def test_lower_priority_does_not_disturb(machine):
    """A guest below that never rests: the one above has what it wants, whenever it wants it."""
    machine.command("start spin")
    machine.expect(r"\[spin\] spinning")
    with machine.console("linux"):
        begun = time.monotonic()
        assert machine.shell("i=0; while [ $i -lt 20 ]; do sleep 0.1; i=$((i+1)); done", 30)[0] == 0
        assert time.monotonic() - begun < 12


def test_budget(machine):
    """Of a higher priority, never resting, but with a budget of a fifth: it gets a fifth, the others the rest."""
    machine.command("start limited")
    machine.expect(r"\[limited\] spinning")
    machine.command("start spin")
    machine.expect(r"\[spin\] spinning")
    part = shares(machine, 15)
    assert 0.15 < part["limited"] < 0.25, part
    assert part["spin"] > 0.5, part
    with machine.console("linux"):
        assert machine.shell("echo alive") == (0, "alive\n")


def test_starving_and_the_monitor(machine):
    """Without a budget the highest one takes the CPU; the monitor still answers and can stop it."""
    machine.command("start spin")
    machine.expect(r"\[spin\] spinning")
    machine.command("start hog")
    machine.expect(r"\[hog\] spinning")
    # One that is starved can be stopped nevertheless.
    machine.command("stop spin")
    machine.expect("guest spin: stopped by command")
    part = shares(machine, 10)
    assert part["hog"] > 0.9 and part["linux"] < 0.02, part
    machine.command("stop hog")
    machine.expect("guest hog: stopped by command")
    with machine.console("linux"):
        assert machine.shell("echo alive") == (0, "alive\n")


def test_pause_of_a_spinning_guest(machine):
    machine.command("start hog")
    machine.expect(r"\[hog\] spinning")
    machine.monitor("pause hog")
    with machine.console("linux"):
        assert machine.shell("echo alive") == (0, "alive\n")
    assert re.search("^hog +paused", machine.monitor("vms hog"), re.M)
    assert shares(machine, 3)["hog"] < 0.01
