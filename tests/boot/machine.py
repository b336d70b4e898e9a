# SPDX-License-Identifier: Apache-2.0
# An emulated machine that boots Saguaro, for the boot tests: stages a config and its files, starts QEMU with UEFI firmware,
# and talks to it through its serial port. Everything that it starts ends with it, and everything has a time limit.
import os
import re
import shutil
import subprocess
import sys

from emulated import (ANSWER_TIME, BOOT_TIME, BUILD, CHECK_CONFIG, GUESTS, PROMPT, TOP, Emulated, MachineError,  # noqa: F401
                      clean, config)

LOADER = os.path.join(BUILD, "x86/saguaro.efi")

# What QEMU with more than one CPU thread may have done to machines of this test that have ended: triple faults, of guests and of the
# machines themselves, and guests that run code that is no longer there. And what has to be forgotten before a test runs again. See
# conftest.py.
qemu_faults = []
caches = []


def stale_code(output, state):
    """
    Linux guests that stood still where Linux changes the first instruction of its clock's tick, by their output and by what QEMU's
    CPUs looked like at two moments (_keep_state()): such a CPU has interrupts off, and is at the same place of the kernel both times.
    """
    looks = [re.findall(r"^RIP=(ffffffff\w{8}) RFL=(\w{8})", look, re.M) for look in state.split("--- info registers -a\n")[1:]]
    if len(looks) != 2 or not any(first == second and not int(first[1], 16) & 0x200 for first, second in zip(*looks)):
        return []
    last = {}
    for name, line in re.findall(r"(?:^|saguaro> )(?:\[([a-z][a-z0-9-]*)\] )?(\[ *\d+\.\d{6}\] .*)", output, re.M):
        last[name] = line
    return [f"guest {name or 'on the console'}: stands still at a static branch" for name, line in last.items()
            if "sched_clock: Marking stable" in line]


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


def linux(name, more="", cmdline="", memory="128M", kernel="vmlinuz", initrd="initrd.gz"):
    """The properties of a guest that runs a Linux kernel with the test initramfs."""
    return (f'kernel = "{kernel}"; initrd = "{initrd}"; memory = "{memory}"; '
            f'cmdline = "console=ttyS0 guest={name}{" " + cmdline if cmdline else ""}"; {more}')


class Machine(Emulated):
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

    PROGRAM = "qemu-system-x86_64"
    TEMPORARY = ("disk.img", "tftp", "files", "vars.fd")

    def __init__(self, name, config, files=None, boot="disk", options=None, serial=True, smp=2, memory="1G",
                 cpu="EPYC,+svm,+npt", extra=(), loader=LOADER, accel="tcg,thread=multi"):
        super().__init__(name)
        self.loader = loader
        self.racy = False  # two CPUs in two threads of QEMU's
        try:
            medium = self._stage(config, files or {}, boot, options)
            self._start(medium, serial, smp, memory, cpu, accel, extra)
        except BaseException:
            self.close()
            raise

    # --- the medium ---

    def _stage(self, config, files, boot, options):
        folder = os.path.join(self.folder, "files")
        for name, content in files.items():
            self._put(name, content)
        config_path = None if config is None else self._put_config(config)
        if config_path == config and config is not None and boot == "disk":
            self._put("saguaro.dtb" if config.endswith(".dtb") else "saguaro.dts", config)
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
        # Why a CPU was reset, with its registers.
        resets = ["-d", "cpu_reset", "-D", self._resets()]
        own_variables = os.path.join(self.folder, "vars.fd")
        shutil.copyfile(variables, own_variables)
        command = ["-accel", accel, "-machine", "q35", "-cpu", cpu, "-m", memory, "-smp", str(smp),
                   "-drive", f"if=pflash,format=raw,readonly=on,file={code}",
                   "-drive", f"if=pflash,format=raw,file={own_variables}"]
        if "-netdev" not in medium:
            command += ["-nic", "none"]
        self._launch(command + resets + medium + list(extra), serial)

    def _resets(self):
        return os.path.join(self.folder, "resets.log")

    def _reset_itself(self):
        """Whether a CPU of the machine ended in a triple fault. (Saguaro reboots so where there is nothing better, and says it.)"""
        if not os.path.exists(self._resets()) or "] rebooting" in self.output():
            return False
        with open(self._resets(), encoding="utf-8", errors="replace") as file:
            return "Triple fault" in file.read()

    def close(self):
        if self.racy and self.log is not None:
            qemu_faults.extend(re.findall(r"guest \S+ crashed: triple fault on vCPU \d+", self.output()))
            if self._reset_itself():
                qemu_faults.append("the machine: triple fault")
            if os.path.exists(self._state()):
                with open(self._state(), encoding="utf-8") as file:
                    qemu_faults.extend(stale_code(self.output(), file.read()))
        super().close()
