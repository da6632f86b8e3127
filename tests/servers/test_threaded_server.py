"""ThreadedServer: a plain function in threads, for REQ and DEALER clients."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from harness import Peers

from brigantine import (
    AsyncClient,
    LazyPirateClient,
    QueueDevice,
    ThreadedServer,
    WorkerFailed,
    WrongUse,
    ledger_holds,
)

TRANSPORTS = ("tcp://127.0.0.1:*", "ipc://*", "inproc://threaded-server")


@pytest.mark.parametrize("endpoint", TRANSPORTS)
def test_clients_of_each_kind_are_answered_as_they_ask(
    impl: str, peers: Peers, endpoint: str
) -> None:
    shared = {"context": peers.context} if endpoint.startswith("inproc") else {}
    with ThreadedServer(endpoint, bytes.upper, impl=impl, **shared) as server:
        req, dealer = peers.req(server.frontend), peers.dealer(server.frontend)
        req.send(b"a")
        assert req.recv_multipart() == [b"A"]
        dealer.send(b"b")
        assert dealer.recv_multipart() == [b"B"]
        dealer.send_multipart([b"", b"c"])
        assert dealer.recv_multipart() == [b"", b"C"]
        with LazyPirateClient(server.frontend, **shared) as client:
            assert client.request(b"d") == b"D"
        with AsyncClient(server.frontend, **shared) as ours:
            assert ours.request(b"e") == b"E"
    assert ledger_holds(server.stats())


def test_requests_of_one_client_are_at_work_at_once(impl: str, peers: Peers) -> None:
    together = threading.Barrier(4, timeout=10)

    def function(body: bytes) -> bytes:
        together.wait()
        return body

    with ThreadedServer("tcp://127.0.0.1:*", function, threads=4, impl=impl) as server:
        dealer = peers.dealer(server.frontend)
        for number in range(8):
            dealer.send(b"%d" % number)
        assert sorted(dealer.recv() for _ in range(8)) == [b"%d" % number for number in range(8)]


def test_frames_errors_and_no_reply(impl: str, peers: Peers) -> None:
    def function(body: Any) -> Any:
        if body == b"bad":
            raise KeyError("no such thing")
        return None if body == b"quiet" else body

    with ThreadedServer("tcp://127.0.0.1:*", function, impl=impl) as server:
        with LazyPirateClient(server.frontend) as client:
            assert client.request([b"a", b"", b"b"]) == [b"a", b"", b"b"]
            with pytest.raises(WorkerFailed, match="KeyError"):
                client.request(b"bad")
            assert client.request(b"quiet") == b"", "a REQ socket waits for one"
        dealer = peers.dealer(server.frontend)
        dealer.send(b"quiet")
        dealer.send(b"x")
        assert dealer.recv() == b"x"


def test_many_clients_through_a_device(impl: str, peers: Peers) -> None:
    with (
        ThreadedServer("tcp://127.0.0.1:*", lambda body: body, impl=impl) as server,
        QueueDevice("tcp://127.0.0.1:*", f">{server.frontend}", impl=impl) as device,
    ):
        clients = [peers.req(device.frontend) for _ in range(20)]
        for turn in range(5):
            for number, client in enumerate(clients):
                client.send(b"%d %d" % (number, turn))
            for number, client in enumerate(clients):
                assert client.recv() == b"%d %d" % (number, turn)


def test_what_cannot_be_meant_is_said_at_once(impl: str) -> None:
    async def coroutine(body: bytes) -> bytes:
        return body

    for function, options, words in (
        (lambda: b"", {}, "one argument, the request's body"),
        (coroutine, {}, r"aio\.AsyncServer"),
        (bytes.upper, {"threads": 0}, "threads must be from 1"),
        (bytes.upper, {"thread": 3}, "did you mean threads"),
    ):
        with pytest.raises((WrongUse, ValueError), match=words):
            ThreadedServer("tcp://127.0.0.1:*", function, impl=impl, **options)  # type: ignore[arg-type]
