"""The histogram of the load generator against exact percentiles."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brigantine.core.structures.histogram import Histogram

#: Promised: a quantile is never below the exact one, and at most this share above it.
ERROR = 1 / 128
#: From 1 ns to an hour.
HOUR = 3600 * 10**9
times = st.one_of(
    st.integers(0, 2000), st.integers(0, HOUR), st.sampled_from([1 << n for n in range(42)])
)
SHARES = (0.0, 0.5, 0.9, 0.99, 0.999, 1.0)


def recorded(values: list[int]) -> Histogram:
    """A histogram of nanoseconds."""
    made = Histogram()
    for value in values:
        made.record(value / 1e9)
    return made


def exact(values: list[int], share: float) -> int:
    """By nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(round(share * len(ordered), 9)) - 1)]


@given(st.lists(times, min_size=1, max_size=200))
def test_quantiles_are_exact_up_to_a_share_of_the_value(values: list[int]) -> None:
    histogram = recorded(values)
    for share in SHARES:
        found, right = round((histogram.quantile(share) or 0.0) * 1e9), exact(values, share)
        assert right <= found <= right * (1 + ERROR), (share, values)
    assert histogram.count == len(values)
    assert round(histogram.min * 1e9) == min(values)
    assert round(histogram.max * 1e9) == max(values)
    assert histogram.mean == pytest.approx(sum(values) / len(values) / 1e9)


@given(st.lists(times), st.lists(times))
def test_adding_two_histograms_is_as_recording_all_in_one(one: list[int], two: list[int]) -> None:
    both = recorded(one)
    both.add(recorded(two))
    expected = recorded(one + two).as_dict()
    total = both.as_dict().pop("sum")
    assert {**both.as_dict(), "sum": None} == {**expected, "sum": None}
    assert total == pytest.approx(expected["sum"])


@given(st.lists(times))
def test_a_histogram_survives_json(values: list[int]) -> None:
    saved = recorded(values).as_dict()
    back = Histogram.from_dict(json.loads(json.dumps(saved)))
    assert back.as_dict() == saved
    assert [back.quantile(share) for share in SHARES] == [
        recorded(values).quantile(share) for share in SHARES
    ]
    assert sum(count for _, count in saved["buckets"]) == len(values)


def test_times_of_over_an_hour_are_counted_and_the_longest_is_exact() -> None:
    histogram = recorded([1000, 10 * HOUR])
    assert histogram.quantile(0.5) == pytest.approx(1e-6, rel=ERROR)
    assert histogram.quantile(1.0) == histogram.max == 36000.0


def test_an_empty_histogram_has_no_figures() -> None:
    empty = Histogram()
    assert (empty.count, empty.quantile(0.5), empty.min, empty.max, empty.mean) == (0, *[None] * 4)


def test_what_is_no_time_share_or_bucket_is_refused() -> None:
    histogram = Histogram()
    for value in (-1e-9, math.nan, math.inf):
        with pytest.raises(ValueError, match="not"):
            histogram.record(value)
    with pytest.raises(ValueError, match=r"share must be from 0 to 1, not 99"):
        histogram.quantile(99)
    saved = recorded([5, 1000]).as_dict()
    with pytest.raises(ValueError, match="no bucket from 1001 ns"):
        Histogram.from_dict({**saved, "buckets": [[1001, 2]]})
    with pytest.raises(ValueError, match="hold 2 times, not 3"):
        Histogram.from_dict({**saved, "count": 3})
    assert histogram.count == 0
