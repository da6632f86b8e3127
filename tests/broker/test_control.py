"""The control endpoint: what it answers, to whom, and what it does not let happen."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq
from dialects import DIALECTS, Dialect
from harness import Peers, wait_until

from brigantine import AnyBroker, BindError, BrokerStopped, ConfigError, LRUBroker, ledger_holds
from brigantine.control.server import MAX_WAITING

ANY = "tcp://127.0.0.1:*"
#: A heartbeat interval with which no worker of a test expires.
QUIET = 60.0
Ask = Callable[..., Any]


@pytest.fixture
def any_broker(impl: str) -> Iterator[AnyBroker]:
    with AnyBroker(ANY, ANY, impl=impl, control=ANY, heartbeat_interval=QUIET) as made:
        yield made


@pytest.fixture
def ask(peers: Peers) -> Ask:
    """``ask(endpoint, command)``: (status, map), from a REQ socket of its own."""

    def send(endpoint: str, command: bytes) -> tuple[bytes, Any]:
        socket = peers.req(endpoint)
        socket.send(command)
        status, body = socket.recv_multipart()
        return status, msgpack.unpackb(body)

    return send


def join(peers: Peers, broker: AnyBroker, dialect: Dialect, name: bytes, **more: Any) -> Any:
    """A worker of the dialect, for the service ``name`` where it can say so, known to the broker."""
    known = broker.stats()["workers_joined"]
    worker = peers.dealer(broker.backend, identity=dialect.flag.name.encode())
    worker.send_multipart(dialect.registers(b"", name, **more)[1:])
    wait_until(lambda: broker.stats()["workers_joined"] > known, "the worker's READY")
    return worker


# -- what it answers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "head"), [(zmq.REQ, []), (zmq.DEALER, []), (zmq.DEALER, [b""])], ids=str
)
def test_req_and_dealer_are_answered_in_their_own_shape(
    any_broker: AnyBroker, peers: Peers, kind: int, head: list[bytes]
) -> None:
    assert any_broker.control is not None
    socket = peers.socket(kind, any_broker.control)
    for number in (1, 2):
        socket.send_multipart([*head, b"stats"])
        *envelope, status, body = socket.recv_multipart()
        assert (envelope, status) == (head, b"200")
        assert msgpack.unpackb(body) == {**any_broker.stats(), "control_requests": number}


def test_workers_of_every_protocol_are_told_by_service(
    any_broker: AnyBroker, peers: Peers, ask: Ask
) -> None:
    for name, dialect in DIALECTS.items():
        more = {"capacity": b"\x02"} if name == "MDP02" else {}
        join(peers, any_broker, dialect, b"echo", **more)
    client = peers.dealer(any_broker.frontend)
    for _ in range(2):  # the least recently used are REQ, for b"", and MDP 0.1, for "echo"
        client.send_multipart([b"", b"x"])
        client.send_multipart([b"MDPC02", b"\x01", b"echo", b"x"])
    wait_until(lambda: any_broker.stats()["in_flight"] == 4, "the requests are at work")

    def row(name: str, capacity: int, in_flight: int, state: str) -> dict[str, Any]:
        return {"identity": name.encode(), "protocol": name, "capacity": capacity,
                "in_flight": in_flight, "state": state, "side": "backend"}  # fmt: skip

    status, workers = ask(any_broker.control, b"workers")
    assert status == b"200"
    assert workers == any_broker.workers()
    assert list(workers.items()) == [
        (b"", [row("PPP", 1, 1, "busy"), row("REQ", 1, 1, "busy")]),
        (b"echo", [row("MDP01", 1, 1, "busy"), row("MDP02", 2, 1, "idle")]),
    ]
    services = {
        b"": {"workers": 2, "idle": 0, "queued": 0},
        b"echo": {"workers": 2, "idle": 1, "queued": 0},
    }
    assert ask(any_broker.control, b"services") == (b"200", services)
    assert any_broker.services() == services


def test_many_workers_are_told(impl: str, peers: Peers, ask: Ask) -> None:
    with LRUBroker(
        "inproc://f", "inproc://b", impl=impl, context=peers.context, control=ANY
    ) as lru:
        names = [b"worker %03d" % number for number in range(150)]
        for name in names:
            peers.worker("inproc://b", identity=name)
        wait_until(lambda: lru.stats()["workers"] == len(names), "all have joined")
        _, workers = ask(lru.control, b"workers")
        assert [each["identity"] for each in workers[b""]] == names
        assert workers == lru.workers()


def test_a_broker_without_peers_has_nothing_to_tell(any_broker: AnyBroker, ask: Ask) -> None:
    assert ask(any_broker.control, b"workers") == (b"200", {})
    assert ask(any_broker.control, b"services") == (b"200", {})
    assert (any_broker.workers(), any_broker.services()) == ({}, {})


def test_several_threads_may_ask_at_once(any_broker: AnyBroker, ask: Ask) -> None:
    answers: list[Any] = []

    def look() -> None:
        answers.extend((any_broker.services(), any_broker.workers()) for _ in range(50))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for each in threads:
        each.start()
    for _ in range(20):
        assert ask(any_broker.control, b"services") == (b"200", {})
    for each in threads:
        each.join()
    assert answers == [({}, {})] * 200


# -- drain, stop, wait ----------------------------------------------------------------------------


def test_drain_finishes_what_was_accepted_and_wait_tells_the_end(
    any_broker: AnyBroker, peers: Peers, ask: Ask
) -> None:
    worker, client = peers.worker(any_broker.backend), peers.req(any_broker.frontend)
    client.send(b"work")
    work = worker.recv_multipart()
    waiting = peers.dealer(any_broker.control)
    waiting.send(b"wait")
    told = {"queued": 0, "in_flight": 1, "drain_timeout": any_broker.config.drain_timeout}
    assert not any_broker.told_to_end
    assert ask(any_broker.control, b"drain") == (b"200", told)
    wait_until(lambda: any_broker.told_to_end)
    assert ask(any_broker.control, b"stats")[0] == b"200", "it answers while it drains"
    assert any_broker.running
    worker.send_multipart(work)
    assert client.recv() == b"work"
    status, body = waiting.recv_multipart()
    final = msgpack.unpackb(body)
    assert (status, final["replied"], final["failed"]) == (b"200", 1, 0)
    assert any_broker.join(10)
    assert ledger_holds(final)
    assert final == any_broker.stats()


def test_stop_is_answered_and_ends_the_broker(
    any_broker: AnyBroker, peers: Peers, ask: Ask
) -> None:
    peers.req(any_broker.frontend).send(b"nobody will answer")
    wait_until(lambda: any_broker.stats()["queued"] == 1)
    waiting = peers.req(any_broker.control)
    waiting.send(b"wait")
    wait_until(lambda: any_broker.stats()["control_requests"] == 1)
    assert ask(any_broker.control, b"stop")[0] == b"200"
    assert any_broker.join(10)
    assert msgpack.unpackb(waiting.recv_multipart()[1])["failed_stopped"] == 1
    for question in (any_broker.workers, any_broker.services):
        with pytest.raises(BrokerStopped, match="has ended"):
            question()


def test_only_so_many_wait_for_the_end(any_broker: AnyBroker, peers: Peers) -> None:
    first, second, *others = (peers.dealer(any_broker.control) for _ in range(MAX_WAITING + 1))
    for number, each in enumerate((first, second, *others), start=1):
        each.send(b"wait")
        wait_until(lambda wanted=number: any_broker.stats()["control_requests"] == wanted)
    status, body = first.recv_multipart()
    assert status == b"503"
    assert "peers wait" in msgpack.unpackb(body)["error"]
    second.send(b"wait")  # again: it has its place, and is told once
    wait_until(lambda: any_broker.stats()["control_requests"] == MAX_WAITING + 2)
    any_broker.stop()
    for each in (second, *others):
        assert each.recv_multipart()[0] == b"200"
    assert not second.poll(0)


# -- what is no request ---------------------------------------------------------------------------

NONSENSE: dict[str, tuple[list[bytes], bytes]] = {
    "unknown": ([b"restart"], b"501"),
    "empty": ([b""], b"400"),
    "two words": ([b"stats", b"now"], b"400"),
    "an empty frame too many": ([b"", b"", b"stats"], b"400"),
    "too many frames": ([b"stats"] * 20_000, b"400"),
    "binary": ([bytes(range(256)) * 4], b"501"),
}


@pytest.mark.parametrize("case", NONSENSE)
def test_what_is_no_request_is_refused_and_counted(
    any_broker: AnyBroker, peers: Peers, ask: Ask, case: str
) -> None:
    frames, expected = NONSENSE[case]
    socket = peers.dealer(any_broker.control)
    for _ in range(2):
        socket.send_multipart(frames)
        *_, status, body = socket.recv_multipart()
        assert status == expected
        assert list(msgpack.unpackb(body)) == ["error"]
    assert any_broker.stats()["drop_control"] == 2
    assert ask(any_broker.control, b"stats")[1]["drop_control"] == 2


def test_a_frame_longer_than_any_request_never_arrives(
    any_broker: AnyBroker, peers: Peers, ask: Ask
) -> None:
    socket = peers.dealer(any_broker.control, reconnect_ivl=-1)
    monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    socket.send(bytes(1 << 20))
    assert monitor.poll(10_000), "it is hung up on"
    socket.disable_monitor()
    monitor.close()
    assert ask(any_broker.control, b"stats")[1]["control_requests"] == 1


# -- endpoints ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "endpoint",
    ["tcp://*:5555", "tcp://0.0.0.0:*", "tcp://192.0.2.1:5555", "tcp://[::]:*", "tcp://example.org:1",
     "tcp://eth0:5555", "tcp://[2001:db8::1]:5555", "tcp://128.0.0.1:*"],
)  # fmt: skip
def test_what_other_machines_can_reach_is_refused_with_the_reason(impl: str, endpoint: str) -> None:
    with pytest.raises(ConfigError, match=r"no encryption.*tcp://127.0.0.1:PORT or ipc://PATH"):
        AnyBroker(ANY, ANY, impl=impl, control=[ANY, endpoint])


@pytest.mark.parametrize("endpoint", ["tcp://127.3.4.5:*", "tcp://localhost:*", "inproc://control"])
def test_what_only_this_machine_can_reach_is_taken(
    impl: str, peers: Peers, ask: Ask, endpoint: str
) -> None:
    ends = ("inproc://f", "inproc://b")
    with LRUBroker(*ends, impl=impl, context=peers.context, control=[ANY, endpoint]) as lru:
        assert lru.control == lru.controls[0] != lru.controls[1]
        for each in lru.controls:
            assert not each.endswith(":*")
            assert ask(each, b"stats")[0] == b"200"


def test_an_ipc_path_is_for_this_user_alone(impl: str, ask: Ask, tmp_path: Path) -> None:
    path = tmp_path / "control"
    before = os.umask(0)
    try:
        with AnyBroker(ANY, ANY, impl=impl, control=f"ipc://{path}") as made:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert ask(made.control, b"stats")[0] == b"200"
    finally:
        os.umask(before)


def test_an_abstract_name_has_no_permissions(impl: str, ask: Ask) -> None:
    with AnyBroker(ANY, ANY, impl=impl, control=f"ipc://@brigantine-{os.getpid()}") as made:
        assert ask(made.control, b"stats")[0] == b"200"


def test_a_control_endpoint_in_use_is_told_and_nothing_is_left(impl: str, peers: Peers) -> None:
    threads = threading.active_count()
    taken = peers.socket(zmq.PAIR)
    taken.bind(ANY)
    endpoint = taken.last_endpoint.decode()
    with pytest.raises(BindError, match="in use"):
        AnyBroker(ANY, ANY, impl=impl, control=endpoint)
    assert threading.active_count() == threads


def test_without_one_there_is_none(broker: Callable[..., LRUBroker]) -> None:
    lru = broker()
    assert (lru.control, lru.controls) == (None, ())
    assert "brigantine-control" not in {each.name for each in threading.enumerate()}
    assert (lru.workers(), lru.services()) == ({}, {})


def test_a_terminated_context_ends_everything(impl: str) -> None:
    context: zmq.Context[Any] = zmq.Context()
    made = AnyBroker("inproc://f", "inproc://b", impl=impl, context=context, control=ANY)
    events = made.events()
    context.term()
    assert [event for event in events if event.kind != "failed"] == []
    with pytest.raises(BrokerStopped):
        made.join(10)
    assert not made.running
