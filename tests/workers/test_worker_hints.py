"""What a worker's log says when it is at the wrong place, and what it says to a broker it gives up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from harness import Peers, wait_until
from heartbeat_doubles import BEAT, HeartbeatBroker

from brigantine import (
    LRUBroker,
    MajordomoBroker,
    MajordomoWorker,
    ParanoidPirateBroker,
    ParanoidPirateWorker,
    aio,
)
from brigantine.cli import main

ANY = "tcp://127.0.0.1:*"
BROKERS: dict[str, Callable[..., Any]] = {
    "lru": LRUBroker,
    "ppp": ParanoidPirateBroker,
    "mdp": MajordomoBroker,
}
NAMES = {"ppp": "PPP", "0.1": "MDP 0.1", "0.2": "MDP 0.2"}


@pytest.mark.pairwise
@pytest.mark.parametrize(
    ("wire", "broker"),
    [
        ("ppp", "lru"),
        ("ppp", "mdp"),
        ("0.1", "lru"),
        ("0.1", "ppp"),
        ("0.2", "lru"),
        ("0.2", "ppp"),
    ],
)
@pytest.mark.parametrize("side", ["frontend", "backend"])
def test_a_worker_at_a_broker_of_another_protocol_says_so(
    impl: str, start_worker: Callable[..., Any], caplog: pytest.LogCaptureFixture, wire: str,
    broker: str, side: str,
) -> None:  # fmt: skip
    caplog.set_level("WARNING", "brigantine.worker")
    with BROKERS[broker](ANY, ANY, impl=impl) as running:
        endpoint = getattr(running, side)
        worker = start_worker(wire, endpoint, bytes.upper, heartbeat_interval=BEAT, liveness=2)
        wait_until(lambda: "Is it the workers' endpoint of a broker" in caplog.text, "the hint")
        assert f"speaks {NAMES[wire]}" in caplog.text
        assert endpoint in caplog.text
        worker.stop()


@pytest.mark.parametrize("wire", ["0.1", "0.2"])
def test_a_broker_that_is_given_up_is_told_disconnect_on_that_connection(
    peers: Peers, start_worker: Callable[..., Any], caplog: pytest.LogCaptureFixture, wire: str
) -> None:
    caplog.set_level("WARNING", "brigantine.worker")
    raw = HeartbeatBroker(peers, wire=wire)
    start_worker(wire, raw.endpoint, bytes.upper, heartbeat_interval=BEAT, liveness=2)
    peer = raw.ready()
    raw.say(peer, "heartbeat")
    assert raw.next() == (peer, raw.wire["disconnect"])
    assert raw.ready() != peer
    assert "was silent for 0.2 s; connecting again" in caplog.text


def test_a_broker_that_is_given_up_with_a_request_in_hand_is_told_so_too(
    peers: Peers, start_worker: Callable[..., Any]
) -> None:
    wire = "0.2"
    raw = HeartbeatBroker(peers, wire=wire)
    worker = start_worker(wire, raw.endpoint, bytes.upper, heartbeat_interval=BEAT, liveness=2)
    peer = raw.ready()
    raw.request(peer, b"q")
    assert raw.reply(peer) == [b"Q"]
    assert raw.next() == (peer, raw.wire["disconnect"])
    raw.ready()
    assert worker.stats()["expired"] == 1


@pytest.mark.parametrize(
    ("kind", "interval"), [("ParanoidPirateWorker", 1.0), ("MajordomoWorker", 2.5)]
)
def test_workers_heartbeat_as_the_guide_s_do_by_default(
    capsys: pytest.CaptureFixture[str], kind: str, interval: float
) -> None:
    sync = {"ParanoidPirateWorker": ParanoidPirateWorker, "MajordomoWorker": MajordomoWorker}
    for made in (sync[kind], getattr(aio, kind)):
        assert made.options().heartbeat_interval == interval
        assert made.options().liveness == 3
    assert main(["worker", {1.0: "ppp", 2.5: "mdp"}[interval], "--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert f"the same as the broker's (default {interval})" in words
