"""The pauses between tries."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from brigantine.net.backoff import Backoff


def always(value: float) -> Callable[[], float]:
    return lambda: value


def test_pauses_double_up_to_the_bound() -> None:
    backoff = Backoff(0.5, 3.0, draw=always(1.0))
    assert [backoff.next() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_a_pause_is_anything_from_nothing_to_its_bound() -> None:
    assert Backoff(2.0, 4.0, draw=always(0.0)).next() == 0.0
    assert Backoff(2.0, 4.0, draw=always(0.25)).next() == 0.5
    drawn = {Backoff(2.0, 4.0).next() for _ in range(50)}
    assert len(drawn) > 1
    assert all(0.0 <= pause <= 2.0 for pause in drawn)


def test_the_bound_holds_for_the_first_pause_too() -> None:
    assert Backoff(10.0, 1.0, draw=always(1.0)).next() == 1.0


def test_reset_begins_again() -> None:
    backoff = Backoff(1.0, 8.0, draw=always(1.0))
    assert [backoff.next(), backoff.next()] == [1.0, 2.0]
    backoff.reset()
    assert backoff.next() == 1.0


@pytest.mark.parametrize("first", [0.0, 1e-9])
def test_ever_so_many_tries_do_not_overflow(first: float) -> None:
    backoff = Backoff(first, 5.0, draw=always(1.0))
    assert all(0.0 <= backoff.next() <= 5.0 for _ in range(5000))
