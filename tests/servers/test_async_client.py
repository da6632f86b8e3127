"""AsyncClient: replies by number, one session for a connection, heartbeats for servers of ours alone."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from harness import Peers, wait_until

from brigantine import (
    AsyncClient,
    AsyncServer,
    Busy,
    ClientClosed,
    ConfigError,
    Expired,
    LazyPirateClient,
    NoReply,
    QueueDevice,
    Session,
    SessionLost,
    WorkerFailed,
)
from brigantine.net.greeting import asked_for_ready, read_ready
from brigantine.wire import server as wire

Start = Callable[..., Any]


@pytest.fixture
def pair(impl: str) -> Iterator[Start]:
    """``pair(handler, **options)``: a server and a client of it; all are stopped at the end."""
    with contextlib.ExitStack() as stack:

        def start(
            handler: Callable[..., Any],
            endpoint: str = "tcp://127.0.0.1:*",
            client: dict[str, Any] | None = None,
            **options: Any,
        ) -> tuple[AsyncServer, AsyncClient]:
            server = stack.enter_context(AsyncServer(endpoint, handler, impl=impl, **options))
            shared = {"context": options["context"]} if "context" in options else {}
            made = AsyncClient(server.frontend, **shared, **(client or {}))
            return server, stack.enter_context(made)

        yield start


def counting(session: Session, body: Any) -> bytes:
    session.state["asked"] = session.state.get("asked", 0) + 1
    return b"%d %s" % (session.state["asked"], body)


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:*", "ipc://*", "inproc://client-of-ours"])
def test_requests_are_answered_in_one_session(pair: Start, peers: Peers, endpoint: str) -> None:
    shared = {"context": peers.context} if endpoint.startswith("inproc") else {}
    server, client = pair(counting, endpoint, **shared)
    assert [client.request(b"x") for _ in range(3)] == [b"1 x", b"2 x", b"3 x"]
    assert client.session == 1
    client.close()
    wait_until(lambda: server.stats()["closed_left"] == 1)


def test_many_requests_in_flight_are_matched_by_number(pair: Start) -> None:
    """Every other handler takes its time: replies come in another order."""

    def handler(_: Session, body: bytes) -> list[bytes]:
        if int(body) % 3 == 0:
            threading.Event().wait(0.003)
        return [body, b"for " + body]

    server, client = pair(handler, workers=8, session_concurrency=8)
    futures = [client.submit(b"%d" % number) for number in range(300)]
    found = [future.result(10) for future in futures]
    assert found == [[b"%d" % number, b"for %d" % number] for number in range(300)]
    assert client.stats()["late"] == 0
    assert server.stats()["sessions_opened"] == 1


def test_several_replies_none_and_messages_beside(pair: Start) -> None:
    def handler(session: Session, body: bytes) -> Any:
        if body == b"news":
            session.send([b"beside", b"it"])
        yield from (b"%d" % number for number in range(len(body)))

    _, client = pair(handler)
    assert list(client.stream(b"abc")) == [b"0", b"1", b"2"]
    assert client.request(b"abc") == [b"0", b"1", b"2"]
    assert client.request(b"") == []
    assert client.request(b"news") == [b"0", b"1", b"2", b"3"]
    assert client.receive(5) == [b"beside", b"it"]
    assert client.receive(0) is None
    client.send(b"ab")
    assert [client.receive(5), client.receive(5)] == [b"0", b"1"]


def test_a_late_reply_is_dropped_and_counted(pair: Start) -> None:
    go = threading.Event()

    def handler(_: Session, body: bytes) -> bytes:
        if body == b"slow":
            go.wait(10)
        return body

    _, client = pair(handler, workers=2, session_concurrency=2)
    with pytest.raises(NoReply, match=r"within \d"):
        client.request(b"slow", timeout=0.05)
    assert client.request(b"next") == b"next"
    go.set()
    wait_until(lambda: client.stats()["late"] == 1)
    stats = client.stats()
    assert (stats["requests"], stats["replies"], stats["timeouts"]) == (2, 1, 1)


def test_what_the_server_says_in_place_of_a_reply(pair: Start) -> None:
    go = threading.Event()

    def handler(_: Session, body: bytes) -> bytes:
        if body == b"bad":
            raise ValueError("no such thing")
        go.wait(10)
        return body

    server, client = pair(handler, workers=1, session_requests=1, request_ttl=2.0)
    with pytest.raises(WorkerFailed, match="ValueError: no such thing"):
        client.request(b"bad")
    at_work = client.submit(b"x")
    wait_until(lambda: server.stats()["in_flight"] == 1)
    waits = client.submit(b"x")
    with pytest.raises(Busy) as told:
        client.request(b"x")
    assert told.value.reason == "shed_session_full"
    for future in (at_work, waits):
        with pytest.raises(Expired):
            future.result(10)
    go.set()


def test_a_session_stands_while_its_client_is_silent(pair: Start) -> None:
    """Heartbeats begin with the connection, not with the first request."""
    log: list[int] = []
    server, client = pair(
        counting, session_timeout=0.2, on_open=lambda session: log.append(session.number)
    )
    wait_until(lambda: server.stats()["heartbeats"] >= 12)
    assert log == [client.session] == [1]
    assert client.request(b"x") == b"1 x"
    wait_until(lambda: server.stats()["heartbeats"] >= 24)
    assert client.request(b"x") == b"2 x"
    assert server.stats()["sessions_opened"] == 1


def test_a_client_that_reconnects_gets_a_new_session_and_both_sides_are_told(
    peers: Peers, impl: str
) -> None:
    closed: list[tuple[int, str]] = []
    told: list[tuple[bool, int, str]] = []
    with (
        AsyncServer(
            "tcp://127.0.0.1:*", counting, impl=impl, session_timeout=0.3,
            on_close=lambda session: closed.append((session.number, session.closed)),
        ) as server,
        AsyncClient(server.frontend, on_session=lambda *event: told.append(event)) as client,
    ):  # fmt: skip
        assert client.request(b"x") == b"1 x"
        # Its connection ends, and nobody says goodbye.
        client._line.order(lambda _: setattr(client._line.talk, "spoilt", True))
        wait_until(lambda: client.session == 2)
        assert client.request(b"x") == b"1 x"
        wait_until(lambda: closed == [(1, "timeout")])
        assert told == [(True, 1, ""), (False, 1, "the connection was lost"), (True, 2, "")]
    assert peers.sockets == []


def test_a_request_of_a_lost_session_is_an_error_and_is_never_asked_in_another(
    pair: Start,
) -> None:
    go = threading.Event()
    asked: list[bytes] = []

    def handler(_: Session, body: bytes) -> bytes:
        asked.append(body)
        if body == b"slow":
            go.wait(10)
        return body

    _, client = pair(handler, workers=1)
    first, second = client.submit(b"slow"), client.submit(b"waits")
    wait_until(lambda: asked == [b"slow"])
    client._line.order(lambda _: setattr(client._line.talk, "spoilt", True))
    for future in (first, second):
        with pytest.raises(SessionLost, match="whether the request was carried out is not known"):
            future.result(10)
    go.set()
    assert client.request(b"next") == b"next"


def test_a_server_that_began_anew_says_that_it_does_not_know_the_session(peers: Peers) -> None:
    """A server in front of which something keeps connections: only the epoch tells."""
    router = peers.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    with AsyncClient(f"tcp://127.0.0.1:{port}", foreign=False) as client:

        def next_head() -> tuple[bytes, wire.Head, list[bytes]]:
            name, empty, head, *body = router.recv_multipart()
            assert empty == b""
            found = wire.unpack_head(head)
            assert found is not None
            return name, found, body

        def answer(name: bytes, kind: int, token: bytes, number: int, *body: bytes) -> None:
            router.send_multipart([name, b"", wire.pack_head(kind, token, number), *body])

        old, new = b"epoch-1." + b"\0" * 7 + b"\x09", b"epoch-2." + b"\0" * 7 + b"\x01"
        name, head, _ = next_head()
        assert (head.kind, head.token) == (wire.HELLO, wire.NO_TOKEN)
        answer(name, wire.WELCOME, old, 60_000)
        wait_until(lambda: client.session == 9)
        future = client.submit(b"x")
        name, head, body = next_head()
        assert (head.kind, head.token, body) == (wire.ASK, old, [b"x"])
        answer(name, wire.GONE, b"epoch-2." + b"\0" * 8, head.number)
        with pytest.raises(SessionLost, match="does not know it any more"):
            future.result(10)
        name, head, _ = next_head()
        assert head.kind == wire.HELLO
        answer(name, wire.WELCOME, new, 60_000)
        future = client.submit(b"y")
        name, head, body = next_head()
        assert (head.token, body) == (new, [b"y"])
        answer(name, wire.FINAL, old, head.number, b"of another session")
        answer(name, wire.FINAL, new, head.number + 1, b"of another request")
        answer(name, wire.FINAL, new, head.number, b"reply")
        answer(name, wire.FINAL, new, head.number, b"again")
        router.send_multipart([name, b"junk"])
        assert future.result(10) == b"reply"
        wait_until(lambda: client.stats()["late"] == 4)


def test_a_session_that_the_server_has_closed_is_not_served_as_if_it_stood(
    pair: Start, impl: str
) -> None:
    del impl
    server, client = pair(counting, session_timeout=30)
    assert client.request(b"x") == b"1 x"
    token = client._line.talk.token
    assert token is not None
    client._line.order(lambda _: setattr(client._line.talk, "token", token[:-1] + b"\x77"))
    with pytest.raises(SessionLost):
        client.request(b"x")
    assert server.stats()["lost_session"] == 1
    assert server.stats()["accepted"] == 1


def test_a_foreign_program_gets_requests_as_they_are_and_no_heartbeats(peers: Peers) -> None:
    router = peers.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    with AsyncClient(f"tcp://127.0.0.1:{port}") as client:
        assert router.poll(300) == 0, "not a word before the first request"
        futures = [client.submit(body) for body in (b"one", [b"two", b"frames"])]
        name, *body = router.recv_multipart()
        assert body == [b"one"]
        assert router.poll(100) == 0, "one after the other"
        router.send_multipart([name, b"1"])
        assert futures[0].result(10) == b"1"
        assert router.recv_multipart() == [name, b"two", b"frames"]
        router.send_multipart([name, b"2"])
        assert futures[1].result(10) == b"2"
        router.send_multipart([name, b"beside"])
        assert client.receive(10) == b"beside"


def test_a_foreign_reply_that_is_late_is_not_taken_for_another(peers: Peers) -> None:
    router = peers.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    with AsyncClient(f"tcp://127.0.0.1:{port}", delimiter=True) as client:
        with pytest.raises(NoReply):
            client.request(b"slow", timeout=0.3)
        name, *body = router.recv_multipart()
        assert body == [b"", b"slow"]
        future = client.submit(b"quick")
        other, *body = router.recv_multipart()
        assert body == [b"", b"quick"]
        assert other != name
        with contextlib.suppress(zmq.ZMQError):
            router.send_multipart([name, b"", b"of slow"])
        router.send_multipart([other, b"", b"of quick"])
        assert future.result(10) == b"of quick"


def test_clients_behind_a_device_say_whose_server_it_is(impl: str) -> None:
    with (
        AsyncServer("tcp://127.0.0.1:*", counting, impl=impl) as server,
        QueueDevice("tcp://127.0.0.1:*", f">{server.frontend}", impl=impl) as device,
        AsyncClient(device.frontend, foreign=False) as one,
        AsyncClient(device.frontend, foreign=False) as other,
    ):
        assert one.request(b"x") == other.request(b"x") == b"1 x"
        assert one.request(b"x") == b"2 x"
        assert {one.session, other.session} == {1, 2}


def test_a_server_with_as_many_sessions_as_it_may_have_says_so(pair: Start) -> None:
    server, client = pair(counting, max_sessions=1, session_timeout=30)
    assert client.request(b"x") == b"1 x"
    with AsyncClient(server.frontend) as other:
        with pytest.raises(Busy, match="as many as it may"):
            other.request(b"x")
        client.close()
        wait_until(lambda: server.stats()["sessions"] == 0)
        wait_until(lambda: other.session == 2)
        assert other.request(b"x") == b"1 x"


def test_a_client_that_is_closed_ends_what_waits(peers: Peers) -> None:
    router = peers.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    client = AsyncClient(f"tcp://127.0.0.1:{port}")
    future = client.submit(b"x")
    waits: list[BaseException] = []

    def receive() -> None:
        try:
            client.receive()
        except ClientClosed as error:
            waits.append(error)

    thread = threading.Thread(target=receive)
    thread.start()
    router.recv_multipart()
    client.close()
    client.close()
    thread.join()
    assert len(waits) == 1
    with pytest.raises(ClientClosed):
        future.result(10)
    with pytest.raises(ClientClosed):
        client.request(b"y")
    assert "closed" in repr(client)


def test_a_program_that_leaves_a_client_open_ends(impl: str) -> None:
    program = (
        "from brigantine import AsyncClient, AsyncServer\n"
        f"server = AsyncServer('tcp://127.0.0.1:*', lambda session, body: body, impl={impl!r})\n"
        "client = AsyncClient(server.frontend)\n"
        "print(client.request(b'x'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30
    )
    assert (done.stdout, done.stderr, done.returncode) == ("b'x'\n", "", 0)


def test_a_forked_child_needs_a_client_of_its_own(pair: Start) -> None:
    _, client = pair(counting)
    assert client.request(b"x") == b"1 x"
    child = os.fork()
    if child == 0:
        try:
            client.request(b"x")
        except ClientClosed:
            client.close()
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert client.request(b"x") == b"2 x"


def test_a_client_of_brokers_may_ask_it_too(pair: Start) -> None:
    server, _ = pair(counting)
    with LazyPirateClient(server.frontend) as client:
        assert client.request(b"x") == b"1 x"


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (("tcp://127.0.0.1:*",), {}, "can be bound but not connected to"),
        (("tcp://127.0.0.1:5",), {"foreign": 1}, "foreign must be True or False"),
        (("tcp://127.0.0.1:5",), {"timout": 1}, "did you mean timeout"),
        ((["tcp://127.0.0.1:5"],), {}, "one endpoint"),
        (("tcp://127.0.0.1:5",), {"on_session": 3}, "on_session must be a function"),
    ],
)
def test_what_cannot_be_meant_is_said_at_once(
    arguments: tuple[Any, ...], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        AsyncClient(*arguments, **options)


def test_what_a_socket_says_of_itself_before_any_message(impl: str, peers: Peers) -> None:
    with AsyncServer("tcp://127.0.0.1:*", counting, impl=impl) as server:
        found = asked_for_ready(server.frontend, 5)
        assert found is not None
        assert found["Socket-Type"] == b"ROUTER"
        assert found[wire.PROPERTY] == wire.PROPERTY_VALUE.encode()
    rep = peers.socket(zmq.REP)
    port = rep.bind_to_random_port("tcp://127.0.0.1")
    found = asked_for_ready(f"tcp://127.0.0.1:{port}", 5)
    assert found is not None
    assert found["Socket-Type"] == b"REP"
    assert asked_for_ready("tcp://127.0.0.1:1", 1) is None


@pytest.mark.parametrize(
    "body",
    [b"", b"\x05ERROR", b"\x05READY\x09", b"\x05READY\x01a\xff\xff\xff\xff", b"\x05READY\x01"],
)
def test_a_ready_that_is_none_has_no_properties(body: bytes) -> None:
    assert read_ready(body) is None


def test_heads_are_read_as_they_are_written() -> None:
    head = wire.Head(wire.ASK, b"t" * 16, 2**63 + 5)
    assert wire.unpack_head(wire.pack_head(*head)) == head
    assert len(wire.pack_head(*head)) == wire.HEAD_BYTES == 30
    assert wire.unpack_head(b"x" * 30) is None
    assert wire.unpack_head(wire.MARK) is None
