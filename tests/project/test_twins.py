"""Core and pure: what a room offers has the same name in both, or architecture.md says why not."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
SOURCE = TREE / "src" / "brigantine"
PAGE = (TREE / "docs" / "architecture.md").read_text(encoding="utf-8")
ROOMS = sorted(
    f"{path.parent.name}/{path.stem}"
    for path in (SOURCE / "pure").glob("*/*.py")
    if path.stem != "__init__"
)
#: A function, class or struct of a .pxd or .pyx.
DEFINED = re.compile(
    r"^(?:cdef|def|cpdef)\s+(?:inline\s+)?"
    r"(?:class\s+(\w+)|struct\s+(\w+)|(?:[\w\[\] ]+?[\s*]+)?(\w+)\()",
    re.M,
)


def exceptions() -> dict[str, set[str]]:
    """Room -> the names that pure has alone."""
    table = PAGE.split("### Names that one half has alone")[1].split("\n#")[0]
    found: dict[str, set[str]] = {}
    for room, names in re.findall(r"^\| `pure` \| `([^`]+)` \| ([^|]+) \|", table, re.M):
        found[room] = set(re.findall(r"`(\w+)`", names))
    return found


def core_names(room: str) -> set[str]:
    texts = [
        path.read_text(encoding="utf-8")
        for suffix in (".pxd", ".pyx")
        if (path := (SOURCE / "core" / room).with_suffix(suffix)).exists()
    ]
    return {"".join(names) for text in texts for names in DEFINED.findall(text)}


def pure_names(room: str) -> set[str]:
    """The functions and classes of a room that have no underscore in front."""
    tree = ast.parse((SOURCE / "pure" / f"{room}.py").read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {each.name for each in tree.body if isinstance(each, kinds) and each.name[0] != "_"}


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_pure_room_offers_has_the_same_name_in_the_core(room: str) -> None:
    assert pure_names(room) - core_names(room) == exceptions().get(room, set())


def test_every_exception_is_of_a_room_that_there_is() -> None:
    assert set(exceptions()) <= set(ROOMS)
