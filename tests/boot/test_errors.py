# SPDX-License-Identifier: Apache-2.0
# Holds docs/errors.md to reality: each config in it is given to check-config, or to a machine that boots it, and what comes
# back has to be what the page says. "test_errors.py --write" as a program writes the page's answers anew.
import os
import re
import subprocess
import sys
import tempfile

import pytest

import machine as machines
from images import linux_image

PAGE = os.path.join(machines.TOP, "docs/errors.md")
ASKS = "Press a key to return to the firmware"
# What lies beside every config of the page.
FILES = {"vmlinuz": linux_image(), "nothing": b"", "notes.txt": b"This is a text, not a kernel. " * 400,
         "half": linux_image()[:4096]}
# "### title", text, "```dts" config, "```" and what kind of answer, the answer
ROW = re.compile(r"^### (?P<title>.+)\n\n(?:(?!#|```).*\n)*?(?:```dts\n(?P<config>(?:(?!```).*\n)*)```\n\n)?"
                 r"```(?P<kind>text|console)\n(?P<answer>(?:(?!```).*\n)*)```$", re.MULTILINE)


def random_bytes(count):
    """The same ones each time."""
    state, out = 1, bytearray()
    while len(out) < count:
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        out += (state >> 33).to_bytes(4, "little")
    return bytes(out[:count])


# What the rows that need a machine do differently; "until" is where the answer ends.
MACHINES = {
    "There is no config": {"config": None},
    "The config is 1 MB of random bytes": {"config": random_bytes(1_000_000)},
    "A file is larger than the free memory": {"files": {"large": None}, "memory": "256M"},
    "The machine has neither SVM nor VT-x": {"cpu": "qemu64,-svm", "until": r"there is no prompt", "from": r"guests cannot run"},
}


def rows():
    with open(PAGE, encoding="utf-8") as page:
        return {match["title"]: match for match in ROW.finditer(page.read())}


def run_checker(title, config):
    arch = "ppc" if title.startswith("PowerPC: ") else "x86"
    with tempfile.TemporaryDirectory() as folder:
        for name, content in FILES.items():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)
        with open(os.path.join(folder, "saguaro.dts"), "w", encoding="utf-8") as file:
            file.write(config)
        result = subprocess.run([machines.CHECK_CONFIG, "--arch", arch, "saguaro.dts"], cwd=folder, capture_output=True, text=True, timeout=20)
    assert result.returncode == 1
    return result.stderr


def large_file():
    """Of 400 MiB, without taking that space."""
    handle, path = tempfile.mkstemp()
    os.truncate(handle, 400 << 20)
    os.close(handle)
    return path


def run_machine(title, config):
    row = dict(MACHINES.get(title, {}))
    files = dict(FILES)
    large = None
    if "files" in row:
        large = files["large"] = large_file()
    name = "errors-" + re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    try:
        with machines.Machine(name, row.get("config", config), files, cpu=row.get("cpu", "EPYC,+svm,+npt"),
                              memory=row.get("memory", "1G")) as machine:
            machine.expect(row.get("until", ASKS), 180)
            output = machine.output()
    finally:
        if large:
            os.unlink(large)
    lines = output[output.rindex("Saguaro loader"):].split("Nothing was started.")[0].splitlines()
    # The progress of the files, which is no error, is left out, and what is written over it.
    lines = [re.sub(r"^.*\d+%", "", line).rstrip() for line in lines[1:]]
    if "from" in row:
        lines = [line for line in lines if re.search(row["from"], line)]
    return "".join(line + "\n" for line in lines if line and not line.startswith("saguaro>"))


def without_numbers(text):
    """Sizes of free memory are the firmware's, and times the machine's."""
    return re.sub(r"\d+(\.\d+)?", "N", re.sub(r"^\[ *[0-9.]+\] ", "", text, flags=re.MULTILINE))


@pytest.mark.parametrize("title", [title for title, row in rows().items() if row["kind"] == "text"])
def test_check_config(title):
    row = rows()[title]
    assert run_checker(title, row["config"]) == row["answer"]


@pytest.mark.parametrize("title", [title for title, row in rows().items() if row["kind"] == "console"])
def test_machine(title):
    row = rows()[title]
    assert without_numbers(run_machine(title, row["config"])) == without_numbers(row["answer"])


def test_page_has_its_rows():
    titles = rows()
    assert len([row for row in titles.values() if row["kind"] == "text"]) >= 25
    assert set(MACHINES) <= set(titles)


def main():
    with open(PAGE, encoding="utf-8") as page:
        text = page.read()
    parts, at = [], 0
    for row in ROW.finditer(text):
        title, config = row["title"], row["config"]
        answer = run_checker(title, config) if row["kind"] == "text" else run_machine(title, config)
        parts += [text[at:row.start("answer")], answer]
        at = row.end("answer")
    with open(PAGE, "w", encoding="utf-8") as page:
        page.write("".join(parts) + text[at:])


if __name__ == "__main__":
    sys.exit(main() if sys.argv[1:] == ["--write"] else "usage: test_errors.py --write")
