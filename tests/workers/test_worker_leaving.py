"""A worker that stops loses nothing: its broker lets it go, and what was on its way is answered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from dialects import DIALECTS, TalkRig
from doubles import EMPTY, RawBroker
from harness import Peers, wait_until
from heartbeat_doubles import HeartbeatBroker, unstarted
from models import BACKEND

from brigantine import (
    LazyPirateClient,
    LRUBroker,
    LRUWorker,
    MajordomoBroker,
    MajordomoClient,
    MajordomoWorker,
    ParanoidPirateBroker,
    ParanoidPirateWorker,
    aio,
)

ANY = "tcp://127.0.0.1:*"
C = b"client"
V, W = b"worker 1", b"worker 2"
#: A ticket as brokers of brigantine give them, and one of another.
OURS, OTHERS = b"0123456789abcdef", b"ticket"
LEAVING = b"brigantine/1:leaving"
STOPS = 20


@pytest.fixture(params=DIALECTS)
def rig(rooms: ModuleType, request: pytest.FixtureRequest) -> TalkRig:
    """A switchboard whose workers speak one of the protocols; no retries."""
    return TalkRig(rooms, DIALECTS[request.param], retries=0)


def leave(rig: TalkRig, worker: bytes) -> list[Any]:
    return rig.receive(BACKEND, rig.dialect.leaves(worker))


def test_a_worker_that_is_leaving_gets_nothing_more_and_is_told_so(rig: TalkRig) -> None:
    rig.join(V)
    [told] = leave(rig, V)
    assert told[:2] == (BACKEND, rig.dialect.leaves(V))
    assert rig.idle() == []
    assert rig.request(C, b"1") == []
    assert rig["workers"] == 1, "it is registered until it has gone"
    [job] = rig.join(W)
    assert job[:2] == (BACKEND, rig.dialect.job(W, job.ticket, b"1"))


def test_what_it_holds_is_its_own_and_its_reply_makes_it_no_freer(rig: TalkRig) -> None:
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    leave(rig, V)
    assert rig.request(C, b"2") == []
    [answer] = rig.final(V, ticket, b"one")
    assert answer.frames[-1] == b"one"
    assert (rig["replied"], rig["queued"], rig["redispatched"]) == (1, 1, 0)
    assert rig.idle() == []


def test_one_that_comes_again_takes_part_again(rig: TalkRig) -> None:
    rig.join(V, connection=-1)
    leave(rig, V)
    rig.board.connection_opened(7)
    rig.join(V, connection=7)
    assert rig.idle() == [V]


def test_who_is_not_registered_can_not_leave(rig: TalkRig) -> None:
    calls = leave(rig, V)
    assert rig["drop_unexpected"] == 1
    if rig.dialect.mdp:
        rig.is_told(calls, V, rig.dialect.disconnect)
    else:
        assert calls == []


async def echo(body: bytes) -> bytes:
    return body


PAIRS: dict[str, tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "lru": (LRUBroker, lambda end: LRUWorker(end, bytes), lambda end: aio.LRUWorker(end, echo)),
    "ppp": (
        ParanoidPirateBroker,
        lambda end: ParanoidPirateWorker(end, bytes),
        lambda end: aio.ParanoidPirateWorker(end, echo),
    ),
    "mdp": (
        MajordomoBroker,
        lambda end: MajordomoWorker(end, "s", bytes, capacity=4),
        lambda end: aio.MajordomoWorker(end, "s", echo, capacity=4),
    ),
}


class Load:
    """Clients that ask for as long as the block lasts, without a retry."""

    def __init__(self, broker: Any) -> None:
        self.broker = broker
        self.answered = 0
        self.errors: list[Exception] = []
        self._go = True
        self._threads = [threading.Thread(target=self._ask) for _ in range(4)]

    def _ask(self) -> None:
        mdp = isinstance(self.broker, MajordomoBroker)
        kind: Any = MajordomoClient if mdp else LazyPirateClient
        with kind(self.broker.frontend, retries=0, timeout=10) as client:
            try:
                while self._go:
                    assert (client.request("s", b"x") if mdp else client.request(b"x")) == b"x"
                    self.answered += 1
            except Exception as error:
                self.errors.append(error)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._go = False
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("kind", PAIRS)
def test_no_request_is_lost_by_workers_that_stop_one_after_the_other(impl: str, kind: str) -> None:
    broker_kind, make, _ = PAIRS[kind]
    with broker_kind(ANY, ANY, impl=impl, retries=0) as broker, make(broker.backend):
        with Load(broker) as load:
            for _ in range(STOPS):
                with make(broker.backend) as worker:
                    wait_until(lambda w=worker: w.stats()["replies"], "its first reply")
        assert load.errors == []
        stats = broker.stats()
        assert (stats["failed"], stats["in_flight"], stats["redispatched"]) == (0, 0, 0)


@pytest.mark.parametrize("kind", PAIRS)
def test_so_it_is_with_asyncio(impl: str, kind: str) -> None:
    broker_kind, make, make_aio = PAIRS[kind]

    async def main() -> None:
        for _ in range(STOPS):
            async with make_aio(broker.backend) as worker:
                while not worker.stats()["replies"]:
                    await asyncio.sleep(0.001)

    with broker_kind(ANY, ANY, impl=impl, retries=0) as broker, make(broker.backend):
        with Load(broker) as load:
            asyncio.run(main())
        assert load.errors == []
        assert broker.stats()["failed"] == 0


@pytest.mark.parametrize("wire", ["ppp", "0.1", "0.2"])
@pytest.mark.parametrize("acknowledged", [True, False])
def test_a_stopping_worker_answers_what_was_on_its_way(
    peers: Peers, wire: str, acknowledged: bool
) -> None:
    raw = HeartbeatBroker(peers, wire=wire)
    worker = unstarted(wire, raw.endpoint, bytes.upper).start()
    peer = raw.ready()
    raw.request(peer, b"one", ticket=OURS)
    assert raw.reply(peer, ticket=OURS) == [b"ONE"]
    ending = threading.Thread(target=worker.stop)
    ending.start()
    beat = [] if wire == "ppp" else raw.wire["heartbeat"]
    assert raw.receive() == (peer, [*beat, LEAVING])
    raw.request(peer, b"two", ticket=OURS)
    if acknowledged:
        raw.send(peer, *beat, LEAVING)
    assert raw.reply(peer, ticket=OURS) == [b"TWO"]
    if raw.wire["disconnect"] is not None:
        assert raw.next() == (peer, raw.wire["disconnect"])
    ending.join(10)
    assert not ending.is_alive()
    assert (worker.stats()["replies"], worker.stats()["discarded_requests"]) == (2, 0)


@pytest.mark.parametrize("acknowledged", [True, False])
def test_so_does_one_without_heartbeats(peers: Peers, acknowledged: bool) -> None:
    raw = RawBroker(peers)
    worker = LRUWorker(raw.endpoint, bytes.upper).start()
    peer = raw.ready_worker()
    raw.send(peer, EMPTY, OURS, EMPTY, b"one")
    assert raw.receive() == (peer, [EMPTY, OURS, EMPTY, b"ONE"])
    ending = threading.Thread(target=worker.stop)
    ending.start()
    assert raw.receive() == (peer, [EMPTY, LEAVING])
    raw.send(peer, EMPTY, OURS, EMPTY, b"two")
    if acknowledged:
        raw.send(peer, EMPTY, LEAVING)
    assert raw.receive() == (peer, [EMPTY, OURS, EMPTY, b"TWO"])
    ending.join(10)
    assert not ending.is_alive()


@pytest.mark.parametrize("wire", ["ppp", "0.1", "0.2"])
def test_a_foreign_broker_never_sees_the_word(peers: Peers, wire: str) -> None:
    raw = HeartbeatBroker(peers, wire=wire)
    worker = unstarted(wire, raw.endpoint, bytes.upper).start()
    peer = raw.ready()
    raw.request(peer, b"one", ticket=OTHERS)
    assert raw.reply(peer, ticket=OTHERS) == [b"ONE"]
    worker.stop()
    if raw.wire["disconnect"] is not None:
        assert raw.next() == (peer, raw.wire["disconnect"])
    assert not raw.socket.poll(100)


def test_nor_does_one_of_req_workers(peers: Peers) -> None:
    raw = RawBroker(peers)
    worker = LRUWorker(raw.endpoint, bytes.upper).start()
    peer = raw.ready_worker()
    raw.send(peer, EMPTY, OTHERS, EMPTY, b"one")
    assert raw.receive() == (peer, [EMPTY, OTHERS, EMPTY, b"ONE"])
    worker.stop()
    assert not raw.socket.poll(100)
