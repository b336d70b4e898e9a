# SPDX-License-Identifier: Apache-2.0
# The image makers: what is on the stick and in the PXE folder, and what they refuse. No machine is booted here.
import os
import shutil
import struct
import subprocess
import zlib

import pytest

from images import linux_image

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOADER = os.path.join(TOP, "build/x86/saguaro.efi")
HYPERVISOR = os.path.join(TOP, "build/x86/saguaro.elf")
SECTOR = 512
ESP_TYPE = bytes.fromhex("28732ac11ff8d211ba4b00a0c93ec93b")

CONFIG = """/dts-v1/;
/ {
    compatible = "saguaro,host";
    guests {
        one { kernel = "%s"; initrd = "sub_dir/initrd.gz"; memory = "64M"; };
    };
};
"""


def make(*arguments):
    # A make of its own, whether or not pytest runs below one.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(["make", "--no-print-directory", "-C", TOP, "SETUP=no", *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=300, env=environment)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "Linux-Kernel.bin").write_bytes(linux_image(3_000_000, os.urandom(4096)))
    (tmp_path / "sub_dir").mkdir()
    (tmp_path / "sub_dir" / "initrd.gz").write_bytes(os.urandom(70_001))
    (tmp_path / "my.dts").write_text(CONFIG % "Linux-Kernel.bin")
    return tmp_path


def read_partition(image):
    """Checks the partition tables as UEFI does and returns (first byte, size) of the one partition."""
    with open(image, "rb") as disk:
        data = disk.read()
    sectors = len(data) // SECTOR
    assert data[510:512] == b"\x55\xaa"
    assert data[450] == 0xEE and struct.unpack_from("<II", data, 454) == (1, sectors - 1)
    for place, backup in ((1, sectors - 1), (sectors - 1, 1)):
        header = bytearray(data[place * SECTOR:place * SECTOR + 92])
        assert header[:8] == b"EFI PART"
        crc, own, other = struct.unpack_from("<I4xQQ", header, 16)
        header[16:20] = bytes(4)
        assert zlib.crc32(header) == crc
        assert (own, other) == (place, backup)
        table, count, size, table_crc = struct.unpack_from("<QIII", header, 72)
        entries = data[table * SECTOR:table * SECTOR + count * size]
        assert zlib.crc32(entries) == table_crc
        assert entries[:16] == ESP_TYPE
        assert entries[size:] == bytes(len(entries) - size), "more than one partition"
    first, last = struct.unpack_from("<QQ", entries, 32)
    assert last < sectors - 33
    return first * SECTOR, (last - first + 1) * SECTOR


def read_file(image, offset, name):
    return subprocess.run(["mtype", "-i", f"{image}@@{offset}", "::" + name], check=True, stdout=subprocess.PIPE).stdout


def test_image_holds_loader_config_and_files(folder):
    image = folder / "out.img"
    result = make("image", f"CONFIG={folder}/my.dts", f"OUT={image}")
    assert result.returncode == 0, result.stdout
    offset, size = read_partition(image)
    with open(image, "rb") as disk:
        disk.seek(offset)
        boot = disk.read(SECTOR)
    assert boot[82:87] == b"FAT32"
    assert struct.unpack_from("<I", boot, 32)[0] * SECTOR == size
    assert read_file(image, offset, "EFI/BOOT/BOOTX64.EFI") == open(LOADER, "rb").read()
    assert read_file(image, offset, "saguaro.dts") == (folder / "my.dts").read_bytes()
    assert read_file(image, offset, "Linux-Kernel.bin") == (folder / "Linux-Kernel.bin").read_bytes()
    assert read_file(image, offset, "sub_dir/initrd.gz") == (folder / "sub_dir" / "initrd.gz").read_bytes()


def test_image_grows_with_its_files(folder):
    with open(folder / "Linux-Kernel.bin", "r+b") as kernel:
        kernel.truncate(290 << 20)
    image = folder / "out.img"
    result = make("image", f"CONFIG={folder}/my.dts", f"OUT={image}")
    assert result.returncode == 0, result.stdout
    offset, size = read_partition(image)
    assert size > 290 << 20
    assert len(read_file(image, offset, "sub_dir/initrd.gz")) == 70_001


def test_image_takes_included_files_along(folder):
    (folder / "my.dts").rename(folder / "guests.dtsi")
    text = (folder / "guests.dtsi").read_text().replace("/dts-v1/;\n", "")
    (folder / "guests.dtsi").write_text(text)
    (folder / "my.dts").write_text('/dts-v1/;\n/include/ "guests.dtsi"\n')
    image = folder / "out.img"
    result = make("image", f"CONFIG={folder}/my.dts", f"OUT={image}")
    assert result.returncode == 0, result.stdout
    offset, _ = read_partition(image)
    assert read_file(image, offset, "guests.dtsi").decode() == text


def test_compiled_config(folder):
    checker = os.path.join(TOP, "build/host/check-config")
    subprocess.run([checker, "--dtb", folder / "my.dtb", folder / "my.dts"], check=True)
    image = folder / "out.img"
    result = make("image", f"CONFIG={folder}/my.dtb", f"OUT={image}")
    assert result.returncode == 0, result.stdout
    offset, _ = read_partition(image)
    assert read_file(image, offset, "saguaro.dtb") == (folder / "my.dtb").read_bytes()


def test_pxe_folder(folder):
    out = folder / "tftp"
    result = make("pxe", f"CONFIG={folder}/my.dts", f"OUT={out}")
    assert result.returncode == 0, result.stdout
    assert (out / "saguaro.efi").read_bytes() == open(LOADER, "rb").read()
    assert (out / "saguaro.dts").read_bytes() == (folder / "my.dts").read_bytes()
    assert (out / "sub_dir" / "initrd.gz").read_bytes() == (folder / "sub_dir" / "initrd.gz").read_bytes()


def test_missing_file_makes_no_image(folder):
    (folder / "my.dts").write_text(CONFIG % "vmlinux")
    image = folder / "out.img"
    result = make("image", f"CONFIG={folder}/my.dts", f"OUT={image}")
    assert result.returncode != 0
    assert '"vmlinux" is missing' in result.stdout
    assert not image.exists()


def test_names_that_fat_cannot_keep_apart(folder):
    shutil.copy(folder / "Linux-Kernel.bin", folder / "linux-kernel.BIN")
    (folder / "my.dts").write_text(CONFIG.replace("sub_dir/initrd.gz", "linux-kernel.BIN") % "Linux-Kernel.bin")
    result = make("image", f"CONFIG={folder}/my.dts", f"OUT={folder}/out.img")
    assert result.returncode != 0
    assert "would be one file" in result.stdout


@pytest.mark.parametrize("arguments, message", [
    (("image",), "OUT="),
    (("image", "OUT=x.img", "CONFIG=nowhere.dts"), "there is no config nowhere.dts"),
    (("check-config", "CONFIG=nowhere.dts"), "there is no config nowhere.dts"),
])
def test_wrong_use(arguments, message):
    result = make(*arguments)
    assert result.returncode != 0
    assert message in result.stdout


def test_no_segment_of_the_hypervisor_is_writable_and_executable():
    with open(HYPERVISOR, "rb") as file:
        elf = file.read()
    offset, = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    loads = 0
    for i in range(count):
        kind, flags = struct.unpack_from("<II", elf, offset + i * size)
        if kind == 1:
            loads += 1
            assert flags & 3 != 3, f"program header {i}: flags {flags}"
            assert struct.unpack_from("<Q", elf, offset + i * size + 16)[0] % 4096 == 0
    assert loads >= 3
