# SPDX-License-Identifier: Apache-2.0
# docs/support.md: every test that it names is there, and every line has one of its labels.
import os
import re

from machine import TOP

LABELS = ("supported", "experimental", "not tested", "not built")


def page():
    with open(os.path.join(TOP, "docs/support.md"), encoding="utf-8") as file:
        return file.read()


def test_named_tests_are_there():
    names = re.findall(r"`(test_\w+\.py)(?:::(\w+))?`", page())
    assert len(names) > 20
    for file, test in names:
        with open(os.path.join(TOP, "tests/boot", file), encoding="utf-8") as source:
            assert not test or re.search(rf"^def {test}\(", source.read(), re.MULTILINE), f"{file}::{test}"


def test_every_line_has_a_label():
    rows = [row for row in re.findall(r"^\| (.+) \|$", page(), re.MULTILINE) if not re.match(r"(feature|label|---|\*\*)", row)]
    assert len(rows) > 50
    for row in rows:
        label = row.split(" | ")[1]
        assert label.startswith(LABELS), row
        # What is called supported and is not a detail of an engine names its test.
        assert not label.startswith("supported") or row.count(" | ") == 1 or re.search(r"`test_|all", row.split(" | ")[2]), row
