"""A worker whose heartbeat interval is not the broker's, and that says so."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
import zmq
from harness import Peers, wait_until
from heartbeat_doubles import SERVICE, unstarted

from brigantine import AnyBroker

#: The broker's interval and the worker's, in seconds: each far from what the other would wait.
SLOW, FAST = 30.0, 0.05
WIRES = pytest.mark.parametrize("wire", ["ppp", "0.1", "0.2"])


@WIRES
def test_ready_says_the_interval_behind_the_capacity(wire: str, peers: Peers) -> None:
    broker = peers.socket(zmq.ROUTER)
    port = broker.bind_to_random_port("tcp://127.0.0.1")
    worker = unstarted(
        wire, f"tcp://127.0.0.1:{port}", bytes, heartbeat_interval=2.5, announce_interval=True
    )
    announced = [msgpack.packb(1), msgpack.packb(2500)]
    with worker:
        _, *frames = broker.recv_multipart()
    assert (
        frames
        == {
            "ppp": [b"\x01" + b"".join(announced)],
            "0.1": [b"", b"MDPW01", b"\x01", SERVICE, *announced],
            "0.2": [b"MDPW02", b"\x01", SERVICE, *announced],
        }[wire]
    )


@pytest.mark.pairwise
@WIRES
@pytest.mark.parametrize(("brokers", "workers"), [(SLOW, FAST), (FAST, SLOW)])
def test_both_keep_to_the_interval_of_the_worker(
    impl: str, wire: str, brokers: float, workers: float, peers: Peers
) -> None:
    """A slow broker heartbeats often enough for a fast worker; a slow worker is not expired."""
    options: dict[str, Any] = {"heartbeat_interval": workers, "announce_interval": True}
    with AnyBroker(
        "tcp://127.0.0.1:*", "tcp://127.0.0.1:*", impl=impl, heartbeat_interval=brokers, liveness=4
    ) as broker:
        # One that announces nothing, to see that the broker's own intervals go by.
        bystander = peers.socket(zmq.DEALER, broker.backend)
        bystander.send(b"\x01")
        with unstarted(wire, broker.backend, bytes.upper, **options) as worker:
            wait_until(lambda: broker.stats()["workers"] == 2)
            if workers == FAST:
                beats = broker.stats()["heartbeats"] + 10
                wait_until(lambda: broker.stats()["heartbeats"] >= beats)
                wait_until(lambda: worker.stats()["heartbeats"] >= 10)
                assert broker.stats()["workers_lost"] == 0
            else:
                wait_until(lambda: broker.stats()["workers_expired"] == 1)
                assert broker.stats()["workers"] == 1
            assert worker.stats()["readies"] == 1
