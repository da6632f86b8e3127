"""Replies and requests beyond a message's bounds: dropped, told, and nobody stays busy with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType

import msgpack
import pytest
import zmq
from dialects import DIALECTS, TalkRig, answer, asks
from harness import Peers, wait_until
from models import BACKEND, FRONTEND, MEGABYTE

from brigantine import BrokerConfig, LRUBroker, ParanoidPirateBroker
from brigantine.config.limits import REPLY_BYTES
from brigantine.wire.req import ANNOUNCEMENT, broker_error

C, V = ANNOUNCEMENT + b"client", b"worker"
MOST = {"max_frames": 16, "max_depth": 4, "max_message_bytes": 1024}
#: Bodies beyond them, with the counter of the message.
TOO_MUCH = pytest.mark.parametrize(
    ("body", "counter"),
    [([b"x"] * 30, "drop_too_many_frames"), ([bytes(1024 + REPLY_BYTES)], "drop_too_large")],
    ids=["frames", "bytes"],
)


@pytest.fixture(params=DIALECTS)
def make(rooms: ModuleType, request: pytest.FixtureRequest) -> Callable[..., TalkRig]:
    """``make(**options)`` is a switchboard whose workers speak one of the protocols."""
    return partial(TalkRig, rooms, DIALECTS[request.param], heartbeat_interval=100.0)


@TOO_MUCH
def test_a_reply_beyond_the_bounds_fails_its_request_and_frees_its_worker(
    make: Callable[..., TalkRig], body: list[bytes], counter: str
) -> None:
    rig = make(**MOST)
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    [told] = rig.final(V, ticket, *body)
    error = broker_error("failed_reply_too_large", rig.config)
    assert told[:2] == (FRONTEND, answer(rig.version, C, rig.service, *error))
    assert (rig[counter], rig["failed_reply_too_large"], rig["in_flight"]) == (1, 1, 0)
    assert rig.idle() == [V]
    rig.sent(C, V, b"2")


@TOO_MUCH
def test_a_late_reply_beyond_the_bounds_frees_its_worker(
    make: Callable[..., TalkRig], body: list[bytes], counter: str
) -> None:
    rig = make(request_ttl=1.0, **MOST)
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    rig.wait(2.0)
    assert (rig["failed_expired_in_flight"], rig.idle()) == (1, [])
    assert rig.final(V, ticket, *body) == []
    assert (rig[counter], rig["failed"], rig.idle()) == (1, 1, [V])


@TOO_MUCH
def test_a_part_beyond_the_bounds_fails_its_request_and_its_worker_is_busy_to_the_end(
    rooms: ModuleType, body: list[bytes], counter: str
) -> None:
    rig = TalkRig(rooms, DIALECTS["MDP02"], heartbeat_interval=100.0, **MOST)
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    assert len(rig.part(V, ticket, b"good")) == 1
    [told] = rig.part(V, ticket, *body)
    assert told.frames[-2:] == broker_error("failed_reply_too_large", rig.config)
    assert (rig[counter], rig["failed_reply_too_large"], rig.idle()) == (1, 1, [])
    assert rig.final(V, ticket, b"end") == []
    assert (rig["drop_reply_late"], rig.idle()) == (1, [V])


def test_the_echo_of_every_request_that_is_accepted_is_passed_on(
    make: Callable[..., TalkRig],
) -> None:
    """The head of a reply is longer than that of its request, which is not its worker's doing."""
    for long in (b"w", b"w" * 255):
        rig = make(**MOST)
        rig.join(long)
        for body in ([b"x"] * 14, [b"x"] * 12, [bytes(1024 - 16)], [bytes(1000)]):
            for client in (b"c", b"c" * 255):
                before = rig["accepted"]
                calls = rig.request(client, *body)
                if rig["accepted"] == before:
                    continue
                [reply] = rig.final(long, calls[0].ticket, *body)
                assert reply.frames[-len(body) :] == body
        assert rig["replied"] == rig["accepted"] > 2


@TOO_MUCH
def test_a_reply_beyond_the_bounds_that_its_sender_does_not_owe_changes_nothing(
    make: Callable[..., TalkRig], body: list[bytes], counter: str
) -> None:
    rig = make(**MOST)
    rig.join(V)
    rig.join(b"liar")
    ticket = rig.sent(C, V, b"1")
    assert rig.final(b"liar", ticket, *body) == []
    assert rig.final(b"liar", b"no ticket", *body) == []
    assert (rig[counter], rig["in_flight"], rig["failed"]) == (2, 1, 0)
    assert rig.idle() == [b"liar"]


@TOO_MUCH
@pytest.mark.parametrize("version", ["", "0.1", "0.2"])
def test_a_client_that_asks_to_be_told_is_told_of_a_request_beyond_the_bounds(
    rooms: ModuleType, version: str, body: list[bytes], counter: str
) -> None:
    rig = TalkRig(rooms, DIALECTS["MDP02"], version, **MOST)
    [told] = rig.receive(FRONTEND, asks(version, C, b"echo", *body))
    assert told[:2] == (FRONTEND, answer(version, C, b"echo", *broker_error(counter, rig.config)))
    assert rig.receive(FRONTEND, asks(version, b"another", b"echo", *body)) == []
    assert rig.nonzero() == {counter: 2, "error_answers": 1}


@pytest.mark.parametrize(
    ("reason", "detail"),
    [
        ("drop_too_large", {"max_message_bytes": 1024}),
        ("drop_too_many_frames", {"max_frames": 16}),
        ("failed_reply_too_large", {"max_message_bytes": 1024, "max_frames": 16}),
        (
            "failed_partials_too_large",
            {"max_message_bytes": 1024, "max_frames": 16, "queue_bytes": 1 << 30},
        ),
    ],
)
def test_the_answer_has_the_bounds_of_the_broker(reason: str, detail: dict[str, int]) -> None:
    config = BrokerConfig(**{**MOST, "queue_bytes": 1 << 30})
    mark, packed = broker_error(reason, config)
    assert mark == b"brigantine-broker-error/1"
    assert packed == msgpack.packb({"error": "too_large", "reason": reason, **detail})
    assert broker_error("shed_queue_full", config) == broker_error("shed_queue_full")


def test_what_is_too_large_and_no_reply_is_dropped(make: Callable[..., TalkRig]) -> None:
    rig = make(**MOST)
    rig.join(V)
    for frames in ([V, b"", *[b""] * 30], [V, b"?" * 30, *[b"x"] * 30]):
        assert rig.receive(BACKEND, frames) == []
    assert rig["workers"] == 1


# -- over sockets ---------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [262, 5000])
def test_a_reply_of_too_many_frames_leaves_its_worker_in_service(
    broker: Callable[..., LRUBroker], peers: Peers, frames: int
) -> None:
    lru = broker()
    worker = peers.worker(lru.backend)
    client = peers.dealer(lru.frontend, identity=C)
    client.send_multipart([b"", b"1"])
    ticket = worker.recv_multipart()[0]
    worker.send_multipart([ticket, b"", *[b"x"] * frames])
    _, mark, detail = client.recv_multipart()
    assert mark == broker_error("failed_reply_too_large")[0]
    assert msgpack.unpackb(detail)["error"] == "too_large"
    client.send_multipart([b"", b"2"])
    ticket, empty, body = worker.recv_multipart()
    worker.send_multipart([ticket, empty, body])
    assert client.recv_multipart() == [b"", b"2"]
    stats = lru.stats()
    assert (stats["drop_too_many_frames"], stats["failed"], stats["replied"]) == (1, 1, 1)


def test_the_echo_of_the_largest_request_is_passed_on(impl: str, peers: Peers) -> None:
    with ParanoidPirateBroker(
        "tcp://127.0.0.1:*", "tcp://127.0.0.1:*", impl=impl, max_message_bytes=MEGABYTE
    ) as broker:
        worker = peers.dealer(broker.backend)
        worker.send(b"\x01")
        client = peers.socket(zmq.REQ, broker.frontend, identity=b"c")
        for body in ([bytes(MEGABYTE - 1)], [b"x"] * 254):
            client.send_multipart(body)
            while len(job := worker.recv_multipart()) == 1:  # a heartbeat
                worker.send(b"\x02")
            worker.send_multipart(job)
            assert client.recv_multipart() == body
        wait_until(lambda: broker.stats()["replied"] == 2)
