"""What who builds brigantine without a compiler is told."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree with nothing built in it."""
    pytest.importorskip("Cython", reason="Cython is needed to build")
    pytest.importorskip("setuptools", minversion="77", reason="setuptools is needed to build")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "bin"):
        source = TREE / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    built = shutil.ignore_patterns("*.so", "*.cpp", "__pycache__")
    shutil.copytree(TREE / "src", tmp_path / "src", ignore=built)
    return tmp_path


def test_without_a_compiler_what_is_missing_is_said_before_cython_runs(tree: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext"],
        cwd=tree,
        env={**os.environ, "CXX": "no-such-c++", "CC": "no-such-cc", "LANG": "C"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    said = ended.stderr
    assert "no-such-c++ can't compile it here" in said
    assert "apt-get install g++ python3-dev" in said
    assert "CXX" in said
    assert "Traceback" not in said
    assert not list(tree.glob("src/brigantine/core/**/*.cpp"))
