"""What is bound: both families for all of a machine, numbers for a name, and nothing twice."""

from __future__ import annotations

import errno
import socket
import time
from typing import Any

import pytest
import zmq
from doubles import free_endpoint
from harness import Peers
from name_doubles import Names, v4

from brigantine import (
    BindError,
    ConfigError,
    LazyPirateClient,
    LRUBroker,
    LRUWorker,
    MajordomoBroker,
    QueueDevice,
)
from brigantine.net import binding
from brigantine.net.endpoints import bind

ANY = "tcp://127.0.0.1:*"
#: A time that nothing here takes unless it waits for what it should not.
SOON = 1.0


def port_of(endpoint: str) -> str:
    return endpoint.rpartition(":")[2]


def both_families(endpoint: str) -> list[str]:
    return [f"tcp://{host}:{port_of(endpoint)}" for host in ("127.0.0.1", "[::1]")]


# -- all of a machine -------------------------------------------------------------------------------


def test_a_star_is_reached_by_both_families_and_by_what_is_shown(impl: str, peers: Peers) -> None:
    with LRUBroker("tcp://*:*", "tcp://*:*", impl=impl) as broker:
        assert broker.frontend == f"tcp://0.0.0.0:{port_of(broker.frontend)}"
        for front, back in zip(
            [broker.frontend, *both_families(broker.frontend)],
            [broker.backend, *both_families(broker.backend)],
            strict=True,
        ):
            with LRUWorker(back, bytes.upper), LazyPirateClient(front) as client:
                assert client.request(b"q") == b"Q"
        # Foreign sockets, whose option for IPv6 is off.
        peers.socket(zmq.REQ, broker.frontend).send(b"q")
        worker = peers.worker(broker.backend)
        assert worker.recv_multipart()[-1] == b"q"


def test_a_device_at_a_star_is_reached_by_both_families(impl: str, peers: Peers) -> None:
    with QueueDevice("tcp://*:*", ANY, impl=impl) as queue:
        server = peers.socket(zmq.REP, queue.backend)
        for endpoint in both_families(queue.frontend):
            client = peers.req(endpoint, ipv6=1)
            client.send(b"q")
            server.send(server.recv() + b"r")
            assert client.recv() == b"qr"


@pytest.mark.parametrize("failure", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
def test_a_machine_without_ipv6_binds_a_star_for_ipv4(failure: int) -> None:
    class NoIPv6:
        ipv6 = False

        def bind(self, _: str) -> None:
            if self.ipv6:
                raise zmq.ZMQError(failure)

        def getsockopt_string(self, _: int) -> str:
            return "tcp://0.0.0.0:5555"

    made: Any = NoIPv6()
    assert bind(made, "tcp://*:5555") == "tcp://0.0.0.0:5555"


def test_a_star_is_never_one_family_because_the_other_is_in_use(impl: str) -> None:
    with socket.socket(socket.AF_INET6) as taken:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        taken.bind(("::", 0))
        taken.listen()
        endpoint = f"tcp://*:{taken.getsockname()[1]}"
        with pytest.raises(BindError, match="the address is in use"):
            LRUBroker(endpoint, ANY, impl=impl)


@pytest.mark.parametrize("host", ["*", "0.0.0.0", "[::]"])
def test_all_of_a_machine_is_free_when_stop_returns(impl: str, peers: Peers, host: str) -> None:
    endpoint = f"tcp://{host}:{port_of(free_endpoint())}"
    for _ in range(5):
        with LRUBroker(endpoint, ANY, impl=impl, context=peers.context):
            pass


# -- names ------------------------------------------------------------------------------------------


def test_localhost_is_this_machine_whatever_a_resolver_says(impl: str, resolver: Names) -> None:
    resolver.answers["localhost"] = v4("192.0.2.1")
    with MajordomoBroker("tcp://localhost:*", impl=impl, control="tcp://localhost:*") as broker:
        assert broker.frontend.startswith("tcp://127.0.0.1:")
        assert broker.control is not None
        assert broker.control.startswith("tcp://127.0.0.1:")
    assert resolver.asked == []


def test_a_name_is_bound_at_an_address_of_this_machine_that_everybody_can_connect_to(
    impl: str, resolver: Names
) -> None:
    resolver.answers["here.test"] = lambda: [
        (socket.AF_INET6, "::1"), (socket.AF_INET, "192.0.2.1"), (socket.AF_INET, "127.0.0.1"),
    ]  # fmt: skip
    resolver.answers["six.test"] = lambda: [(socket.AF_INET6, "::1")]
    with LRUBroker("tcp://here.test:*", "tcp://six.test:*", impl=impl) as broker:
        assert broker.frontend.startswith("tcp://127.0.0.1:")
        assert broker.backend.startswith("tcp://[::1]:")


@pytest.mark.long
def test_a_name_that_can_t_be_bound_is_told_in_time(
    impl: str, resolver: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding, "BIND_LOOKUP", 0.2)
    resolver.answers["dead.test"] = resolver.never
    resolver.answers["wrong.test"] = resolver.unknown
    resolver.answers["far.test"] = v4("192.0.2.1")
    refused = {
        "dead.test": r"no such network interface, and can't look up dead\.test: no answer within",
        "wrong.test": r"and can't look up wrong\.test: Name or service not known",
        "far.test": r"can't bind tcp://far\.test:5599: this machine has no such address",
    }
    for name, words in refused.items():
        began = time.monotonic()
        with pytest.raises(BindError, match=words):
            LRUBroker(ANY, f"tcp://{name}:5599", impl=impl)
        assert time.monotonic() - began < SOON


def test_a_network_interface_is_no_name(impl: str, resolver: Names) -> None:
    if "lo" not in [name for _, name in socket.if_nameindex()]:
        pytest.skip("no interface that is called lo")
    with LRUBroker("tcp://lo:*", ANY, impl=impl) as broker:
        assert broker.frontend.startswith("tcp://127.0.0.1:")
    assert resolver.asked == []


# -- nothing twice ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("tcp://*:5599", "tcp://127.0.0.1:5599"),
        ("tcp://*:5599", "tcp://[::1]:5599"),
        ("tcp://*:5599", "tcp://0.0.0.0:5599"),
        ("tcp://*:5599", "tcp://eth0:5599"),
        ("tcp://[::]:5599", "tcp://127.0.0.1:5599"),
        ("tcp://0.0.0.0:5599", "tcp://127.0.0.2:5599"),
        ("tcp://localhost:5599", "tcp://127.0.0.1:5599"),
        ("tcp://[::1]:5599", "tcp://[0::1]:5599"),
    ],
)
def test_an_address_that_another_endpoint_covers_is_named(impl: str, one: str, other: str) -> None:
    for front, back in ((one, other), (other, one)):
        with pytest.raises(ConfigError) as caught:
            LRUBroker(front, back, impl=impl)
        assert f"backend: {back!r} and {front!r} of frontend are one address and port" in str(
            caught.value
        )


def test_what_only_looks_alike_can_be_bound_side_by_side(impl: str) -> None:
    port = port_of(free_endpoint())
    pairs = [("tcp://127.0.0.1", "tcp://127.0.0.2"), ("tcp://127.0.0.1", "tcp://[::1]")]
    for one, other in pairs:
        with LRUBroker(f"{one}:{port}", f"{other}:{port}", impl=impl) as broker:
            assert broker.backend == f"{other}:{port}"


@pytest.mark.parametrize("target", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"])
def test_a_device_at_a_star_is_not_connected_to_itself(impl: str, target: str) -> None:
    port = port_of(free_endpoint())
    with pytest.raises(ConfigError, match="is where this device itself is bound"):
        QueueDevice(f"tcp://*:{port}", f">tcp://{target}:{port}", impl=impl)
