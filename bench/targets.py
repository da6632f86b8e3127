"""What the core is to reach, as ratios of medians of the same run."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["RATE", "Results", "Target", "medians", "targets"]

#: Case -> label of the run -> a measurement for each round.
Results = dict[str, dict[str, list[dict[str, float]]]]
#: The rate of the open loop, and the case in which the highest one is kept.
RATE, HIGHEST = 10_000.0, "open-highest"


@dataclass(frozen=True)
class Target:
    """One figure and its bound."""

    what: str
    value: float
    bound: float
    #: Whether it is to be at least the bound, rather than at most.
    least: bool = False
    #: Whether it is not to reach the bound.
    strict: bool = False
    #: Both figures, as they are shown.
    made_of: str = ""

    @property
    def met(self) -> bool:
        if self.strict and self.value == self.bound:
            return False
        return self.value >= self.bound if self.least else self.value <= self.bound

    @property
    def wanted(self) -> str:
        sign = "≥" if self.least else "<" if self.strict else "≤"
        return f"{sign} {self.bound:g}"


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """Each figure's median over the rounds."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def targets(results: Results) -> list[Target]:
    """Of what was measured; what was not is left out."""
    middle = {
        case: {label: medians(runs) for label, runs in labels.items() if runs}
        for case, labels in results.items()
    }
    made = (_one_in_flight, _capacity, _scale, _open_loop, _one_way, _async_server, _sessions)
    return [target for make in made for target in make(middle)]


Medians = dict[str, dict[str, dict[str, float]]]
_UNITS = {"cpu": "µs", "loop": "µs", "rate": "/s", "p99": "ms", "share": "of a CPU", "lost": ""}
_WORDS = {
    "cpu": "CPU a request",
    "loop": "loop thread a request",
    "rate": "throughput",
    "p99": "p99",
}


def _ratio(
    middle: Medians, case: str, ours: str, theirs: str, key: str, bound: float,
    *, least: bool = False, strict: bool = False, where: str = "",
) -> Iterator[Target]:  # fmt: skip
    found = middle.get(case, {})
    if ours not in found or theirs not in found:
        return
    a, b = found[ours][key], found[theirs][key]
    if not b:
        return
    unit, digits = _UNITS[key], 0 if key == "rate" else 1
    yield Target(
        f"{where}{ours}: {_WORDS[key]}, to that of {theirs}", a / b, bound, least, strict,
        f"{a:,.{digits}f} {unit} : {b:,.{digits}f} {unit}",
    )  # fmt: skip


def _one_in_flight(middle: Medians) -> Iterator[Target]:
    for pattern in ("lru", "ppp", "mdp"):
        ours, pure, where = f"core {pattern}", f"pure {pattern}", "one in flight, 64 workers; "
        yield from _ratio(middle, "one-64", ours, "proxy", "cpu", 1.4, where=where)
        yield from _ratio(middle, "one-64", ours, "proxy", "loop", 1.2, where=where)
        yield from _ratio(middle, "one-64", ours, pure, "rate", 2.5, least=True, where=where)
        yield from _ratio(middle, "one-64", ours, pure, "loop", 0.125, where=where)


def _capacity(middle: Medians) -> Iterator[Target]:
    for workers in (16, 64):
        for pattern in ("ppp", "mdp"):
            case, ours = f"capacity-{workers}", f"core {pattern}"
            where = f"capacity 16, {workers} workers; "
            yield from _ratio(middle, case, ours, "proxy", "cpu", 1.0, strict=True, where=where)
            yield from _ratio(middle, case, ours, "nats", "cpu", 1.0, where=where)
            yield from _ratio(
                middle, case, ours, f"pure {pattern}", "rate", 5.0, least=True, where=where
            )


def _scale(middle: Medians) -> Iterator[Target]:
    for ours, what in (("core lru", "workers"), ("core mdp", "services"), ("proxy", "workers")):
        many, few = f"{ours}, 10,000 {what}", f"{ours}, 10 {what}"
        # What libzmq does with as many connections is shown beside it, and is no promise.
        bound = 1.1 if ours != "proxy" else float("inf")
        for key in ("cpu", "loop"):
            yield from _ratio(middle, "scale", many, few, key, bound)


def _open_loop(middle: Medians) -> Iterator[Target]:
    found = middle.get("open", {})
    where = f"{RATE:,.0f} requests/s; "
    for ours in ("core lru", "core mdp"):
        if ours not in found:
            continue
        yield Target(f"{where}{ours}: lost", found[ours]["lost"], 0.0)
        yield from _ratio(middle, "open", ours, "proxy", "p99", 1.2, where=where)
        yield Target(f"{where}{ours}: CPU of the broker", found[ours]["share"], 0.5)
        highest = middle.get(HIGHEST, {}).get(ours)
        if highest:
            yield Target(
                f"highest rate with p99 below 10 ms, as a multiple of {RATE:,.0f}; {ours}",
                highest["rate"] / RATE, 1.0, least=True, made_of=f"{highest['rate']:,.0f}/s",
            )  # fmt: skip


def _one_way(middle: Medians) -> Iterator[Target]:
    """A device costs no more than libzmq's proxy of the same sockets."""
    for case in middle:
        pattern = case.partition("-")[0]
        if pattern in ("forwarder", "streamer"):
            yield from _ratio(
                middle, case, f"core {pattern}", "proxy", "cpu", 1.0, where=f"{case}: "
            )


def _async_server(middle: Medians) -> Iterator[Target]:
    """The same server by hand costs as much at least."""
    for case in middle:
        if case.startswith("async-server"):
            for ours, theirs in (("core threads", "threads"), ("core tasks", "tasks")):
                yield from _ratio(middle, case, ours, theirs, "cpu", 1.0, where=f"{case}: ")


def _sessions(middle: Medians) -> Iterator[Target]:
    """A request costs the same among many sessions."""
    for impl in ("core", "pure"):
        many, few = f"{impl}, 100,000 sessions", f"{impl}, 10 sessions"
        for key in ("cpu", "loop"):
            yield from _ratio(middle, "sessions", many, few, key, 1.1)
