"""A reply in parts is whole or ends with an error: what happens when its worker is lost in the middle."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import zmq
from dialects import MDP01, MDP02, PPP, TalkRig, answer, asks
from harness import PATIENCE, Peers, wait_until
from mdp_doubles import EMPTY, WORKER_02, mdp_broker
from models import BACKEND, FRONTEND, Call
from relay import Relay

from brigantine import MajordomoBroker, MajordomoClient, NoReply, ledger_holds
from brigantine.wire.req import ANNOUNCEMENT, broker_error

OURS, FOREIGN = ANNOUNCEMENT + b"client", b"client"
V, W = b"worker 1", b"worker 2"
SERVICE = b"echo"
REASON = "failed_worker_lost"
#: The descriptor that the first worker speaks on, and another.
HERE, THERE = 7, 8


@pytest.fixture
def make(rooms: ModuleType) -> Callable[..., TalkRig]:
    """A switchboard whose first worker, of MDP 0.2 by default, has said READY on its connection."""

    def make(dialect: Any = MDP02, **options: Any) -> TalkRig:
        rig = TalkRig(rooms, dialect, **{"retries": 0, **options})
        rig.opened(HERE)
        rig.join(V, b"\x02", HERE)
        return rig

    return make


def to_clients(calls: list[Call]) -> list[Call]:
    return [call for call in calls if call.side == FRONTEND]


def closes(rig: TalkRig) -> list[Call]:
    return rig.closed(HERE)


def expires(rig: TalkRig) -> list[Call]:
    return rig.wait(3.0)


def disconnects(rig: TalkRig) -> list[Call]:
    return rig.receive(BACKEND, rig.dialect.command(V, rig.dialect.disconnect), HERE)


def speaks_elsewhere(rig: TalkRig) -> list[Call]:
    rig.opened(THERE)
    return rig.receive(BACKEND, rig.dialect.command(V, rig.dialect.heartbeat), THERE)


def registers_elsewhere(rig: TalkRig) -> list[Call]:
    rig.opened(THERE)
    return rig.join(V, connection=THERE)


def registers_again(rig: TalkRig) -> list[Call]:
    return rig.join(V, connection=HERE)


def says_nonsense(rig: TalkRig) -> list[Call]:
    return rig.receive(BACKEND, [V, b"MDPW02", b"\x77"], HERE)


def gives_its_descriptor_away(rig: TalkRig) -> list[Call]:
    rig.board.connection_closed(HERE, rig.now)
    rig.opened(HERE)
    return rig.join(W, connection=HERE) + rig.wait(0)


LOSSES = [
    closes, expires, disconnects, speaks_elsewhere, registers_elsewhere, registers_again, says_nonsense,
    gives_its_descriptor_away,
]  # fmt: skip


@pytest.mark.parametrize("version", ["0.2", "0.1", ""])
@pytest.mark.parametrize("client", [OURS, FOREIGN])
@pytest.mark.parametrize("lost", LOSSES)
def test_a_reply_that_has_begun_ends_with_its_worker(
    make: Callable[..., TalkRig], lost: Callable[[TalkRig], list[Call]], client: bytes, version: str
) -> None:
    rig = make(version=version)
    ticket = rig.sent(client, V, b"1")
    rig.part(V, ticket, b"a", connection=HERE)
    told = to_clients(lost(rig))
    error = answer(version, client, SERVICE, *broker_error(REASON))
    assert [call.frames for call in told] == ([error] if client == OURS else [])
    assert (rig[REASON], rig["failed"], rig["in_flight"]) == (1, 1, 0)
    for connection in (HERE, THERE):
        assert to_clients(rig.part(V, ticket, b"c", connection=connection)) == []
        assert to_clients(rig.final(V, ticket, b"end", connection=connection)) == []
    assert (rig["replied"], rig["partials"], rig["drop_reply_late"]) == (0, 1, 4)


@pytest.mark.parametrize("client", [OURS, FOREIGN])
@pytest.mark.parametrize(
    "lost", [closes, speaks_elsewhere, registers_elsewhere, gives_its_descriptor_away]
)
def test_so_does_one_whose_first_parts_may_be_lost_with_the_connection(
    make: Callable[..., TalkRig], lost: Callable[[TalkRig], list[Call]], client: bytes
) -> None:
    """What comes on another connection may be the end of a reply of which nothing else has come."""
    rig = make()
    ticket = rig.sent(client, V, b"1")
    told = to_clients(lost(rig))
    assert len(told) == (client == OURS)
    assert to_clients(rig.final(V, ticket, b"end", connection=THERE)) == []
    assert (rig[REASON], rig["in_flight"], rig["replied"]) == (1, 0, 0)


@pytest.mark.parametrize("lost", [expires, disconnects, registers_again])
def test_a_lost_worker_may_still_answer_on_the_connection_that_it_has(
    make: Callable[..., TalkRig], lost: Callable[[TalkRig], list[Call]]
) -> None:
    rig = make()
    ticket = rig.sent(FOREIGN, V, b"1")
    lost(rig)
    assert (rig["in_flight"], rig["workers"]) == (1, 0)
    [call] = to_clients(rig.part(V, ticket, b"a", connection=HERE))
    assert call.frames[-1] == b"a"
    [call] = to_clients(rig.final(V, ticket, b"end", connection=HERE))
    assert (call.frames[-1], rig["replied"]) == (b"end", 1)


@pytest.mark.parametrize("register", [True, False])
@pytest.mark.parametrize("again", [HERE, THERE])
def test_but_not_on_another(make: Callable[..., TalkRig], again: int, register: bool) -> None:
    """A descriptor that is used again is another connection, too."""
    rig = make()
    ticket = rig.sent(OURS, V, b"1")
    expires(rig)
    rig.board.connection_closed(HERE, rig.now)
    rig.opened(again)
    told = to_clients(rig.join(V, connection=again)) if register else []
    told += to_clients(rig.final(V, ticket, b"end", connection=again))
    assert [call.frames[-2:] for call in told] == [broker_error(REASON)]
    assert (rig[REASON], rig["in_flight"], rig["drop_reply_late"]) == (1, 0, 1)


@pytest.mark.parametrize("dialect", [MDP01, PPP], ids=["MDP 0.1", "PPP"])
def test_a_reply_that_is_one_message_may_come_on_any_connection(
    make: Callable[..., TalkRig], dialect: Any
) -> None:
    rig = make(dialect)
    ticket = rig.sent(FOREIGN, V, b"1")
    rig.closed(HERE)
    rig.opened(THERE)
    [call] = to_clients(rig.final(V, ticket, b"end", connection=THERE))
    assert (call.frames[-1], rig["replied"], rig[REASON]) == (b"end", 1, 0)


@pytest.mark.parametrize("client", [OURS, FOREIGN])
def test_a_request_that_has_a_retry_left_is_sent_again_if_its_client_has_got_nothing(
    make: Callable[..., TalkRig], client: bytes
) -> None:
    rig = make(version="0.1", retries=1)
    rig.part(V, rig.sent(client, V, b"1"), b"kept", connection=HERE)
    assert rig.closed(HERE) == []
    [job] = rig.join(W)
    assert (rig["redispatched"], rig[REASON]) == (1, 0)
    rig.part(W, job.ticket, b"a")
    [call] = rig.final(W, job.ticket, b"end")
    assert call.frames == answer("0.1", client, SERVICE, b"a", b"end")


def test_what_a_worker_said_before_its_end_counts(make: Callable[..., TalkRig]) -> None:
    """Its connection is known to have closed, and its descriptor is another's, before all was read."""
    rig = make()
    ticket = rig.sent(FOREIGN, V, b"1")
    rig.part(V, ticket, b"a", connection=HERE)
    rig.board.connection_closed(HERE, rig.now)
    rig.board.connection_opened(HERE)
    rig.take(
        BACKEND, rig.dialect.registers(W, SERVICE), HERE
    )  # loses none but who spoke there before
    for frames in (rig.dialect.part(V, ticket, b"b"), rig.dialect.reply(V, ticket, b"end")):
        rig.take(BACKEND, frames, HERE)
    assert [call.frames[-1] for call in to_clients(rig.wait(0))] == [b"b", b"end"]
    assert (rig["replied"], rig["partials"], rig[REASON]) == (1, 2, 0)


def test_where_that_can_not_be_told_from_a_new_connection_of_it_the_reply_ends(
    make: Callable[..., TalkRig],
) -> None:
    rig = make()
    ticket = rig.sent(FOREIGN, V, b"1")
    rig.part(V, ticket, b"a", connection=HERE)
    rig.board.connection_closed(HERE, rig.now)
    rig.board.connection_opened(HERE)
    rig.take(BACKEND, rig.dialect.part(V, ticket, b"c"), HERE)
    assert [call.frames[-1] for call in to_clients(rig.wait(0))] == []
    assert (rig["replied"], rig[REASON]) == (0, 1)


def test_others_of_a_lost_worker_are_not_touched(make: Callable[..., TalkRig]) -> None:
    """One has begun, one is sent again, and the places of both are given back."""
    rig = make(retries=1)
    first, second = rig.sent(FOREIGN, V, b"1"), rig.sent(FOREIGN, V, b"2")
    rig.part(V, first, b"a", connection=HERE)
    rig.closed(HERE)
    assert (rig[REASON], rig["redispatched"], rig["queued"]) == (1, 1, 1)
    [job] = rig.join(W)
    assert job.frames == MDP02.job(W, job.ticket, b"2")
    assert job.ticket != second
    [call] = rig.final(W, job.ticket, b"two")
    assert call.frames == answer("0.2", FOREIGN, SERVICE, b"two")


@pytest.mark.parametrize("client", [OURS, FOREIGN])
def test_nothing_more_leaves_when_the_client_s_connection_has_ended_in_the_middle(
    make: Callable[..., TalkRig], client: bytes
) -> None:
    """One with a routing id of its own may be back under it, and has lost parts in between."""
    rig = make()
    [begun] = rig.receive(FRONTEND, asks("0.2", client, SERVICE, b"1"), 5)
    [whole] = rig.receive(FRONTEND, asks("0.2", client, SERVICE, b"2"), 5)
    rig.part(V, begun.ticket, b"a", connection=HERE)
    rig.client_leaves(5)
    assert (rig["failed_client_left"], rig["in_flight"]) == (1, 1)
    assert to_clients(rig.part(V, begun.ticket, b"c", connection=HERE)) == []
    assert to_clients(rig.final(V, begun.ticket, b"end", connection=HERE)) == []
    [call] = to_clients(rig.final(V, whole.ticket, b"two", connection=HERE))
    assert call.frames[-1] == b"two", "a reply that is whole is for whoever asks under that id"


# -- over sockets -----------------------------------------------------------------------------


@pytest.fixture
def running(impl: str) -> Iterator[MajordomoBroker]:
    with mdp_broker(impl, retries=0) as broker:
        yield broker


class FixedWorker:
    """A foreign worker with a routing id of its own, which goes on where its connection broke."""

    def __init__(self, peers: Peers, broker: MajordomoBroker, relay: Relay) -> None:
        self.broker, self.relay = broker, relay
        self.socket = peers.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.ROUTING_ID, V)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 1)
        self.connections = self.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self.socket.connect(relay.endpoint)
        self.socket.send_multipart([WORKER_02, b"\x01", SERVICE])
        wait_until(lambda: broker.stats()["workers"] == 1)
        assert self.connections.poll(PATIENCE * 1000)
        self.connections.recv_multipart()

    def take(self) -> bytes:
        while True:
            frames = self.socket.recv_multipart()
            if frames[1] == b"\x02":
                return frames[2]

    def say(self, command: bytes, ticket: bytes, body: bytes) -> None:
        self.socket.send_multipart([WORKER_02, command, ticket, EMPTY, body])

    def loses_its_connection(self) -> None:
        lost = self.broker.stats()["workers_lost"]
        self.relay.cut()
        wait_until(lambda: self.broker.stats()["workers_lost"] > lost)
        # What is said before the worker has noticed, too, would go into the old connection.
        assert self.connections.poll(PATIENCE * 1000)
        self.connections.recv_multipart()


@pytest.fixture
def worker(peers: Peers, running: MajordomoBroker) -> Iterator[FixedWorker]:
    with Relay(running.backend) as relay:
        made = FixedWorker(peers, running, relay)
        yield made
        made.socket.disable_monitor()
        made.connections.close(0)


@pytest.mark.parametrize("parts", [0, 2])
def test_a_worker_that_goes_on_after_its_connection_broke_leaves_no_hole(
    peers: Peers, running: MajordomoBroker, worker: FixedWorker, parts: int
) -> None:
    client = peers.dealer(running.frontend)
    client.send_multipart([b"MDPC02", b"\x01", SERVICE, b"x"])
    ticket = worker.take()
    for number in range(parts):
        worker.say(b"\x03", ticket, b"%d" % number)
        assert client.recv_multipart()[-1] == b"%d" % number
    worker.loses_its_connection()
    worker.say(b"\x03", ticket, b"behind a hole")
    worker.say(b"\x04", ticket, b"end")
    wait_until(lambda: running.stats()["drop_reply_late"] == 2)
    stats = running.stats()
    assert (stats[REASON], stats["replied"], stats["partials"]) == (1, 0, parts)
    assert ledger_holds(stats)
    client.send_multipart([b"MDPC02", b"\x01", b"mmi.service", SERVICE])
    assert client.recv_multipart()[2] == b"mmi.service", "nothing more of that reply"


def test_a_client_of_ours_is_told_at_once(running: MajordomoBroker, worker: FixedWorker) -> None:
    def lose() -> None:
        worker.say(b"\x03", worker.take(), b"a")
        wait_until(lambda: running.stats()["partials"] == 1)
        worker.loses_its_connection()

    ending = threading.Thread(target=lose)
    ending.start()
    with MajordomoClient(running.frontend, timeout=60, retries=0) as client:
        with pytest.raises(NoReply, match="lost the worker") as caught:
            client.request("echo", b"x")
        assert caught.value.reason == REASON
    ending.join(10)


def test_so_is_one_that_has_got_parts(running: MajordomoBroker, worker: FixedWorker) -> None:
    ending = threading.Thread(target=lambda: worker.say(b"\x03", worker.take(), b"a"))
    ending.start()
    with MajordomoClient(running.frontend, timeout=60, retries=0) as client:
        parts = client.stream("echo", b"x")
        assert next(parts) == b"a"
        ending.join(10)
        worker.loses_its_connection()
        with pytest.raises(NoReply, match="broke off after 1 part") as caught:
            next(parts)
        assert caught.value.reason == REASON


# -- the client's connection ------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_whose_connection_breaks_in_the_middle_of_a_reply_ends_with_an_error(
    running: MajordomoBroker, worker: FixedWorker, stream: bool
) -> None:
    """What is sent to it then goes nowhere: a new connection has an id of its own."""

    def breaks() -> None:
        ticket = worker.take()
        worker.say(b"\x03", ticket, b"a")
        wait_until(lambda: running.stats()["partials"] == 1)
        got_it.wait(10)
        relay.cut()
        for _ in range(3):
            worker.say(b"\x03", ticket, b"b")
        worker.say(b"\x04", ticket, b"end")

    got_it = threading.Event()
    breaking = threading.Thread(target=breaks)
    with Relay(running.frontend) as relay:
        breaking.start()
        with MajordomoClient(relay.endpoint, timeout=10, retries=0) as client:
            if stream:
                parts = client.stream("echo", b"x")
                assert next(parts) == b"a"
            got_it.set()
            with pytest.raises(NoReply):
                list(parts) if stream else client.request("echo", b"x")
        breaking.join(10)
    assert not breaking.is_alive()
