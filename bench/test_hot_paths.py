"""The hot paths and the state machine that they make up, each as the broker runs it.

One round is one operation.  ``pytest bench`` prints core and pure side by side, a group for each.
"""

from __future__ import annotations

from types import ModuleType

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

#: Rounds in one timed call: enough that calling costs nothing beside them.
COUNT = 10_000


def per_round(benchmark: BenchmarkFixture, run: object, count: int = COUNT) -> None:
    benchmark.extra_info["rounds"] = count
    benchmark.pedantic(run, args=(count,), rounds=7, warmup_rounds=1)


@pytest.mark.parametrize("frames", [3, 20])
def test_envelope_parse_and_rewrap(
    benchmark: BenchmarkFixture, rounds: ModuleType, frames: int
) -> None:
    benchmark.group = f"envelope: parse and rewrap {frames} frames, {COUNT} times"
    message = [b"\0abcd", b"", *[b"x" * 64] * (frames - 2)]
    per_round(benchmark, rounds.EnvelopeRounds(message).run)


@pytest.mark.parametrize("workers", [10, 1_000, 1_000_000])
def test_lru_next_and_ready(benchmark: BenchmarkFixture, rounds: ModuleType, workers: int) -> None:
    benchmark.group = f"LRU queue: next and ready, {workers} workers, {COUNT} times"
    per_round(benchmark, rounds.LRURounds(workers).run)


@pytest.mark.parametrize("workers", [10, 1_000_000])
def test_sweep_with_none_expired(
    benchmark: BenchmarkFixture, rounds: ModuleType, workers: int
) -> None:
    benchmark.group = f"sweep: none of {workers} expired, {COUNT} times"
    per_round(benchmark, rounds.ExpiryRounds(workers, 0.0).run)


def test_sweep_with_one_percent_expired(benchmark: BenchmarkFixture, rounds: ModuleType) -> None:
    benchmark.group = "sweep: 1 % of 1000000 expired and set anew, once"
    per_round(benchmark, rounds.ExpiryRounds(1_000_000, 0.01).run, 1)


@pytest.mark.parametrize("live", [10, 100_000])
def test_ticket_from_open_to_close(
    benchmark: BenchmarkFixture, rounds: ModuleType, live: int
) -> None:
    benchmark.group = f"tickets: open, write, resolve, close beside {live} others, {COUNT} times"
    per_round(benchmark, rounds.TicketRounds(live).run)


@pytest.mark.parametrize("workers", [1, 10_000])
def test_switchboard_request_and_reply(
    benchmark: BenchmarkFixture, rounds: ModuleType, workers: int
) -> None:
    benchmark.group = f"switchboard: a request and its reply, {workers} workers, {COUNT} times"
    per_round(benchmark, rounds.SwitchboardRounds(workers, b"x" * 64).run)


@pytest.mark.parametrize("services", [10, 10_000])
def test_switchboard_of_many_services(
    benchmark: BenchmarkFixture, rounds: ModuleType, services: int
) -> None:
    benchmark.group = f"switchboard: the same in MDP, {services} services in turn, {COUNT} times"
    per_round(benchmark, rounds.MajordomoRounds(services, b"x" * 64).run)
