"""Print the requirement for the oldest pyzmq that has a wheel for this Python: what was built against."""

from __future__ import annotations

import re
import sys
from pathlib import Path

#: pyproject.toml, in words that need no TOML parser (Python 3.10 has none).
_LINE = re.compile(r"\"(pyzmq==[\d.]+); python_version ([<>=]+) '([\d.]+)'\"")


def oldest(version: tuple[int, int]) -> str:
    """The line of [build-system] that holds for a Python version."""
    for requirement, compare, other in _LINE.findall(Path("pyproject.toml").read_text()):
        wanted = tuple(int(part) for part in other.split("."))
        if {"<": version < wanted, "==": version == wanted, ">": version > wanted}[compare]:
            return str(requirement)
    raise SystemExit(f"pyproject.toml has no pyzmq for Python {version}")


if __name__ == "__main__":
    print(oldest(sys.version_info[:2]))
