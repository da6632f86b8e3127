"""The newest CPython of this machine that runs, beside the one that runs this: for ``ci/run``.

Prints its path; nothing where there is none.  ``python3.N`` on PATH may be a shim that does not run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["newest"]

#: The oldest that is supported, as ``requires-python`` says.
OLDEST = (3, 10)
#: Seconds that one may take to say what it is.
PATIENCE = 20.0
ASK = (
    "import sys, sysconfig, venv, ensurepip; "
    "free = sysconfig.get_config_var('Py_GIL_DISABLED') or 0; "
    "print(sys.implementation.name, *sys.version_info[:2], sys.version_info.releaselevel, free)"
)
_NAME = re.compile(r"python3\.\d+\Z")


def candidates() -> Iterator[str]:
    """Programs that by their names may be one: on PATH, and what pyenv has installed."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        with_names = Path(folder).glob("python3.*") if folder and Path(folder).is_dir() else ()
        yield from (str(each) for each in with_names if _NAME.match(each.name))
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from map(str, root.glob("versions/*/bin/python3.*[0-9]"))


def version(program: str) -> tuple[int, int] | None:
    """Of a released CPython with the GIL that can make environments; ``None`` for all else."""
    try:
        asked = subprocess.run(
            [program, "-c", ASK], capture_output=True, text=True, timeout=PATIENCE, check=True
        )
        name, major, minor, level, free = asked.stdout.split()
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    if (name, level, free) != ("cpython", "final", "0"):
        return None
    return int(major), int(minor)


def newest() -> str | None:
    """Its path; ``None`` where there is no other version from 3.10 on."""
    found: dict[tuple[int, int], str] = {}
    for program in dict.fromkeys(filter(shutil.which, candidates())):
        its = version(program)
        if its is not None and its >= OLDEST and its != sys.version_info[:2]:
            found.setdefault(its, program)
    return found[max(found)] if found else None


if __name__ == "__main__":
    print(newest() or "")
