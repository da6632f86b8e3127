"""Why there is no reply: each cause is told apart, as far as a client can know, and with what to do."""

from __future__ import annotations

import copy
import pickle
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from client_shells import PROTOCOLS, SERVICE, SHELLS, face, take
from doubles import RawBroker, settled
from harness import PATIENCE, Peers, wait_until
from mdp_doubles import PARTIAL, mdp_broker, say

from brigantine import (
    ConfigError,
    LazyPirateClient,
    LRUBroker,
    LRUWorker,
    MajordomoWorker,
    NoReply,
    NoService,
    Try,
    WorkerFailed,
    ledger_holds,
)

#: Long enough to connect on a busy machine and to be told what there is to tell.
WHILE = 1.0

shells = pytest.mark.parametrize("shell", SHELLS)
protocols = pytest.mark.parametrize("protocol", PROTOCOLS)
majordomo = pytest.mark.parametrize("protocol", ["0.1", "0.2"])


def free_endpoint() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


@contextmanager
def listener(serve: Callable[[socket.socket], Any] | None = None) -> Iterator[str]:
    """The endpoint of what is no ZeroMQ socket; each connection is for ``serve``, or left alone."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def accept() -> None:
            while serve is not None:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    serve(peer)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE)


def failed(shell: str, protocol: str, endpoint: Any, **options: Any) -> NoReply:
    """What a request raises that is tried once; its client is at rest afterwards."""
    options = {"timeout": WHILE, "retries": 0, **options}
    with face(shell, protocol, endpoint, **options) as client:
        with pytest.raises(NoReply) as raised:
            client.request(b"q")
        assert settled(client.stats())
    error = raised.value
    assert error.service == (None if protocol == "plain" else SERVICE)
    assert str(error).startswith("svc: ") == (protocol != "plain")
    return error


def check(error: NoReply, seen: str, *words: str, never: tuple[str, ...] = ()) -> None:
    assert error.tries[-1].seen == seen
    for each in words:
        assert each in str(error)
    for each in never:
        assert each not in str(error)


@shells
@protocols
def test_nobody_listens(shell: str, protocol: str) -> None:
    endpoint = free_endpoint()
    error = failed(shell, protocol, endpoint)
    check(error, "refused", endpoint, "nobody accepts connections there", "that the broker runs",
          never=("max_message_bytes", "workers"))  # fmt: skip


@shells
@protocols
def test_who_accepts_connections_and_says_nothing_hangs(shell: str, protocol: str) -> None:
    with listener() as endpoint:
        error = failed(shell, protocol, endpoint)
    check(error, "mute", "handshake is not answered", "stopped or hangs", never=("workers",))


@shells
@protocols
def test_who_hangs_up_is_no_zeromq_socket(shell: str, protocol: str) -> None:
    with listener(lambda peer: peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as endpoint:
        error = failed(shell, protocol, endpoint)
    check(error, "hung_up", "is no ZeroMQ socket", never=("workers",))


@pytest.mark.pairwise
@shells
@majordomo
def test_a_slow_handler(impl: str, shell: str, protocol: str) -> None:
    gate = threading.Event()

    def slow(body: bytes) -> bytes:
        gate.wait(PATIENCE)
        return body

    with mdp_broker(impl) as broker, MajordomoWorker(broker.backend, SERVICE, slow):
        wait_until(lambda: broker.services(), "the worker")
        error = failed(shell, protocol, broker.frontend)
        gate.set()
    check(error, "served", "has workers for the service", "(it is 1 s for one try)",
          never=("protocol", "max_message_bytes"))  # fmt: skip


@shells
def test_a_slow_handler_or_none_at_a_broker_of_one_service(
    broker: Callable[..., LRUBroker], shell: str
) -> None:
    error = failed(shell, "plain", broker().frontend)
    check(error, "connected", "timeout of 1 s", "none that is free", "workers' side",
          "brigantine ctl services", "brigantine ctl workers",
          never=("max_message_bytes",))  # fmt: skip


@pytest.mark.pairwise
@shells
@majordomo
def test_no_worker_of_the_service(impl: str, shell: str, protocol: str) -> None:
    with mdp_broker(impl, heartbeat_interval=0.05, liveness=2) as broker:
        error = failed(shell, protocol, broker.frontend, timeout=PATIENCE)
    assert type(error) is NoService
    check(error, "answered", "svc: no worker offers the service", "failed_no_service")
    assert error.tries[0].said == ("no_service", "failed_no_service")


@shells
@majordomo
def test_no_worker_of_the_service_at_a_broker_of_another_make(
    peers: Peers, shell: str, protocol: str
) -> None:
    """It keeps the request and says nothing; asked for the service it tells."""
    raw = RawBroker(peers)
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            if raw.socket.poll(10):
                peer, *frames = raw.socket.recv_multipart()
                if b"mmi.service" in frames:
                    raw.send(peer, *(frames[:-1] if protocol == "0.1" else
                             [frames[0], b"\x03", frames[2]]), b"404")  # fmt: skip

    thread = threading.Thread(target=serve)
    thread.start()
    error = failed(shell, protocol, raw.endpoint)
    stopped.set()
    thread.join(PATIENCE)
    check(error, "unserved", "the broker has no worker for the service", "that its workers run")


@pytest.mark.pairwise
@shells
@protocols
def test_the_workers_side(
    impl: str, broker: Callable[..., LRUBroker], shell: str, protocol: str
) -> None:
    if protocol == "plain":
        error = failed(shell, protocol, broker().backend)
        check(error, "connected", "the workers' side of a broker")
        return
    with mdp_broker(impl) as running:
        error = failed(shell, protocol, running.backend)
    check(error, "unheard", "not the workers' side", f"MDP {protocol}")


@shells
def test_a_broker_of_another_protocol_says_so_at_once(
    impl: str, broker: Callable[..., LRUBroker], shell: str
) -> None:
    lru = broker()
    with mdp_broker(impl) as running:
        for protocol, endpoint in (("0.2", lru.frontend), ("plain", running.frontend)):
            error = failed(shell, protocol, endpoint, timeout=PATIENCE, retries=3)
            check(error, "answered", "does not speak this client's protocol (")
            assert len(error.tries) == 1
            assert error.reason == "drop_malformed_request"
        for each in (lru, running):
            stats = each.stats()
            assert (stats["drop_malformed_request"], stats["error_answers"]) == (1, 1)
            assert (stats["accepted"], ledger_holds(stats)) == (0, True)


@shells
def test_a_broker_of_another_protocol_that_cannot_know(
    broker: Callable[..., LRUBroker], shell: str
) -> None:
    """To a broker of one service a request of MDP 0.1 is a body like any other, and so is a question."""
    lru = broker()
    with LRUWorker(lru.backend, bytes.upper):
        wait_until(lambda: lru.workers(), "the worker")
        error = failed(shell, "0.1", lru.frontend)
    check(error, "foreign", "protocol (MDP 0.1)")


@shells
def test_a_broker_that_answers_in_another_protocol(
    raw: RawBroker, shell: str, threads: Any
) -> None:
    with face(shell, "0.2", raw.endpoint, retries=0, timeout=WHILE) as client:
        future = threads.submit(client.request, b"q")
        raw.send(take(raw, "0.2", b"q"), b"", b"r")
        with pytest.raises(NoReply) as raised:
            future.result(PATIENCE)
    check(raised.value, "foreign", "is not of this client's protocol", "(MDP 0.2)")


@shells
def test_parts_without_an_end(raw: RawBroker, shell: str, threads: Any) -> None:
    with face(shell, "0.2", raw.endpoint, retries=0, timeout=WHILE) as client:
        future = threads.submit(client.request, b"q")
        say(raw, take(raw, "0.2", b"q"), PARTIAL, SERVICE, b"1")
        with pytest.raises(NoReply) as raised:
            future.result(PATIENCE)
    check(raised.value, "parts", "parts of the reply came, but not its end", "stream()")


# -- too large ------------------------------------------------------------------------------------


@shells
@protocols
def test_a_request_above_the_limit_is_refused_before_it_is_sent(
    raw: RawBroker, shell: str, protocol: str
) -> None:
    with face(shell, protocol, raw.endpoint, max_request_bytes=2000, retries=1000) as client:
        with pytest.raises(ConfigError, match="max_request_bytes=2000") as raised:
            client.request(b"x" * 2001)
        assert "has 20" in str(raised.value)
        assert (client.stats()["requests"], client.stats()["sockets_opened"]) == (0, 0)
    assert not raw.socket.poll(0)


def test_the_limit_is_that_of_brokers_by_default() -> None:
    with (
        LazyPirateClient("tcp://127.0.0.1:9") as client,
        pytest.raises(ConfigError, match=f"max_request_bytes={16 << 20}"),
    ):
        client.request([b"x" * (8 << 20), b"y" * (8 << 20), b"z"])


@shells
@protocols
def test_a_request_that_the_broker_finds_too_large_is_told_with_its_size(
    impl: str, broker: Callable[..., LRUBroker], shell: str, protocol: str
) -> None:
    running: Any
    with ExitStack() as stack:
        if protocol == "plain":
            running = broker(max_message_bytes=1024)
        else:
            running = stack.enter_context(mdp_broker(impl, max_message_bytes=1024))
        client = stack.enter_context(face(shell, protocol, running.frontend, retries=0))
        with pytest.raises(NoReply, match="is too large for the broker") as raised:
            client.request([b"x" * 700, b"y" * 700])  # type: ignore[arg-type]
    assert "the request of 14" in str(raised.value)
    assert "takes at most 1024 bytes (max_message_bytes), the client's address" in str(raised.value)
    assert "or its reply" not in str(raised.value)
    assert raised.value.reason == "drop_too_large"
    assert raised.value.tries[0].limits == {"max_message_bytes": 1024}


@shells
@protocols
def test_a_request_of_too_many_frames_is_told_with_their_number_and_the_bound(
    impl: str, broker: Callable[..., LRUBroker], shell: str, protocol: str
) -> None:
    running: Any
    with ExitStack() as stack:
        if protocol == "plain":
            running = broker(max_frames=20)
        else:
            running = stack.enter_context(mdp_broker(impl, max_frames=20))
        client = stack.enter_context(face(shell, protocol, running.frontend, retries=0))
        with pytest.raises(NoReply, match=r"in (40|41|42|43) frames is too large") as raised:
            client.request([b"x"] * 40)  # type: ignore[arg-type]
    assert "takes at most 20 frames (max_frames), the client's address" in str(raised.value)
    assert raised.value.reason == "drop_too_many_frames"
    assert raised.value.tries[0].limits == {"max_frames": 20}


@shells
@majordomo
def test_a_reply_that_the_broker_finds_too_large_is_told_with_the_bounds(
    impl: str, shell: str, protocol: str
) -> None:
    with (
        mdp_broker(impl, max_message_bytes=8192, max_frames=20) as broker,
        MajordomoWorker(broker.backend, SERVICE, lambda _: [b"x"] * 99),
        face(shell, protocol, broker.frontend, retries=0) as client,
        pytest.raises(NoReply, match="the reply is too large for the broker") as raised,
    ):
        client.request(b"x")
    assert "takes at most 8192 bytes (max_message_bytes), 20 frames (max_frames):" in str(
        raised.value
    )
    assert raised.value.tries[0].limits == {"max_message_bytes": 8192, "max_frames": 20}


# -- several tries and brokers --------------------------------------------------------------------


@shells
@protocols
def test_each_broker_is_told_with_what_was_seen_of_it(shell: str, protocol: str) -> None:
    dead = free_endpoint()
    with listener() as mute:
        error = failed(shell, protocol, (dead, mute), retries=1, timeout=WHILE / 2)
    assert [(each.endpoint, each.seen) for each in error.tries] == [
        (dead, "refused"), (mute, "mute"),
    ]  # fmt: skip
    assert f"{dead} (1 try" in str(error)
    assert f"{mute}: The broker's process is stopped or hangs" in str(error)


@shells
def test_a_broker_that_comes_back_is_not_told_as_refusing(
    peers: Peers, shell: str, threads: Any
) -> None:
    endpoint = free_endpoint()
    with face(shell, "plain", endpoint, retries=1, timeout=2 * WHILE, backoff=0.0) as client:
        future = threads.submit(client.request, b"q")
        wait_until(lambda: client.stats()["tries"] == 2, "the second try")
        RawBroker(peers, endpoint)
        with pytest.raises(NoReply) as raised:
            future.result(PATIENCE)
    assert [each.seen for each in raised.value.tries] == ["refused", "connected"]
    assert "nobody accepts connections there, connected, but" in str(raised.value)


@shells
def test_requests_that_are_answered_are_not_looked_at(
    broker: Callable[..., LRUBroker], shell: str
) -> None:
    lru = broker()
    with LRUWorker(lru.backend, bytes.upper), face(shell, "plain", lru.frontend) as client:
        for _ in range(20):
            assert client.request(b"q") == b"Q"
        pools = client.client._pools
        pool = pools[0] if isinstance(pools, list) else next(iter(pools.values()))
        assert not pool._witnesses._made
        assert client.stats()["sockets_opened"] == 1


# -- the errors themselves ------------------------------------------------------------------------


@shells
@protocols
def test_a_workers_error_names_the_service(
    impl: str, broker: Callable[..., LRUBroker], shell: str, protocol: str
) -> None:
    def fails(_: bytes) -> bytes:
        raise ValueError("boom")

    with ExitStack() as stack:
        if protocol == "plain":
            lru = broker()
            stack.enter_context(LRUWorker(lru.backend, fails))
            endpoint = lru.frontend
        else:
            running = stack.enter_context(mdp_broker(impl))
            stack.enter_context(MajordomoWorker(running.backend, SERVICE, fails))
            endpoint = running.frontend
        client = stack.enter_context(face(shell, protocol, endpoint, timeout=PATIENCE))
        with pytest.raises(WorkerFailed) as raised:
            client.request(b"q")
    named = protocol != "plain"
    assert raised.value.service == (SERVICE if named else None)
    assert str(raised.value) == ("svc: " if named else "") + "ValueError: boom"
    assert (raised.value.kind, raised.value.detail) == ("ValueError", "boom")


@pytest.mark.parametrize(
    "error",
    [
        NoReply(
            "words",
            [
                Try("tcp://a:1", 0.5, "refused"),
                Try("b", 1.0, "", ("busy", "shed"), "", {"max_frames": 2}),
            ],
            "r",
            b"s",
        ),
        NoService("words", [("tcp://a:1", 0.5)]),
        WorkerFailed("ValueError", "boom", b"echo"),
        WorkerFailed("ValueError", ""),
    ],
    ids=["NoReply", "NoService", "WorkerFailed", "short"],
)
def test_errors_travel_whole(error: Any) -> None:
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert vars(other) == vars(error)
        for one, two in zip(getattr(other, "tries", ()), getattr(error, "tries", ()), strict=True):
            assert type(one) is Try
            assert vars(one) == vars(two)


def test_a_try_is_the_pair_that_it_always_was() -> None:
    each = Try("tcp://a:1", 0.5, "mute")
    endpoint, waited = each
    assert each == (endpoint, waited) == ("tcp://a:1", 0.5)
    assert repr(each) == "Try('tcp://a:1', 0.5, seen='mute', said=None)"


@pytest.mark.parametrize(
    ("service", "shown"),
    [
        (b"\xff\x00", r"b'\xff\x00'"),
        (b"a\nb", r"b'a\nb'"),
        ("é".encode(), "é"),
        (b"x" * 300, "x..."),
    ],
)
def test_a_name_in_a_message_is_printable_and_short(service: bytes, shown: str) -> None:
    words = str(WorkerFailed("E", "m", service))
    assert f"{shown}: E: m" in words
    assert len(words) < 100


@pytest.fixture
def threads() -> Any:
    with ThreadPoolExecutor(8) as pool:
        yield pool
