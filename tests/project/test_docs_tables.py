"""What the documentation's tables say of options, counters, pairs, commands and programs."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from brigantine.cli.parser import build_parser
from brigantine.examples.__main__ import names
from brigantine.pairs import EITHER, TYPES, Verdict, check

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


def cell(verdict: Verdict) -> str:
    """What a type does towards another, as the table of all pairs has it."""
    if not verdict or verdict.binds == EITHER:
        return verdict.binds or " "
    return "binds" if verdict.binds == verdict.socket_type else "connects"


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def pairs_of_one_pattern() -> list[Verdict]:
    """Each pair once, in the order of the types."""
    return [check(one, other) for at, one in enumerate(TYPES) for other in TYPES[at:]]


def test_the_page_of_pairs_says_what_check_says() -> None:
    page = (DOCS / "pairs.md").read_text(encoding="utf-8").splitlines()
    wanted = [row("", *TYPES), "|---" * (len(TYPES) + 1) + "|"]
    wanted += [row(f"**{one}**", *(cell(check(one, other)) for other in TYPES)) for one in TYPES]
    for verdict in pairs_of_one_pattern():
        pair = f"{verdict.socket_type} to {verdict.peer_type}"
        instead = ", ".join(" to ".join(each) for each in verdict.instead)
        if verdict:
            who = "either side" if verdict.binds == EITHER else verdict.binds
            wanted.append(row(pair, who, verdict.reason))
        elif "different patterns" not in verdict.reason:
            wanted.append(row(pair, verdict.reason, instead))
    assert [line for line in wanted if line not in page] == []
    assert sum(line.startswith("| ") for line in page) - 2 == len(wanted) - 1, "no other rows"


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
