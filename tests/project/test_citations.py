"""What the tree cites is in the tree: no row, number or page of a list that a reader does not have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: A fault by its number, where a reader needs words.
_NUMBERED = re.compile(r"\brecord\(\s*\d|\b[Rr]ows? \d+\b|\bfault list\b")
_PLACES = ("src/**/*.py", "src/**/*.p[xy][xdi]*", "tests/**/*.py", "bench/**/*.py", "docs/**/*.md")


@pytest.mark.parametrize("place", _PLACES)
def test_faults_are_named_in_words(place: str) -> None:
    cited = [
        f"{file.relative_to(ROOT)}: {found[0]}"
        for file in sorted(ROOT.glob(place))
        if file != Path(__file__) and file.suffix != ".cpp"
        for found in [_NUMBERED.search(file.read_text())]
        if found
    ]
    assert cited == [], "say what was done, such as 'busy worker killed (SIGKILL)'"
