"""What clients make of a broker's word that there is no reply: both shells, all protocols."""

from __future__ import annotations

import errno
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgpack
import pytest
import zmq
from client_shells import PROTOCOLS, SERVICE, SHELLS, face, give, take
from doubles import RawBroker, outcome, program, settled
from harness import PATIENCE, Peers
from mdp_doubles import PARTIAL, mdp_broker, say

from brigantine import (
    Busy,
    ClientClosed,
    Expired,
    LRUBroker,
    LRUWorker,
    NoReply,
    NoService,
    WorkerFailed,
    ledger_holds,
)
from brigantine.wire.req import ANNOUNCEMENT, BROKER_ERROR_MARK, ERROR_MARK, broker_error

#: What libzmq keeps inside a message without memory of its own; longer routing ids would cost more.
INLINE = 29

shells = pytest.mark.parametrize("shell", SHELLS)
protocols = pytest.mark.parametrize("protocol", PROTOCOLS)


@pytest.fixture
def threads() -> Any:
    with ThreadPoolExecutor(8) as pool:
        yield pool


# -- against a raw broker -------------------------------------------------------------------------


@shells
@protocols
def test_each_socket_announces_itself_by_a_routing_id_of_its_own(
    raw: RawBroker, threads: Any, shell: str, protocol: str
) -> None:
    with face(shell, protocol, raw.endpoint) as client:
        futures = [threads.submit(client.request, b"q") for _ in range(3)]
        seen = {take(raw, protocol, b"q") for _ in futures}
        assert len(seen) == len(futures)
        for peer in seen:
            assert peer.startswith(ANNOUNCEMENT)
            assert len(peer) == INLINE
            give(raw, protocol, peer, b"r")
        assert [future.result() for future in futures] == [b"r"] * len(futures)


@shells
@protocols
@pytest.mark.parametrize(
    ("reason", "kind", "counter"),
    [("failed_no_service", NoService, "no_service"), ("shed_queue_full", Busy, "busy")],
)
def test_a_refusal_is_raised_at_once_and_the_socket_is_kept(
    raw: RawBroker, threads: Any, shell: str, protocol: str, reason: str, kind: type, counter: str
) -> None:
    with face(shell, protocol, raw.endpoint, retries=1000) as client:
        future = threads.submit(client.request, b"q")
        first = take(raw, protocol, b"q")
        give(raw, protocol, first, *broker_error(reason))
        with pytest.raises(kind) as raised:
            future.result(PATIENCE)
        assert raised.value.reason == reason
        ((endpoint, waited),) = raised.value.tries
        assert endpoint == raw.endpoint
        assert 0 <= waited < PATIENCE
        future = threads.submit(client.request, b"again")
        assert take(raw, protocol, b"again") == first
        give(raw, protocol, first, b"r")
        assert future.result(PATIENCE) == b"r"
        stats = client.stats()
        assert (stats[counter], stats["error_answers"], stats["tries"]) == (1, 1, 2)
        assert (stats["sockets_opened"], stats["idle"], stats["no_reply"]) == (1, 1, 0)
        assert settled(stats)


@shells
@protocols
def test_the_next_broker_is_asked_at_once_when_one_refuses(
    peers: Peers, threads: Any, shell: str, protocol: str
) -> None:
    one, two = RawBroker(peers), RawBroker(peers)
    with face(shell, protocol, (one.endpoint, two.endpoint), retries=0) as client:
        for last in (b"r", None):
            future = threads.submit(client.request, b"q")
            give(one, protocol, take(one, protocol, b"q"), *broker_error("shed_draining"))
            peer = take(two, protocol, b"q")
            if last:
                give(two, protocol, peer, last)
                assert future.result(PATIENCE) == last
            else:
                give(two, protocol, peer, *broker_error("failed_no_service"))
                with pytest.raises(Busy, match="no_service: failed_no_service"):
                    future.result(PATIENCE)
        stats = client.stats()
        assert (stats["replies"], stats["busy"], stats["tries"]) == (1, 1, 4)
        assert stats["idle"] == stats["sockets_opened"] == 2


@shells
@protocols
def test_a_request_that_expired_is_tried_again_on_the_same_socket_and_raised_in_the_end(
    raw: RawBroker, threads: Any, shell: str, protocol: str
) -> None:
    with face(shell, protocol, raw.endpoint, retries=1, backoff=0.0) as client:
        future = threads.submit(client.request, b"q")
        seen = set()
        for _ in range(2):
            peer = take(raw, protocol, b"q")
            seen.add(peer)
            give(raw, protocol, peer, *broker_error("failed_expired_queued"))
        with pytest.raises(Expired, match="failed_expired_queued") as raised:
            future.result(PATIENCE)
        assert len(raised.value.tries) == 2
        assert len(seen) == 1
        stats = client.stats()
        assert (stats["expired"], stats["error_answers"], stats["idle"]) == (1, 2, 1)
        assert settled(stats)


@shells
@protocols
def test_a_broker_that_was_stopped_is_not_told_as_one_that_needs_more_workers(
    raw: RawBroker, threads: Any, shell: str, protocol: str
) -> None:
    with face(shell, protocol, raw.endpoint, retries=0) as client:
        future = threads.submit(client.request, b"q")
        give(raw, protocol, take(raw, protocol, b"q"), *broker_error("failed_stopped"))
        with pytest.raises(Expired, match="the broker was stopped before the reply") as raised:
            future.result(PATIENCE)
    assert raised.value.reason == "failed_stopped"
    assert "workers" not in str(raised.value)
    assert "request_ttl" not in str(raised.value)


@shells
@protocols
def test_silence_of_which_nothing_is_known_names_all_that_may_be_behind_it(
    peers: Peers, shell: str, protocol: str
) -> None:
    """Over inproc there is nothing to see."""
    raw = RawBroker(peers, "inproc://raw")
    with (
        face(
            shell, protocol, raw.endpoint, retries=0, timeout=0.01, context=peers.context
        ) as client,
        pytest.raises(NoReply, match="no reply after 1 try") as raised,
    ):
        client.request(b"q")
    assert raised.value.tries[0].seen == ""
    for cause in ("runs", "workers", "timeout of 0.01 s", "protocol", "max_message_bytes"):
        assert cause in str(raised.value)


@shells
def test_an_error_behind_parts_that_were_given_ends_a_stream_at_once(
    raw: RawBroker, threads: Any, shell: str
) -> None:
    with face(shell, "0.2", raw.endpoint) as client:
        parts: list[Any] = []
        future = threads.submit(client.parts, b"q", parts.append)
        peer = take(raw, "0.2", b"q")
        say(raw, peer, PARTIAL, SERVICE, b"1")
        give(raw, "0.2", peer, *broker_error("failed_expired_in_flight"))
        with pytest.raises(Expired, match="broke off after 1 part"):
            future.result(PATIENCE)
        assert parts == [b"1"]
        stats = client.stats()
        assert (stats["expired"], stats["tries"], stats["idle"]) == (1, 1, 1)
        assert settled(stats)


@pytest.mark.parametrize("kind", [NoReply, NoService, Busy, Expired])
def test_the_errors_are_no_replies_and_travel_between_processes(kind: type[NoReply]) -> None:
    error = pickle.loads(pickle.dumps(kind("words", [("tcp://a:1", 0.5)], "why")))
    assert type(error) is kind
    assert (str(error), error.tries, error.reason) == ("words", [("tcp://a:1", 0.5)], "why")
    assert isinstance(error, NoReply)
    assert isinstance(error, TimeoutError)


# -- with our brokers -----------------------------------------------------------------------------


@pytest.mark.pairwise
@shells
@pytest.mark.parametrize("protocol", ["0.1", "0.2"])
def test_a_service_that_nobody_offers_fails_fast(impl: str, shell: str, protocol: str) -> None:
    with (
        mdp_broker(impl, heartbeat_interval=0.05, liveness=2) as broker,
        face(shell, protocol, broker.frontend) as client,
    ):
        for _ in range(2):  # the first waits for workers that may be on their way, the second not
            with pytest.raises(NoService, match="no worker offers the service"):
                client.request(b"q")
        assert client.stats()["tries"] == 2
        stats = broker.stats()
        assert stats["failed_no_service"] == stats["error_answers"] == 2
        assert ledger_holds(stats)


@shells
def test_a_full_queue_is_told_as_busy(
    broker: Callable[..., LRUBroker], impl: str, shell: str
) -> None:
    lru = broker(queue_limit=0)
    with (
        face(shell, "plain", lru.frontend) as client,
        pytest.raises(Busy, match="shed_queue_full"),
    ):
        client.request(b"q")
    with (
        mdp_broker(impl, queue_limit=0) as running,
        face(shell, "0.2", running.frontend) as client,
        pytest.raises(Busy, match="turned away"),
    ):
        client.request(b"q")


@shells
def test_a_request_that_waited_too_long_is_told_as_expired(
    broker: Callable[..., LRUBroker], shell: str
) -> None:
    lru = broker(request_ttl=0.05)
    with face(shell, "plain", lru.frontend, retries=1, backoff=0.0) as client:
        with pytest.raises(Expired, match="failed_expired_queued"):
            client.request(b"q")
        assert client.stats()["tries"] == 2
    assert lru.stats()["failed_expired_queued"] == 2


# -- what looks like an error, and is none --------------------------------------------------------


@shells
@pytest.mark.parametrize("mark", [ERROR_MARK, BROKER_ERROR_MARK], ids=["worker", "broker"])
def test_a_reply_that_would_be_taken_for_an_error_is_refused_at_the_worker(
    broker: Callable[..., LRUBroker], shell: str, mark: bytes
) -> None:
    """And is not done over and over, as a broker's word that the request expired would have it."""
    lru, calls = broker(), []

    def echo(body: list[bytes]) -> list[bytes]:
        calls.append(body)
        return body

    with (
        LRUWorker(lru.backend, echo),
        face(shell, "plain", lru.frontend, retries=3) as client,
    ):
        for body in ([b"a", mark, b"z"], [mark, b"z"], [b"a", mark]):
            with pytest.raises(WorkerFailed, match="raise an exception instead"):
                client.request(body)  # type: ignore[arg-type]
        assert len(calls) == 3


@shells
def test_a_brokers_word_is_all_there_is_in_its_answer(
    raw: RawBroker, threads: Any, shell: str
) -> None:
    with face(shell, "0.2", raw.endpoint) as client:
        future = threads.submit(client.request, b"q")
        peer = take(raw, "0.2", b"q")
        give(raw, "0.2", peer, b"first", *broker_error("shed_queue_full"))
        assert future.result(PATIENCE) == [b"first", *broker_error("shed_queue_full")]


@shells
def test_a_part_is_no_error_report(raw: RawBroker, threads: Any, shell: str) -> None:
    got: list[Any] = []
    with face(shell, "0.2", raw.endpoint) as client:
        future = threads.submit(client.parts, b"q", got.append)
        peer = take(raw, "0.2", b"q")
        say(raw, peer, PARTIAL, SERVICE, ERROR_MARK, b"?")
        give(raw, "0.2", peer, b"r")
        future.result(PATIENCE)
    assert got == [[ERROR_MARK, b"?"], b"r"]


@shells
@pytest.mark.parametrize("depth", [1, 1000])  # of the latter some versions of Python make no words
@pytest.mark.parametrize(
    ("report", "kind"), [(ERROR_MARK, WorkerFailed), (BROKER_ERROR_MARK, NoReply)]
)
def test_an_error_report_of_lists_in_lists_is_one_that_cannot_be_read(
    raw: RawBroker, threads: Any, shell: str, report: bytes, kind: type[Exception], depth: int
) -> None:
    deep = b"\x91" * depth + b"\xc0"
    detail = b"\x84" + b"".join(
        msgpack.packb(key.decode()) + deep for key in (b"type", b"error", b"reason", b"message")
    )
    assert isinstance(msgpack.unpackb(detail), dict)
    with face(shell, "plain", raw.endpoint, retries=0) as client:
        future = threads.submit(client.request, b"q")
        give(raw, "plain", take(raw, "plain", b"q"), report, detail)
        with pytest.raises(kind, match="unreadable"):
            future.result(PATIENCE)


# -- what a client runs out of --------------------------------------------------------------------


@shells
def test_a_context_that_is_gone_is_told_as_the_clients_end(
    broker: Callable[..., LRUBroker], shell: str
) -> None:
    lru = broker()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with (
        LRUWorker(lru.backend, bytes.upper),
        face(shell, "plain", lru.frontend, context=context) as client,
    ):
        assert client.request(b"q") == b"Q"
        context.destroy(0)
        with pytest.raises(ClientClosed, match="context was terminated"):
            client.request(b"q")


NO_FILES = """
import asyncio, os, resource, sys
import brigantine
from brigantine import aio

def held():
    while True:
        try:
            yield os.open(os.devnull, os.O_RDONLY)
        except OSError:
            return

async def ask(client):
    return await client.request(b"q")

shell, endpoint, left = sys.argv[1], sys.argv[2], int(sys.argv[3])
module = brigantine if shell == "threads" else aio
loop = asyncio.new_event_loop()
client = module.LazyPirateClient(endpoint)
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
files = list(held())
for _ in range(left):
    os.close(files.pop())
try:
    client.request(b"q") if shell == "threads" else loop.run_until_complete(ask(client))
except brigantine.ConnectError as error:
    print(type(error).__name__, error.errno)
"""


@pytest.mark.parametrize(
    ("shell", "left"), [("threads", 0), ("threads", 1), ("threads", 2), ("asyncio", 0)]
)
def test_no_more_files_is_told_as_no_connection(shell: str, left: int) -> None:
    with program(NO_FILES, (shell, "tcp://127.0.0.1:5", str(left))) as process:
        code, output, errors = outcome(process)
    assert (code, output) == (0, f"ConnectError {errno.EMFILE}\n"), errors
