"""The defaults of clients, brokers and workers fit each other."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from client_shells import SERVICE, SHELLS, face
from harness import PATIENCE, wait_until
from mdp_doubles import mdp_broker

from brigantine import (
    LazyPirateClient,
    LRUBroker,
    MajordomoBroker,
    MajordomoClient,
    MajordomoWorker,
    ParanoidPirateBroker,
    aio,
)

CLIENTS = (LazyPirateClient, MajordomoClient, aio.LazyPirateClient, aio.MajordomoClient)
shells = pytest.mark.parametrize("shell", SHELLS)


def default(kind: Any, option: str) -> Any:
    return getattr(kind.options(), option)


@pytest.mark.parametrize("kind", CLIENTS)
def test_one_try_outlasts_the_loss_of_a_worker_and_all_tries_end_before_the_broker_gives_up(
    kind: Any,
) -> None:
    timeout = default(kind, "timeout")
    mdp, ppp = MajordomoBroker.options(), ParanoidPirateBroker.options()
    for config in (mdp, ppp):
        assert timeout > config.heartbeat_interval * config.liveness
    for config in (mdp, ppp, LRUBroker.options()):
        assert 2 * timeout + default(kind, "backoff") < config.request_ttl


@shells
def test_a_handler_of_three_seconds_is_run_once(impl: str, shell: str) -> None:
    calls: list[bytes] = []

    def slow(body: bytes) -> bytes:
        calls.append(body)
        time.sleep(3)
        return body

    with mdp_broker(impl) as broker, MajordomoWorker(broker.backend, SERVICE, slow):
        wait_until(lambda: broker.services(), "the worker")
        with face(shell, "0.2", broker.frontend) as client:
            assert client.request(b"q") == b"q"
    assert calls == [b"q"]


def test_eighty_requests_at_once_for_one_worker_are_each_done_once(impl: str) -> None:
    calls: list[bytes] = []
    asked = [str(number).encode() for number in range(80)]

    def handler(body: bytes) -> bytes:
        calls.append(body)
        time.sleep(0.05)
        return body

    with mdp_broker(impl) as broker, MajordomoWorker(broker.backend, SERVICE, handler):
        wait_until(lambda: broker.services(), "the worker")
        with MajordomoClient(broker.frontend) as client, ThreadPoolExecutor(80) as pool:
            replies = list(pool.map(lambda body: client.request(SERVICE, body), asked))
    assert replies == asked
    assert sorted(calls) == sorted(asked)


@pytest.mark.parametrize(("brokers", "tries"), [(1, 2), (2, 2), (3, 3), (5, 5)])
def test_by_default_each_broker_is_asked_and_a_single_one_twice(brokers: int, tries: int) -> None:
    with socket.socket() as probe:  # bound, and nobody listens
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        endpoints = [f"tcp://127.0.{number}.1:{port}" for number in range(brokers)]
        with LazyPirateClient(endpoints, timeout=0.02, backoff=0.0) as client:
            with pytest.raises(TimeoutError) as raised:
                client.request(b"q")
            assert client.stats()["tries"] == tries
    error: Any = raised.value
    assert [each.endpoint for each in error.tries] == (endpoints * 2)[:tries]


@contextmanager
def unreachable(how: str) -> Iterator[str]:
    """A broker that is dead, or one whose process is stopped."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if how == "stopped":
            server.listen()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.pairwise
@shells
@pytest.mark.parametrize("how", ["dead", "stopped"])
def test_a_broker_out_of_reach_is_not_waited_for_where_there_is_another(
    impl: str, shell: str, how: str
) -> None:
    with (
        unreachable(how) as first,
        mdp_broker(impl) as broker,
        MajordomoWorker(broker.backend, SERVICE, bytes.upper),
        face(shell, "0.2", (first, broker.frontend), timeout=300) as client,
    ):
        wait_until(lambda: broker.services(), "the worker")
        began = time.monotonic()
        assert client.request(b"q") == b"Q"
        assert time.monotonic() - began < PATIENCE
        assert client.stats()["tries"] == 2
        assert client.request(b"r") == b"R"
        assert client.stats()["tries"] == 3


@shells
def test_a_slow_handler_is_no_reason_to_leave_its_broker(impl: str, shell: str) -> None:
    gate = threading.Event()

    def slow(body: bytes) -> bytes:
        assert gate.wait(PATIENCE)
        return body

    with (
        unreachable("dead") as second,
        mdp_broker(impl) as broker,
        MajordomoWorker(broker.backend, SERVICE, slow),
        ThreadPoolExecutor(1) as threads,
        face(shell, "0.2", (broker.frontend, second), timeout=300) as client,
    ):
        wait_until(lambda: broker.services(), "the worker")
        future = threads.submit(client.request, b"q")
        pools = client.client._pools
        wait_until(lambda: pools, "the request")
        pool = pools[0] if isinstance(pools, list) else next(iter(pools.values()))
        wait_until(lambda: pool._witnesses._made, "a look at the broker")
        gate.set()
        assert future.result(PATIENCE) == b"q"
        assert client.stats()["tries"] == 1


def test_the_clients_of_both_shells_have_the_same_defaults() -> None:
    for threads, tasks in zip(CLIENTS[:2], CLIENTS[2:], strict=True):
        assert threads.options() == tasks.options()
        assert threads.option_names() == tasks.option_names()
    assert asyncio.iscoroutinefunction(aio.LazyPirateClient.request)


def test_the_page_on_the_clocks_has_the_figures_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "timeouts.md").read_text(encoding="utf-8")
    timeout, mdp = default(MajordomoClient, "timeout"), MajordomoBroker.options()
    for words in (
        f"A client's one try ({timeout:g} s)",
        f"({mdp.heartbeat_interval:g} s x {mdp.liveness})",
        f"All tries of a client ({2 * timeout:g} s)",
        f"`request_ttl` ({mdp.request_ttl:g} s)",
    ):
        assert words in page
