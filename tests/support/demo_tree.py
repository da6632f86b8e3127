"""The small folder that the demo's tests send."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["CHUNK", "plant_tree"]

#: Chunk size of the tests, in bytes.
CHUNK = 4096


def plant_tree(parent: Path) -> Path:
    """Make ``parent/tree``: regular files, an empty one, nested ones, symlinks and a FIFO."""
    root = parent / "tree"
    (root / "nested" / "deep").mkdir(parents=True)
    (root / "words.txt").write_bytes(b"one two  three\n" * 2000)
    (root / "nested" / "deep" / "binary").write_bytes(bytes(range(256)) * 50)
    (root / "nested" / "exact").write_bytes(b"x" * (3 * CHUNK))
    (root / "nested" / "empty").touch()
    (parent / "outside").write_bytes(b"not sent")
    (root / "link").symlink_to(parent / "outside")
    (root / "loop").symlink_to(root)
    os.mkfifo(root / "pipe")
    return root
