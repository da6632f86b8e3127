"""Peers of the guide's shape at our brokers, and its brokers with our workers and clients.

Everything has its default times: the guide's on its side, ours on ours.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import guide_peers as guide
import pytest
from aio_doubles import run
from harness import PATIENCE, wait_until

import brigantine
from brigantine import (
    AnyBroker,
    LazyPirateClient,
    LRUBroker,
    LRUWorker,
    MajordomoBroker,
    MajordomoClient,
    MajordomoWorker,
    ParanoidPirateBroker,
    ParanoidPirateWorker,
    aio,
    ledger_holds,
)

ANY = "tcp://127.0.0.1:*"
SERVICE = b"upper"
REQUESTS = 50
#: Seconds at rest: longer than three of Majordomo's intervals; and ten minutes.
REST, LONG_REST = 10.0, 600.0

IDENTITIES = pytest.mark.parametrize("identity", [None, b"W-0001"], ids=["anonymous", "named"])
KINDS = pytest.mark.parametrize("kind", ["lru", "ppp", "mdp", "any"])


def upper(body: Any) -> Any:
    return body.upper() if isinstance(body, bytes) else [frame.upper() for frame in body]


def our_broker(kind: str, impl: str) -> Any:
    if kind == "mdp":
        return MajordomoBroker(ANY, impl=impl)
    return {"lru": LRUBroker, "ppp": ParanoidPirateBroker, "any": AnyBroker}[kind](
        ANY, ANY, impl=impl
    )


def their_workers(kind: str, endpoint: str, identity: bytes | None) -> list[guide.Worker]:
    makes: dict[str, Callable[[], guide.Worker]] = {
        "lru": lambda: guide.LoadBalancedWorker(endpoint, identity),
        "ppp": lambda: guide.ParanoidPirateWorker(endpoint, identity),
        "mdp": lambda: guide.MajordomoWorker(endpoint, SERVICE, identity=identity),
    }
    if kind != "any":
        return [makes[kind]()]
    made = [make() for make in makes.values()]
    for number, each in enumerate(made):  # at one broker each needs a name of its own
        each.identity = identity and identity + b"%d" % number
    return made


@pytest.fixture
def broker(impl: str) -> Iterator[Callable[[str], Any]]:
    """``broker(kind)`` starts one with all its defaults; the ledger is checked at the end."""
    with ExitStack() as stack:
        made: list[Any] = []

        def start(kind: str) -> Any:
            made.append(stack.enter_context(our_broker(kind, impl)))
            return made[-1]

        yield start
        for each in made:
            assert ledger_holds(each.stats()), each.stats()


# -- their workers and clients at our brokers -----------------------------------------------------


@KINDS
@IDENTITIES
def test_their_workers_and_clients_work_at_our_brokers(
    broker: Callable[[str], Any], kind: str, identity: bytes | None
) -> None:
    ours = broker(kind)
    workers = their_workers(kind, ours.backend, identity)
    with guide.all_of(*workers):
        wait_until(lambda: ours.stats()["workers"] == len(workers))
        if kind != "mdp":
            with guide.LazyPirateClient(ours.frontend, identity and b"C-0001") as client:
                for number in range(REQUESTS):
                    assert client.request(b"ahoy %d" % number) == [b"AHOY %d" % number]
                assert client.tries == REQUESTS
        if kind in ("mdp", "any"):
            name = identity and b"C-0002"
            with guide.MajordomoClient(ours.frontend, SERVICE, name) as named:
                for number in range(REQUESTS):
                    assert named.request(b"ahoy %d" % number) == [b"AHOY %d" % number]
                assert named.tries == REQUESTS
            bodies = [b"%d" % number for number in range(REQUESTS)]
            # Under another name: whoever had the first may not have gone yet.
            other = identity and b"C-0003"
            assert sorted(guide.ask_all(ours.frontend, SERVICE, bodies, other)) == sorted(bodies)
            with guide.MajordomoClient(ours.frontend, b"mmi.service") as asks:
                assert asks.request(SERVICE) == [b"200"]
                assert asks.request(b"none") == [b"404"]
    stats = ours.stats()
    assert stats["replied"] == stats["accepted"], stats
    assert [each.count["ready"] for each in workers] == [1] * len(workers)


@KINDS
def test_their_workers_serve_our_clients(broker: Callable[[str], Any], kind: str) -> None:
    ours = broker(kind)
    with guide.all_of(*their_workers(kind, ours.backend, None)) as workers:
        wait_until(lambda: ours.stats()["workers"] == len(workers))
        if kind == "mdp":
            for version in ("0.1", "0.2"):
                with MajordomoClient(ours.frontend, version=version) as client:
                    assert client.request(SERVICE, b"ahoy") == b"AHOY"
                    assert list(client.stream(SERVICE, b"ahoy")) == [b"AHOY"]
        else:
            with LazyPirateClient(ours.frontend) as client:
                assert client.request(b"ahoy") == b"AHOY"
                if kind == "lru":  # ppworker takes a body of one frame only
                    assert client.request([b"ahoy", b"", b"you"]) == [b"AHOY", b"", b"YOU"]


@KINDS
def test_a_named_worker_of_theirs_that_starts_again_is_served_at_once(
    broker: Callable[[str], Any], kind: str
) -> None:
    """It comes back under the same name on another connection."""
    ours = broker(kind)
    count = 3 if kind == "any" else 1
    for life in (1, 2, 3):
        workers = their_workers(kind, ours.backend, b"W-0001")
        with guide.all_of(*workers):
            wait_until(lambda: ours.stats()["workers"] == count, timeout=2 * PATIENCE)
            if kind == "mdp":
                with guide.MajordomoClient(ours.frontend, SERVICE) as client:
                    assert client.request(b"%d" % life) == [b"%d" % life]
            else:
                with guide.LazyPirateClient(ours.frontend) as plain:
                    assert plain.request(b"%d" % life) == [b"%d" % life]
        wait_until(lambda: ours.stats()["workers"] == 0)
    assert ours.stats()["replied"] == 3


# -- our workers and clients at their brokers -----------------------------------------------------


def test_our_peers_work_at_their_load_balancer() -> None:
    with guide.SimplePirateQueue() as theirs:
        with LRUWorker(theirs.backend, upper), LazyPirateClient(theirs.frontend) as client:
            for number in range(REQUESTS):
                assert client.request(b"ahoy %d" % number) == b"AHOY %d" % number
        assert theirs.count["ready"] == 1


def test_our_peers_work_at_their_paranoid_pirate_queue() -> None:
    with guide.ParanoidPirateQueue() as theirs:
        with (
            ParanoidPirateWorker(theirs.backend, upper),
            LazyPirateClient(theirs.frontend) as client,
        ):
            for number in range(REQUESTS):
                assert client.request(b"ahoy %d" % number) == b"AHOY %d" % number
        assert theirs.count == {"served": REQUESTS, "ready": 1, "expired": 0}


def test_our_peers_work_at_their_majordomo_broker() -> None:
    with guide.MajordomoBroker() as theirs:
        with (
            MajordomoWorker(theirs.backend, SERVICE, upper, version="0.1"),
            MajordomoClient(theirs.frontend, version="0.1") as client,
        ):
            assert client.request("mmi.service", SERVICE) == b"200"
            for number in range(REQUESTS):
                assert client.request(SERVICE, b"ahoy %d" % number) == b"AHOY %d" % number
        assert theirs.count == {"served": REQUESTS, "ready": 1, "expired": 0}
        # Our worker said DISCONNECT when it left.
        wait_until(lambda: not theirs.services)


def test_our_peers_of_asyncio_work_at_their_brokers() -> None:
    async def shout(body: bytes) -> bytes:
        await asyncio.sleep(0)
        return body.upper()

    async def main() -> None:
        with guide.MajordomoBroker() as mdp, guide.ParanoidPirateQueue() as ppp:
            async with (
                aio.MajordomoWorker(mdp.backend, SERVICE, shout, version="0.1"),
                aio.ParanoidPirateWorker(ppp.backend, shout),
                aio.MajordomoClient(mdp.frontend, version="0.1") as named,
                aio.LazyPirateClient(ppp.frontend) as plain,
            ):
                for number in range(REQUESTS):
                    assert await named.request(SERVICE, b"a%d" % number) == b"A%d" % number
                    assert await plain.request(b"b%d" % number) == b"B%d" % number
            assert mdp.count["ready"] == ppp.count["ready"] == 1

    run(main())


# -- at rest --------------------------------------------------------------------------------------


def rest(seconds: float) -> None:
    """All kinds of peers beside each other, silent: nobody may lose anybody."""
    with ExitStack() as stack:
        ours: list[Any] = []
        workers: list[guide.Worker] = []
        for impl in ("core", "pure"):
            for kind in ("lru", "ppp", "mdp", "any"):
                ours.append(stack.enter_context(our_broker(kind, impl)))
                here = their_workers(kind, ours[-1].backend, None)
                workers += [stack.enter_context(each) for each in here]
                if kind == "ppp":
                    stack.enter_context(ParanoidPirateWorker(ours[-1].backend, upper))
                if kind == "mdp":
                    stack.enter_context(MajordomoWorker(ours[-1].backend, "mine", upper))
        pirate = stack.enter_context(guide.ParanoidPirateQueue())
        major = stack.enter_context(guide.MajordomoBroker())
        simple = stack.enter_context(guide.SimplePirateQueue())
        stack.enter_context(ParanoidPirateWorker(pirate.backend, upper))
        stack.enter_context(MajordomoWorker(major.backend, SERVICE, upper, version="0.1"))
        stack.enter_context(LRUWorker(simple.backend, upper))
        wait_until(lambda: all(each.stats()["workers"] for each in ours), timeout=2 * PATIENCE)
        wait_until(lambda: all(each.count["ready"] for each in workers), timeout=2 * PATIENCE)
        wait_until(lambda: all(each.count["ready"] for each in (pirate, major, simple)))
        time.sleep(seconds)  # the rest itself
        assert [each.count["ready"] for each in workers] == [1] * len(workers)
        for each in ours:
            stats = each.stats()
            assert stats["workers_lost"] == stats["workers_expired"] == 0, (each, stats)
        for theirs in (pirate, major, simple):
            assert (theirs.count["ready"], theirs.count["expired"]) == (1, 0), theirs
        # And each still serves.
        with LazyPirateClient(pirate.frontend) as client:
            assert client.request(b"ahoy") == b"AHOY"
        with MajordomoClient(major.frontend, version="0.1") as named:
            assert named.request(SERVICE, b"ahoy") == b"AHOY"
        for each in ours:
            if isinstance(each, brigantine.MajordomoBroker):
                with MajordomoClient(each.frontend) as named:
                    assert named.request(SERVICE, b"ahoy") == b"AHOY"


def test_at_rest_nobody_is_taken_for_dead() -> None:
    rest(REST)


@pytest.mark.long
@pytest.mark.timeout(LONG_REST + 60)
def test_in_ten_minutes_of_rest_nobody_is_taken_for_dead() -> None:
    rest(LONG_REST)
