"""Names of brokers: looked up beside everything else, in both families, anew at each connection."""

from __future__ import annotations

import socket
import threading
import time
from functools import partial

import pytest
import zmq
from client_shells import SHELLS, EchoBroker, face
from doubles import RawBroker, free_endpoint, outcome, program, worker_maker
from harness import PATIENCE, Peers, wait_until
from heartbeat_doubles import HeartbeatBroker, heartbeat_worker_maker
from name_doubles import Names, named, v4

from brigantine import NoReply
from brigantine.net import names

shells = pytest.mark.parametrize("shell", SHELLS)
#: A time that nothing here takes unless it waits for what it should not.
SOON = 1.0
SHORT = 0.5

# -- what is looked up ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "endpoint",
    [
        "tcp://127.0.0.1:1",
        "tcp://[::1]:1",
        "tcp://[fe80::1%lo]:1",
        "ipc:///x",
        "inproc://localhost",
    ],
)
def test_numbers_are_not_looked_up(endpoint: str) -> None:
    assert names.is_numeric(endpoint)


def test_an_address_to_connect_from_is_kept(resolver: Names) -> None:
    resolver.answers["broker.test"] = lambda: [
        (socket.AF_INET6, "::1"),
        (socket.AF_INET, "1.2.3.4"),
    ]
    done = threading.Event()
    lookup = names.look_up("tcp://eth0;broker.test:5555", done.set)
    assert done.wait(PATIENCE)
    assert lookup.endpoints == ("tcp://eth0;[::1]:5555", "tcp://eth0;1.2.3.4:5555")


def test_look_ups_that_never_end_are_bounded(
    resolver: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "SHARED_FOR", 0.0)
    resolver.answers["dead.test"] = resolver.never
    before = threading.active_count()
    asked = [names.look_up("tcp://dead.test:1", lambda: None) for _ in range(100)]
    assert threading.active_count() - before == names.QUICKLY
    for each in asked[:-1]:
        each.cancel()
    resolver.go.set()
    wait_until(lambda: asked[-1].endpoints == (), "the answer")
    assert asked[-1].error == "can't look up dead.test: Temporary failure in name resolution"
    assert asked[0].endpoints is None


def test_a_name_whose_look_ups_hang_is_asked_for_again_and_again_in_a_bounded_number_of_threads(
    resolver: Names, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock(monkeypatch)
    resolver.answers["dead.test"] = resolver.never
    before = lookups()
    pauses = hang(clock, resolver)
    assert pauses == [5, 10, 20, 60, 120, 240, 480, 960, 1920, 3840, 7680, 15360]
    for _ in range(100):
        clock.time = names.look_up("tcp://dead.test:1", lambda: None).stale_at
    assert lookups() - before == names.MOST_OF_A_NAME
    assert [each.partition(",")[0] for each in caplog.messages] == [
        "can't look up dead.test: 12 look-ups have no answer"
    ]


def test_when_one_of_many_that_hung_returns_the_name_is_asked_for_at_once(
    resolver: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    first = threading.Event()

    def hangs() -> list[tuple[int, str]]:
        (first if len(resolver.asked) == 1 else resolver.go).wait()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    resolver.answers["dead.test"] = hangs
    hang(clock, resolver)
    waiting = names.look_up("tcp://dead.test:1", lambda: None)
    first.set()
    wait_until(lambda: waiting.endpoints == (), "the news")
    resolver.answers["dead.test"] = v4("127.0.0.1")
    found = names.look_up("tcp://dead.test:1", lambda: None)
    wait_until(lambda: found.endpoints == ("tcp://127.0.0.1:1",), "the address")


def test_an_answer_that_comes_late_is_for_all_who_wait(
    resolver: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    go = threading.Event()

    def slow() -> list[tuple[int, str]]:
        (go if len(resolver.asked) == 1 else resolver.go).wait()
        return v4("127.0.0.1")()

    resolver.answers["broker.test"] = slow
    asked = []
    for number in (1, 2):
        asked.append(names.look_up("tcp://broker.test:1", lambda: None))
        wait_until(partial(has_asked, resolver, number), "the look-up")
        clock.time = asked[-1].stale_at
    go.set()
    for each in asked:
        wait_until(lambda: each.endpoints == ("tcp://127.0.0.1:1",), "the answer")  # noqa: B023


class Clock:
    """Stands in for the time of look-ups."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = time.monotonic()
        monkeypatch.setattr(names, "time", self)

    def monotonic(self) -> float:
        return self.time


def hang(clock: Clock, resolver: Names) -> list[float]:
    """Ask anew whenever that is better until no more look-ups are begun; the pauses between."""
    pauses = []
    for number in range(1, names.MOST_OF_A_NAME + 1):
        lookup = names.look_up("tcp://dead.test:1", lambda: None)
        wait_until(partial(has_asked, resolver, number), "a look-up")
        lookup.cancel()
        pauses.append(round(lookup.stale_at - clock.time, 3))
        clock.time = lookup.stale_at
    return pauses


def has_asked(resolver: Names, times: int) -> bool:
    return len(resolver.asked) == times


def lookups() -> int:
    return sum(each.name == "brigantine-lookup" for each in threading.enumerate())


def test_no_more_threads_is_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    lookup = names.look_up("tcp://broker.test:1", lambda: None)
    assert (lookup.endpoints, lookup.error) == (
        (),
        "can't look up broker.test: can't start new thread",
    )


# -- clients ----------------------------------------------------------------------------------------


@shells
def test_a_name_that_is_never_answered_slows_no_healthy_broker(
    peers: Peers, resolver: Names, shell: str
) -> None:
    resolver.answers["dead.test"] = resolver.never
    good = EchoBroker(peers, b"good")
    with face(shell, "plain", ("tcp://dead.test:1", good.endpoint), timeout=SHORT) as client:
        assert client.request(b"q") == [b"good", b"q"]
        took = []
        for _ in range(50):
            began = time.monotonic()
            assert client.request(b"q") == [b"good", b"q"]
            took.append(time.monotonic() - began)
        assert max(took) < SHORT  # none of them has tried the other
        assert client.stats()["tries"] == 52
        began = time.monotonic()
    assert time.monotonic() - began < SOON
    good.stop()


@shells
def test_no_reply_tells_of_a_name_that_has_no_answer(resolver: Names, shell: str) -> None:
    resolver.answers["dead.test"] = resolver.never
    with (
        face(shell, "plain", "tcp://dead.test:1", timeout=SHORT, retries=0) as client,
        pytest.raises(NoReply, match=r"can't look up dead\.test: no answer yet"),
    ):
        client.request(b"q")


@shells
def test_no_reply_tells_of_a_name_that_does_not_exist(resolver: Names, shell: str) -> None:
    resolver.answers["wrong.test"] = resolver.unknown
    with (
        face(shell, "plain", "tcp://wrong.test:1", timeout=SHORT, retries=0) as client,
        pytest.raises(NoReply, match=r"can't look up wrong\.test: Name or service not known"),
    ):
        client.request(b"q")


@shells
def test_no_reply_tells_that_nobody_accepts_connections(shell: str) -> None:
    with (
        face(shell, "plain", free_endpoint(), timeout=SHORT, retries=0) as client,
        pytest.raises(NoReply, match=r"\(1 try, waited .* s, nobody accepts connections there\)"),
    ):
        client.request(b"q")


@shells
def test_the_next_address_is_tried_when_one_refuses(
    peers: Peers, resolver: Names, shell: str
) -> None:
    echo = EchoBroker(peers, b"one")
    resolver.answers["broker.test"] = v4("127.0.0.3", "127.0.0.2", "127.0.0.1")
    with face(shell, "plain", named(echo.endpoint), retries=0) as client:
        assert client.request(b"q") == [b"one", b"q"]
        assert client.stats()["sockets_opened"] == 1
    echo.stop()


@shells
def test_a_name_that_moves_is_followed_within_one_try(
    peers: Peers, resolver: Names, shell: str
) -> None:
    echo = EchoBroker(peers, b"one")
    resolver.answers["broker.test"] = lambda: v4(
        "127.0.0.1" if len(resolver.asked) > 2 else "127.0.0.2"
    )()
    with face(shell, "plain", named(echo.endpoint), retries=0) as client:
        assert client.request(b"q") == [b"one", b"q"]
        assert client.stats()["tries"] == 1
    echo.stop()


@shells
def test_a_name_that_is_answered_late_is_connected_to(
    peers: Peers, resolver: Names, shell: str
) -> None:
    echo = EchoBroker(peers, b"one")
    go = threading.Event()

    def late() -> list[tuple[int, str]]:
        go.wait(PATIENCE)
        return v4("127.0.0.1")()

    resolver.answers["broker.test"] = late
    timer = threading.Timer(SHORT / 2, go.set)
    with face(shell, "plain", named(echo.endpoint), retries=0) as client:
        timer.start()
        assert client.request(b"q") == [b"one", b"q"]
    echo.stop()


@shells
def test_the_return_of_a_named_broker_is_noticed(
    peers: Peers, resolver: Names, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.setattr("brigantine.clients.failover.HALF_OPEN_AFTER", 0.05)
    monkeypatch.setattr("brigantine.clients.channel.PROBE_ASKS", 0.05)
    one, two = EchoBroker(peers, b"one"), EchoBroker(peers, b"two")
    resolver.answers["broker.test"] = v4("127.0.0.2")
    with face(shell, "plain", (named(one.endpoint), two.endpoint), timeout=SHORT) as client:
        assert client.request(b"q") == [b"two", b"q"]
        resolver.answers["broker.test"] = v4("127.0.0.1")
        wait_until(lambda: client.request(b"q") == [b"one", b"q"], "the move back")
    one.stop()
    two.stop()


def ipv6(peers: Peers) -> zmq.Socket[bytes]:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    router = peers.socket(zmq.ROUTER, ipv6=1)
    try:
        router.bind("tcp://[::1]:*")
    except zmq.ZMQError:
        pytest.skip("no IPv6")
    return router


@shells
def test_a_client_reaches_a_name_with_ipv6_only(peers: Peers, resolver: Names, shell: str) -> None:
    resolver.answers["six.test"] = lambda: [(socket.AF_INET6, "::1")]
    router = ipv6(peers)
    endpoint = named(router.getsockopt_string(zmq.LAST_ENDPOINT), "six.test")

    def serve() -> None:
        peer, *frames = router.recv_multipart()
        router.send_multipart([peer, *frames])

    thread = threading.Thread(target=serve)
    thread.start()
    with face(shell, "plain", endpoint, retries=0) as client:
        assert client.request(b"q") == b"q"
    thread.join(PATIENCE)


# -- workers ----------------------------------------------------------------------------------------


def test_lru_workers_find_ipv6_and_follow_a_name_that_moves(
    peers: Peers, resolver: Names, caplog: pytest.LogCaptureFixture
) -> None:
    raw = RawBroker(peers)
    resolver.answers["broker.test"] = resolver.unknown
    with worker_maker() as workers:
        workers(named(raw.endpoint), bytes.upper)
        said = "can't look up broker.test: Name or service not known; trying again"
        wait_until(lambda: said in caplog.messages, "the word in the log")
        resolver.answers["broker.test"] = v4("127.0.0.2", "127.0.0.1")
        assert raw.ask(raw.ready_worker(), b"q") == [b"Q"]
    assert caplog.messages.count(said) == 1
    router = ipv6(peers)
    resolver.answers["six.test"] = lambda: [(socket.AF_INET6, "::1")]
    with worker_maker() as workers:
        workers(named(router.getsockopt_string(zmq.LAST_ENDPOINT), "six.test"), bytes.upper)
        assert router.recv_multipart()[1:] == [b"", b"READY"]


@pytest.mark.parametrize("wire", ["ppp", "0.1", "0.2"])
def test_a_name_that_is_never_answered_keeps_no_worker_from_its_other_broker(
    peers: Peers, resolver: Names, wire: str
) -> None:
    resolver.answers["dead.test"] = resolver.never
    broker = HeartbeatBroker(peers, wire=wire)
    with heartbeat_worker_maker() as workers:
        worker = workers(wire, ["tcp://dead.test:1", broker.endpoint], bytes.upper)
        peer = broker.ready()
        broker.request(peer, b"q")
        assert broker.reply(peer) == [b"Q"]
        began = time.monotonic()
        worker.stop()
        assert time.monotonic() - began < SOON


@pytest.mark.parametrize("kind", ["lru", "ppp", *SHELLS])
def test_a_look_up_that_hangs_is_not_the_last_one(
    peers: Peers, resolver: Names, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(names, "SHARED_FOR", 0.3)
    resolver.answers["broker.test"] = resolver.never

    def mend() -> None:
        wait_until(lambda: resolver.asked, "the look-up")
        resolver.answers["broker.test"] = v4("127.0.0.1")

    mending = threading.Thread(target=mend)
    mending.start()
    if kind in SHELLS:
        echo = EchoBroker(peers, b"one")
        with face(kind, "plain", named(echo.endpoint), retries=0) as client:
            assert client.request(b"q") == [b"one", b"q"]
        echo.stop()
    elif kind == "lru":
        raw = RawBroker(peers)
        with worker_maker() as workers:
            workers(named(raw.endpoint), bytes.upper)
            assert raw.ask(raw.ready_worker(), b"q") == [b"Q"]
    else:
        broker = HeartbeatBroker(peers, wire=kind)
        with heartbeat_worker_maker() as workers:
            workers(kind, named(broker.endpoint), bytes.upper)
            assert broker.ready()
    mending.join(PATIENCE)


# -- the end ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        "brigantine.LRUWorker('tcp://dead.test:1', bytes.upper).start()",
        "brigantine.MajordomoWorker('tcp://dead.test:1', 's', bytes.upper).start()",
        "ask(brigantine.LazyPirateClient('tcp://dead.test:1', timeout=0.1, retries=0))",
        "asyncio.run(ask_aio(aio.LazyPirateClient('tcp://dead.test:1', timeout=0.1, retries=0)))",
    ],
)
def test_a_program_ends_at_once_whatever_is_being_looked_up(use: str) -> None:
    source = f"""
        import asyncio, socket, threading, time
        import brigantine
        from brigantine import aio
        asked = threading.Event()
        def never(*_, **__):
            asked.set()
            time.sleep(3600)
        socket.getaddrinfo = never
        def ask(client):
            try:
                client.request(b"q")
            except brigantine.NoReply as error:
                assert "can't look up dead.test: no answer yet" in str(error), error
        async def ask_aio(client):
            try:
                await client.request(b"q")
            except brigantine.NoReply as error:
                assert "can't look up dead.test: no answer yet" in str(error), error
            await client.close()
        {use}
        assert asked.wait(10)
    """
    with program(source) as process:
        code, _, errors = outcome(process)
    assert code == 0, errors
