# SPDX-License-Identifier: Apache-2.0
# The host tool check-config from its command line: exit codes, output, files, compiled trees. No machine is booted here.
import os
import struct
import subprocess
import zlib

import pytest

from images import linux_image, multiboot_image

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(TOP, "build/host/check-config")

CONFIG = """/dts-v1/;
/ {
    compatible = "saguaro,host";
    guests {
        /include/ "parts/one.dtsi"
        two { multiboot = "mb"; modules = "parts/k one", "m"; memory = "256M"; cpus = <3>; };
        rom { firmware = "m"; memory = "1M"; };
    };
};
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "k").write_bytes(linux_image(8192))
    (tmp_path / "mb").write_bytes(multiboot_image(256))
    (tmp_path / "m").write_bytes(b"firmware" * 4)
    (tmp_path / "parts" / "one.dtsi").write_text('one { kernel = "parts/k"; memory = "1G"; };\n')
    (tmp_path / "c.dts").write_text(CONFIG)
    return tmp_path


def check(folder, *arguments, code=0):
    result = subprocess.run([TOOL, *arguments], cwd=folder, capture_output=True, text=True, timeout=20)
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout if code == 0 else result.stderr


def test_right(folder):
    assert check(folder, "c.dts") == "c.dts: ok: 3 guests, 1285 MiB, 3 files\n"
    # From elsewhere, files are still looked for beside the config.
    assert check("/", str(folder / "c.dts")).endswith("ok: 3 guests, 1285 MiB, 3 files\n")
    assert check(folder, "--files", "c.dts") == (
        "one kernel parts/k 8192\ntwo multiboot mb 256\ntwo modules m 32\nc.dts: ok: 3 guests, 1285 MiB, 3 files\n")


def test_machine(folder):
    check(folder, "--memory", "2G", "--cpus", "4", "c.dts")
    error = check(folder, "--memory", "1G", "--cpus", "3", "c.dts", code=1)
    assert "the guests ask for 1285 MiB, service VM included; the machine has 1 GiB" in error
    assert 'parts/one.dtsi:1:36: error: guest "one" asks for 1 GiB\n' in error
    assert 'c.dts:6:88: error: guest "two" is to run on CPU 3, but this machine has 3 CPUs, 0 to 2\n' in error


def test_compiled(folder):
    check(folder, "--dtb", "c.dtb", "c.dts")
    assert (folder / "c.dtb").read_bytes()[:4] == b"\xd0\x0d\xfe\xed"
    assert check(folder, "c.dtb") == "c.dtb: ok: 3 guests, 1285 MiB, 3 files\n"
    (folder / "mb").unlink()
    assert check(folder, "c.dtb", code=1) == 'c.dtb: error: /guests/two/multiboot: file "mb" is missing\n'
    # A wrong config writes no tree.
    check(folder, "--dtb", "d.dtb", "c.dts", code=1)
    assert not (folder / "d.dtb").exists()
    (folder / "cut.dtb").write_bytes((folder / "c.dtb").read_bytes()[:200])
    assert "cut.dtb: error: the device tree is cut off: 200 of its " in check(folder, "cut.dtb", code=1)


def test_files(folder):
    (folder / "mb").write_bytes(b"")
    (folder / "m").unlink()
    (folder / "m").mkdir()
    (folder / "parts" / "k").unlink()
    error = check(folder, "c.dts", code=1)
    assert 'parts/one.dtsi:1:16: error: file "parts/k" is missing\n' in error
    assert 'c.dts:6:27: error: file "mb" is empty\n        two { multiboot = "mb";' in error
    assert 'c.dts:6:58: error: "m" is not a file\n' in error


def test_images(folder):
    kernel = linux_image(8192)
    (folder / "parts" / "k").write_bytes(kernel[:-16])
    (folder / "mb").write_bytes(kernel)
    error = check(folder, "c.dts", code=1)
    assert 'parts/one.dtsi:1:16: error: file "parts/k" is cut short: 5616 of 5632 bytes of the kernel are there' in error
    assert 'c.dts:6:27: error: file "mb" has no multiboot header in its first 8 KiB\n' in error
    # A file that is a module of one guest and the image of another is checked for the other.
    (folder / "parts" / "k").write_bytes(kernel)
    (folder / "mb").write_bytes(multiboot_image(256))
    (folder / "m").write_bytes(b"firmware")
    assert ('c.dts:7:26: error: file "m" has 8 bytes; a firmware image has 16 bytes to 16 MiB\n'
            in check(folder, "c.dts", code=1))
    # And so is one that two guests start from in two ways.
    (folder / "c.dts").write_text(CONFIG.replace('firmware = "m"', 'pvh = "mb"'))
    assert 'c.dts:7:21: error: file "mb" is no ELF file\n' in check(folder, "c.dts", code=1)


def test_large_firmware(folder):
    with open(folder / "m", "r+b") as firmware:
        firmware.truncate(16 << 20)
        (folder / "c.dts").write_text(CONFIG.replace(', "m"', ""))
        check(folder, "c.dts")
        firmware.truncate((16 << 20) + 1)
    assert 'error: file "m" is too large: 16777217 bytes, of at most 16777216\n' in check(folder, "c.dts", code=1)


DEVICES = """/dts-v1/;
/ {
    compatible = "saguaro,host";
    service { memory = "16M"; cpus = <1>; overlay-memory = "1M"; };
    networks { lan { }; };
    disks {
        base { file = "base.img"; read-only = "yes"; };
        same { file = "base.img"; read-only = "yes"; };
        data { file = "parts/data.img"; };
        scratch { memory = "1M"; };
    };
    guests {
        one {
            kernel = "parts/k"; memory = "1G";
            net0 { network = "lan"; };
            disk0 { disk = "base"; overlay = "yes"; };
            disk1 { disk = "data"; };
            disk2 { disk = "scratch"; };
        };
        two { multiboot = "mb"; memory = "16M"; disk0 { disk = "base"; }; disk1 { disk = "same"; }; };
    };
};
"""


def test_disks(folder):
    (folder / "base.img").write_bytes(bytes(512))
    (folder / "parts" / "data.img").write_bytes(bytes(3 * 512))
    (folder / "c.dts").write_text(DEVICES)
    # Guests, service VM, memory for overlays and the disk in memory; a file that two disks have is there once.
    assert check(folder, "--files", "c.dts") == (
        "one kernel parts/k 8192\ntwo multiboot mb 256\nbase file base.img 512\ndata file parts/data.img 1536\n"
        "c.dts: ok: 2 guests, 1058 MiB, 4 files\n")
    check(folder, "--memory", "1059M", "--cpus", "2", "c.dts")
    error = check(folder, "--memory", "1058M", "--cpus", "1", "c.dts", code=1)
    assert "the guests ask for 1058 MiB, service VM, disks and overlays included; the machine has 1058 MiB" in error
    assert 'c.dts:10:28: error: disk "scratch" asks for 1 MiB\n' in error
    assert "c.dts:4:24: error: the service VM asks for 16 MiB\n" in error
    assert "c.dts:4:39: error: the service VM is to run on CPU 1, but this machine has 1 CPU, which is CPU 0\n" in error
    check(folder, "--dtb", "c.dtb", "c.dts")
    (folder / "base.img").write_bytes(bytes(513))
    (folder / "parts" / "data.img").write_bytes(bytes(511))
    error = check(folder, "c.dts", code=1)
    assert 'c.dts:7:23: error: file "base.img" has 513 bytes; a disk has a multiple of 512\n' in error
    assert 'c.dts:8:23: error: file "base.img" has 513 bytes; a disk has a multiple of 512\n' in error
    assert 'c.dts:9:23: error: file "parts/data.img" has 511 bytes; a disk has at least 512\n' in error
    (folder / "parts" / "data.img").unlink()
    (folder / "base.img").write_bytes(b"")
    assert check(folder, "c.dtb", code=1) == ('c.dtb: error: /disks/base/file: file "base.img" is empty\n'
                                              'c.dtb: error: /disks/data/file: file "parts/data.img" is missing\n')


def ppc_image(size=4096):
    """A uImage for PowerPC, of nothing but a sound header."""
    header = bytearray(64)
    struct.pack_into(">IIIIIII", header, 0, 0x27051956, 0, 0, size, 0, 0, zlib.crc32(bytes(size)))
    header[29:31] = b"\x07\x02"  # for PowerPC, a kernel
    struct.pack_into(">I", header, 4, zlib.crc32(header))
    return bytes(header) + bytes(size)


def make_medium(folder, tool, *arguments, code=0):
    result = subprocess.run(["/usr/bin/python3", os.path.join(TOP, "tools", tool), *arguments, "--checker", TOOL], cwd=folder,
                            capture_output=True, text=True, timeout=60)
    assert result.returncode == code, result.stdout + result.stderr
    return result.stdout if code == 0 else result.stderr


def test_disks_go_onto_the_medium(folder):
    base, data = os.urandom(1024), os.urandom(512)
    (folder / "base.img").write_bytes(base)
    (folder / "parts" / "data.img").write_bytes(data)
    (folder / "c.dts").write_text(DEVICES)
    (folder / "loader").write_bytes(b"loader")
    arguments = ("--config", "c.dts", "--loader", "loader", "--out")
    assert "\npxe: 5 files " in make_medium(folder, "make-image.py", "pxe", *arguments, "pxe")
    assert (folder / "pxe" / "base.img").read_bytes() == base
    assert (folder / "pxe" / "parts" / "data.img").read_bytes() == data
    with open(folder / "base.img", "r+b") as disk:
        disk.truncate(4 << 30)  # takes no room here
    assert ('make-image: file "base.img" is too large: a FAT volume holds files of less than 4 GiB\n'
            in make_medium(folder, "make-image.py", "image", *arguments, "image", code=1))


def test_disks_go_into_the_bundle(folder):
    base = os.urandom(1024)
    (folder / "base.img").write_bytes(base)
    (folder / "kernel").write_bytes(ppc_image())
    (folder / "c.dts").write_text(DEVICES.replace("parts/k", "kernel").replace("multiboot", "kernel").replace('"mb"', '"kernel"')
                                  .replace("parts/data.img", "data.img"))
    (folder / "data.img").write_bytes(bytes(512))
    make_medium(folder, "make-bundle.py", "--config", "c.dts", "--out", "bundle")
    bundle = (folder / "bundle").read_bytes()
    assert b"base.img\0" in bundle and base in bundle
    (folder / "data.img").write_bytes(bytes(100))
    assert 'file "data.img" has 100 bytes; a disk has at least 512\n' in make_medium(
        folder, "make-bundle.py", "--config", "c.dts", "--out", "bundle", code=1)


def test_wrong_configs(folder):
    assert check(folder, "none.dts", code=1) == "none.dts: error: there is no such file\n"
    (folder / "empty.dts").write_bytes(b"")
    assert check(folder, "empty.dts", code=1) == "empty.dts: error: the config is empty\n"
    (folder / "random.dts").write_bytes(os.urandom(1 << 20))
    error = check(folder, "random.dts", code=1)
    assert error.count("error: ") == 1 and len(error) < 500 and error.isascii()
    (folder / "c.dts").write_text(CONFIG.replace("parts/one.dtsi", "one.dtsi"))
    assert 'c.dts:5:19: error: cannot include "one.dtsi": there is no such file\n' in check(folder, "c.dts", code=1)
    (folder / "c.dts").write_text(CONFIG.replace("rom {", "two {"))
    assert ('c.dts:7:9: error: node "two" is here a second time; the first is at c.dts:6:9\n'
            in check(folder, "c.dts", code=1))
    check(folder, ".", code=1)


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--nonsense", "c.dts"], ["--memory", "much", "c.dts"],
                                       ["--memory", "0", "c.dts"], ["--cpus", "0", "c.dts"], ["--cpus", "x", "c.dts"],
                                       ["--dtb", "/none/x.dtb", "c.dts"]])
def test_usage(folder, arguments):
    assert check(folder, *arguments, code=2) != ""


def test_reference_is_the_pages(folder):
    with open(os.path.join(TOP, "docs/config.md"), encoding="utf-8") as page:
        assert check(folder, "--reference").strip() in page.read()
