"""Instruction counts by function and by library, read from what valgrind's callgrind writes.

They don't depend on what else the machine does: the same program does the same twice.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Counts", "available", "command", "environment", "read"]

#: What says where the lines that follow were spent: a name, perhaps only by its number.
_NAME = re.compile(r"^(ob|fl|fi|fe|fn|cob|cfi|cfl|cfn)=(?:\((\d+)\))?\s*(.*)$")
#: Names of one kind share their numbers.
_KINDS = {"fi": "fl", "fe": "fl", "cfi": "fl", "cfl": "fl", "cob": "ob", "cfn": "fn"}


@dataclass
class Counts:
    """Instructions: of each (library, function) itself, and of each function with all it called."""

    own: Counter[tuple[str, str]] = field(default_factory=Counter)
    inclusive: Counter[str] = field(default_factory=Counter)


def available() -> bool:
    """Whether valgrind is installed."""
    return shutil.which("valgrind") is not None


def environment() -> dict[str, str]:
    """The environment in which a Python program does the same twice."""
    return {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}


def command(program: Sequence[str], out: Path, inside: str = "") -> list[str]:
    """What runs a program and writes its counts to ``out``.

    Only instructions ``inside`` functions of that pattern and what they call, where it is given.
    """
    toggle = [f"--toggle-collect={inside}"] if inside else []
    return ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}", *toggle, *program]


def read(out: Path) -> Counts:
    """What callgrind wrote."""
    counts = Counts()
    names: dict[tuple[str, str], str] = {}
    at = {"ob": "", "fn": ""}
    called = False
    for line in out.read_text(errors="replace").splitlines():
        match = _NAME.match(line)
        if match:
            key, number, name = match.groups()
            kind = _KINDS.get(key, key)
            if number is not None and name:
                names[kind, number] = name
            if key in at:
                at[key] = name or names[kind, number]
        elif line.startswith("calls="):
            called = True  # the next line is what the call cost in all
        elif line[:1] in set("0123456789+-*"):
            spent = int(line.split()[-1])
            counts.inclusive[at["fn"]] += spent
            if not called:
                counts.own[at["ob"], at["fn"]] += spent
            called = False
    return counts
