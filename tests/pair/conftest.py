"""Figures of faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from figures import measured


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[..., None]:
    """``record(fault, **figures)``: keep what a test measured while that was done, in words."""
    name = request.node.name.removeprefix("test_").replace("_", " ")

    def keep(fault: str, **figures: Any) -> None:
        measured.append((fault, "both", name, figures))

    return keep
