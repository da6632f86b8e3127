"""docs/guarantees.md: each promise has a test, each test is there, and no promise is left out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guarantees.md"

_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")
_HEADING = re.compile(r"^## (?:\[[^\]]*\]\((\S+)\)|(.+))$")
#: What stands above the list of promises, in README and in a page.
_IN_README, _IN_A_PAGE = "## What it promises\n", "## What it guarantees\n"
_PROMISE = re.compile(r"^- \*\*(.+?)[.,:]?\*\*", re.MULTILINE)


def rows() -> list[tuple[str, str, str]]:
    """(page or name of the section, promise, tests) of each row."""
    found, section = [], ""
    for line in PAGE.read_text().splitlines():
        if heading := _HEADING.match(line):
            section = heading[1] or heading[2]
        elif line.startswith("| ") and not line.startswith("| promise"):
            _, promise, tests, _ = line.split("|")
            found.append((section, promise.strip(), tests.strip()))
    return found


def functions(file: Path) -> set[str]:
    """The names of a file's tests."""
    tree = ast.parse(file.read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }


def lists() -> list[tuple[str, str]]:
    """(section, list) of each file that lists promises."""
    files = [("README", ROOT / "README.md", _IN_README)]
    files += [(page.name, page, _IN_A_PAGE) for page in sorted((ROOT / "docs").glob("*.md"))]
    texts = [(section, file.read_text(), heading) for section, file, heading in files]
    return [
        (section, text.split(heading)[1].split("\n## ")[0])
        for section, text, heading in texts
        if heading in text
    ]


def test_every_test_that_is_named_is_there() -> None:
    missing = [
        f"{file}::{name}"
        for _, _, tests in rows()
        for file, name in _TEST.findall(tests)
        if not (ROOT / "tests" / file).exists() or name not in functions(ROOT / "tests" / file)
    ]
    assert missing == []


def test_every_promise_has_a_test() -> None:
    assert [promise for _, promise, tests in rows() if not _TEST.search(tests)] == []
    assert len(rows()) > 100


@pytest.mark.parametrize(("section", "promises"), lists(), ids=[name for name, _ in lists()])
def test_every_promise_of_a_page_is_listed(section: str, promises: str) -> None:
    listed = {promise for place, promise, _ in rows() if place == section}
    wanted = [each.replace("\n  ", " ") for each in _PROMISE.findall(promises)]
    assert len(wanted) == len(re.findall("^- ", promises, re.MULTILINE)), "each begins in bold"
    assert [each for each in wanted if each not in listed] == []
