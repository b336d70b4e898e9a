# SPDX-License-Identifier: Apache-2.0
# A machine that counts instructions from the hypervisor's first one on: QEMU's -icount, where one instruction is one nanosecond and
# one tick of the TSC. Firmware and loader run without it (they wait in loops, which takes minutes when each turn is counted): a
# debugger's breakpoint stops the machine at the hypervisor's entry, its state moves to a second machine, and that one counts.
import os
import re
import socket
import time

from machine import BOOT_TIME, BUILD, Machine, MachineError

HYPERVISOR = os.path.join(BUILD, "x86/saguaro.elf")
COUNTING = ["-icount", "shift=0,sleep=off"]


def entry_point():
    with open(HYPERVISOR, "rb") as file:
        return int.from_bytes(file.read(32)[24:32], "little")  # e_entry


class Debugger:
    """As much of gdb's remote protocol as a breakpoint needs."""

    def __init__(self, path, timeout):
        deadline = time.monotonic() + timeout
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(path)
                break
            except OSError:
                self.socket.close()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self.socket.settimeout(timeout)
        self.received = b""

    def send(self, text):
        data = text.encode()
        self.socket.sendall(b"$%s#%02x" % (data, sum(data) & 0xFF))

    def receive(self):
        while True:
            packet = re.search(rb"\$([^#]*)#..", self.received)
            if packet:
                self.received = self.received[packet.end():]
                self.socket.sendall(b"+")
                return packet.group(1).decode()
            data = self.socket.recv(4096)
            if not data:
                raise MachineError("the emulator closed its debugger's port")
            self.received += data

    def ask(self, text, answer=None):
        self.send(text)
        got = self.receive()
        if answer is not None and got != answer:
            raise MachineError(f"the emulator's debugger answered {got} to {text}")
        return got

    def close(self):
        self.socket.close()


def stop_at(machine, debugger, address):
    """Runs a machine that has not started yet up to an address, and leaves it paused there."""
    debugger.ask("?")
    debugger.ask(f"Z1,{address:x},1", "OK")
    stop = debugger.ask("c")
    if not stop.startswith("T05"):
        raise MachineError(f"the machine stopped before the hypervisor's entry: {stop}")
    # A machine that a debugger holds cannot be moved: a jump to itself holds it while it changes to being paused.
    debugger.ask(f"z1,{address:x},1", "OK")
    code = debugger.ask(f"m{address:x},2")
    debugger.ask(f"M{address:x},2:ebfe", "OK")
    debugger.send("c")
    machine.qmp("stop")
    debugger.receive()
    debugger.ask(f"M{address:x},2:{code}", "OK")


def save(machine, path):
    machine.qmp("migrate-set-parameters", **{"max-bandwidth": 10 << 30})
    machine.qmp("migrate", uri=f"exec:cat >{path}")
    deadline = time.monotonic() + BOOT_TIME
    while True:
        status = machine.qmp("query-migrate").get("status")
        if status == "completed":
            return
        if status in ("failed", "cancelled") or time.monotonic() > deadline:
            raise MachineError(f"the machine's state could not be saved ({status})")
        time.sleep(0.05)


def counted_machine(name, config, files, smp=1, extra=(), devices=(), hold=False):
    """A Machine that runs and counts from the hypervisor's first instruction on; `extra`: more options for QEMU then; `devices`: its
    further devices, which can be moved. It waits for a debugger at that instruction if `hold`."""
    path = os.path.join(BUILD, "boot", f"{name}.state")
    with Machine(name, config, files, smp=smp,
                 extra=[*devices, "-S", "-gdb", f"unix:{path}.gdb,server=on,wait=off"]) as machine:
        debugger = Debugger(f"{path}.gdb", BOOT_TIME)
        try:
            stop_at(machine, debugger, entry_point())
            save(machine, path)
        finally:
            debugger.close()
            os.unlink(f"{path}.gdb")
    machine = Machine(f"{name}-counted", config, files, smp=smp, accel="tcg",
                      extra=[*COUNTING, *devices, *extra, "-S", "-incoming", f"exec:cat {path}"])
    try:
        deadline = time.monotonic() + BOOT_TIME
        while machine.qmp("query-status")["status"] == "inmigrate":
            if time.monotonic() > deadline:
                raise MachineError("the machine's state could not be loaded")
            time.sleep(0.05)
        os.unlink(path)
        if not hold:
            machine.qmp("cont")
    except BaseException:
        machine.close()
        raise
    return machine
