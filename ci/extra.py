"""Print the requirements of one of brigantine's extras, one a line (run where it is installed)."""

from __future__ import annotations

import sys
from importlib.metadata import requires


def extra(name: str) -> list[str]:
    """Requirements that only the extra ``name`` asks for."""
    marker = f'extra == "{name}"'
    return [
        each.partition(";")[0].strip() for each in requires("brigantine") or [] if marker in each
    ]


if __name__ == "__main__":
    print(*extra(sys.argv[1]), sep="\n")
