"""How a MajordomoClient moves on, how it and its streams end, and how mistakes are told."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import pytest
from doubles import RawBroker, free_endpoint, open_files, outcome, program, settled
from harness import PATIENCE, Peers, wait_until
from mdp_doubles import (
    PARTIAL,
    asked,
    mdp_broker,
    raw_worker,
    say,
)

from brigantine import ConfigError, MajordomoBroker, NoReply
from brigantine.clients.majordomo import MajordomoClient
from brigantine.errors import ClientClosed

#: Seconds for a try that is to fail, where its message must have arrived all the same.
SHORT = 0.5
#: Seconds for a try whose message need not arrive.
SHORTEST = 0.02
#: A timeout that no test lives to see.
ENDLESS = 3600.0


# -- ends -----------------------------------------------------------------------------------------


def test_close_ends_requests_and_streams_whoever_reads_them(
    raw: RawBroker, mdp_clients: Any, threads: Any
) -> None:
    before = open_files()
    client = mdp_clients(raw.endpoint, timeout=ENDLESS)
    waiting = [threads.submit(client.request, b"svc", b"q") for _ in range(3)]
    for _ in waiting:
        asked(raw, b"svc", b"q")
    parts = client.stream(b"svc", b"s")
    first = threads.submit(next, parts)
    say(raw, asked(raw, b"svc", b"s"), PARTIAL, b"svc", b"1")
    assert first.result() == b"1"
    started = time.monotonic()
    client.close()
    assert time.monotonic() - started < 4.0  # nobody is waited for who reads a stream slowly
    for future in waiting:
        with pytest.raises(ClientClosed):
            future.result(PATIENCE)
    with pytest.raises(ClientClosed):
        next(parts)
    with pytest.raises(ClientClosed):
        client.request(b"svc", b"q")
    assert client.stats()["interrupted"] == 4
    assert settled(client.stats())
    wait_until(lambda: open_files() <= before, "the closing of all sockets")


def test_a_stream_that_is_left_gives_its_socket_back(
    raw: RawBroker, mdp_clients: Any, threads: Any
) -> None:
    client = mdp_clients(raw.endpoint)
    baseline = 0
    for turn in range(20):
        parts = client.stream(b"svc", b"q")
        first = threads.submit(next, parts)
        peer = asked(raw, b"svc", b"q")
        say(raw, peer, PARTIAL, b"svc", b"1")
        assert first.result() == b"1"
        if turn % 2:
            parts.close()
        del parts, first  # the last reference: the same
        wait_until(lambda n=turn: client.stats()["interrupted"] == n + 1, "the stream's end")
        if turn == 4:
            baseline = open_files()
    wait_until(lambda: open_files() <= baseline, "the closing of all sockets")
    assert client.stats()["idle"] == 0


def test_a_stream_that_was_never_read_asks_nothing(raw: RawBroker, mdp_clients: Any) -> None:
    client = mdp_clients(raw.endpoint)
    client.stream(b"svc", b"q").close()
    assert client.stats()["requests"] == 0
    assert not raw.socket.poll(0)


def test_files_stay_even_over_many_tries(mdp_clients: Any) -> None:
    client = mdp_clients(free_endpoint(), timeout=SHORTEST, retries=1, backoff=0.0)
    with pytest.raises(NoReply):
        client.request(b"svc", b"q")
    before = open_files()
    for _ in range(10):
        with pytest.raises(NoReply):
            client.request(b"svc", b"q")
    wait_until(lambda: open_files() <= before, "the closing of all sockets")


def test_a_forked_child_asks_with_sockets_of_its_own(running: MajordomoBroker, impl: str) -> None:
    source = """
        import os, sys, warnings
        from brigantine.clients.majordomo import MajordomoClient
        from brigantine.errors import ClientClosed

        warnings.simplefilter("ignore")  # Python 3.12 warns of forks beside threads
        client = MajordomoClient(sys.argv[1], timeout=10)
        parts = client.stream("svc", b"s")
        assert next(parts) == b"part"
        assert client.request("svc", b"parent") == [b"part", b"parent"]
        child = os.fork()
        if not child:
            try:
                next(parts)
            except ClientClosed:
                code = 0 if client.request("svc", b"child") == [b"part", b"child"] else 1
                client.close()
                os._exit(code)
            os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
        assert list(parts) == [b"s"]
        assert client.request("svc", b"parent") == [b"part", b"parent"]
        client.close()
    """
    worker = raw_worker(running, b"svc", lambda body: [[b"part"], body])
    with worker, program(source, [running.frontend], impl) as process:
        assert outcome(process) == (0, "", "")


# -- several brokers ------------------------------------------------------------------------------


def test_the_next_broker_is_asked_when_one_is_silent_and_kept(
    running: MajordomoBroker, mdp_clients: Any, raw: RawBroker
) -> None:
    client = mdp_clients((raw.endpoint, running.frontend), timeout=SHORT)
    with raw_worker(running, b"svc"):
        assert client.request(b"svc", b"1", timeout=SHORT) == b"1"
        assert list(client.stream(b"svc", b"2", timeout=PATIENCE)) == [b"2"]
    asked(raw, b"svc", b"1")
    assert not raw.socket.poll(0)
    assert client.stats()["tries"] == 3


def test_a_broker_that_goes_costs_no_request(impl: str, mdp_clients: Any) -> None:
    with mdp_broker(impl) as first, mdp_broker(impl) as second:
        client = mdp_clients((first.frontend, second.frontend), timeout=SHORT)
        with raw_worker(second, b"svc"):
            with raw_worker(first, b"svc"):
                assert client.request(b"svc", b"1") == b"1"
            first.stop()
            assert [client.request(b"svc", b"%d" % n) for n in range(3)] == [b"0", b"1", b"2"]
    stats = client.stats()
    assert (stats["replies"], stats["tries"]) == (4, 5)


# -- mistakes -------------------------------------------------------------------------------------


def test_mistakes_are_named_before_anything_is_sent(raw: RawBroker, mdp_clients: Any) -> None:
    client = mdp_clients(raw.endpoint)
    for ask in (client.request, client.stream):
        with pytest.raises(TypeError, match="service must be bytes or str, not int"):
            ask(7, b"q")
        with pytest.raises(TypeError, match="body must be bytes"):
            ask("svc", "text")
        with pytest.raises(ValueError, match="at least one frame"):
            ask("svc", [])
        with pytest.raises(ConfigError, match="timeout"):
            ask("svc", b"q", timeout=0)
        with pytest.raises(ConfigError, match="retries"):
            ask("svc", b"q", retries=-1)
    with pytest.raises(ConfigError, match="version"):
        MajordomoClient(raw.endpoint, version="0.3")
    assert not raw.socket.poll(0)
    assert client.stats()["requests"] == 0


def test_inproc_brokers_are_reached_through_their_context(impl: str, peers: Peers) -> None:
    endpoint = f"inproc://majordomo-{os.getpid()}"
    with (
        MajordomoBroker(endpoint, impl=impl, context=peers.context),
        MajordomoClient(endpoint, context=peers.context) as client,
    ):
        assert client.request("mmi.service", b"svc") == b"404"
        done = threading.Event()
        thread = threading.Thread(
            target=lambda: client.request("mmi.service", b"x") == b"404" and done.set()
        )
        thread.start()
        thread.join(PATIENCE)
        assert done.is_set()
