"""MajordomoClient from outside: against raw ROUTERs, and against the broker with raw workers."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgpack
import pytest
from doubles import RawBroker, settled
from harness import PATIENCE, wait_until
from mdp_doubles import (
    CLIENT_02,
    EMPTY,
    FINAL,
    FINALS,
    HEADS,
    PARTIAL,
    asked,
    raw_worker,
    say,
)

from brigantine import MajordomoBroker, NoReply, WorkerFailed, ledger_holds
from brigantine.clients.majordomo import MajordomoClient
from brigantine.wire.req import error_reply

#: Seconds for a try that is to fail, where its message must have arrived all the same.
SHORT = 0.5
#: Seconds for a try whose message need not arrive.
SHORTEST = 0.02
#: A timeout that no test lives to see.
ENDLESS = 3600.0


# -- the wire -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["0.1", "0.2"])
@pytest.mark.parametrize(
    ("body", "frames"), [(b"one", [b"one"]), (b"", [b""]), ([b"a", b"", b"\0"], [b"a", b"", b"\0"])]
)
def test_request_and_reply_are_the_frames_of_the_rfc(
    raw: RawBroker, mdp_clients: Any, threads: Any, version: str, body: Any, frames: list[bytes]
) -> None:
    future = threads.submit(mdp_clients(raw.endpoint, version=version).request, "grüße", body)
    peer, received = raw.receive()
    name = "grüße".encode()
    assert received == [*HEADS[version], name, *frames]
    raw.send(peer, *FINALS[version], name, *frames)
    assert future.result() == (frames[0] if len(frames) == 1 else frames)


def test_a_reply_in_parts_is_joined_or_given_part_by_part(
    raw: RawBroker, mdp_clients: Any, threads: Any
) -> None:
    client = mdp_clients(raw.endpoint)
    for ask, expected in (
        (client.request, [b"1", b"2", b"3", b"4"]),
        (lambda *words: list(client.stream(*words)), [b"1", [b"2", b"3"], b"4"]),
    ):
        future = threads.submit(ask, b"svc", b"q")
        peer = asked(raw, b"svc", b"q")
        say(raw, peer, PARTIAL, b"svc", b"1")
        say(raw, peer, PARTIAL, b"svc", b"2", b"3")
        say(raw, peer, FINAL, b"svc", b"4")
        assert future.result() == expected
    stats = client.stats()
    assert (stats["parts"], stats["replies"], stats["idle"]) == (4, 2, 1)


def test_a_part_is_given_as_soon_as_it_comes(
    raw: RawBroker, mdp_clients: Any, threads: Any
) -> None:
    parts = mdp_clients(raw.endpoint).stream(b"svc", b"q")
    first = threads.submit(next, parts)
    peer = asked(raw, b"svc", b"q")
    say(raw, peer, PARTIAL, b"svc", b"1")
    assert first.result(PATIENCE) == b"1"
    say(raw, peer, FINAL, b"svc", b"2")
    assert list(parts) == [b"2"]


def test_an_empty_end_of_parts_is_not_given_but_a_reply_of_one_empty_frame_is(
    raw: RawBroker, mdp_clients: Any, threads: Any
) -> None:
    client = mdp_clients(raw.endpoint)
    asking: list[tuple[Any, list[bytes], Any]] = [
        (lambda: list(client.stream(b"svc", b"q")), [b"1", b""], [b"1", b""]),
        (lambda: list(client.stream(b"svc", b"q")), [], [b""]),
        (lambda: client.request(b"svc", b"q"), [b"1"], b"1"),
        (lambda: client.request(b"svc", b"q"), [b"1", b"2"], [b"1", b"2"]),
        (lambda: client.request(b"svc", b"q"), [], b""),
        (lambda: client.call(b"svc", 1), [b"\x07"], 7),
    ]
    for ask, parts, given in asking:
        future = threads.submit(ask)
        peer, _ = raw.receive()
        for part in parts:
            say(raw, peer, PARTIAL, b"svc", part)
        say(raw, peer, FINAL, b"svc", b"")
        assert future.result(PATIENCE) == given
    assert client.stats()["replies"] == len(asking)


def test_junk_and_replies_of_other_services_are_counted_and_waited_past(
    raw: RawBroker, mdp_clients: Any, threads: Any
) -> None:
    client = mdp_clients(raw.endpoint)
    future = threads.submit(client.request, b"svc", b"q")
    peer = asked(raw, b"svc", b"q")
    raw.send(peer, b"junk")
    raw.send(peer, EMPTY, CLIENT_02, FINAL, b"svc", b"no")
    say(raw, peer, b"\x09", b"svc", b"no")
    say(raw, peer, FINAL, b"other", b"no")
    say(raw, peer, PARTIAL, b"other", b"no")
    say(raw, peer, FINAL, b"svc", b"yes")
    assert future.result() == b"yes"
    stats = client.stats()
    assert (stats["drop_malformed"], stats["drop_unexpected"], stats["tries"]) == (3, 2, 1)


def test_junk_without_end_is_silence(raw: RawBroker, mdp_clients: Any, threads: Any) -> None:
    client = mdp_clients(raw.endpoint, timeout=SHORT, retries=0)
    future = threads.submit(client.request, b"svc", b"q")
    peer = asked(raw, b"svc", b"q")
    raw.socket.router_mandatory = 0
    deadline = time.monotonic() + PATIENCE
    while not future.done():
        raw.send(peer, b"junk")
        assert time.monotonic() < deadline
    with pytest.raises(NoReply):
        future.result()


# -- matching -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["0.1", "0.2"])
def test_a_late_reply_never_answers_the_next_request(
    raw: RawBroker, mdp_clients: Any, threads: Any, version: str
) -> None:
    client = mdp_clients(raw.endpoint, retries=0, version=version)
    with pytest.raises(NoReply):
        threads.submit(client.request, b"svc", b"first", timeout=SHORT).result()
    late, frames = raw.receive()
    assert frames[-1] == b"first"
    future = threads.submit(client.request, b"svc", b"second")
    peer, frames = raw.receive()
    assert frames[-1] == b"second"
    assert peer != late
    raw.socket.router_mandatory = 0  # nobody is there any more
    raw.send(late, *FINALS[version], b"svc", b"to the first")
    raw.send(peer, *FINALS[version], b"svc", b"to the second")
    assert future.result() == b"to the second"


def test_a_second_reply_never_answers_the_next_request(
    raw: RawBroker, mdp_clients: Any, threads: Any
) -> None:
    client = mdp_clients(raw.endpoint)
    future = threads.submit(client.request, b"svc", b"1")
    peer = asked(raw, b"svc", b"1")
    say(raw, peer, FINAL, b"svc", b"reply")
    say(raw, peer, FINAL, b"svc", b"again")
    assert future.result() == b"reply"
    # The idle socket has something to read, which no test of ours can see but by trying.
    wait_until(lambda: _readable(client), "the second reply")
    future = threads.submit(client.request, b"svc", b"2")
    other = asked(raw, b"svc", b"2")
    assert other != peer
    say(raw, other, FINAL, b"svc", b"right")
    assert future.result() == b"right"


def _readable(client: MajordomoClient) -> bool:
    ((channel,),) = client._pool()._idle
    return bool(channel._dialing.socket.poll(0))


def test_many_threads_get_each_their_own_reply(
    running: MajordomoBroker, mdp_clients: Any, threads: ThreadPoolExecutor
) -> None:
    at_once, each = 12, 20
    dice = random.Random(7)
    client = mdp_clients(running.frontend)

    def slow(body: list[bytes]) -> list[list[bytes]]:
        time.sleep(dice.random() * 0.002)
        return [[b"re", *body], [b"end", *body]]

    def ask(thread: int) -> bool:
        for n in range(each):
            body = b"%d/%d" % (thread, n)
            parts = [[b"re", body], [b"end", body]]
            if n % 2:
                assert client.request(b"svc", body) == [*parts[0], *parts[1]]
            else:
                assert list(client.stream(b"svc", body)) == parts
        return True

    with raw_worker(running, b"svc", slow, capacity=4), raw_worker(running, b"svc", slow):
        assert all(threads.map(ask, range(at_once)))
    stats = client.stats()
    assert stats["replies"] == stats["tries"] == at_once * each
    assert stats["sockets_opened"] == stats["idle"] <= at_once
    assert ledger_holds(running.stats())


# -- errors and silence ---------------------------------------------------------------------------


def test_what_the_workers_function_raised_comes_after_its_parts(
    running: MajordomoBroker, mdp_clients: Any
) -> None:
    report = error_reply(LookupError("no such part"))
    for version in ("0.1", "0.2"):
        client = mdp_clients(running.frontend, version=version)
        with raw_worker(running, b"svc", lambda _: [[b"part"], report]):
            with pytest.raises(WorkerFailed, match="LookupError: no such part"):
                client.request(b"svc", b"q")
            parts = client.stream(b"svc", b"q")
            if version == "0.2":
                assert next(parts) == b"part"
            with pytest.raises(WorkerFailed, match="LookupError: no such part"):
                next(parts)
        stats = client.stats()
        assert (stats["worker_failed"], stats["tries"], stats["idle"]) == (2, 2, 1)


def test_a_stream_that_falls_silent_is_told_and_not_tried_again(
    raw: RawBroker, mdp_clients: Any, threads: Any
) -> None:
    client = mdp_clients(raw.endpoint)
    parts = client.stream(b"svc", b"q", timeout=SHORT)
    first = threads.submit(next, parts)
    say(raw, asked(raw, b"svc", b"q"), PARTIAL, b"svc", b"1")
    assert first.result() == b"1"
    with pytest.raises(NoReply, match="broke off after 1 part"):
        next(parts)
    assert client.stats()["tries"] == 1
    assert settled(client.stats())


def test_call_speaks_msgpack_both_ways(running: MajordomoBroker, mdp_clients: Any) -> None:
    def total(body: list[bytes]) -> list[list[bytes]]:
        return [[msgpack.packb({"sum": sum(msgpack.unpackb(body[0])), 1: b"\xff"})]]

    client = mdp_clients(running.frontend)
    with raw_worker(running, b"sum", total):
        assert client.call("sum", [1, 2, 3]) == {"sum": 6, 1: b"\xff"}
    with (
        raw_worker(running, b"junk", lambda _: [[b"\xc1"]]),
        pytest.raises(WorkerFailed, match="no msgpack"),
    ):
        client.call("junk", None)
    with (
        raw_worker(running, b"two", lambda _: [[b"\x01", b"\x02"]]),
        pytest.raises(WorkerFailed, match="2 frames"),
    ):
        client.call("two", None)
    with pytest.raises(TypeError):
        client.call("sum", object())


def test_the_brokers_own_services_answer(running: MajordomoBroker, mdp_clients: Any) -> None:
    client = mdp_clients(running.frontend)
    with raw_worker(running, b"svc"):
        assert client.request("mmi.service", b"svc") == b"200"
        assert client.request("mmi.service", b"none") == b"404"
        assert client.request("mmi.none", b"") == b"501"
        assert client.call("mmi.services", None)[b"svc"]["workers"] == 1
