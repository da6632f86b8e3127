"""The load generator against brokers of all patterns, ours and others."""

from __future__ import annotations

import resource
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import zmq
from commands import Commands
from foreign_brokers import LoadBalancer, Majordomo, PirateQueue, blind_proxy
from harness import PATIENCE, wait_until

from brigantine import AnyBroker, ConfigError, LRUBroker, MajordomoBroker, ParanoidPirateBroker
from brigantine.load import Figures, Generator, Plan

ANY = "tcp://127.0.0.1:*"
BROKERS = {"lru": LRUBroker, "ppp": ParanoidPirateBroker, "mdp": MajordomoBroker}
#: Pattern, version of MDP.
PATTERNS = [("lru", "0.2"), ("ppp", "0.2"), ("mdp", "0.1"), ("mdp", "0.2")]

#: Counters that stay 0 when all is well.
TROUBLE = (
    "lost", "late", "duplicates", "wrong", "errors", "partials", "unsent", "unanswered", "nonsense",
    "disconnects", "ready_again", "connections_lost",
)  # fmt: skip


def all_is_well(figures: Figures, requests: int) -> None:
    """Every request has its reply, nothing else happened, and it is all in the histogram."""
    counts = figures.counts
    assert (counts["sent"], counts["replies"]) == (requests, requests)
    assert {name: counts[name] for name in TROUBLE} == dict.fromkeys(TROUBLE, 0)
    assert figures.latencies is not None
    assert figures.latencies.count == requests
    assert figures.good
    assert not figures.interrupted
    assert 0 < figures.seconds < PATIENCE
    assert figures.rate == pytest.approx(requests / figures.seconds)


@pytest.mark.parametrize(("pattern", "version"), PATTERNS)
def test_every_reply_is_matched_through_our_broker(impl: str, pattern: str, version: str) -> None:
    with BROKERS[pattern](ANY, ANY, impl=impl) as broker:
        plan = Plan(
            pattern=pattern, mdp_version=version, frontend=broker.frontend, backend=broker.backend,
            clients=5, window=3, workers=4, size=300, requests=500,
        )  # fmt: skip
        with Generator(plan) as load:
            figures = load.run()
            stats = broker.stats()
        all_is_well(figures, 500)
        assert (stats["accepted"], stats["replied"]) == (500, 500)
        assert stats["workers_joined"] == 4
        assert figures.counts["served"] == 500
        assert figures.shares is not None
        # Each worker is one of its own: all had work.
        assert 0 < figures.shares.min <= figures.shares.median <= figures.shares.max < 500
        if pattern == "mdp":
            wait_until(lambda: broker.stats()["workers_disconnected"] == 4, "four DISCONNECTs")


def test_a_blind_proxy_is_driven_as_well() -> None:
    with blind_proxy() as (frontend, backend):
        plan = Plan(
            pattern="proxy", frontend=frontend, backend=backend, clients=5, window=4, workers=3,
            requests=500,
        )  # fmt: skip
        with Generator(plan) as load:
            figures = load.run()
    all_is_well(figures, 500)
    assert figures.shares is not None
    assert figures.shares.min > 0


@pytest.mark.parametrize("kind", [LoadBalancer, PirateQueue, Majordomo])
def test_brokers_like_those_of_the_guide_are_driven_as_well(kind: Any) -> None:
    pattern = {LoadBalancer: "lru", PirateQueue: "ppp", Majordomo: "mdp"}[kind]
    with kind() as broker:
        plan = Plan(
            pattern=pattern, mdp_version="0.1", frontend=broker.frontend, backend=broker.backend,
            clients=7, workers=4, requests=200,
        )  # fmt: skip
        with Generator(plan) as load:
            all_is_well(load.run(), 200)


@pytest.mark.parametrize("kind", [PirateQueue, Majordomo])
def test_heartbeats_keep_workers_at_a_broker_that_throws_out_silent_ones(kind: Any) -> None:
    with kind() as broker:
        plan = Plan(
            pattern="ppp" if kind is PirateQueue else "mdp", mdp_version="0.1",
            frontend=broker.frontend, backend=broker.backend, clients=0, workers=4,
            heartbeat_interval=kind.interval / 2, liveness=3 * kind.liveness,
            duration=1.5 * kind.interval * kind.liveness,
        )  # fmt: skip
        with Generator(plan) as load:
            figures = load.run()
            assert (len(broker.free), broker.expired) == (4, 0)
        assert figures.counts["heartbeats_sent"] >= 4
        assert figures.counts["heartbeats_received"] >= 4
        assert figures.counts["nonsense"] == figures.counts["ready_again"] == 0
        assert figures.latencies is None
        assert not figures.interrupted


@pytest.mark.parametrize("pattern", ["ppp", "mdp"])
def test_capacity_gives_one_worker_several_requests_at_once(impl: str, pattern: str) -> None:
    with BROKERS[pattern](ANY, ANY, impl=impl) as broker:
        plan = Plan(
            pattern=pattern, frontend=broker.frontend, backend=broker.backend, clients=4, window=50,
            workers=1, capacity=200, requests=1000,
        )  # fmt: skip
        with Generator(plan) as load:
            all_is_well(load.run(), 1000)


@pytest.mark.parametrize("transport", ["ipc", "inproc"])
def test_every_peer_is_one_of_its_own_over_any_transport(
    impl: str, transport: str, tmp_path: Path
) -> None:
    ends = [f"{transport}://{tmp_path}/{side}" for side in ("f", "b")]
    context: zmq.Context[Any] = zmq.Context()
    with LRUBroker(*ends, impl=impl, context=context) as broker:
        plan = Plan(pattern="lru", frontend=ends[0], backend=ends[1], clients=6, workers=5)
        with Generator(plan, context) as load:
            for requests in (300, 200):  # the peers stay from one run to the next
                all_is_well(load.run(requests), requests)
        assert broker.stats()["workers_joined"] == 5
    context.term()


def test_clients_and_workers_may_run_apart_and_one_broker_serves_all_patterns(impl: str) -> None:
    with AnyBroker(ANY, ANY, impl=impl) as broker:
        ends = {"frontend": broker.frontend, "backend": broker.backend}
        workers = Plan(pattern="mdp", service="s", clients=0, workers=3, mdp_version="0.1", **ends)
        clients = Plan(pattern="mdp", service="s", clients=4, workers=0, requests=200, **ends)
        with Generator(workers) as serving, Generator(clients) as asking:
            serving.start()
            all_is_well(asking.run(), 200)
            wait_until(lambda: serving.look()["served"] == 200, "200 requests served")
            figures = serving.finish()
    assert figures.interrupted
    assert figures.counts["served"] == 200
    assert figures.rate is None


def test_what_happens_in_the_warm_up_counts_for_nothing() -> None:
    with LRUBroker(ANY, ANY) as broker:
        plan = Plan(
            pattern="lru", frontend=broker.frontend, backend=broker.backend, clients=4, workers=4,
            warmup=0.2, requests=100,
        )  # fmt: skip
        with Generator(plan) as load:
            figures = load.run()
            wait_until(lambda: broker.stats()["in_flight"] == 0, "the end of all requests")
        assert broker.stats()["replied"] > 100
    assert (figures.counts["sent"], figures.counts["replies"]) == (100, 100)
    assert figures.latencies is not None
    assert figures.latencies.count == 100


def test_an_open_loop_sends_as_many_as_it_was_told() -> None:
    with LRUBroker(ANY, ANY) as broker:
        plan = Plan(
            pattern="lru", frontend=broker.frontend, backend=broker.backend, clients=4, window=50,
            workers=4, rate=400.0, duration=0.5,
        )  # fmt: skip
        with Generator(plan) as load:
            figures = load.run()
    all_is_well(figures, 200)
    # The last one is meant to be sent 2.5 ms before the end.
    assert figures.seconds >= 0.4975


def test_an_open_loop_shows_a_stall_of_the_broker_in_full(run: Commands) -> None:
    stall = 0.3
    broker = run("broker", "lru", "--frontend", ANY, "--backend", ANY)
    ends = broker.ready()
    plan = Plan(pattern="lru", clients=2, window=1, workers=2, rate=200.0, duration=1.0, **ends)
    with Generator(plan) as load:
        load.start()
        wait_until(lambda: load.look()["replies"] >= 10, "the first replies")
        broker.process.send_signal(signal.SIGSTOP)
        time.sleep(stall)
        broker.process.send_signal(signal.SIGCONT)
        wait_until(lambda: not load.running, "the end of the run")
        figures = load.finish()
    counts, latencies = figures.counts, figures.latencies
    assert latencies is not None
    assert counts["sent"] + counts["unsent"] == 200
    assert counts["replies"] == counts["sent"]
    assert latencies.max is not None
    assert latencies.max >= stall * 0.9
    # Nobody could send meanwhile, but the 60 requests that were meant to be sent count as well: the
    # first 50 of them, of 200 in all, waited for 0.05 s at least.
    assert (latencies.quantile(0.99) or 0.0) >= stall * 0.8
    assert (latencies.quantile(0.78) or 0.0) >= 0.04
    assert figures.worst_lag >= stall * 0.8


def test_a_closed_loop_ends_after_its_duration_with_all_replies() -> None:
    with LRUBroker(ANY, ANY) as broker:
        plan = Plan(
            pattern="lru", frontend=broker.frontend, backend=broker.backend, clients=4, workers=2,
            duration=0.2,
        )  # fmt: skip
        with Generator(plan) as load:
            figures = load.run()
    assert figures.seconds >= 0.2
    all_is_well(figures, figures.counts["sent"])


def test_a_thousand_clients_and_three_hundred_workers_run_from_one_process() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4000:
        pytest.skip("the hard limit of open files is too low for both ends in one process")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4000), hard))
    with LRUBroker(ANY, ANY) as broker:
        plan = Plan(
            pattern="lru", frontend=broker.frontend, backend=broker.backend, clients=1000,
            workers=300, requests=3000, connect_timeout=3 * PATIENCE, timeout=3 * PATIENCE,
        )  # fmt: skip
        with Generator(plan) as load:
            figures = load.run()
        assert broker.stats()["workers_joined"] == 300
    assert figures.counts["replies"] == figures.counts["sent"] == 3000
    assert figures.good
    assert figures.shares is not None
    assert figures.shares.min >= 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"clients": 0, "workers": 0}, "clients and workers are both 0"),
        ({"clients": -1}, "clients must be from 0 to 1000000, not -1"),
        ({"size": 15}, "size must be from 16"),
        ({"capacity": 2}, "capacity must be 1 for lru, not 2"),
        ({"window": 0}, "window must be from 1"),
        ({"timeout": float("nan")}, "timeout must be from"),
        ({"pattern": "rep"}, "pattern must be one of lru, ppp, mdp, proxy, not 'rep'"),
        ({"frontend": None}, "frontend is missing"),
        ({"backend": None}, "backend is missing"),
        ({"clients": 0, "rate": 5.0}, "requests and rate are for clients"),
        ({"clients": 1_000_000, "window": 1_000_000}, "requests out at once"),
    ],
)
def test_a_plan_that_can_not_work_is_refused_with_its_reason(
    options: dict[str, Any], words: str
) -> None:
    right = {"pattern": "lru", "frontend": "tcp://127.0.0.1:1", "backend": "tcp://127.0.0.1:2"}
    with pytest.raises(ConfigError) as caught:
        Plan(**{**right, **options})
    assert words in str(caught.value)
