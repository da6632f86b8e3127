"""A client that spreads over services: fair, none for who is not there, and services that come and go."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from figures import measured
from harness import PATIENCE, wait_until

import brigantine
from brigantine import BalancingClient, LRUBroker, LRUWorker, NoReply, Router, aio
from brigantine.clients.pending import PendingRequest

TCP = "tcp://127.0.0.1:*"


class Service:
    """A REP server in a thread that answers with its name; ``hold`` keeps requests unanswered."""

    def __init__(self, name: str, endpoint: str = TCP, pause: float = 0.0) -> None:
        self.name, self.asked = name, 0
        self.hold = threading.Event()
        self._pause, self._ending = pause, threading.Event()
        self._router = Router(endpoint)
        self.endpoint = self._router.endpoint
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self._ending.is_set():
            envelope = self._router.receive(0.01)
            if envelope is None:
                continue
            self.asked += 1
            while self.hold.is_set() and not self._ending.wait(0.002):
                pass
            if self._ending.wait(self._pause):
                break
            with contextlib.suppress(brigantine.Unroutable):
                self._router.send(envelope.reply([self.name.encode(), *envelope.body]))
        self._router.close()

    def stop(self) -> None:
        self._ending.set()
        self._thread.join()


@pytest.fixture
def serve() -> Iterator[Callable[..., Service]]:
    running: list[Service] = []

    def start(*arguments: Any, **options: Any) -> Service:
        running.append(Service(*arguments, **options))
        return running[-1]

    yield start
    for each in running:
        each.stop()


class Driven:
    """A client of either kind, called as one for threads."""

    def __init__(self, kind: type[Any], services: Any, options: dict[str, Any]) -> None:
        self.client = kind(services, **options)
        self._loop = asyncio.new_event_loop()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.client, name)
        if not callable(value):
            return value

        def call(*arguments: Any, **options: Any) -> Any:
            answer = value(*arguments, **options)
            return self._loop.run_until_complete(answer) if inspect.isawaitable(answer) else answer

        return call

    def gather(self, count: int) -> list[Any]:
        """That many requests at once: what they brought, or raised."""
        if isinstance(self.client, BalancingClient):
            with ThreadPoolExecutor(count) as pool:
                asked = [pool.submit(self.client.request, b"x") for _ in range(count)]
                return [each.exception() or each.result() for each in asked]

        async def ask() -> list[Any]:
            requests = (self.client.request(b"x") for _ in range(count))
            return list(await asyncio.gather(*requests, return_exceptions=True))

        return self._loop.run_until_complete(ask())

    def end(self) -> None:
        self.close()
        self._loop.close()


Make = Callable[..., Any]


@pytest.fixture(params=[BalancingClient, aio.BalancingClient], ids=["threads", "asyncio"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    made: list[Driven] = []

    def start(services: Any, **options: Any) -> Driven:
        made.append(Driven(request.param, services, {"timeout": PATIENCE, **options}))
        return made[-1]

    yield start
    for each in made:
        each.end()


def names(client: Any, count: int) -> Counter[str]:
    return Counter(client.request(b"x")[0].decode() for _ in range(count))


def refused() -> str:
    """An endpoint where nobody accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"tcp://127.0.0.1:{server.getsockname()[1]}"


def test_requests_are_spread_evenly(make: Make, serve: Callable[..., Service]) -> None:
    services = [serve(each) for each in "abc"]
    client = make([each.endpoint for each in services])
    assert names(client, 30) == {"a": 10, "b": 10, "c": 10}


def test_the_one_with_the_fewest_requests_in_hand_is_next(
    make: Make, serve: Callable[..., Service]
) -> None:
    slow, quick = serve("slow"), serve("quick")
    slow.hold.set()
    client = make([slow.endpoint, quick.endpoint])
    held = threading.Timer(0.5, slow.hold.clear)
    held.start()
    answers = client.gather(2)
    assert Counter(each[0] for each in answers) == {b"slow": 1, b"quick": 1}
    held.join()


def test_a_service_that_is_not_there_gets_nothing_and_costs_nobody_a_timeout(
    make: Make, serve: Callable[..., Service]
) -> None:
    a, b = serve("a"), serve("b")
    client = make([refused(), a.endpoint, b.endpoint])
    began = time.monotonic()
    assert sum(names(client, 20).values()) == 20
    assert time.monotonic() - began < PATIENCE
    assert client.stats()["tries"] <= 22, "it was asked once or twice, and then no more"
    assert client.stats()["no_reply"] == 0


def test_a_service_that_returns_is_taken_back(make: Make, serve: Callable[..., Service]) -> None:
    a, b = serve("a"), serve("b")
    client = make([a.endpoint, b.endpoint], timeout=1.0)
    assert names(client, 4) == {"a": 2, "b": 2}
    b.stop()
    assert names(client, 10) == {"a": 10}
    again = serve("b again", b.endpoint)
    wait_until(lambda: names(client, 1)["b again"], "it is asked again")
    assert names(client, 10) == {"a": 5, "b again": 5}
    assert again.asked >= 6


def test_services_are_added_while_it_is_in_use(make: Make, serve: Callable[..., Service]) -> None:
    a, b = serve("a"), serve("b")
    client = make(a.endpoint)
    assert names(client, 3) == {"a": 3}
    client.add(b.endpoint)
    client.add(b.endpoint)
    assert client.services == (a.endpoint, b.endpoint)
    assert names(client, 10) == {"a": 5, "b": 5}, "what it has missed is not made up for"


def test_a_service_that_is_removed_is_asked_no_more(
    make: Make, serve: Callable[..., Service]
) -> None:
    a, b = serve("a"), serve("b")
    client = make([a.endpoint, b.endpoint])
    assert names(client, 4) == {"a": 2, "b": 2}
    client.remove(a.endpoint)
    assert client.services == (b.endpoint,)
    assert names(client, 10) == {"b": 10}
    client.add(a.endpoint)
    assert names(client, 10) == {"a": 5, "b": 5}


def test_what_a_removed_service_owes_is_answered(make: Make, serve: Callable[..., Service]) -> None:
    a, b = serve("a"), serve("b")
    a.hold.set()
    client = make([a.endpoint, b.endpoint])

    def change() -> None:
        wait_until(lambda: a.asked, "it is asked")
        remove_in(client, a.endpoint)
        a.hold.clear()

    changing = threading.Thread(target=change)
    changing.start()
    answers = client.gather(2)
    changing.join()
    assert Counter(each[0] for each in answers) == {b"a": 1, b"b": 1}
    assert names(client, 4) == {"b": 4}


def remove_in(client: Any, endpoint: str) -> None:
    """From another thread: on the loop of a client for asyncio."""
    if isinstance(client.client, BalancingClient):
        client.client.remove(endpoint)
    else:
        done = threading.Event()
        client._loop.call_soon_threadsafe(lambda: (client.client.remove(endpoint), done.set()))
        done.wait(PATIENCE)


def test_what_a_removed_service_owes_and_never_answers_goes_to_another(
    make: Make, serve: Callable[..., Service]
) -> None:
    a, b = serve("a"), serve("b")
    a.hold.set()
    client = make([a.endpoint, b.endpoint], timeout=0.5)

    def change() -> None:
        wait_until(lambda: a.asked, "it is asked")
        remove_in(client, a.endpoint)

    changing = threading.Thread(target=change)
    changing.start()
    answers = client.gather(2)
    changing.join()
    assert [each[0] for each in answers] == [b"b", b"b"]


def test_what_fails_while_a_try_is_looked_back_at_leaves_nothing_in_hand(
    make: Make, serve: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make([serve("a").endpoint, serve("b").endpoint])

    def fails(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(PendingRequest, "saw", fails)
    [answer] = client.gather(1)
    assert isinstance(answer, MemoryError)
    pools = client.client._pools  # by process, or the one of this event loop
    pool = pools[os.getpid()] if isinstance(pools, dict) else pools[0]
    assert pool._failover._in_hand == [0, 0]
    assert client.stats()["idle"] == 1


def test_with_nobody_left_it_says_so(make: Make, serve: Callable[..., Service]) -> None:
    a = serve("a")
    client = make(a.endpoint)
    client.remove(a.endpoint)
    with pytest.raises(NoReply, match=r"all were removed; add\(\) one"):
        client.request(b"x")
    client.add(a.endpoint)
    assert client.request(b"x") == [b"a", b"x"]


def test_with_nobody_there_it_names_every_service(make: Make) -> None:
    dead = [refused(), refused()]
    client = make(dead, timeout=0.4)
    with pytest.raises(NoReply) as raised:
        client.request(b"x")
    assert all(each in str(raised.value) for each in dead)
    assert {each.seen for each in raised.value.tries} == {"refused"}


def test_brokers_are_services_too(make: Make, impl: str) -> None:
    with (
        LRUBroker(TCP, TCP, impl=impl) as one,
        LRUBroker(TCP, TCP, impl=impl) as other,
        LRUWorker(one.backend, lambda _: b"one"),
        LRUWorker(other.backend, lambda _: b"other"),
    ):
        client = make([one.frontend, other.frontend])
        assert Counter(client.request(b"x") for _ in range(10)) == {b"one": 5, b"other": 5}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda client: client.add("tcp://*:5555"), "can be bound but not connected to"),
        (lambda client: client.add("udp://127.0.0.1:1"), "udp://127.0.0.1:1"),
        (lambda client: client.add(b"tcp://127.0.0.1:1"), "tcp://127.0.0.1:1"),
        (lambda client: client.add("inproc://x"), "pass context="),
        (lambda client: client.remove("tcp://127.0.0.1:1"), "none of this client's services"),
        (lambda client: client.request("text"), "encode it first"),
    ],
)
def test_what_cannot_be_meant_is_named(
    make: Make, serve: Callable[..., Service], call: Callable[[Any], Any], words: str
) -> None:
    with pytest.raises(brigantine.ConfigError) as raised:
        call(make(serve("a").endpoint))
    assert words in str(raised.value)


def test_one_refused_one_hole_one_slow_one_removed_one_under_a_new_address(
    make: Make, serve: Callable[..., Service]
) -> None:
    """All kinds of trouble at once: nothing is lost, and the others' times are as before."""
    well = [serve("a"), serve("b")]
    client = make([each.endpoint for each in well], timeout=2.0)

    def p99(count: int) -> float:
        times = []
        for _ in range(count):
            began = time.monotonic()
            client.request(b"x")
            times.append(time.monotonic() - began)
        return sorted(times)[int(count * 0.99)]

    p99(20)
    before = p99(200)
    hole = socket.create_server(("127.0.0.1", 0))
    slow, leaving = serve("slow", pause=0.05), serve("leaving")
    try:
        black_hole = f"tcp://127.0.0.1:{hole.getsockname()[1]}"
        for each in (refused(), black_hole, slow.endpoint, leaving.endpoint):
            client.add(each)
        lost = sum(isinstance(each, BaseException) for each in client.gather(12))
        client.remove(leaving.endpoint)
        leaving.stop()
        moved = serve("moved")
        client.add(moved.endpoint)
        client.remove(slow.endpoint)
        # What was in trouble is known by now, and asked no more.
        after = p99(200)
    finally:
        hole.close()
    measured.append(
        ("65", "any", "requests over services in trouble",
         {"lost": lost, "p99_before_ms": round(before * 1000, 1), "p99_ms": round(after * 1000, 1)})
    )  # fmt: skip
    assert lost == 0
    assert moved.asked >= 50
    assert client.stats()["no_reply"] == 0
    assert after < 1.0, "no request waits for who is not there"
