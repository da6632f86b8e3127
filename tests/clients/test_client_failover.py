"""Clients with several brokers move on, and come back: both shells, within one process."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from client_shells import SERVICE, SHELLS, EchoBroker, Face, face, take
from doubles import RawBroker, free_endpoint, open_files, settled
from harness import PATIENCE, Peers, wait_until
from mdp_doubles import PARTIAL, mdp_broker, raw_worker, say
from relay import Relay

from brigantine import NoReply
from brigantine.aio import LazyPirateClient

#: Seconds for a try that meets silence: far more than an answer takes on a slow machine.
SHORT = 0.5

shells = pytest.mark.parametrize("shell", SHELLS)


@pytest.fixture
def quick_half_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that is back is given a request soon."""
    monkeypatch.setattr("brigantine.clients.failover.HALF_OPEN_AFTER", 0.05)


def answers(client: Face) -> bytes:
    """The name of the broker that answers the next request."""
    name: bytes
    name, _ = client.request(b"q")
    return name


@shells
@pytest.mark.usefixtures("quick_half_open")
def test_a_broker_that_dies_costs_one_timeout_and_its_return_none(peers: Peers, shell: str) -> None:
    one, two = EchoBroker(peers, b"one"), EchoBroker(peers, b"two")
    with face(shell, "plain", (one.endpoint, two.endpoint), timeout=SHORT) as client:
        assert answers(client) == b"one"
        one.stop()
        assert [answers(client) for _ in range(20)] == [b"two"] * 20
        assert client.stats()["tries"] == 22
        again = EchoBroker(peers, b"one", one.endpoint)
        before = client.stats()
        wait_until(lambda: answers(client) == b"one", "the first broker's return")
        assert [answers(client) for _ in range(20)] == [b"one"] * 20
        after = client.stats()
        assert after["tries"] - before["tries"] == after["replies"] - before["replies"]
        assert settled(after)
        again.stop()
    two.stop()


@shells
@pytest.mark.usefixtures("quick_half_open")
def test_a_broker_that_accepts_and_does_not_answer_is_asked_seldom(
    peers: Peers, shell: str
) -> None:
    frozen, two = RawBroker(peers), EchoBroker(peers, b"two")
    with face(shell, "plain", (frozen.endpoint, two.endpoint), timeout=0.2) as client:
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            assert answers(client) == b"two"
        stats = client.stats()
        # The first, then one request after 0.05, 0.1, 0.2, each with its timeout of 0.2.
        silences = stats["tries"] - stats["replies"]
        assert 2 <= silences <= 6
        assert stats["replies"] > 3 * silences
    two.stop()


@shells
def test_of_many_requests_at_once_each_loses_at_most_one_timeout(peers: Peers, shell: str) -> None:
    at_once, each = 12, 15
    dead, two = free_endpoint(), EchoBroker(peers, b"two")
    with (
        face(shell, "plain", (dead, two.endpoint), timeout=SHORT) as client,
        ThreadPoolExecutor(at_once) as threads,
    ):
        gate = threading.Barrier(at_once)

        def ask(_: int) -> list[bytes]:
            gate.wait(PATIENCE)
            return [answers(client) for _ in range(each)]

        for names in threads.map(ask, range(at_once)):
            assert names == [b"two"] * each
        stats = client.stats()
        # Those that were on the way to the dead one when the first of them had waited in vain.
        assert 1 <= stats["tries"] - stats["replies"] <= at_once
        assert stats["replies"] == at_once * each
    two.stop()


@shells
def test_a_slow_worker_does_not_turn_the_others_away_from_its_broker(
    peers: Peers, shell: str
) -> None:
    one, two = RawBroker(peers), EchoBroker(peers, b"two")
    with (
        face(shell, "plain", (one.endpoint, two.endpoint), timeout=PATIENCE) as client,
        ThreadPoolExecutor(2) as threads,
    ):
        slow = threads.submit(client.request, b"slow", timeout=SHORT)
        one.request_of(b"slow")
        quick = threads.submit(client.request, b"quick")
        one.send(one.request_of(b"quick"), b"", b"r")
        assert quick.result(PATIENCE) == b"r"
        assert slow.result(PATIENCE) == [b"two", b"slow"]
        quick = threads.submit(client.request, b"next")
        one.send(one.request_of(b"next"), b"", b"r")
        assert quick.result(PATIENCE) == b"r"
    two.stop()


@shells
def test_close_leaves_no_watch_over_a_silent_broker(peers: Peers, shell: str) -> None:
    dead, two = free_endpoint(), EchoBroker(peers, b"two")

    def use() -> Any:
        with face(shell, "plain", (dead, two.endpoint), timeout=0.05) as client:
            assert answers(client) == b"two"
            return client.stats()["sockets_opened"]

    assert use() == 2  # of the requests; the watch is not one of them
    before = open_files()
    for _ in range(3):
        use()
    wait_until(lambda: open_files() <= before, "the closing of all sockets")
    two.stop()


@shells
def test_a_connection_that_was_lost_while_idle_without_the_brokers_noticing_costs_no_try(
    peers: Peers, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    """Such as to a cable that was out: a socket that was idle for so long is not trusted."""
    monkeypatch.setattr("brigantine.clients.channel.IDLE_MAX", 0.1)
    echo = EchoBroker(peers, b"one")
    with (
        Relay(echo.endpoint) as relay,
        face(shell, "plain", relay.endpoint, timeout=SHORT) as client,
    ):
        assert answers(client) == b"one"
        relay.swallow()
        idle_since = time.monotonic()
        wait_until(lambda: time.monotonic() > idle_since + 0.1, "the time that it may be idle")
        assert answers(client) == b"one"
        assert client.stats()["tries"] == 2
    echo.stop()


@shells
def test_a_broker_that_dies_in_the_midst_of_a_stream_costs_the_next_request_nothing(
    peers: Peers, shell: str
) -> None:
    dying = RawBroker(peers)
    with (
        mdp_broker("core") as two,
        raw_worker(two, SERVICE),
        face(shell, "0.2", (dying.endpoint, two.frontend), timeout=SHORT) as client,
        ThreadPoolExecutor(1) as threads,
    ):
        parts: list[bytes] = []
        reading = threads.submit(client.parts, b"q", parts.append)
        say(dying, take(dying, "0.2", b"q"), PARTIAL, SERVICE, b"part")
        with pytest.raises(NoReply):
            reading.result(PATIENCE)
        assert parts == [b"part"]
        assert client.request(b"next") == b"next"
        assert client.stats()["tries"] == 2


@pytest.mark.usefixtures("quick_half_open")
def test_a_half_open_request_that_is_cancelled_keeps_nobody_from_the_broker(
    peers: Peers,
) -> None:
    one, two = RawBroker(peers), EchoBroker(peers, b"two")

    async def main() -> None:
        def receive(body: bytes) -> Any:
            return asyncio.get_running_loop().run_in_executor(None, one.request_of, body)

        async with LazyPirateClient([one.endpoint, two.endpoint], timeout=SHORT) as client:
            assert (await client.request(b"unanswered"))[0] == b"two"
            await receive(b"unanswered")

            async def on_trial() -> bool:
                """Whether a request went to the first one; it is cancelled then."""
                trial = asyncio.ensure_future(client.request(b"trial", timeout=3600.0))
                ended, _ = await asyncio.wait([trial], timeout=SHORT)
                trial.cancel()
                return not ended

            while not await on_trial():
                pass
            await receive(b"trial")
            asking = asyncio.ensure_future(client.request(b"next"))
            one.send(await receive(b"next"), b"", b"one")
            assert await asking == b"one"

    asyncio.run(asyncio.wait_for(main(), 3 * PATIENCE))
    two.stop()
