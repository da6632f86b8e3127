"""docs/architecture.md says which room imports which; so it is, and every arrow leads upwards."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
SOURCE = TREE / "src" / "brigantine"
PAGE = (TREE / "docs" / "architecture.md").read_text(encoding="utf-8")

#: An import or cimport of one of our own modules, in .pyx and .pxd files.
OWN = re.compile(
    r"^[ \t]*from[ \t]+(\.[.\w]*|brigantine[.\w]*)[ \t]+c?import[ \t]+(\([^)]*\)|[^\n#]*)", re.M
)


def section(heading: str) -> str:
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def plan() -> dict[str, set[str]]:
    """What each room may import, the lowest room first."""
    rows = re.findall(r"^\| `([^`]+)` \|.*\|([^|]*)\|$", section("The house"), re.M)
    return {room: set(re.findall(r"`([^`]+)`", imports)) for room, imports in rows}


def core_rooms() -> dict[str, list[str]]:
    """The rooms of each folder of the core, the lowest first."""
    rooms: dict[str, list[str]] = {}
    folder = ""
    for named, room in re.findall(
        r"^\| (?:`(\w+)`)? *\| `(\w+)`", section("The core, room by room"), re.M
    ):
        folder = named or folder
        rooms.setdefault(folder, []).append(room)
    return rooms


def modules() -> dict[str, list[Path]]:
    """Dotted names, without "brigantine.", and their files."""
    found: dict[str, list[Path]] = {}
    for path in SOURCE.rglob("*"):
        if path.suffix in (".py", ".pyx", ".pxd"):
            name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
            found.setdefault(name.removesuffix("__init__").removesuffix("."), []).append(path)
    return found


MODULES = modules()


def statements(path: Path) -> Iterator[tuple[str, list[str]]]:
    """What a file imports of ours: from where, and which names."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom):
                yield "." * node.level + (node.module or ""), [each.name for each in node.names]
            elif isinstance(node, ast.Import):
                for each in node.names:
                    yield each.name, []
        return
    for where, names in OWN.findall(text):
        listed = re.sub(r"#[^\n]*", "", names.strip("()")).replace("\n", " ").split(",")
        yield where, [each.split(" as ")[0].strip() for each in listed if each.strip()]


@cache
def imported(name: str, path: Path) -> tuple[str, ...]:
    return tuple(_imported(name, path))


def _imported(name: str, path: Path) -> Iterator[str]:
    """The modules of ours that a file imports."""
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    package = [part for part in package if part]
    for where, names in statements(path):
        if where.startswith("."):
            up = len(where) - len(where.lstrip("."))
            kept = package[: len(package) - up + 1]
            base = ".".join([*kept, *filter(None, [where.lstrip(".")])])
        elif where.split(".")[0] == "brigantine":
            base = where.removeprefix("brigantine").removeprefix(".")
        else:
            continue
        for each in names or [""]:
            full = ".".join(filter(None, [base, each]))
            yield full if full in MODULES else base


def room_of(module: str) -> str:
    parts = module.split(".")
    if module == "":
        return "__init__"
    if parts[0] in ("core", "pure") and len(parts) > 1:
        return "/".join(parts[:2])
    return parts[0]


def drawn() -> dict[str, set[str]]:
    """What each room does import."""
    arrows: dict[str, set[str]] = {room_of(name): set() for name in MODULES}
    for name, paths in MODULES.items():
        for path in paths:
            rooms = {room_of(each) for each in imported(name, path)}
            arrows[room_of(name)] |= rooms - {room_of(name)}
    return arrows


def test_every_room_has_a_row_and_every_row_a_room() -> None:
    assert sorted(plan()) == sorted(drawn())


@pytest.mark.parametrize("room", list(plan()))
def test_a_room_imports_what_its_row_says_and_nothing_else(room: str) -> None:
    assert drawn()[room] == plan()[room]


def test_a_room_imports_only_what_stands_above_it() -> None:
    above: set[str] = set()
    for room, imports in plan().items():
        assert imports <= above, room
        above.add(room)


@pytest.mark.parametrize("half", ["core", "pure"])
@pytest.mark.parametrize("folder", list(core_rooms()))
def test_within_a_folder_of_the_core_imports_lead_upwards(half: str, folder: str) -> None:
    order = core_rooms()[folder]
    here = f"{half}.{folder}."
    for name, paths in MODULES.items():
        if not name.startswith(here):
            continue
        room = name.removeprefix(here)
        for path in paths:
            for each in imported(name, path):
                if each.startswith(here) and each != name:
                    beside = each.removeprefix(here)
                    assert order.index(beside) < order.index(room), (path.name, beside)


def test_the_core_has_the_rooms_that_are_listed_and_no_other() -> None:
    for folder, rooms in core_rooms().items():
        found = {
            name.split(".")[2]
            for name in MODULES
            if name.startswith((f"core.{folder}.", f"pure.{folder}."))
        }
        assert found == set(rooms), folder
