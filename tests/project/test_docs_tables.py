"""What the documentation's tables say of the options and counters."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

TREE = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    pytest.importorskip("sphinx", reason="sphinx is needed for the documentation")
    spec = importlib.util.spec_from_file_location("tables", TREE / "docs" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_sizes_have_units_and_counts_have_none(tables: ModuleType) -> None:
    rows = {name.strip("`"): (default, range_) for name, default, range_, _ in tables.config_rows()}
    assert rows["max_frames"] == ("256", "4 to 65,536")
    assert rows["queue_bytes"] == ("256 MiB", "0 to 1,024 TiB")
    assert rows["max_message_bytes"] == ("16 MiB", "1 KiB to 1 TiB")


def test_a_page_that_is_named_as_a_file_becomes_a_link(tables: ModuleType) -> None:
    assert tables.linked("see docs/mdp.md.") == "see :doc:`mdp </mdp>`."
