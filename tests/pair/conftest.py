"""Figures of the fault list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from figures import measured


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[..., None]:
    """``record(row, **figures)``: keep what a test of that row of the fault list measured."""
    name = request.node.name.removeprefix("test_").replace("_", " ")

    def keep(row: int, **figures: Any) -> None:
        measured.append((row, "both", name, figures))

    return keep
