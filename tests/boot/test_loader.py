# SPDX-License-Identifier: Apache-2.0
# The EFI loader and bad input: each mistake is named on the console, nothing starts, and a key gives the machine back to
# the firmware. Configs and files come from a FAT volume, or over the network.
import os
import re
import shutil
import struct

import pexpect
import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOADER = os.path.join(TOP, "build/x86/saguaro.efi")
LOGS = os.path.join(TOP, "build/boot")
CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
TIMEOUT = 120  # seconds: a boot takes 5 on an idle machine, the whole test run loads it fully
ASKS = r"Press a key to return to the firmware"

CONFIG = """/dts-v1/;
/ {
    compatible = "saguaro,host";
    guests {
        web { kernel = "vmlinuz"; initrd = "sub/initrd.gz"; memory = "64M"; %s };
        db { kernel = "vmlinuz"; memory = "64M"; };
    };
};
"""


def small_kernel(size=40_000):
    """A bzImage header that is sound (boot protocol 2.15, 64-bit entry), and nothing behind it."""
    image = bytearray(size)
    image[0x1F1] = 4  # set-up sectors
    struct.pack_into("<I", image, 0x1F4, (size - 5 * 512) // 16)
    image[0x1FE:0x200] = b"\x55\xaa"
    image[0x200:0x202] = b"\xeb\x66"
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x206, 0x20F)
    image[0x211] = 1  # loaded high
    struct.pack_into("<I", image, 0x22C, 0x7FFFFFFF)
    struct.pack_into("<I", image, 0x230, 0x200000)
    image[0x234] = 1
    struct.pack_into("<HI", image, 0x236, 0x3, 2047)
    struct.pack_into("<QI", image, 0x258, 0x1000000, 0x100000)
    return bytes(image)


class Machine:
    """One boot; `text` is what came out of the serial port so far, without terminal control sequences."""

    def __init__(self, name, folder, network=False, memory="256M"):
        os.makedirs(LOGS, exist_ok=True)
        variables = os.path.join(LOGS, "loader-%s.vars" % name)
        shutil.copy(VARS, variables)
        if network:
            boot = ["-netdev", "user,id=n0,tftp=%s,bootfile=saguaro.efi" % folder,
                    "-device", "virtio-net-pci,netdev=n0,bootindex=0" + network]
        else:
            boot = ["-nic", "none", "-drive", "format=raw,file=fat:rw:%s" % folder]
        self.log = open(os.path.join(LOGS, "loader-%s.log" % name), "wb")
        self.text = ""
        self.qemu = pexpect.spawn("qemu-system-x86_64", [
            "-accel", "tcg", "-machine", "q35", "-cpu", "EPYC,+svm,+npt", "-m", memory, "-smp", "2", "-nodefaults",
            "-vga", "none", "-display", "none", "-serial", "stdio", "-no-reboot",
            "-drive", "if=pflash,format=raw,readonly=on,file=" + CODE,
            "-drive", "if=pflash,format=raw,file=" + variables, *boot], timeout=TIMEOUT, logfile=self.log)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.qemu.close(force=True)
        self.log.close()

    def expect(self, pattern):
        self.qemu.expect(pattern)
        raw = (self.qemu.before + self.qemu.after).decode(errors="replace")
        self.text += re.sub(r"\x1b\[[0-9;=]*[A-Za-z]", "", raw).replace("\r", "")
        return self.text


@pytest.fixture
def volume(tmp_path):
    """A volume on which everything is right; tests spoil one thing each."""
    (tmp_path / "EFI" / "BOOT").mkdir(parents=True)
    shutil.copy(LOADER, tmp_path / "EFI" / "BOOT" / "BOOTX64.EFI")
    (tmp_path / "saguaro.dts").write_text(CONFIG % "")
    (tmp_path / "vmlinuz").write_bytes(small_kernel())
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "initrd.gz").write_bytes(b"x" * 5000)
    return tmp_path


def no_config(volume):
    (volume / "saguaro.dts").unlink()


def empty_config(volume):
    (volume / "saguaro.dts").write_text("")


def huge_config(volume):
    (volume / "saguaro.dts").write_bytes(os.urandom(1_000_000))


def random_config(volume):
    (volume / "saguaro.dts").write_bytes(b"\x01" + os.urandom(100_000))


def syntax_error(volume):
    (volume / "saguaro.dts").write_text((CONFIG % "").replace('"64M"; };', '"64M" };'))


def missing_include(volume):
    (volume / "saguaro.dts").write_text('/dts-v1/;\n/include/ "guests/all.dtsi"\n')


def missing_file(volume):
    (volume / "sub" / "initrd.gz").unlink()


def empty_file(volume):
    (volume / "sub" / "initrd.gz").write_bytes(b"")


def directory_as_file(volume):
    (volume / "vmlinuz").unlink()
    (volume / "vmlinuz").mkdir()


def no_kernel(volume):
    (volume / "vmlinuz").write_bytes(b"not a kernel" * 1000)


def cut_kernel(volume):
    (volume / "vmlinuz").write_bytes(small_kernel()[:20_000])


def too_much_memory(volume):
    (volume / "saguaro.dts").write_text((CONFIG % "").replace("64M", "200M"))


def no_such_cpu(volume):
    (volume / "saguaro.dts").write_text(CONFIG % "cpus = <0 7>;")


def large_file(volume):
    with open(volume / "sub" / "initrd.gz", "wb") as file:
        file.truncate(300 << 20)


BAD = [
    (no_config, [r"no config\.", r"\\EFI\\BOOT\\saguaro\.dts", r"\\saguaro\.dtb"]),
    (empty_config, [r"saguaro\.dts is empty"]),
    (huge_config, [r"saguaro\.dts has 1000000 bytes; at most 262144 "]),
    (random_config, [r"saguaro\.dts:1:1: error: "]),
    (syntax_error, [r"saguaro\.dts:6:48: error: ", r"\n +db \{[^\n]*\n +\^"]),
    (missing_include, [r"saguaro\.dts:2:11: error: .*guests/all\.dtsi", r"\n/include/ [^\n]*\n +\^"]),
    (missing_file, [r"saguaro\.dts:5:44: error: file \"sub/initrd\.gz\" not found: \\sub\\initrd\.gz",
                    r"vmlinuz +40 KiB 100%"]),
    (empty_file, [r"saguaro\.dts:5:44: error: file \"sub/initrd\.gz\" is empty"]),
    (directory_as_file, [r"saguaro\.dts:5:24: error: file \"vmlinuz\" is a directory"]),
    (no_kernel, [r"saguaro\.dts:5:24: error: file \"vmlinuz\" .*bzImage"]),
    (cut_kernel, [r"saguaro\.dts:5:24: error: file \"vmlinuz\" "]),
    (too_much_memory, [r"404 MiB, service VM included", r"error: guest \"web\" asks for 200 MiB", r"error: guest \"db\" asks for 200 MiB"]),
    (no_such_cpu, [r"saguaro\.dts:5:\d+: error: .*\"web\".*CPU 7.*2 CPUs"]),
    (large_file, [r"saguaro\.dts:5:44: error: file \"sub/initrd\.gz\" needs 307200 KiB of memory; \d+ KiB are free"]),
]


@pytest.mark.parametrize("spoil,expected", BAD, ids=[row[0].__name__ for row in BAD])
def test_bad_input(volume, spoil, expected):
    spoil(volume)
    with Machine(spoil.__name__, volume) as machine:
        text = machine.expect(ASKS)
        assert "Starting the hypervisor" not in text
        for pattern in expected:
            assert re.search(pattern, text), "no %r in:\n%s" % (pattern, text)
        machine.qemu.send(" ")
        machine.expect("failed to start .*Load Error")  # the firmware's own words: it has the machine again


def test_all_errors_of_one_run(volume):
    shutil.rmtree(volume / "sub")
    (volume / "vmlinuz").unlink()
    with Machine("all-errors", volume) as machine:
        text = machine.expect(ASKS)
        assert re.findall(r": error: file \"([a-z/.]+)\" not found", text) == ["vmlinuz", "sub/initrd.gz"]


@pytest.mark.parametrize("rom", ["", ",romfile="], ids=["ipxe", "firmware"])
def test_network(tmp_path, rom):
    """Over TFTP: a config is found, a missing file is named with the server's address, what is there is read."""
    shutil.copy(LOADER, tmp_path / "saguaro.efi")
    (tmp_path / "saguaro.dts").write_text(CONFIG % "")
    (tmp_path / "vmlinuz").write_bytes(small_kernel(2_000_000))
    with Machine("network" + ("-firmware" if rom else ""), tmp_path, network=rom or ",disable-legacy=on") as machine:
        text = machine.expect(ASKS)
        assert re.search(r"vmlinuz +1954 KiB 100%", text)
        assert re.search(r"saguaro\.dts:5:44: error: file \"sub/initrd\.gz\" .*tftp://10\.0\.2\.2/sub/initrd\.gz", text)
