"""Checks that counters.pxd has a place for every counter of brigantine.counters."""

from ...counters import COUNTERS

if len(COUNTERS) != COUNTER_COUNT:
    raise ImportError(f"core/counters.pxd has {COUNTER_COUNT} counters, not {len(COUNTERS)}")
