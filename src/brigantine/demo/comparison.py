"""What a request costs the broker: the compiled core and the pure-Python implementation, alternately.

CPU time, as that depends on the broker alone.  How many requests a second are answered depends on what else
the machine does, the demo's own hashing above all.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from ..system.process_cpu import read_cpu_time
from .processes import DemoFailed, Fleet

__all__ = ["IMPLS", "Comparison", "Cost", "compare"]

IMPLS = ("core", "pure")
#: Rounds that count, beside one for each to warm up, and what is sent in one.
_ROUNDS = 5
_REQUESTS = 2_000
#: Clients, each with one request under way, and workers that answer at once.
_PEERS = 16
#: Seconds between two looks whether a round is over.
_LOOK = 0.01
_MICRO = 1e6


@dataclass(frozen=True)
class Cost:
    """Microseconds of the broker's CPU for one request and its reply: over the rounds."""

    median: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Comparison:
    """By implementation."""

    rounds: int
    costs: dict[str, Cost]

    @property
    def ratio(self) -> float:
        """How many times more the baseline costs."""
        return self.costs["pure"].median / self.costs["core"].median

    def as_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        costs = {impl: asdict(cost) for impl, cost in self.costs.items()}
        return {"rounds": self.rounds, "broker_cpu_us": costs}


def compare(pause: Callable[[float], object]) -> Comparison | None:
    """Measure both alternately; ``None`` where the system can't tell a process's CPU time.

    What ``pause`` raises ends it.  Raises :class:`DemoFailed` when a request gets no answer.
    """
    found: dict[str, list[float]] = {impl: [] for impl in IMPLS}
    with Fleet("core", 0, pause) as core, Fleet("pure", 0, pause) as pure:
        for number in range(1 + _ROUNDS):
            for impl, fleet in zip(IMPLS, (core, pure), strict=True):
                used = _round(fleet, pause)
                if used is None:
                    return None
                if number:
                    found[impl].append(used)
    costs = {
        impl: Cost(statistics.median(each), min(each), max(each)) for impl, each in found.items()
    }
    return Comparison(_ROUNDS, costs)


def _round(fleet: Fleet, pause: Callable[[float], object]) -> float | None:
    """Send through one broker; microseconds of its CPU for a request."""
    from ..load import Plan
    from ..load.generator import Generator  # which needs the core

    plan = Plan(
        pattern="lru", frontend=fleet.frontend, backend=fleet.backend,
        clients=_PEERS, workers=_PEERS, requests=_REQUESTS,
    )  # fmt: skip
    with Generator(plan) as generator:
        before = read_cpu_time(fleet.broker.pid)
        generator.start()
        while generator.running:
            fleet.must_run()
            pause(_LOOK)
        after = read_cpu_time(fleet.broker.pid)
        good = generator.finish().good
    if not good:
        raise DemoFailed("requests of the comparison got no answer")
    if before is None or after is None:
        return None
    used = after - before
    return (used.loop + used.io) / _REQUESTS * _MICRO
