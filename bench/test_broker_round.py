"""A full round through a running broker: client, broker, worker and back, with a compiled load."""

from __future__ import annotations

import pytest
import zmq
from pytest_benchmark.fixture import BenchmarkFixture

from brigantine.load import Generator, Plan

from .inproc import BROKERS
from .processes import broker_threads, cpu_of

#: Requests in one timed call.
REQUESTS = 2_000
PEERS = 16
ENDS = {
    "inproc": ("inproc://bench-front", "inproc://bench-back"),
    "tcp": ("tcp://127.0.0.1:*", "tcp://127.0.0.1:*"),
}


@pytest.mark.parametrize(
    ("pattern", "capacity"), [("lru", 1), ("ppp", 1), ("mdp", 1), ("ppp", 16), ("mdp", 16)]
)
@pytest.mark.parametrize("transport", ["inproc", "tcp"])
def test_full_broker_round(
    benchmark: BenchmarkFixture, impl: str, transport: str, pattern: str, capacity: int
) -> None:
    benchmark.group = (
        f"{pattern} broker: {REQUESTS} full rounds over {transport}, {PEERS} workers of capacity "
        f"{capacity}"
    )
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with BROKERS[pattern](*ENDS[transport], impl=impl, context=context) as broker:
        # Before the load has a thread.
        loop = broker_threads()
        plan = Plan(
            pattern=pattern, frontend=broker.frontend, backend=broker.backend,
            clients=PEERS, workers=PEERS, window=capacity, capacity=capacity,
        )  # fmt: skip
        with Generator(plan, context) as load:
            before = cpu_of(loop)
            benchmark.pedantic(load.run, args=(REQUESTS,), rounds=5, warmup_rounds=1)
            spent = cpu_of(loop) - before
            stats = broker.stats()
    assert stats["replied"] >= REQUESTS
    assert stats["replied"] == stats["accepted"]
    benchmark.extra_info["loop_cpu_us_per_request"] = round(spent / stats["replied"] * 1e6, 2)
    context.term()
