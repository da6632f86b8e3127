"""A worker answers all that it has and leaves while the broker is stopped or far behind."""

from __future__ import annotations

import json
import signal
import threading
from types import ModuleType
from typing import Any

import pytest
import zmq
from crew import BareWorker, DialectClient
from harness import Peers
from protocol_frames import Dialect
from watch import reaches

from brigantine import BrokerConfig, LRUBroker, ledger_holds
from brigantine.config.protocols import Protocol
from brigantine.wire.loop import DRAIN, STOP

pytest_plugins = ("dialect_fixtures",)

#: More than the loop reads in one turn, and less than a peer's high-water mark.
ANSWERS = 900
#: Workers that keep the broker from finding that nothing is left to read.
BUSY = 64
#: Milliseconds that a socket may take to send what it holds when it is closed.
LINGER = 10_000


def answer_all_and_leave(worker: BareWorker, held: list[tuple[bytes, bytes]], bye: bool) -> None:
    for ticket, body in held:
        worker.reply(ticket, body)
    if bye:
        worker.send(worker.dialect.disconnect())
    worker.socket.close(LINGER)


@pytest.mark.pairwise
@pytest.mark.parametrize("bye", [True, False], ids=["disconnect", "close"])
@pytest.mark.parametrize("retries", [0, 1])
def test_the_answers_of_a_worker_that_leaves_a_stopped_broker_count(
    dialect_process: Any, peers: Peers, record: Any, dialect: Dialect, retries: int, bye: bool
) -> None:
    if bye and not dialect.mdp:
        pytest.skip("PPP has no word for it")
    broker = dialect_process(dialect, retries=retries)
    worker = BareWorker(peers, broker.backend, dialect)
    worker.ready(ANSWERS)
    reaches(broker, workers=1)
    client = DialectClient(peers, broker.frontend, dialect)
    for number in range(ANSWERS):
        client.ask(b"%d" % number)
    held = [worker.take() for _ in range(ANSWERS)]
    broker.signal(signal.SIGSTOP)
    answer_all_and_leave(worker, held, bye)
    second = BareWorker(peers, broker.backend, dialect)  # maybe on the same descriptor
    second.ready(10)
    broker.signal(signal.SIGCONT)
    assert len({client.answer()[-1] for _ in range(ANSWERS)}) == ANSWERS
    reaches(broker, workers_joined=2, workers_lost=1)
    client.ask(b"more")
    ticket, body = second.take()
    assert body == b"more", "the first worker has done all others"
    second.reply(ticket, body)
    stats = reaches(broker, workers=1, replied=ANSWERS + 1)
    record(
        "worker leaves while the broker is frozen or far behind",
        replied=ANSWERS,
        done_twice=stats["redispatched"],
    )
    assert (stats["redispatched"], stats["drop_reply_late"], stats["drop_unexpected"]) == (0, 0, 0)


def test_the_answers_of_req_workers_that_leave_a_stopped_broker_count(
    broker_process: Any, peers: Peers, record: Any
) -> None:
    broker = broker_process(retries=1)
    count = 300
    workers = [peers.worker(broker.backend) for _ in range(count)]
    reaches(broker, workers=count)
    client = peers.dealer(broker.frontend)
    for number in range(count):
        client.send_multipart([b"", b"%d" % number])
    held = [worker.recv_multipart() for worker in workers]
    broker.signal(signal.SIGSTOP)
    for worker, frames in zip(workers, held, strict=True):
        worker.send_multipart(frames)
        worker.close(LINGER)
    broker.signal(signal.SIGCONT)
    bodies = {client.recv_multipart()[-1] for _ in range(count)}
    assert bodies == {b"%d" % number for number in range(count)}
    stats = reaches(broker, workers=0, replied=count)
    record(
        "worker leaves while the broker is frozen or far behind",
        replied=count,
        done_twice=stats["redispatched"],
    )
    assert (stats["redispatched"], stats["drop_reply_late"]) == (0, 0)


def test_beside_workers_that_never_fall_silent_the_answers_count_and_the_end_is_seen(
    dialect_broker: Any, peers: Peers, record: Any, dialect: Dialect
) -> None:
    """Others send without a pause: the broker hardly ever finds that nothing is left."""
    broker = dialect_broker(dialect, retries=1)
    busy = [BareWorker(peers, broker.backend, dialect) for _ in range(BUSY)]
    for each in busy:
        each.ready()
    worker = BareWorker(peers, broker.backend, dialect)
    worker.ready(ANSWERS)
    reaches(broker, workers=BUSY + 1)
    client = DialectClient(peers, broker.frontend, dialect)
    for number in range(ANSWERS + BUSY):
        client.ask(b"%d" % number)
    held = []
    while len(held) < ANSWERS:
        held.append(worker.take())
    taken = [each.take() for each in busy]
    for _ in range(50):  # what nobody needs, from everybody
        for each in busy:
            for _ in range(10):
                each.send(dialect.heartbeat())
    answer_all_and_leave(worker, held, bye=False)
    for each, (ticket, body) in zip(busy, taken, strict=True):
        each.reply(ticket, body)
    for _ in range(ANSWERS + BUSY):
        client.answer()
    stats = reaches(broker, workers=BUSY)
    record(
        "worker leaves while the broker is frozen or far behind",
        replied=ANSWERS,
        done_twice=stats["redispatched"],
    )
    assert (stats["redispatched"], stats["drop_reply_late"]) == (0, 0)
    assert stats["replied"] == ANSWERS + BUSY


def test_over_inproc_too_the_answers_of_a_worker_that_left_count(peers: Peers, impl: str) -> None:
    """No descriptor, no monitor: the next request that is sent to it tells that it has gone."""
    made = LRUBroker(
        "inproc://clients", "inproc://workers", context=peers.context, retries=1, impl=impl
    )
    workers = [peers.worker("inproc://workers") for _ in range(3)]
    reaches(made, workers=3)
    client = peers.dealer("inproc://clients")
    for number in range(3):
        client.send_multipart([b"", b"%d" % number])
    held = [worker.recv_multipart() for worker in workers]
    for worker, frames in zip(workers, held, strict=True):
        worker.send_multipart(frames)
        worker.close(LINGER)
    client.send_multipart([b"", b"more"])
    assert {client.recv_multipart()[-1] for _ in range(3)} == {b"0", b"1", b"2"}
    stats = reaches(made, replied=3)
    made.stop()
    assert stats["drop_reply_late"] == 0


# -- the end of the broker --------------------------------------------------------------------


def test_what_workers_said_before_a_drain_is_passed_on(
    dialect_process: Any, peers: Peers, dialect: Dialect
) -> None:
    """All that it has to read at once: the answers, and then that it is to end."""
    broker = dialect_process(dialect)
    worker = BareWorker(peers, broker.backend, dialect)
    worker.ready(ANSWERS)
    reaches(broker, workers=1)
    client = DialectClient(peers, broker.frontend, dialect)
    for number in range(ANSWERS):
        client.ask(b"%d" % number)
    held = [worker.take() for _ in range(ANSWERS)]
    broker.signal(signal.SIGSTOP)
    answer_all_and_leave(worker, held, bye=False)
    broker.signal(signal.SIGTERM)  # it drains
    broker.signal(signal.SIGCONT)
    assert len({client.answer()[-1] for _ in range(ANSWERS)}) == ANSWERS
    stats = json.loads(broker.expect("ended"))
    assert broker.wait() == 0
    assert (stats["replied"], stats["failed"]) == (ANSWERS, 0)
    assert ledger_holds(stats), stats


class Stand:
    """A loop over inproc, where what was sent can be read at once."""

    def __init__(self, rooms: ModuleType, peers: Peers) -> None:
        self.sockets = [peers.socket(kind) for kind in (zmq.ROUTER, zmq.ROUTER, zmq.PAIR)]
        frontend, backend, self.control = self.sockets
        for socket, name in zip(self.sockets, ("front", "back", "control"), strict=True):
            socket.bind(f"inproc://{name}")
        pair = peers.socket(zmq.PAIR, "inproc://control")
        config = BrokerConfig()
        self.loop = rooms.Loop(frontend, backend, pair, config, protocols=int(Protocol.PPP))
        self.thread = threading.Thread(target=self.loop.run)
        self.worker, self.client = peers.dealer("inproc://back"), peers.dealer("inproc://front")
        self.worker.send(b"\x01\xcd\x03\x84")  # READY, capacity 900
        for number in range(ANSWERS):
            self.client.send_multipart([b"", b"%d" % number])

    def answer(self) -> None:
        held = [self.worker.recv_multipart() for _ in range(ANSWERS)]
        for frames in held:
            self.worker.send_multipart(frames)


def test_what_workers_said_before_a_stop_is_passed_on(rooms: ModuleType, peers: Peers) -> None:
    stand = Stand(rooms, peers)
    stand.thread.start()
    stand.answer()
    stand.control.send(STOP)
    stand.thread.join(10)
    assert not stand.thread.is_alive()
    stats = stand.loop.stats()
    assert (stats["replied"], stats["failed"]) == (ANSWERS, 0)


def test_requests_that_came_before_a_drain_are_served(rooms: ModuleType, peers: Peers) -> None:
    """More of them than the loop reads in one turn, and the word to drain, all unread."""
    stand = Stand(rooms, peers)
    stand.control.send(DRAIN)
    stand.thread.start()
    stand.answer()
    stand.thread.join(10)
    assert not stand.thread.is_alive()
    stats = stand.loop.stats()
    assert (stats["replied"], stats["shed"], stats["failed"]) == (ANSWERS, 0, 0)
