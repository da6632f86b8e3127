"""What the pages say of options, commands, programs, and code that there is."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest

from brigantine.cli.parser import build_parser
from brigantine.examples.__main__ import names

TREE = Path(__file__).parents[2]
DOCS = TREE / "docs"


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    pytest.importorskip("sphinx", reason="sphinx is needed for the documentation")
    spec = importlib.util.spec_from_file_location("tables", TREE / "docs" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sizes_have_units_and_counts_have_none(tables: ModuleType) -> None:
    rows = {name.strip("`"): (default, range_) for name, default, range_, _ in tables.config_rows()}
    assert rows["max_frames"] == ("256", "4 to 65,536")
    assert rows["queue_bytes"] == ("256 MiB", "0 to 1,024 TiB")
    assert rows["max_message_bytes"] == ("16 MiB", "1 KiB to 1 TiB")


def test_a_page_that_is_named_as_a_file_becomes_a_link(tables: ModuleType) -> None:
    assert tables.linked("see docs/mdp.md.") == "see :doc:`mdp </mdp>`."


def test_every_command_is_on_the_page_of_the_command_line() -> None:
    page = (DOCS / "command-line.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `brigantine ")]
    for name, parser in _inner(build_parser()).items():
        found = next((each for each in rows if f"`brigantine {name}" in each), None)
        assert found, name
        for pattern in _inner(parser):
            assert f"`{pattern}`" in found or f"`brigantine {name} {pattern}`" in found


def _inner(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands, or patterns of a command, by name."""
    for each in parser._actions:
        if isinstance(each, argparse._SubParsersAction):
            return dict(each.choices)
    return {}


@pytest.mark.parametrize("page", ["examples", "patterns"])
def test_every_program_of_the_guide_is_on_the_map(page: str) -> None:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    assert [name for name in names() if f"`{name}`" not in text] == []


PAGES = {page.stem: page for page in [TREE / "README.md", *sorted(DOCS.glob("*.md"))]}


def blocks(page: str, language: str) -> list[str]:
    text = PAGES[page].read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_code_of_a_page_compiles_and_imports_what_there_is(page: str) -> None:
    for code in blocks(page, "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom):
                exec(ast.unparse(node), {})


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "console")])
def test_the_command_line_takes_what_a_page_types(
    page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for block in blocks(page, "console"):
        for line in re.findall(r"^\$ brigantine (.*)$", block, re.M):
            words = shlex.split(line.removesuffix("&"), comments=True)
            _, unknown = build_parser().parse_known_args(words)
            assert unknown == [], line
    assert capsys.readouterr().err == ""
