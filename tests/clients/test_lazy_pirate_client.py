"""LazyPirateClient from outside: against raw ROUTERs, and against the broker."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from doubles import EMPTY, RawBroker, free_endpoint, settled, started_again
from harness import PATIENCE, Peers, wait_until

from brigantine import LRUBroker, NoReply, WorkerFailed, ledger_holds
from brigantine.net.backoff import Backoff
from brigantine.wire.req import ERROR_MARK
from brigantine.workers.lru import LRUWorker

#: Seconds for a try that is to fail, where its message must have arrived all the same.
SHORT = 0.5
#: Seconds for a try whose message need not arrive.
SHORTEST = 0.02


# -- the wire -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "frames"),
    [
        (b"one", [b"one"]),
        (b"", [b""]),
        ([b"one"], [b"one"]),
        ([b"one", b"", b"three"], [b"one", b"", b"three"]),
        ((b"\0", b"\xff"), [b"\0", b"\xff"]),
    ],
)
def test_a_request_is_an_empty_frame_and_the_body(
    raw: RawBroker, clients: Any, threads: ThreadPoolExecutor, body: Any, frames: list[bytes]
) -> None:
    future = threads.submit(clients(raw.endpoint).request, body)
    peer, received = raw.receive()
    assert received == [EMPTY, *frames]
    raw.send(peer, EMPTY, b"ok")
    assert future.result() == b"ok"


@pytest.mark.parametrize(
    ("frames", "reply"),
    [
        ([b"one"], b"one"),
        ([b""], b""),
        ([b"one", b"two"], [b"one", b"two"]),
        ([b"", b""], [b"", b""]),
        ([ERROR_MARK], ERROR_MARK),  # alone it is no error report
    ],
)
def test_a_reply_of_one_frame_is_bytes_and_of_several_a_list(
    raw: RawBroker, clients: Any, threads: ThreadPoolExecutor, frames: list[bytes], reply: Any
) -> None:
    future = threads.submit(clients(raw.endpoint).request, b"q")
    raw.send(raw.request_of(b"q"), EMPTY, *frames)
    assert future.result() == reply


@pytest.mark.parametrize("junk", [[b"no empty frame"], [EMPTY], [b"x", b"y", b"z"]])
def test_junk_in_place_of_a_reply_costs_no_more_than_the_try(
    raw: RawBroker, clients: Any, threads: ThreadPoolExecutor, junk: list[bytes]
) -> None:
    client = clients(raw.endpoint, timeout=SHORT, retries=1, backoff=0.0)
    future = threads.submit(client.request, b"q")
    raw.send(raw.request_of(b"q"), *junk)
    raw.send(raw.request_of(b"q"), EMPTY, b"right")
    assert future.result() == b"right"


# -- with a broker --------------------------------------------------------------------------------


def test_a_request_reaches_a_raw_worker_and_its_reply_comes_back(
    broker: Callable[..., LRUBroker], peers: Peers, clients: Any, threads: ThreadPoolExecutor
) -> None:
    running = broker()
    worker = peers.worker(running.backend)
    future = threads.submit(clients(running.frontend).request, [b"a", b"b"])
    ticket, empty, *body = worker.recv_multipart()
    assert body == [b"a", b"b"]
    worker.send_multipart([ticket, empty, b"c", b"d"])
    assert future.result() == [b"c", b"d"]


def test_what_the_workers_function_raised_is_told_apart_from_a_reply(
    broker: Callable[..., LRUBroker], clients: Any
) -> None:
    def fails(_: object) -> bytes:
        raise LookupError("no such part")

    running = broker()
    client = clients(running.frontend)
    with LRUWorker(running.backend, fails), pytest.raises(WorkerFailed) as raised:
        client.request(b"q")
    assert (raised.value.kind, raised.value.detail) == ("LookupError", "no such part")
    # It is an answer: nothing was tried again, and the socket can be used again.
    stats = client.stats()
    assert (stats["worker_failed"], stats["tries"], stats["idle"]) == (1, 1, 1)
    assert settled(stats)


def test_many_threads_share_one_client(
    broker: Callable[..., LRUBroker], clients: Any, threads: ThreadPoolExecutor
) -> None:
    at_once, each = 12, 25
    running = broker()
    client = clients(running.frontend)

    def ask(thread: int) -> bool:
        bodies = [b"%d/%d" % (thread, n) for n in range(each)]
        return all(client.request(body) == b"re:" + body for body in bodies)

    with LRUWorker(running.backend, lambda body: b"re:" + body):
        assert all(threads.map(ask, range(at_once)))
    stats = client.stats()
    assert stats["replies"] == stats["tries"] == at_once * each
    assert stats["sockets_opened"] == stats["idle"] <= at_once
    assert ledger_holds(running.stats())


def test_a_restart_of_the_broker_while_a_socket_is_idle_costs_no_try(
    broker: Callable[..., LRUBroker], clients: Any
) -> None:
    first = broker()
    client = clients(first.frontend)
    with LRUWorker(first.backend, bytes.upper):
        assert client.request(b"one") == b"ONE"
        first.stop()
        second = broker(first.frontend, first.backend)
        assert client.request(b"two") == b"TWO"
    # A connection that has ended is never made again under the same routing id.
    assert (client.stats()["sockets_opened"], client.stats()["tries"]) == (2, 2)
    assert second.stats()["replied"] == 1


def test_inproc_works_in_a_shared_context_also_after_a_restart(
    broker: Callable[..., LRUBroker], peers: Peers, clients: Any
) -> None:
    ends = ("inproc://front", "inproc://back")
    client = clients(ends[0], context=peers.context)
    first = broker(*ends, context=peers.context)
    with LRUWorker(ends[1], bytes.upper, context=peers.context):
        assert client.request(b"one") == b"ONE"
    first.stop()
    started_again(broker, *ends, context=peers.context)
    with LRUWorker(ends[1], bytes.upper, context=peers.context):
        # The idle socket lost its broker for good; that costs no try.
        assert client.request(b"two") == b"TWO"
    assert client.stats()["tries"] == 2
    client.close()


# -- silence --------------------------------------------------------------------------------------


def test_each_try_is_made_on_a_new_socket(
    raw: RawBroker, clients: Any, threads: ThreadPoolExecutor
) -> None:
    client = clients(raw.endpoint, timeout=SHORT, retries=2, backoff=0.0)
    future = threads.submit(client.request, b"q")
    identities = {raw.request_of(b"q") for _ in range(3)}
    assert len(identities) == 3
    with pytest.raises(NoReply):
        future.result()
    stats = client.stats()
    assert (stats["tries"], stats["sockets_opened"], stats["idle"]) == (3, 3, 0)
    assert settled(stats)


def test_a_retry_takes_no_idle_socket_either(
    peers: Peers, clients: Any, threads: ThreadPoolExecutor
) -> None:
    one, two = RawBroker(peers), RawBroker(peers)
    client = clients([one.endpoint, two.endpoint])
    # Two requests at once: broker one answers only the second, after broker two the first.
    first = threads.submit(client.request, b"first", timeout=SHORT)
    one.request_of(b"first")
    second = threads.submit(client.request, b"second")
    slow = one.request_of(b"second")
    idle = two.request_of(b"first")
    two.send(idle, EMPTY, b"r")
    assert first.result() == b"r"
    one.send(slow, EMPTY, b"r")
    assert second.result() == b"r"
    assert client.stats()["idle"] == 2
    third = threads.submit(client.request, b"third", timeout=SHORT)
    assert one.request_of(b"third") == slow
    peer = two.request_of(b"third")
    assert peer != idle
    two.send(peer, EMPTY, b"r")
    assert third.result() == b"r"


def test_a_late_reply_is_never_delivered_to_the_next_request(
    raw: RawBroker, clients: Any, threads: ThreadPoolExecutor
) -> None:
    raw.socket.router_mandatory = 0  # the late reply may find nobody
    client = clients(raw.endpoint, timeout=SHORT, retries=0)
    first = threads.submit(client.request, b"first")
    late = raw.request_of(b"first")
    with pytest.raises(NoReply):
        first.result()
    second = threads.submit(client.request, b"second", timeout=PATIENCE)
    now = raw.request_of(b"second")
    raw.send(late, EMPTY, b"answer to the first")
    raw.send(now, EMPTY, b"answer to the second")
    assert second.result() == b"answer to the second"


def test_a_late_reply_to_one_try_does_not_answer_the_next(
    raw: RawBroker, clients: Any, threads: ThreadPoolExecutor
) -> None:
    raw.socket.router_mandatory = 0
    client = clients(raw.endpoint, timeout=2 * SHORT, retries=1, backoff=0.0)
    future = threads.submit(client.request, b"q")
    first = raw.request_of(b"q")
    second = raw.request_of(b"q")
    raw.send(first, EMPTY, b"late")
    raw.send(second, EMPTY, b"in time")
    assert future.result() == b"in time"


def test_silent_brokers_are_tried_in_turn_and_named_with_the_time_waited(clients: Any) -> None:
    brokers = [free_endpoint() for _ in range(3)]
    client = clients(brokers, timeout=SHORTEST, retries=4, backoff=0.0)
    with pytest.raises(NoReply) as raised:
        client.request(b"q")
    assert [endpoint for endpoint, _ in raised.value.tries] == [*brokers, *brokers[:2]]
    assert all(seconds >= SHORTEST for _, seconds in raised.value.tries)
    message = str(raised.value)
    assert "5 tries" in message
    for endpoint in brokers:
        assert endpoint in message
    assert "nobody accepts connections there" in message
    assert isinstance(raised.value, TimeoutError)


def test_no_retries_means_one_try(clients: Any) -> None:
    client = clients(free_endpoint(), timeout=SHORTEST, retries=0)
    with pytest.raises(NoReply, match="1 try") as raised:
        client.request(b"q")
    assert len(raised.value.tries) == client.stats()["tries"] == 1


def test_timeout_and_retries_can_be_given_for_one_request(clients: Any) -> None:
    client = clients(free_endpoint(), timeout=3600.0, retries=1000, backoff=0.0)
    with pytest.raises(NoReply) as raised:
        client.request(b"q", timeout=SHORTEST, retries=2)
    assert len(raised.value.tries) == 3


def test_the_broker_that_answered_last_is_asked_first(
    peers: Peers, clients: Any, threads: ThreadPoolExecutor
) -> None:
    dead = free_endpoint()
    alive = RawBroker(peers)
    client = clients([dead, alive.endpoint], timeout=SHORT)
    for n in range(4):
        future = threads.submit(client.request, b"q")
        alive.send(alive.request_of(b"q"), EMPTY, b"r")
        assert future.result() == b"r"
        # Only the first request paid for the dead broker.
        assert client.stats()["tries"] == n + 2


def test_a_request_waits_for_a_broker_that_is_not_up_yet(
    peers: Peers, clients: Any, threads: ThreadPoolExecutor
) -> None:
    endpoint = free_endpoint()
    client = clients(endpoint)
    future = threads.submit(client.request, b"early")
    wait_until(lambda: client.stats()["sockets_opened"] == 1)
    late = RawBroker(peers, endpoint)
    late.send(late.request_of(b"early"), EMPTY, b"there you are")
    assert future.result() == b"there you are"
    assert client.stats()["tries"] == 1


# -- back-off -------------------------------------------------------------------------------------


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The bounds of all pauses of clients made in this test; none of them takes any time."""
    seen: list[float] = []

    class Watched(Backoff):
        def next(self) -> float:
            seen.append(self.bound)
            return super().next()

    monkeypatch.setattr("brigantine.clients.common.Backoff", partial(Watched, draw=lambda: 0.0))
    return seen


def test_pauses_before_retries_grow_up_to_the_bound(clients: Any, pauses: list[float]) -> None:
    client = clients(free_endpoint(), timeout=SHORTEST, retries=5, backoff=1.0, backoff_max=4.0)
    with pytest.raises(NoReply):
        client.request(b"q")
    assert pauses == [1.0, 2.0, 4.0, 4.0, 4.0]


def test_there_is_no_pause_before_a_broker_not_tried_yet(clients: Any, pauses: list[float]) -> None:
    brokers = [free_endpoint(), free_endpoint()]
    client = clients(brokers, timeout=SHORTEST, retries=3, backoff=1.0)
    with pytest.raises(NoReply):
        client.request(b"q")
    assert pauses == [1.0, 2.0]  # before the third and the fourth try
