# SPDX-License-Identifier: Apache-2.0
# An emulated machine that boots Saguaro, for the boot tests: stages a config and its files, starts QEMU with UEFI firmware,
# and talks to it through its serial port. Everything that it starts ends with it, and everything has a time limit.
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import pexpect
from pexpect import fdpexpect

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, "build")
LOADER = os.path.join(BUILD, "x86/saguaro.efi")
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


# Triple faults of guests in machines of this test that have ended, on QEMU with more than one CPU thread; and what has to be forgotten
# before a test runs again. See conftest.py.
triple_faults = []
caches = []


class MachineError(AssertionError):
    pass


def clean(text):
    """The text as a terminal would show it, with "\\n" as line end."""
    text = ERASED.sub("", text.replace("\r\n", "\n"))
    return ESCAPE.sub("", text).replace("\r", "")


def firmware():
    """Paths of UEFI firmware and of its variables' initial state."""
    for folder in ("/usr/share/OVMF", "/usr/share/edk2/x64"):
        for suffix in ("_4M.fd", ".4m.fd", ".fd"):
            code, variables = f"{folder}/OVMF_CODE{suffix}", f"{folder}/OVMF_VARS{suffix}"
            if os.path.exists(code) and os.path.exists(variables):
                return code, variables
    raise MachineError("no OVMF firmware found (Debian package ovmf)")


def guest_file(name):
    """A kernel or initramfs that the build provides: vmlinuz-cloud, vmlinuz-generic, vmlinuz-686-pae, initrd.gz, ..."""
    path = os.path.join(GUESTS, name)
    if not os.path.exists(path):
        raise MachineError(f"{path} is not there; make guests-all makes it")
    return path


def config(guests, host=""):
    """A config's text: {name: properties}, each "a = 1; b = 2;"."""
    nodes = "".join(f"        {name} {{ {properties} }};\n" for name, properties in guests.items())
    return ('/dts-v1/;\n/ {\n    compatible = "saguaro,host";\n'
            f"    host {{ {host} }};\n    guests {{\n{nodes}    }};\n}};\n")


def linux(name, more="", cmdline="", memory="128M", kernel="vmlinuz", initrd="initrd.gz"):
    """The properties of a guest that runs a Linux kernel with the test initramfs."""
    return (f'kernel = "{kernel}"; initrd = "{initrd}"; memory = "{memory}"; '
            f'cmdline = "console=ttyS0 guest={name}{" " + cmdline if cmdline else ""}"; {more}')


class Machine:
    """
    name      the folder under build/boot/ that holds config, image and logs
    config    text of saguaro.dts, bytes of it, or the path of a .dts or .dtb; None: there is none. With an image or a PXE folder
              made from a path, its files lie beside it
    files     {name on the medium: path here, or bytes}
    boot      "disk": a virtio disk that shows a folder, nothing is checked when it is made;
              "usb": an image by tools/make-image.py on a USB stick; "pxe": its folder on a TFTP server
    options   the loader's command line: it is then started from the firmware's shell
    serial    False: the machine has no serial port
    cpu, smp, memory, accel, extra: QEMU's
    """

    def __init__(self, name, config, files=None, boot="disk", options=None, serial=True, smp=2, memory="1G",
                 cpu="EPYC,+svm,+npt", extra=(), loader=LOADER, accel="tcg,thread=multi"):
        self.folder = os.path.join(BUILD, "boot", name)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(os.path.join(self.folder, "files"))
        self.log_path = os.path.join(self.folder, "serial.log")
        self.sockets = tempfile.mkdtemp(prefix="saguaro-")
        self.qemu = None  # the emulator's process
        self.port = None  # its serial port
        self.log = None
        self.commands = 0
        self.loader = loader
        self._qmp = None
        self.racy = False  # two CPUs in two threads of QEMU's
        try:
            medium = self._stage(config, files or {}, boot, options)
            self._start(medium, serial, smp, memory, cpu, accel, extra)
        except BaseException:
            self.close()
            raise

    # --- the medium ---

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

    def _stage(self, config, files, boot, options):
        folder = os.path.join(self.folder, "files")
        for name, content in files.items():
            self._put(name, content)
        config_path = None
        if isinstance(config, bytes):
            config_path = self._put("saguaro.dts", config)
        elif config is not None and "\n" in config:
            config_path = self._put("saguaro.dts", config.encode())
        elif config is not None and boot != "disk":
            config_path = config
        elif config is not None:
            config_path = self._put("saguaro.dtb" if config.endswith(".dtb") else "saguaro.dts", config)
        if boot == "disk":
            if options is None:
                self._put("EFI/BOOT/BOOTX64.EFI", self.loader)
            else:
                self._put("saguaro.efi", self.loader)
                self._put("startup.nsh", f"fs0:\r\nsaguaro.efi {options}\r\n".encode())
            return ["-drive", f"if=none,id=disk,format=raw,readonly=on,file=fat:{folder}",
                    "-device", "virtio-blk-pci,drive=disk"]
        out = os.path.join(self.folder, "disk.img" if boot == "usb" else "tftp")
        subprocess.run([sys.executable, os.path.join(TOP, "tools/make-image.py"), "image" if boot == "usb" else "pxe",
                        "--config", config_path, "--loader", self.loader, "--checker", CHECK_CONFIG, "--out", out],
                       check=True, timeout=120)
        if boot == "usb":
            return ["-device", "qemu-xhci", "-drive", f"if=none,id=stick,format=raw,file={out}",
                    "-device", "usb-storage,drive=stick"]
        return ["-netdev", f"user,id=n0,tftp={out},bootfile=saguaro.efi",
                "-device", "virtio-net-pci,netdev=n0,bootindex=0"]

    # --- the machine ---

    def _start(self, medium, serial, smp, memory, cpu, accel, extra):
        code, variables = firmware()
        self.racy = smp > 1 and "thread=multi" in accel
        own_variables = os.path.join(self.folder, "vars.fd")
        shutil.copyfile(variables, own_variables)
        command = ["-accel", accel, "-machine", "q35", "-cpu", cpu, "-m", memory, "-smp", str(smp),
                   "-drive", f"if=pflash,format=raw,readonly=on,file={code}",
                   "-drive", f"if=pflash,format=raw,file={own_variables}",
                   "-display", "none", "-monitor", "none",
                   "-qmp", f"unix:{self.sockets}/qmp,server=on,wait=off"]
        if serial:
            command += ["-chardev", f"socket,id=com1,path={self.sockets}/com1,server=on,wait=on", "-serial", "chardev:com1"]
        else:
            command += ["-serial", "none"]
        if "-netdev" not in medium:
            command += ["-nic", "none"]
        command += medium + list(extra)
        with open(os.path.join(self.folder, "qemu.txt"), "w", encoding="utf-8") as file:
            file.write(" ".join(["qemu-system-x86_64", *command]) + "\n")
        self.log = open(self.log_path, "w", buffering=1, encoding="utf-8", errors="replace", newline="")
        with open(os.path.join(self.folder, "qemu.log"), "w", encoding="utf-8") as errors:
            self.qemu = subprocess.Popen(["qemu-system-x86_64", *command], stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
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
            if self.racy:
                triple_faults.extend(re.findall(r"guest \S+ crashed: triple fault on vCPU \d+", self.output()))
            self.log.close()
        shutil.rmtree(self.sockets, ignore_errors=True)
        for name in ("disk.img", "tftp", "files", "vars.fd"):  # the logs stay
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

    def _fail(self, what):
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
        self.expect(rf"BEGIN-{number}\r\n", timeout)
        match = self.expect(rf"END-{number}-(\d+)\r\n", timeout)
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
