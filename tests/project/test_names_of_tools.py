"""Names that the load generator and the control client are given: looked up beside libzmq."""

from __future__ import annotations

import socket
import string
import sys
import threading
import time

import pytest
import zmq
from harness import PATIENCE, Peers, wait_until
from name_doubles import Names, named, v4

from brigantine import LRUBroker, MajordomoBroker, NoReply
from brigantine.control.client import ControlClient
from brigantine.errors import ConnectError
from brigantine.load import Generator, Plan
from brigantine.load.connections import Connections
from brigantine.net.reach import reach
from brigantine.wire.req import ANNOUNCEMENT

ANY = "tcp://127.0.0.1:*"
#: A time that nothing here takes unless it waits for what it should not.
SOON = 1.0
SHORT = 0.2
PRINTABLE = set((string.hexdigits.lower() + "-").encode())


# -- the load generator -----------------------------------------------------------------------------


def test_a_load_finds_the_address_of_a_name_that_accepts_connections(
    impl: str, resolver: Names
) -> None:
    resolver.answers["broker.test"] = v4("127.0.0.2", "127.0.0.1")
    with MajordomoBroker(ANY, ANY, impl=impl) as broker:
        plan = Plan(
            pattern="mdp", frontend=named(broker.frontend), backend=named(broker.backend),
            clients=3, workers=2, requests=50,
        )  # fmt: skip
        with Generator(plan) as load:
            assert load.run().good


def test_a_load_reaches_a_name_with_ipv6_only(impl: str, resolver: Names) -> None:
    resolver.answers["six.test"] = lambda: [(socket.AF_INET6, "::1")]
    with LRUBroker("tcp://[::1]:*", "tcp://[::1]:*", impl=impl) as broker:
        plan = Plan(
            pattern="lru", frontend=named(broker.frontend, "six.test"),
            backend=named(broker.backend, "six.test"), requests=50, workers=1,
        )  # fmt: skip
        with Generator(plan) as load:
            assert load.run().good


def test_a_load_says_what_is_wrong_with_a_name(resolver: Names) -> None:
    resolver.answers["wrong.test"] = resolver.unknown
    plan = Plan(pattern="lru", frontend="tcp://wrong.test:1", workers=0)
    with pytest.raises(ConnectError, match=r"can't look up wrong\.test: Name or service not known"):
        Generator(plan)
    resolver.answers["dead.test"] = resolver.never
    plan = Plan(pattern="lru", frontend="tcp://dead.test:1", workers=0, connect_timeout=SHORT)
    began = time.monotonic()
    with pytest.raises(ConnectError, match=r"can't look up dead\.test: no answer within 0\.2 s"):
        Generator(plan)
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize("announce", [False, True])
def test_the_routing_ids_of_a_load_can_be_printed_and_are_used_once(
    peers: Peers, announce: bool
) -> None:
    """What is not printable ends the guide's broker in C++."""
    router = peers.socket(zmq.ROUTER)
    router.bind(ANY)
    endpoint = router.getsockopt_string(zmq.LAST_ENDPOINT)
    with zmq.Context() as context:
        seen = set()
        for _ in range(2):
            made = Connections(context, endpoint, 20, announce=announce)
            try:
                made.wait(PATIENCE, "peers")
                for number in range(20):
                    peer = b"#" + number.to_bytes(4, sys.byteorder)
                    made.socket.send_multipart([peer, b"hello"])
                seen |= {router.recv_multipart()[0] for _ in range(20)}
            finally:
                made.close()
    assert len(seen) == 40
    assert all(each.startswith(ANNOUNCEMENT) == announce for each in seen)
    assert all(set(each.removeprefix(ANNOUNCEMENT)) <= PRINTABLE for each in seen)


# -- the control client -----------------------------------------------------------------------------


def test_the_control_client_finds_the_address_that_accepts_connections(
    impl: str, resolver: Names
) -> None:
    resolver.answers["localhost"] = lambda: [
        (socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.1"),
    ]  # fmt: skip
    with LRUBroker(ANY, ANY, control=ANY, impl=impl) as broker:
        assert broker.control is not None
        with ControlClient(named(broker.control, "localhost")) as client:
            client.send("stats")
            client.send("services")
            assert client.receive(PATIENCE)["accepted"] == 0
            assert "accepted" not in client.receive(PATIENCE)
            client.send("stats")
            assert client.receive(PATIENCE)["control_requests"] >= 2


def test_the_control_client_waits_no_longer_for_a_name_than_for_an_answer(resolver: Names) -> None:
    resolver.answers["dead.test"] = resolver.never
    with ControlClient("tcp://dead.test:1") as client:
        client.send("stats")
        began = time.monotonic()
        with pytest.raises(
            ConnectError, match=r"can't look up dead\.test: no answer within 0\.2 s"
        ):
            client.receive(SHORT)
        assert time.monotonic() - began < SOON
    resolver.answers["two.test"] = v4("127.0.0.2", "127.0.0.3")
    with ControlClient("tcp://two.test:1") as client:
        client.send("stats")
        with pytest.raises(NoReply, match=r"no answer from tcp://two\.test:1 within 0\.2 s"):
            client.receive(SHORT)


# -- both -------------------------------------------------------------------------------------------


def test_an_address_that_begins_to_listen_meanwhile_is_found(resolver: Names) -> None:
    resolver.answers["broker.test"] = v4("127.0.0.2", "127.0.0.1")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        found: list[str] = []
        thread = threading.Thread(
            target=lambda: found.append(reach(f"tcp://broker.test:{port}", PATIENCE))
        )
        thread.start()
        wait_until(lambda: resolver.asked, "the look-up")
        listener.listen()
        thread.join(PATIENCE)
    assert found == [f"tcp://127.0.0.1:{port}"]
