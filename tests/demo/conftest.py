"""What the tests of demo have in common."""

from __future__ import annotations

from pathlib import Path

import pytest
from demo_tree import plant_tree


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small folder with all that a folder may hold."""
    return plant_tree(tmp_path)
