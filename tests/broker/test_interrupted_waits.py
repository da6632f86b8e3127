"""Ctrl-C in a call that waits: what waited still runs, says so, and the next ``stop()`` stops it."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness import PATIENCE, Peers, wait_until
from strikes import Struck, handler_that_raises, nothing_left, struck

from brigantine import (
    AnyBroker,
    ForwarderDevice,
    LazyPirateClient,
    LRUBroker,
    LRUWorker,
    MajordomoBroker,
    MajordomoWorker,
    ParanoidPirateBroker,
    ParanoidPirateWorker,
    QueueDevice,
    StreamerDevice,
)
from brigantine.runtime.handle import LoopHandle

ANY = "tcp://127.0.0.1:*"
#: Seconds into a call that would wait for longer.
IN_ITS_MIDST = 0.02
HANDLES: dict[str, Callable[..., LoopHandle]] = {
    "lru": LRUBroker,
    "ppp": ParanoidPirateBroker,
    "mdp": MajordomoBroker,
    "any": AnyBroker,
    "queue": QueueDevice,
    "forwarder": ForwarderDevice,
    "streamer": StreamerDevice,
}
#: They are waited for and stopped by the same code: by default one of each kind.
OFTEN = ("mdp", "queue")
BROKERS = [
    pytest.param(each, marks=[] if each in OFTEN else pytest.mark.long)
    for each in ("lru", "ppp", "mdp", "any")
]
ALL = [pytest.param(each, marks=[] if each in OFTEN else pytest.mark.long) for each in HANDLES]


#: What :func:`make` made in the test that runs: where it was bound.
endpoints: list[str] = []


@pytest.fixture(autouse=True)
def _order(record: Callable[..., None]) -> Iterator[None]:
    endpoints.clear()
    with nothing_left() as left, handler_that_raises():
        yield
    bound = [each for each in endpoints if is_bound(each)]
    record(
        "exception in a waiting call",
        threads_left=left["threads"],
        files_left=left["files"],
        endpoints_left=len(bound),
    )
    assert not bound


def make(what: str, impl: str, **options: Any) -> Any:
    made = HANDLES[what](ANY, ANY, impl=impl, **options)
    endpoints.extend((made.frontend, made.backend))
    return made


def is_bound(endpoint: str) -> bool:
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return True
    return False


def hold_a_request(peers: Peers, what: str, broker: Any) -> None:
    """One that no worker takes: a drain waits for it."""
    named = [b"MDPC01", b"s"] if what in ("mdp", "any") else []
    peers.dealer(broker.frontend).send_multipart([b"", *named, b"x"])
    wait_until(lambda: broker.stats()["queued"] == 1, "a request that waits")


def assert_runs(handle: LoopHandle) -> None:
    assert handle.running
    assert is_bound(handle.frontend)
    assert is_bound(handle.backend)
    assert handle.join(0.0) is False
    assert "running" in repr(handle)


def assert_stopped(handle: LoopHandle) -> None:
    assert not handle.running
    assert not is_bound(handle.frontend)
    assert not is_bound(handle.backend)
    assert handle.join(0.0) is True


@pytest.mark.parametrize("what", ALL)
@pytest.mark.parametrize("limit", [None, PATIENCE])
def test_after_an_exception_in_join_it_runs_until_it_is_stopped(
    impl: str, what: str, limit: float | None
) -> None:
    handle = make(what, impl)
    for _ in range(2):  # the second join() waits, too
        assert struck(lambda: handle.join(limit), IN_ITS_MIDST)
        assert_runs(handle)
    handle.stop()
    assert_stopped(handle)


@pytest.mark.parametrize("what", ALL)
def test_the_end_of_a_with_block_stops_what_an_exception_in_join_has_left(
    impl: str, what: str
) -> None:
    left: list[LoopHandle] = []

    def program() -> None:
        with make(what, impl) as handle:
            left.append(handle)
            handle.join()

    assert struck(program, 0.1)
    assert_stopped(left[0])


@pytest.mark.parametrize("what", BROKERS)
@pytest.mark.parametrize("ending", ["stop", "drain"])
def test_after_an_exception_in_drain_it_drains_until_it_is_stopped(
    impl: str, peers: Peers, what: str, ending: str
) -> None:
    broker = make(what, impl, drain_timeout=PATIENCE, request_ttl=1.0)
    hold_a_request(peers, what, broker)
    assert struck(broker.drain, IN_ITS_MIDST)
    assert_runs(broker)
    if ending == "stop":
        broker.stop()
    else:
        assert broker.drain() is True  # shed or failed at its deadline, which is an end
    assert_stopped(broker)


@pytest.mark.parametrize("what", ALL)
def test_after_an_exception_in_stop_the_next_one_waits_for_the_end(impl: str, what: str) -> None:
    for moment in range(0, 30, 3):
        handle = make(what, impl)
        struck(handle.stop, moment * 1e-4)
        handle.stop()
        assert_stopped(handle)


@pytest.mark.parametrize("what", BROKERS)
@pytest.mark.parametrize("limit", [None, PATIENCE])
def test_after_an_exception_in_a_wait_for_events_they_go_on_coming(
    impl: str, what: str, limit: float | None
) -> None:
    broker = make(what, impl)
    with broker.events() as events:
        assert struck(lambda: events.next(limit), IN_ITS_MIDST)
        assert_runs(broker)
        broker.drain()
        assert [event.kind for event in events] == ["draining", "stopped"]
    assert_stopped(broker)


def test_after_an_exception_in_a_request_the_client_can_be_asked_and_closed(impl: str) -> None:
    with make("lru", impl) as broker, LazyPirateClient(broker.frontend, timeout=PATIENCE) as client:
        assert struck(lambda: client.request(b"lost"), IN_ITS_MIDST)
        with LRUWorker(broker.backend, bytes.upper):
            assert client.request(b"x", timeout=1.0, retries=5) == b"X"
        assert struck(lambda: client.request(b"lost"), IN_ITS_MIDST)


WORKERS: dict[str, Callable[[str, Callable[[bytes], bytes]], Any]] = {
    "lru": LRUWorker,
    "ppp": ParanoidPirateWorker,
    "mdp": lambda endpoint, handler: MajordomoWorker(endpoint, "s", handler),
}


@pytest.mark.parametrize("what", WORKERS)
def test_after_an_exception_in_run_no_thread_of_the_worker_is_left(impl: str, what: str) -> None:
    with make(what, impl) as broker:
        worker = WORKERS[what](broker.backend, bytes.upper)
        assert struck(worker.run, 0.1)
        worker.stop()
        wait_until(lambda: not broker.workers().get(b"s" if what == "mdp" else b""), "its leaving")


@pytest.mark.parametrize("what", WORKERS)
def test_after_an_exception_in_a_workers_stop_the_next_one_waits_for_the_handler(
    impl: str, peers: Peers, what: str
) -> None:
    let_go, began = threading.Event(), threading.Event()

    def handler(body: bytes) -> bytes:
        began.set()
        let_go.wait(PATIENCE)
        return body

    with make(what, impl) as broker:
        worker = WORKERS[what](broker.backend, handler).start()
        asking = peers.dealer(broker.frontend)
        asking.send_multipart([b"", b"MDPC01", b"s", b"x"] if what == "mdp" else [b"", b"x"])
        assert began.wait(PATIENCE)
        for _ in range(2):
            assert struck(worker.stop, IN_ITS_MIDST)
        threading.Timer(0.05, let_go.set).start()
        worker.stop()
        assert worker.stats()["replies"] == 1
        assert asking.recv_multipart()[-1] == b"x"


def test_an_exception_wakes_a_wait_at_once_also_when_another_thread_took_the_signal(
    impl: str,
) -> None:
    """Ctrl-C may be taken by any thread of the process; the main one looks four times a second."""
    with make("lru", impl) as broker:
        taker = threading.Timer(IN_ITS_MIDST, lambda: signal.raise_signal(signal.SIGALRM))
        taker.start()
        with pytest.raises(Struck):
            broker.join(PATIENCE)
        assert_runs(broker)
        taker.join()
