"""Benchmarks run on both implementations, side by side in one group for each operation."""

from __future__ import annotations

from types import ModuleType

import pytest

from brigantine.core import _bench as core_rounds
from brigantine.pure import _bench as pure_rounds


@pytest.fixture(params=("core", "pure"))
def impl(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def rounds(impl: str) -> ModuleType:
    return core_rounds if impl == "core" else pure_rounds
