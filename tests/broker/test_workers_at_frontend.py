"""Workers of MDP where clients are: a worker is what has an identity on a side."""

from __future__ import annotations

import itertools
from types import ModuleType
from typing import Any

import pytest
import zmq
from harness import Peers, wait_until
from models import BACKEND, EIGHTH, FRONTEND, GONE, NO_CONNECTION, Call, Rig

from brigantine import (
    AnyBroker,
    ConfigError,
    LRUBroker,
    MajordomoBroker,
    MajordomoClient,
    MajordomoWorker,
    ParanoidPirateBroker,
)
from brigantine.config.protocols import Protocol

ANY = "tcp://127.0.0.1:*"
MDP = Protocol.MDP01 | Protocol.MDP02
SPOKEN = {"mdp": MDP, "any": MDP | Protocol.REQ | Protocol.PPP}
READY_01 = [b"", b"MDPW01", b"\x01", b"echo"]
READY_02 = [b"MDPW02", b"\x01", b"echo"]
READY_LED = [b"", b"MDPW02", b"\x01", b"echo"]
ASK = [b"MDPC02", b"\x01", b"echo", b"x"]


def rig_of(rooms: ModuleType, kind: str = "mdp", **options: Any) -> Rig:
    default = None if kind == "mdp" else b""
    options = {"workers_at_frontend": True, "heartbeat_interval": 1.0, "retries": 1, **options}
    return Rig(
        rooms, protocols=SPOKEN[kind], default_service=default, services=(b"", b"echo"), **options
    )


def final(worker: bytes, ticket: bytes, *body: bytes) -> list[bytes]:
    return [worker, b"MDPW02", b"\x04", ticket, b"", *body]


def told(calls: list[Call]) -> list[tuple[int, bytes, bytes]]:
    """Port, peer and command of what was sent."""
    return [(call.side, call.to, call.frames[2]) for call in calls]


# -- the switchboard ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SPOKEN)
@pytest.mark.parametrize("ready", [READY_01, READY_02, READY_LED])
def test_a_worker_where_clients_are_is_served_there(
    rooms: ModuleType, kind: str, ready: list[bytes]
) -> None:
    rig = rig_of(rooms, kind)
    assert rig.receive(FRONTEND, [b"w", *ready]) == []
    assert (rig["workers"], rig["drop_wrong_side"], rig["accepted"]) == (1, 0, 0)
    [job] = rig.receive(FRONTEND, [b"c", *ASK])
    assert (job.side, job.to) == (FRONTEND, b"w")
    head = job.frames[1 : job.frames.index(b"\x02")]
    ticket, final = job.frames[len(head) + 2], b"\x03" if ready is READY_01 else b"\x04"
    [reply] = rig.receive(FRONTEND, [b"w", *head, final, ticket, b"", b"y"])
    assert reply[:2] == (FRONTEND, [b"c", b"MDPC02", b"\x03", b"echo", b"y"])
    beats = rig.wait(1)
    assert [(call.side, call.to) for call in beats] == [(FRONTEND, b"w")]
    goodbyes = rig.abort()
    assert [(call.side, call.to) for call in goodbyes] == [(FRONTEND, b"w")]


@pytest.mark.parametrize("kind", SPOKEN)
def test_one_identity_on_both_sides_is_two_workers_and_a_client(
    rooms: ModuleType, kind: str
) -> None:
    rig = rig_of(rooms, kind)
    rig.receive(BACKEND, [b"w", *READY_02])
    rig.receive(FRONTEND, [b"w", *READY_02])
    assert (rig["workers"], rig["ready_again"]) == (2, 0)
    [first] = rig.receive(FRONTEND, [b"w", *ASK])  # a client may have that name, too
    [second] = rig.receive(FRONTEND, [b"c", *ASK])
    assert (first.side, second.side) == (BACKEND, FRONTEND)
    assert rig.receive(FRONTEND, final(b"w", first.ticket, b"stolen")) == []
    assert rig["drop_reply_foreign"] == 1
    assert rig.receive(BACKEND, final(b"w", second.frames[3], b"stolen")) == []
    assert rig["drop_reply_foreign"] == 2
    [reply] = rig.receive(FRONTEND, final(b"w", second.frames[3], b"2"))
    assert reply[:2] == (FRONTEND, [b"c", b"MDPC02", b"\x03", b"echo", b"2"])
    rig.receive(FRONTEND, [b"w", b"MDPW02", b"\x06"])
    assert (rig["workers"], rig["workers_disconnected"]) == (1, 1)
    assert rig.receive(FRONTEND, [b"w", b"MDPW02", b"\x05"])[0][:2] == (
        FRONTEND, [b"w", b"MDPW02", b"\x06"]
    )  # fmt: skip
    [reply] = rig.receive(BACKEND, final(b"w", first.ticket, b"1"))
    assert reply[:2] == (FRONTEND, [b"w", b"MDPC02", b"\x03", b"echo", b"1"])


def test_a_malformed_word_on_one_side_costs_no_worker_of_the_other(rooms: ModuleType) -> None:
    rig = rig_of(rooms)
    rig.receive(BACKEND, [b"w", *READY_02])
    rig.receive(FRONTEND, [b"w", *READY_02])
    [gone] = rig.receive(FRONTEND, [b"w", b"MDPW02", b"\x09"])
    assert gone[:2] == (FRONTEND, [b"w", b"MDPW02", b"\x06"])
    assert rig["workers"] == 1
    [job] = rig.receive(FRONTEND, [b"c", *ASK])
    assert job.side == BACKEND


def test_a_reply_too_large_ends_its_request_and_is_no_request(rooms: ModuleType) -> None:
    rig = rig_of(rooms, max_message_bytes=1024, retries=0)
    rig.receive(FRONTEND, [b"w", *READY_02])
    [job] = rig.receive(FRONTEND, [b"c", *ASK])
    assert rig.receive(FRONTEND, final(b"w", job.frames[3], bytes(4096))) == []
    assert (rig["drop_too_large"], rig["failed_reply_too_large"], rig["accepted"]) == (1, 1, 1)
    [job] = rig.receive(FRONTEND, [b"c", *ASK])
    [reply] = rig.receive(FRONTEND, final(b"w", job.frames[3], bytes(1024)))  # as long as a request
    assert reply.to == b"c"


def test_what_it_held_goes_to_the_other_side_when_its_connection_closes(rooms: ModuleType) -> None:
    rig = rig_of(rooms)
    rig.board.client_connected(3)
    rig.receive(FRONTEND, [b"w", *READY_02], 3)
    [job] = rig.receive(FRONTEND, [b"c", *ASK])
    rig.receive(BACKEND, [b"v", *READY_02])
    rig.board.connection_opened(
        3
    )  # the number is given away at the other side, which is told first
    rig.board.client_left(3, rig.now)
    assert rig.board.has_leaving()
    rig.board.caught_up(rig.now, BACKEND)
    assert rig["workers_lost"] == 0, "the frontend may have its last words"
    rig.board.caught_up(rig.now, FRONTEND)
    [again] = rig.wait(0)
    assert (again.side, again.to, again.frames[-1]) == (BACKEND, b"v", b"x")
    assert (rig["workers_lost"], rig["redispatched"]) == (1, 1)
    rig.receive(BACKEND, [b"u", *READY_02], 3)
    assert rig["drop_ready_gone"] == 0, "the close of the one side was not that of the other"
    assert job.frames[3] != again.frames[3]


def test_its_last_words_are_taken_before_it_is_lost(rooms: ModuleType) -> None:
    rig = rig_of(rooms)
    rig.board.client_connected(3)
    rig.receive(FRONTEND, [b"w", *READY_02], 3)
    [job] = rig.receive(FRONTEND, [b"c", *ASK])
    rig.board.client_left(3, rig.now)
    rig.take(FRONTEND, final(b"w", job.frames[3], b"y"), 3)
    rig.board.caught_up(rig.now, FRONTEND)
    rig.wait(0)
    assert (rig["replied"], rig["redispatched"], rig["workers_lost"]) == (1, 0, 1)


def test_a_ready_after_its_connection_closed_is_refused(rooms: ModuleType) -> None:
    rig = rig_of(rooms)
    rig.receive(FRONTEND, [b"w", *READY_02], 3)
    assert (rig["drop_ready_gone"], rig["workers"]) == (1, 0)


def test_it_expires_and_is_found_gone_as_at_the_backend(rooms: ModuleType) -> None:
    rig = rig_of(rooms)
    for port in (FRONTEND, BACKEND):
        rig.receive(port, [b"w", *READY_02])
    for _ in range(5):
        rig.wait(1)
        rig.receive(BACKEND, [b"w", b"MDPW02", b"\x05"])
    assert (rig["workers"], rig["workers_expired"]) == (1, 1)
    rig.receive(FRONTEND, [b"w", *READY_02])
    rig.results[FRONTEND, b"w"] = GONE
    rig.wait(1)
    assert (rig["workers"], rig["workers_lost"]) == (1, 2)


def test_capacity_goodbye_and_the_interval_are_kept_there(rooms: ModuleType) -> None:
    rig = rig_of(rooms)
    rig.receive(FRONTEND, [b"w", *READY_02, b"\x02", b"\x7d"])
    jobs = [rig.receive(FRONTEND, [b"c", *ASK]) for _ in range(3)]
    assert [len(each) for each in jobs] == [1, 1, 0]
    assert told(rig.wait(EIGHTH)) == [(FRONTEND, b"w", b"\x05")]
    [answer] = rig.receive(FRONTEND, [b"w", b"MDPW02", b"\x05", b"brigantine/1:leaving"])
    assert (answer.side, answer.frames[-1]) == (FRONTEND, b"brigantine/1:leaving")
    assert rig.receive(FRONTEND, final(b"w", jobs[0][0].frames[3], b"y"))[0].to == b"c"


@pytest.mark.parametrize("off", [None, False])
def test_without_the_option_it_is_sent_away(rooms: ModuleType, off: bool | None) -> None:
    rig = rig_of(rooms, workers_at_frontend=off)
    [goodbye] = rig.receive(FRONTEND, [b"w", *READY_02])
    assert goodbye.frames[-1] == b"\x06"
    assert (rig["workers"], rig["drop_wrong_side"]) == (0, 1)


def test_what_has_passed_another_broker_is_no_worker_there(rooms: ModuleType) -> None:
    rig = rig_of(rooms)
    rig.receive(FRONTEND, [b"proxy", b"w", *READY_01])
    assert (rig["workers"], rig["drop_wrong_side"]) == (0, 1)


def test_strict_holds_there(rooms: ModuleType) -> None:
    rig = rig_of(rooms, "any", strict=True)
    rig.receive(FRONTEND, [b"w", *READY_LED])
    assert (rig["workers"], rig["drop_malformed_worker"], rig["accepted"]) == (0, 1, 0)


def test_others_are_told_from_clients_by_nothing_and_never_served_there(rooms: ModuleType) -> None:
    rig = rig_of(rooms, "any")
    for ready in ([b"", b"READY"], [b"\x01"], [b"READY"]):
        rig.receive(FRONTEND, [b"w", *ready], NO_CONNECTION)
    assert (rig["workers"], rig["accepted"]) == (0, 0)


# -- brokers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frontend", "served"),
    [
        (ANY, True),
        ("tcp://localhost:*", True),
        ("ipc://*", True),
        ("inproc://workers-at-frontend", True),
        ("tcp://*:*", False),
        ("tcp://0.0.0.0:*", False),
        ([ANY, "tcp://*:*"], False),
    ],
)
@pytest.mark.parametrize("made", [MajordomoBroker, AnyBroker])
def test_they_are_served_while_only_this_machine_can_reach_the_frontend(
    impl: str, made: Any, frontend: Any, served: bool
) -> None:
    with made(frontend, ANY, impl=impl) as broker:
        assert broker.workers_at_frontend is served
    with made(frontend, ANY, impl=impl, workers_at_frontend=not served) as broker:
        assert broker.workers_at_frontend is not served


def test_brokers_that_can_not_tell_them_apart_refuse_the_option() -> None:
    for made in (LRUBroker, ParanoidPirateBroker):
        with pytest.raises(ConfigError, match=r"workers_at_frontend.*AnyBroker"):
            made(ANY, ANY, workers_at_frontend=True)
        made(ANY, ANY, workers_at_frontend=False).stop()
    with pytest.raises(ConfigError, match=r"workers_at_frontend=False.*backend"):
        MajordomoBroker(ANY, workers_at_frontend=False)
    with MajordomoBroker(ANY, workers_at_frontend=True) as broker:
        assert broker.workers_at_frontend
    with pytest.raises(ConfigError, match="workers_at_frontend must be True or False"):
        MajordomoBroker.options(workers_at_frontend=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("made", [MajordomoBroker, AnyBroker])
@pytest.mark.parametrize("transport", ["tcp", "ipc", "inproc"])
def test_a_worker_that_connects_where_clients_do_is_served(
    impl: str, peers: Peers, made: Any, transport: str
) -> None:
    frontend = {"tcp": ANY, "ipc": "ipc://*", "inproc": "inproc://served-there"}[transport]
    with made(frontend, ANY, impl=impl, context=peers.context) as broker:
        worker = peers.dealer(broker.frontend, identity=b"w")
        worker.send_multipart(READY_01)
        client = peers.dealer(broker.frontend)
        for number in range(3):
            client.send_multipart([b"MDPC02", b"\x01", b"echo", b"%d" % number])
            _, _, _, ticket, _, body = job_of(worker)
            worker.send_multipart([b"", b"MDPW01", b"\x03", ticket, b"", body * 2])
            assert client.recv_multipart() == [b"MDPC02", b"\x03", b"echo", b"%d" % number * 2]
        [told] = broker.workers()[b"echo"]
        assert (told["identity"], told["side"]) == (b"w", "frontend")
        assert broker.stats()["drop_wrong_side"] == 0


def job_of(worker: zmq.Socket[bytes]) -> list[bytes]:
    """The next message to a worker of 0.1 that is no heartbeat."""
    while (frames := worker.recv_multipart()) == [b"", b"MDPW01", b"\x04"]:
        pass
    return frames


def test_its_death_is_noticed_at_once_and_its_request_goes_on(impl: str, peers: Peers) -> None:
    """Long before a heartbeat is due."""
    with MajordomoBroker(ANY, ANY, impl=impl, heartbeat_interval=60) as broker:
        dying = peers.dealer(broker.frontend, identity=b"w")
        dying.send_multipart(READY_01)
        client = peers.dealer(broker.frontend)
        client.send_multipart(ASK)
        job_of(dying)
        other = peers.dealer(broker.backend, identity=b"w")
        other.send_multipart(READY_01)
        wait_until(lambda: broker.stats()["workers"] == 2)
        dying.close(linger=0)
        _, _, _, ticket, _, body = job_of(other)
        other.send_multipart([b"", b"MDPW01", b"\x03", ticket, b"", body])
        assert client.recv_multipart()[-1] == b"x"
        stats = broker.stats()
        assert (stats["workers_lost"], stats["redispatched"], stats["workers"]) == (1, 1, 1)


def test_replies_of_a_worker_that_left_are_taken_before_it_is_lost(impl: str, peers: Peers) -> None:
    """Though the broker reads of its close before it has read them all."""
    count = 900
    with MajordomoBroker(ANY, ANY, impl=impl, heartbeat_interval=60) as broker:
        worker = peers.dealer(broker.frontend, sndhwm=0, rcvhwm=0)
        worker.send_multipart([*READY_02, b"\xcd\x03\x84"])
        client = peers.dealer(broker.frontend, sndhwm=0, rcvhwm=0)
        for _ in range(count):
            client.send_multipart(ASK)
        jobs = [worker.recv_multipart() for _ in range(count)]
        for frames in jobs:
            worker.send_multipart([b"MDPW02", b"\x04", frames[2], b"", b"y"])
        worker.send_multipart([b"MDPW02", b"\x06"])
        worker.close(linger=5000)
        for _ in range(count):
            assert client.recv_multipart()[-1] == b"y"
        wait_until(lambda: broker.stats()["workers"] == 0)
        stats = broker.stats()
        assert (stats["replied"], stats["redispatched"], stats["drop_reply_late"]) == (count, 0, 0)


def test_our_worker_and_client_work_at_one_endpoint_of_two(impl: str) -> None:
    with MajordomoBroker(ANY, ANY, impl=impl) as broker:
        with MajordomoWorker(broker.frontend, "echo", lambda body: body) as worker:
            worker.wait_ready(5)
            with MajordomoClient(broker.frontend) as client:
                for number in range(20):
                    assert client.request("echo", b"%d" % number) == b"%d" % number
        assert broker.stats()["replied"] == 20
        wait_until(lambda: broker.stats()["workers"] == 0)


def test_it_is_drained_and_told_goodbye_as_at_the_backend(impl: str, peers: Peers) -> None:
    with MajordomoBroker(ANY, ANY, impl=impl) as broker:
        worker = peers.dealer(broker.frontend)
        worker.send_multipart(READY_01)
        client = peers.dealer(broker.frontend)
        client.send_multipart(ASK)
        _, _, _, ticket, _, body = job_of(worker)
        assert not broker.drain(0)
        worker.send_multipart([b"", b"MDPW01", b"\x03", ticket, b"", body])
        assert client.recv_multipart()[-1] == b"x"
        assert broker.drain()
        assert job_of(worker) == [b"", b"MDPW01", b"\x05"]


def test_many_that_come_and_go_on_both_sides_cost_no_reply(impl: str, peers: Peers) -> None:
    """Descriptors are used again on either side at once."""
    with MajordomoBroker(ANY, ANY, impl=impl, heartbeat_interval=60) as broker:
        client = peers.dealer(broker.frontend)
        sides = itertools.cycle([broker.frontend, broker.backend])
        for number in range(40):
            worker = peers.dealer(next(sides), identity=b"w%d" % (number % 3))
            worker.send_multipart(READY_01)
            client.send_multipart(ASK)
            _, _, _, ticket, _, body = job_of(worker)
            worker.send_multipart([b"", b"MDPW01", b"\x03", ticket, b"", body])
            assert client.recv_multipart()[-1] == b"x"
            worker.close(linger=0)
            wait_until(lambda: broker.stats()["workers"] == 0)
        stats = broker.stats()
        assert (stats["replied"], stats["redispatched"], stats["failed"]) == (40, 0, 0)
        assert stats["drop_ready_gone"] == 0
