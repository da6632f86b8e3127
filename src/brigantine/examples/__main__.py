"""``python -m brigantine.examples``: the examples, a line each."""

from __future__ import annotations

import ast
from pathlib import Path

__all__ = ["main", "names"]


def names() -> dict[str, str]:
    """Each example and its first line."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        found[path.stem] = doc.splitlines()[0]
    return found


def main() -> int:
    """Print them."""
    print("The programs of the ZeroMQ guide.  python -m brigantine.examples.NAME runs one:\n")
    for name, line in names().items():
        print(f"  {name:10} {line}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
