# SPDX-License-Identifier: Apache-2.0
# The emulated PowerPC machine of the boot tests: QEMU's ppce500 with two e500v2 CPUs, which boots the hypervisor with a bundle;
# or, to know what the machine itself does, a guest's kernel without any hypervisor.
import os
import re
import subprocess
import sys

from emulated import ANSWER_TIME, BOOT_TIME, BUILD, CHECK_CONFIG, GUESTS, TOP, Emulated, MachineError

HYPERVISOR = os.path.join(BUILD, "ppc/saguaro.elf")
# What tests/guests/ppc/hostile does and comes back from.
HOSTILE = ("user", "supervisor", "registers", "tlb", "memory", "hypercalls")
MAKE_BUNDLE = os.path.join(TOP, "tools/make-bundle.py")


def guest_file(name):
    """A kernel or initramfs for PowerPC that the build provides: vmlinux, vmlinux-smp, initrd.gz, tests/cpu.elf, ..."""
    path = os.path.join(GUESTS, "ppc", name)
    if not os.path.exists(path):
        raise MachineError(f"{path} is not there; make guests-ppc-all test-guests-ppc makes it")
    return path


def linux(name, more="", cmdline="", memory="96M", kernel="vmlinux", initrd="initrd.gz"):
    """The properties of a guest that runs a Linux kernel with the test initramfs."""
    return (f'kernel = "{kernel}"; initrd = "{initrd}"; memory = "{memory}"; '
            f'cmdline = "console=ttyS0 guest={name}{" " + cmdline if cmdline else ""}"; {more}')


def bare(image, cmdline="", memory="64M", more=""):
    """The properties of a guest of tests/guests/ppc."""
    return f'kernel = "{image}"; memory = "{memory}"; {more}' + (f' cmdline = "{cmdline}";' if cmdline else "")


class PpcMachine(Emulated):
    """
    name      the folder under build/boot/ that holds config, bundle and logs
    config    text of saguaro.dts, bytes of it, or the path of a .dts or .dtb beside which its files lie
    files     {name in the bundle: path here, or bytes}
    bundle    bytes to boot with in place of what tools/make-bundle.py makes of the config; b"": there is none
    smp, memory, accel, extra: QEMU's
    """

    PROGRAM = "qemu-system-ppc"
    TEMPORARY = ("files", "bundle")

    def __init__(self, name, config, files=None, bundle=None, smp=2, memory="512M", extra=(), hypervisor=HYPERVISOR,
                 accel="tcg"):
        super().__init__(name)
        try:
            self._start(self._stage(config, files or {}, bundle, hypervisor), smp, memory, accel, extra)
        except BaseException:
            self.close()
            raise

    def _stage(self, config, files, bundle, hypervisor):
        out = os.path.join(self.folder, "bundle")
        for name, content in files.items():
            self._put(name, content)
        if bundle is None:
            subprocess.run([sys.executable, MAKE_BUNDLE, "--config", self._put_config(config), "--checker", CHECK_CONFIG,
                            "--out", out], check=True, timeout=120, stdout=subprocess.DEVNULL)
        elif bundle:
            with open(out, "wb") as file:
                file.write(bundle)
        return ["-kernel", hypervisor] + ([] if bundle == b"" else ["-initrd", out])

    def _start(self, medium, smp, memory, accel, extra):
        self._launch(["-accel", accel, "-machine", "ppce500", "-cpu", "e500v2", "-m", memory, "-smp", str(smp), "-nic", "none",
                      *medium, *extra])


class NativePpc(PpcMachine):
    """The same machine with a guest's kernel on it, and nothing between."""

    def __init__(self, name, kernel, initrd=None, cmdline="", smp=1, memory="256M", extra=()):
        medium = ["-kernel", kernel] + (["-initrd", initrd] if initrd else []) + (["-append", cmdline] if cmdline else [])
        super().__init__(name, None, bundle=b"", smp=smp, memory=memory, extra=[*medium[2:], *extra], hypervisor=kernel)

    def wait_ready(self, *guests, timeout=BOOT_TIME):
        for name in guests:
            self.expect(rf"GUEST-READY {name} uptime ([0-9.]+)", timeout)
            self.expect(re.escape(f"{name}:/# "), ANSWER_TIME)
