"""A handler in C code that keeps the GIL: its worker can't heartbeat, and yet is not gone."""

from __future__ import annotations

import pytest
import zmq
from doubles import program
from harness import Peers, wait_until

from brigantine import ParanoidPirateBroker

BEAT, LIVENESS = 0.05, 6

#: Through PyDLL a C function is called with the GIL held: here until the test writes a byte.
HOLDS = """
import ctypes, sys
from brigantine import ParanoidPirateWorker

def handler(body):
    ctypes.PyDLL(None).read(0, ctypes.create_string_buffer(1), 1)
    return body.upper()

ParanoidPirateWorker(sys.argv[1], handler, heartbeat_interval=0.05, liveness=6).run()
"""


@pytest.mark.parametrize("busy_liveness", [0, 100_000])
def test_busy_liveness_tells_a_worker_that_keeps_the_gil_from_one_that_is_gone(
    impl: str, peers: Peers, busy_liveness: int
) -> None:
    any_port = "tcp://127.0.0.1:*"
    options = {"heartbeat_interval": BEAT, "liveness": LIVENESS, "busy_liveness": busy_liveness}
    with (
        ParanoidPirateBroker(any_port, any_port, impl=impl, **options) as broker,  # type: ignore[arg-type]
        program(HOLDS, [broker.backend]) as process,
    ):
        assert process.stdin is not None
        client = peers.socket(zmq.REQ, broker.frontend)
        client.send(b"q")
        if busy_liveness:
            beats = broker.stats()["heartbeats"]
            enough = beats + 3 * LIVENESS
            wait_until(lambda: broker.stats()["heartbeats"] >= enough, "three silences")
            assert broker.stats()["workers_lost"] == 0
        else:
            wait_until(lambda: broker.stats()["workers_expired"] == 1, "the silence")
        process.stdin.write("x")
        process.stdin.flush()
        assert client.recv() == b"Q"  # also of the one that was given up: nobody else has it
        if busy_liveness:  # one that dies at work is noticed by its connection, at once
            client.send(b"q")
            wait_until(lambda: broker.stats()["in_flight"] == 1, "the worker to be at it again")
            process.kill()
            wait_until(lambda: broker.stats()["workers_lost"] == 1, "its end")
            assert broker.stats()["workers_expired"] == 0
