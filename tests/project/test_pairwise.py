"""What is left out by default of a matrix of tests leaves no pair of values unmet."""

from __future__ import annotations

from itertools import combinations, product
from types import SimpleNamespace
from typing import Any

import pytest
from pairwise import left_out


class Item(SimpleNamespace):
    """As much of a test as is looked at."""

    __hash__ = object.__hash__

    def get_closest_marker(self, name: str) -> bool:
        return name == "pairwise"


def matrix(*sizes: int) -> list[Any]:
    """Tests of as many parameters, with as many values each."""
    return [
        Item(nodeid=f"test_x[{values}]", callspec=SimpleNamespace(params=dict(enumerate(values))))
        for values in product(*map(range, sizes))
    ]


@pytest.mark.parametrize("sizes", [(3,), (2, 3), (2, 2, 2), (2, 3, 8), (2, 2, 2, 2, 2)])
def test_each_pair_of_values_is_met(sizes: tuple[int, ...]) -> None:
    items = matrix(*sizes)
    kept = [each for each in items if each not in left_out(items)]
    pairs = [set(combinations(each.callspec.params.items(), min(2, len(sizes)))) for each in items]
    met = [set(combinations(each.callspec.params.items(), min(2, len(sizes)))) for each in kept]
    assert set().union(*met) == set().union(*pairs)
    assert (len(kept) < len(items)) == (len(sizes) > 2)
