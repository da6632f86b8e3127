"""The first moments of a command, in which its modules are imported: one line, and no traceback."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import SOURCE, Command, Commands

import brigantine

#: What is installed as the command.
FILE = Path(__file__).parents[2] / "bin" / "brigantine"
#: Runs it in the tests; ``None`` stands for ``python -m brigantine``.
SCRIPT = f"import runpy; runpy.run_path({str(FILE)!r}, run_name='__main__')"

both = pytest.mark.parametrize("program", [SCRIPT, None], ids=["script", "python -m"])


@pytest.fixture
def run_after(run: Commands, tmp_path: Path) -> Callable[..., Command]:
    """``run_after(code, *words)`` runs a command in a Python that has run ``code`` at its start."""

    def start(code: str, *words: str, **options: str | None) -> Command:
        (tmp_path / "sitecustomize.py").write_text(code)
        path = {"PYTHONPATH": os.pathsep.join((str(tmp_path), SOURCE))}
        return run(*words, env=path, **options)

    return start


def test_the_installed_command_begins_outside_the_package() -> None:
    """And nothing but the package is importable afterwards."""
    project = (FILE.parents[1] / "pyproject.toml").read_text()
    assert 'script-files = ["bin/brigantine"]' in project
    assert "py-modules" not in project
    assert "[project.scripts]" not in project
    first, *_ = re.findall(r"^ *(?:from|import) (brigantine\S*)", FILE.read_text(), re.M)
    assert f"    try:\n        from {first}" in FILE.read_text()
    assert os.access(FILE, os.X_OK)


@pytest.mark.parametrize("word", ["--version", "--help"])
def test_a_wrong_environment_is_told_in_one_line(run: Commands, word: str) -> None:
    command = run(word, program=SCRIPT, env={"BRIGANTINE_IMPL": "fats"})
    assert command.finish() == (2, b"")
    said = "brigantine: BRIGANTINE_IMPL must be 'core' or 'pure', not 'fats'"
    assert command.complaint() == said


def test_a_missing_core_is_told_in_one_line(run_after: Callable[..., Command]) -> None:
    hide = "import sys; sys.modules['brigantine.core'] = None"
    command = run_after(hide, "--version", program=SCRIPT)
    assert command.finish() == (2, b"")
    assert command.complaint().startswith("brigantine: the compiled core of brigantine can't be")
    assert "BRIGANTINE_IMPL=pure" in command.complaint()


#: Ctrl-C when a certain module is to be imported.
INTERRUPT = """
import sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize(
    "name", ["brigantine.broker", "brigantine.core.loop.loop", "brigantine.cli.ls"]
)
def test_ctrl_c_ends_a_command_that_has_just_begun_without_a_word(
    run_after: Callable[..., Command], name: str
) -> None:
    command = run_after(INTERRUPT.format(name=name), "--version", program=SCRIPT)
    assert command.finish() == (130, b"")
    assert command.errors() == ""


@both
def test_a_command_that_is_well_goes_on(run: Commands, program: str | None) -> None:
    command = run("--version", program=program)
    assert command.finish() == (0, f"brigantine {brigantine.__version__}\n".encode())
