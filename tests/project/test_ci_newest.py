"""``ci/run`` tries another version of Python: the newest that really runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def found(folder: Path) -> str:
    environment = {"PATH": os.fspath(folder), "PYENV_ROOT": os.fspath(folder / "none")}
    asked = subprocess.run(
        [sys.executable, "-m", "ci.newest"], cwd=ROOT, env=environment,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return asked.stdout.strip()


def plant(folder: Path, name: str, says: str) -> str:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{says}\n")
    program.chmod(0o755)
    return os.fspath(program)


def answers(minor: int, *, name: str = "cpython", level: str = "final", free: int = 0) -> str:
    return f"echo {name} 3 {minor} {level} {free}"


def test_the_newest_that_runs_is_found(tmp_path: Path) -> None:
    plant(tmp_path, "python3.9", answers(9))
    plant(tmp_path, "python3.97", answers(97))
    newest = plant(tmp_path, "python3.98", answers(98))
    plant(tmp_path, "python3.99", "exit 127")  # as a shim of pyenv whose version is not chosen
    plant(tmp_path, "python3.98-config", answers(99))
    assert found(tmp_path) == newest


@pytest.mark.parametrize(
    "says",
    [
        answers(9),
        answers(sys.version_info.minor),
        answers(99, name="pypy"),
        answers(99, level="beta"),
        answers(99, free=1),
        "echo nonsense",
    ],
)
def test_none_is_found_where_there_is_none(tmp_path: Path, says: str) -> None:
    plant(tmp_path, "python3.99", says)
    assert found(tmp_path) == ""
