"""The loop alone, without the broker around it, and its promise not to need the GIL."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from types import ModuleType

import pytest
import zmq
from harness import Peers, wait_until

from brigantine import BrokerConfig, ledger_holds
from brigantine.wire.loop import DRAIN, STOP


class Stand:
    """A loop on sockets of our own, run in a thread of our own."""

    def __init__(self, rooms: ModuleType, peers: Peers) -> None:
        self.frontend = peers.socket(zmq.ROUTER)
        self.frontend.bind("inproc://front")
        self.backend = peers.socket(zmq.ROUTER)
        self.backend.bind("inproc://back")
        self.control = peers.socket(zmq.PAIR)
        self.control.bind("inproc://control")
        pair = peers.socket(zmq.PAIR, "inproc://control")
        self.loop = rooms.Loop(self.frontend, self.backend, pair, BrokerConfig())
        self.thread = threading.Thread(target=self.loop.run)
        self.thread.start()

    def end(self, command: bytes) -> None:
        self.control.send(command)
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def stand(rooms: ModuleType, peers: Peers) -> Iterator[Stand]:
    made = Stand(rooms, peers)
    yield made
    if made.thread.is_alive():
        made.end(STOP)


def test_a_loop_routes_on_sockets_that_the_caller_made(stand: Stand, peers: Peers) -> None:
    worker = peers.worker("inproc://back")
    client = peers.req("inproc://front")
    for number in range(20):
        client.send(b"%d" % number)
        ticket, _, body = worker.recv_multipart()
        worker.send_multipart([ticket, b"", body + b"!"])
        assert client.recv() == b"%d!" % number
    stats = stand.loop.stats()
    assert stats["replied"] == 20
    assert ledger_holds(stats)


def test_stop_ends_a_loop_and_fails_what_waits(stand: Stand, peers: Peers) -> None:
    peers.req("inproc://front").send(b"nobody will answer")
    wait_until(lambda: stand.loop.stats()["queued"] == 1)
    stand.end(STOP)
    stats = stand.loop.stats()
    assert (stats["queued"], stats["failed_stopped"]) == (0, 1)
    assert ledger_holds(stats)


def test_drain_lets_a_loop_finish_what_it_accepted(stand: Stand, peers: Peers) -> None:
    worker, client = peers.worker("inproc://back"), peers.req("inproc://front")
    client.send(b"in hand")
    ticket, _, body = worker.recv_multipart()
    stand.control.send(DRAIN)
    late = peers.dealer("inproc://front")

    def one_was_shed() -> bool:
        late.send_multipart([b"", b"too late?"])
        return stand.loop.stats()["shed_draining"] > 0

    wait_until(one_was_shed)
    worker.send_multipart([ticket, b"", body])
    assert client.recv() == b"in hand"
    while stand.thread.is_alive():  # those that came before the command was read
        if worker.poll(10):
            worker.send_multipart(worker.recv_multipart())
    stats = stand.loop.stats()
    assert stats["failed"] == 0
    assert ledger_holds(stats)


def test_unknown_commands_do_not_end_a_loop(stand: Stand, peers: Peers) -> None:
    stand.control.send(b"STOPP")
    stand.control.send(b"")
    worker, client = peers.worker("inproc://back"), peers.req("inproc://front")
    client.send(b"still there?")
    ticket, _, body = worker.recv_multipart()
    worker.send_multipart([ticket, b"", body])
    assert client.recv() == b"still there?"


def test_only_router_sockets_are_taken(rooms: ModuleType, peers: Peers) -> None:
    router, dealer, pair = (peers.socket(kind) for kind in (zmq.ROUTER, zmq.DEALER, zmq.PAIR))
    with pytest.raises(TypeError, match="backend must be a ROUTER"):
        rooms.Loop(router, dealer, pair, BrokerConfig())


PEER = """
import sys, zmq
kind, endpoint, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
socket = zmq.Context().socket(zmq.REQ)
socket.linger, socket.rcvtimeo = 0, 30000
socket.connect(endpoint)
if kind == "worker":
    socket.send(b"READY")
    while True:
        ticket, _, body = socket.recv_multipart()
        socket.send_multipart([ticket, b"", body])
for number in range(count):
    socket.send(b"%d" % number)
    assert socket.recv() == b"%d" % number
print("done")
"""


HOLD_THE_GIL = """
import ctypes, subprocess, sys, threading
from brigantine import LRUBroker
import brigantine.core

peer, count = sys.argv[1], "200"
broker = LRUBroker("tcp://127.0.0.1:*", "tcp://127.0.0.1:*", impl="core")
start = lambda kind, at: subprocess.Popen(
    [sys.executable, "-c", peer, kind, at, count], stdout=subprocess.PIPE, text=True)
worker = start("worker", broker.backend)
client = start("client", broker.frontend)
# Through PyDLL a C function is called with the GIL held: until the client process has ended, no
# other Python thread of this process can run.
waited = ctypes.PyDLL(None).waitpid(client.pid, None, 0)
worker.kill()
worker.wait()
assert waited == client.pid
print(client.stdout.read().strip(), broker.stats()["replied"])
client.stdout.close(), worker.stdout.close()
broker.stop()
"""


def test_the_core_routes_between_processes_while_a_thread_holds_the_gil() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(HOLD_THE_GIL), PEER],
        capture_output=True, text=True, timeout=50,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout.strip()) == (0, "done 200"), ended.stderr
