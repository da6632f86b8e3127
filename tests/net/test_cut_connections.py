"""Connections that are cut: an error or another try, never a hole; and ids that are used once."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import string
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aio_doubles import run
from client_shells import PROTOCOLS, SERVICE, SHELLS, face, give, take
from doubles import EMPTY, RawBroker, worker_maker
from harness import PATIENCE, Peers, wait_until
from heartbeat_doubles import HeartbeatBroker, heartbeat_worker_maker
from mdp_doubles import FINAL, PARTIAL, say
from relay import Relay

from brigantine import NoReply, aio
from brigantine.wire.req import ANNOUNCEMENT, WORKER_ANNOUNCEMENT

shells = pytest.mark.parametrize("shell", SHELLS)
DIGITS = set(string.hexdigits.lower().encode())


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def printable(peer: bytes, announcement: bytes) -> bool:
    """Whether a routing id is what ours are: an announcement, then hex digits."""
    assert peer.startswith(announcement)
    digits = peer.removeprefix(announcement)
    return len(digits) >= 16 and set(digits) <= DIGITS


# -- routing ids ------------------------------------------------------------------------------------


@shells
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_routing_ids_of_clients_can_be_printed_and_are_used_once(
    raw: RawBroker, threads: Any, shell: str, protocol: str
) -> None:
    seen: list[bytes] = []
    with (
        Relay(raw.endpoint) as relay,
        face(shell, protocol, relay.endpoint, timeout=PATIENCE) as client,
    ):
        for _ in range(3):
            asking = threads.submit(client.request, b"q")
            seen.append(take(raw, protocol, b"q"))
            give(raw, protocol, seen[-1], b"r")
            assert asking.result(PATIENCE) == b"r"
            accepted = relay.accepted
            relay.cut()
            assert relay.accepted == accepted
    assert all(printable(each, ANNOUNCEMENT) for each in seen)
    assert len(set(seen)) == len(seen)


def test_the_routing_ids_of_lru_workers_can_be_printed_and_are_used_once(raw: RawBroker) -> None:
    with worker_maker() as workers, Relay(raw.endpoint) as relay:
        workers(relay.endpoint, bytes.upper)
        seen = []
        for _ in range(3):
            seen.append(raw.ready_worker())
            relay.cut()
    assert all(printable(each, WORKER_ANNOUNCEMENT) for each in seen)
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("wire", ["ppp", "0.1", "0.2"])
def test_the_routing_ids_of_workers_can_be_printed_and_are_used_once(
    peers: Peers, wire: str
) -> None:
    broker = HeartbeatBroker(peers, wire=wire)
    with heartbeat_worker_maker() as workers, Relay(broker.endpoint) as relay:
        workers(wire, relay.endpoint, bytes.upper, reconnect_min=0.05, reconnect_max=0.05)
        seen = []
        for _ in range(3):
            seen.append(broker.ready())
            relay.cut()
    assert all(printable(each, WORKER_ANNOUNCEMENT) for each in seen)
    assert len(set(seen)) == len(seen)


def test_the_routing_ids_of_asyncio_workers_can_be_printed(raw: RawBroker) -> None:
    async def main() -> None:
        async def echo(body: bytes) -> bytes:
            return body

        async with aio.LRUWorker(raw.endpoint, echo):
            peer = await asyncio.get_running_loop().run_in_executor(None, raw.ready_worker)
            assert printable(peer, WORKER_ANNOUNCEMENT)

    run(main())


# -- cut --------------------------------------------------------------------------------------------


@shells
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_request_whose_connection_is_cut_is_tried_again_at_once(
    raw: RawBroker, threads: Any, shell: str, protocol: str
) -> None:
    with (
        Relay(raw.endpoint) as relay,
        face(shell, protocol, relay.endpoint, timeout=9 * PATIENCE) as client,
    ):
        asking = threads.submit(client.request, b"q")
        first = take(raw, protocol, b"q")
        relay.cut()
        second = take(raw, protocol, b"q")  # long before the timeout
        give(raw, protocol, second, b"r")
        assert asking.result(PATIENCE) == b"r"
        assert first != second
        assert client.stats()["tries"] == 2


@shells
def test_a_stream_whose_connection_is_cut_ends_with_an_error_after_what_came(
    raw: RawBroker, threads: Any, shell: str
) -> None:
    """What follows on a new connection would be the end of a reply with a hole."""
    before, after = 200, 200
    raw.socket.router_mandatory = 0
    with (
        Relay(raw.endpoint) as relay,
        face(shell, "0.2", relay.endpoint, timeout=9 * PATIENCE) as client,
    ):
        got: list[bytes] = []
        reading = threads.submit(client.parts, b"q", got.append)
        peer = take(raw, "0.2", b"q")
        for number in range(before):
            say(raw, peer, PARTIAL, SERVICE, b"%d" % number)
        wait_until(lambda: len(got) > before // 2, "half of the parts")
        relay.cut()
        for number in range(before, before + after):
            say(raw, peer, PARTIAL, SERVICE, b"%d" % number)
        say(raw, peer, FINAL, SERVICE, b"end")
        with pytest.raises(NoReply, match="broke off after"):
            reading.result(PATIENCE)
        assert got == [b"%d" % number for number in range(len(got))]


@shells
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_reply_that_came_right_before_the_connection_ended_is_taken(
    peers: Peers, threads: Any, shell: str, protocol: str
) -> None:
    for _ in range(20):
        raw = RawBroker(peers)
        raw.socket.linger = int(PATIENCE * 1000)
        with face(shell, protocol, raw.endpoint, retries=0) as client:
            asking = threads.submit(client.request, b"q")
            give(raw, protocol, take(raw, protocol, b"q"), b"r")
            raw.socket.close()
            assert asking.result(PATIENCE) == b"r"


@shells
def test_a_server_that_hangs_up_before_its_handshake_is_not_asked_twice_in_one_try(
    threads: Any, shell: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        with face(shell, "plain", endpoint, timeout=0.5, retries=0) as client:
            asking = threads.submit(client.request, b"q")
            listener.settimeout(0.1)
            connections = 0
            while not asking.done():
                with contextlib.suppress(TimeoutError):
                    listener.accept()[0].close()
                    connections += 1
            with pytest.raises(NoReply, match="connections are ended before"):
                asking.result(PATIENCE)
            assert 1 <= connections <= 30
            assert client.stats()["tries"] == 1


def test_a_reply_to_a_connection_that_was_cut_does_not_reach_the_next(raw: RawBroker) -> None:
    begun: list[bytes] = []
    gate = threading.Event()

    def handler(body: bytes) -> bytes:
        begun.append(body)
        assert gate.wait(PATIENCE)
        return body

    with worker_maker() as workers, Relay(raw.endpoint) as relay:
        worker = workers(relay.endpoint, handler)
        raw.send(raw.ready_worker(), EMPTY, b"old", EMPTY, b"q")
        wait_until(lambda: begun, "the request")
        relay.cut()
        wait_until(lambda: worker.stats()["connects"] == 2, "the new connection")
        gate.set()
        peer = raw.ready_worker()
        assert raw.ask(peer, b"new") == [b"new"]
        assert worker.stats()["discarded_replies"] == 1
