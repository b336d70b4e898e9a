# SPDX-License-Identifier: Apache-2.0
# What the boot tests' emulated machines share, whatever CPU they have: a folder for their files and logs, QEMU's start and end,
# the serial port, the monitor of Saguaro and the shells of its guests. Everything has a time limit.
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

import pexpect
from pexpect import fdpexpect

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, "build")
CHECK_CONFIG = os.path.join(BUILD, "host/check-config")
GUESTS = os.path.join(BUILD, "guests")
PROMPT = "saguaro> "
# What a terminal does with it: colours and cursor go, and what "\r ESC [ K" takes off the screen.
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()].|\x1b[=>c]")
ERASED = re.compile(r"[^\n]*\r+\x1b\[K")
# A line of a guest that does not have the console.
OTHERS = re.compile(r"^\[[a-z][a-z0-9-]*\] .*\n", re.MULTILINE)

# The time limits hold for a machine whose CPUs others use as well.
BOOT_TIME = 240
ANSWER_TIME = 60


class MachineError(AssertionError):
    pass


def clean(text):
    """The text as a terminal would show it, with "\\n" as line end."""
    text = ERASED.sub("", text.replace("\r\n", "\n"))
    return ESCAPE.sub("", text).replace("\r", "")


def config(guests, host="", more=""):
    """A config's text: {name: properties}, each "a = 1; b = 2;"; `more`: further nodes."""
    nodes = "".join(f"        {name} {{ {properties} }};\n" for name, properties in guests.items())
    return ('/dts-v1/;\n/ {\n    compatible = "saguaro,host";\n'
            f"    host {{ {host} }};\n    {more}\n    guests {{\n{nodes}    }};\n}};\n")


class Emulated:
    """An emulated machine; a class of it stages what it boots from and starts it with _launch()."""

    PROGRAM = None  # the emulator
    TEMPORARY = ("files",)  # what goes when the machine does; the logs stay

    def __init__(self, name):
        self.folder = os.path.join(BUILD, "boot", name)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(os.path.join(self.folder, "files"))
        self.log_path = os.path.join(self.folder, "serial.log")
        self.sockets = tempfile.mkdtemp(prefix="saguaro-")
        self.qemu = None  # the emulator's process
        self.port = None  # its serial port
        self.log = None
        self.commands = 0
        self._qmp = None

    # --- the machine ---

    def _put(self, name, content):
        path = os.path.join(self.folder, "files", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if isinstance(content, str):
            try:
                os.link(os.path.realpath(content), path)
            except OSError:
                shutil.copyfile(content, path)
        else:
            with open(path, "wb") as file:
                file.write(content)
        return path

    def _put_config(self, config):
        """The path of a config that is given as text, bytes, or the path of a .dts or .dtb."""
        if isinstance(config, bytes):
            return self._put("saguaro.dts", config)
        if "\n" in config:
            return self._put("saguaro.dts", config.encode())
        return config

    def _launch(self, options, serial=True):
        """Starts the emulator with its options and those of the ports that tests use."""
        command = [self.PROGRAM, *options, "-display", "none", "-monitor", "none",
                   "-qmp", f"unix:{self.sockets}/qmp,server=on,wait=off"]
        if serial:
            command += ["-chardev", f"socket,id=com1,path={self.sockets}/com1,server=on,wait=on", "-serial", "chardev:com1"]
        else:
            command += ["-serial", "none"]
        with open(os.path.join(self.folder, "qemu.txt"), "w", encoding="utf-8") as file:
            file.write(" ".join(command) + "\n")
        self.log = open(self.log_path, "w", buffering=1, encoding="utf-8", errors="replace", newline="")
        with open(os.path.join(self.folder, "qemu.log"), "w", encoding="utf-8") as errors:
            self.qemu = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        if serial:
            self.port = fdpexpect.fdspawn(self._connect("com1").detach(), timeout=ANSWER_TIME, encoding="utf-8",
                                          codec_errors="replace", maxread=1 << 16)
            self.port.delaybeforesend = None
            self.port.logfile_read = self.log

    def _connect(self, name):
        """One of QEMU's sockets, once it is there."""
        deadline = time.monotonic() + ANSWER_TIME
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(f"{self.sockets}/{name}")
                return connection
            except OSError:
                connection.close()
                if self.qemu.poll() is not None:
                    with open(os.path.join(self.folder, "qemu.log"), encoding="utf-8", errors="replace") as errors:
                        raise MachineError(f"the emulator did not start: {errors.read()}") from None
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def close(self):
        if self.qemu is not None:
            self.qemu.kill()
            self.qemu.wait()
        if self.port is not None:
            self.port.close()
        if self._qmp is not None:
            self._qmp.close()
        if self.log is not None:
            self.log.close()
        shutil.rmtree(self.sockets, ignore_errors=True)
        for name in self.TEMPORARY:
            path = os.path.join(self.folder, name)
            if os.path.isdir(path):
                shutil.rmtree(path)
            elif os.path.exists(path):
                os.unlink(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- its serial port ---

    def output(self):
        """All that the machine wrote so far."""
        self.log.flush()
        with open(self.log_path, encoding="utf-8", errors="replace", newline="") as file:
            return clean(file.read())

    def _state(self):
        return os.path.join(self.folder, "state.txt")

    def _keep_state(self):
        """What QEMU's CPUs and interrupt controllers look like now, twice, into a file beside the log."""
        with open(self._state(), "w", encoding="utf-8") as file:
            for command in ("info registers -a", "info pic", "info lapic", "info irq", "info registers -a"):
                try:
                    file.write(f"--- {command}\n{self.qmp('human-monitor-command', **{'command-line': command})}\n")
                except (AttributeError, AssertionError, OSError, ValueError, KeyError) as problem:
                    file.write(f"--- {command}: {problem!r}\n")

    def _fail(self, what):
        self._keep_state()
        lines = self.output().splitlines()[-40:]
        raise MachineError(f"{what}\n--- the last lines of {os.path.relpath(self.log_path, TOP)}:\n" + "\n".join(lines)) from None

    def expect(self, pattern, timeout=ANSWER_TIME, text=False):
        """Waits for a regular expression, or for exactly this `text`, and returns the match. Of a list, any will do."""
        try:
            if text:
                self.port.expect_exact(pattern, timeout=timeout)
                return self.port.match
            self.port.expect(pattern, timeout=timeout)
            return self.port.match
        except pexpect.TIMEOUT:
            self._fail(f"{pattern!r} did not come within {timeout} s")
        except pexpect.EOF:
            self._fail(f"{pattern!r} did not come before the machine stopped")

    def expect_all(self, patterns, timeout=ANSWER_TIME):
        """Waits for each of several regular expressions, in whatever order they come. {pattern: match}"""
        found, waiting, deadline = {}, list(patterns), time.monotonic() + timeout
        while waiting:
            try:
                index = self.port.expect(waiting, timeout=max(deadline - time.monotonic(), 0.1))
            except (pexpect.TIMEOUT, pexpect.EOF) as problem:
                self._fail(f"{waiting!r} did not come within {timeout} s ({type(problem).__name__})")
            found[waiting.pop(index)] = self.port.match
        return found

    def expect_silence(self, pattern, seconds):
        """Fails when the pattern comes within so many seconds."""
        try:
            self.port.expect(pattern, timeout=seconds)
        except pexpect.TIMEOUT:
            return
        except pexpect.EOF:
            self._fail("the machine stopped")
        self._fail(f"{pattern!r} came, and should not have")

    def send(self, text):
        self.port.send(text)

    # --- Saguaro ---

    def wait_ready(self, *guests, timeout=BOOT_TIME):
        """Until the test initramfs of each of these guests has come up. Guests must not be attached."""
        self.expect_all([rf"\[{name}\] GUEST-READY {name} uptime ([0-9.]+)" for name in guests], timeout)

    def prompt(self, timeout=BOOT_TIME):
        """Until the monitor asks for a command."""
        self.expect(PROMPT, timeout)

    def monitor(self, command, timeout=ANSWER_TIME):
        """A command to the monitor, and its answer."""
        self.command(command, timeout)
        self.expect(PROMPT, timeout)
        return clean(self.port.before)

    def command(self, command, timeout=ANSWER_TIME):
        """A command to the monitor, up to the end of its line: while the command runs there is no prompt to be mistaken."""
        self.send(command + "\r")
        self.expect(re.escape(command) + "\r\n", timeout)

    @contextlib.contextmanager
    def console(self, guest):
        """Gives the console to a guest for the length of a with statement."""
        self.command(f"console {guest}")
        self.expect(rf"--- console of {guest}; Ctrl-\] leaves ---")
        try:
            yield
        finally:
            self.send("\x1d")
            self.expect(r"--- left the console of [a-z0-9-]+ ---")
            self.expect(PROMPT)

    def shell(self, command, timeout=ANSWER_TIME):
        """A command to the shell of the guest that has the console: its status and its output."""
        self.commands += 1
        number = self.commands
        # What the shell shows of the line while it is typed does not look like what these print.
        self.send(f"echo BEGIN''-{number}; {command}; echo END''-{number}-$?\r")
        # Something else that is printed meanwhile may come before their line ends.
        end = r"(?:\r\n|(?=[^\d\r]|\r[^\n]))"
        self.expect(rf"BEGIN-{number}{end}", timeout)
        match = self.expect(rf"END-{number}-(\d+){end}", timeout)
        return int(match.group(1)), OTHERS.sub("", clean(self.port.before))

    def wait_poweroff(self, timeout=ANSWER_TIME):
        """Until the machine has switched itself off."""
        try:
            self.port.expect(pexpect.EOF, timeout=timeout)
        except pexpect.TIMEOUT:
            self._fail(f"the machine did not switch itself off within {timeout} s")
        status = self.qemu.wait(timeout=ANSWER_TIME)
        if status != 0:
            self._fail(f"the emulator ended with {status}")

    # --- QEMU ---

    def qmp(self, command, **arguments):
        """A command to QEMU itself, by its machine protocol."""
        if self._qmp is None:
            self._qmp = self._connect("qmp")
            self._qmp.settimeout(ANSWER_TIME)
            self._qmp = self._qmp.makefile("rw", encoding="utf-8")
            self._qmp.readline()
            self.qmp("qmp_capabilities")
        self._qmp.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._qmp.flush()
        while True:
            answer = json.loads(self._qmp.readline())
            if "error" in answer:
                raise MachineError(f"QEMU: {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
