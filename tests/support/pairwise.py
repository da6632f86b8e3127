"""Which tests of many parameters run by default: so many that each pair of values is met.

Most faults of several options show with two of them; the rest of the matrix runs with the long tests.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

__all__ = ["left_out"]


def left_out(items: list[pytest.Item]) -> set[pytest.Item]:
    """Of the tests marked ``pairwise`` those without which each pair of values is met, too."""
    functions: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("pairwise"):
            functions.setdefault(item.nodeid.partition("[")[0], []).append(item)
    return {each for matrix in functions.values() for each in _not_needed(matrix)}


def _not_needed(matrix: list[pytest.Item]) -> list[pytest.Item]:
    met = {item: _pairs(item) for item in matrix}
    missing = set().union(*met.values())
    rest = list(matrix)
    while missing:
        best = max(rest, key=lambda item: len(met[item] & missing))  # the first of these
        rest.remove(best)
        missing -= met[best]
    return rest


def _pairs(item: pytest.Item) -> set[Any]:
    params = item.callspec.params  # type: ignore[attr-defined]
    values = sorted((name, repr(value)) for name, value in params.items())
    return set(combinations(values, min(2, len(values))))
