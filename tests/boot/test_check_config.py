# SPDX-License-Identifier: Apache-2.0
# The host tool check-config from its command line: exit codes, output, files, compiled trees. No machine is booted here.
import os
import subprocess

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
    assert check(folder, "c.dts") == "c.dts: ok: 3 guests, 1281 MiB, 3 files\n"
    # From elsewhere, files are still looked for beside the config.
    assert check("/", str(folder / "c.dts")).endswith("ok: 3 guests, 1281 MiB, 3 files\n")
    assert check(folder, "--files", "c.dts") == (
        "one kernel parts/k 8192\ntwo multiboot mb 256\ntwo modules m 32\nc.dts: ok: 3 guests, 1281 MiB, 3 files\n")


def test_machine(folder):
    check(folder, "--memory", "2G", "--cpus", "4", "c.dts")
    error = check(folder, "--memory", "1G", "--cpus", "3", "c.dts", code=1)
    assert "the guests ask for 1281 MiB; the machine has 1 GiB" in error
    assert 'parts/one.dtsi:1:36: error: guest "one" asks for 1 GiB\n' in error
    assert 'c.dts:6:88: error: guest "two" is to run on CPU 3, but this machine has 3 CPUs, 0 to 2\n' in error


def test_compiled(folder):
    check(folder, "--dtb", "c.dtb", "c.dts")
    assert (folder / "c.dtb").read_bytes()[:4] == b"\xd0\x0d\xfe\xed"
    assert check(folder, "c.dtb") == "c.dtb: ok: 3 guests, 1281 MiB, 3 files\n"
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
