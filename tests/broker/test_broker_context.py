"""What becomes of a broker when the program terminates the context in which it lives."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import zmq
from harness import Peers, wait_until

from brigantine import BrokerStopped, MajordomoBroker, ledger_holds


def test_a_terminated_context_ends_a_broker_and_its_ledger_still_balances(
    impl: str, peers: Peers
) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    broker = MajordomoBroker("tcp://127.0.0.1:*", "tcp://127.0.0.1:*", impl=impl, context=context)
    peers.socket(zmq.DEALER, broker.backend).send_multipart([b"MDPW02", b"\x01", b"echo"])
    client = peers.socket(zmq.DEALER, broker.frontend)
    client.identity = b"brigantine/1: who would be told of the end"
    for service in (b"echo", b"nobody's"):
        client.send_multipart([b"MDPC02", b"\x01", service, b"body"])
    wait_until(lambda: (broker.stats()["in_flight"], broker.stats()["queued"]) == (1, 1))
    context.term()  # returns once the broker has closed its sockets
    with pytest.raises(BrokerStopped, match="terminated"):
        broker.join(10)
    with ThreadPoolExecutor() as threads:  # it once waited for ever, for a lock that nobody held
        stats = threads.submit(broker.stats).result(10)
    assert ledger_holds(stats)
    assert (stats["failed_stopped"], stats["queued"], stats["in_flight"]) == (2, 0, 0)
    broker.stop()
