"""What workers of PPP, MDP 0.1 and MDP 0.2 have in common, against bare ROUTERs."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import msgpack
import pytest
from doubles import free_endpoint
from harness import Peers, wait_until
from heartbeat_doubles import BEAT, Gate, HeartbeatBroker

from brigantine.wire.req import ERROR_MARK
from brigantine.workers.heartbeat_io import EXCESS

# -- the wire -------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [[b"one"], [b""], [b"one", b"", b"three"], [b"", b""], [b"\x02"]])
def test_ready_comes_first_and_a_reply_has_the_ticket_of_its_request(
    double: HeartbeatBroker, start_worker: Any, wire: str, body: list[bytes]
) -> None:
    start_worker(wire, double.endpoint, lambda frames: frames)
    peer = double.ready()
    for ticket in (b"ticket", b"\x02", b"\0\xff"):
        double.request(peer, *body, ticket=ticket)
        assert double.reply(peer, ticket=ticket) == body


def test_ready_announces_the_capacity(
    double: HeartbeatBroker, start_worker: Any, wire: str
) -> None:
    start_worker(wire, double.endpoint, bytes.upper, capacity=3)
    double.request(double.ready("ready-3"), b"q")


def test_an_error_is_the_reply_and_the_worker_goes_on(
    double: HeartbeatBroker, start_worker: Any, wire: str
) -> None:
    def handler(body: bytes) -> Any:
        return {b"raise": lambda: 1 // 0, b"wrong": lambda: "text"}.get(body, lambda: body)()

    worker = start_worker(wire, double.endpoint, handler)
    peer = double.ready()
    for body, kind in ((b"raise", "ZeroDivisionError"), (b"wrong", "TypeError")):
        double.request(peer, body)
        mark, report = double.reply(peer)
        assert mark == ERROR_MARK
        assert msgpack.unpackb(report)["type"] == kind
    double.request(peer, b"good")
    assert double.reply(peer) == [b"good"]
    assert (worker.stats()["errors"], worker.stats()["replies"]) == (2, 3)


def test_malformed_messages_are_dropped_and_counted(
    double: HeartbeatBroker,
    start_worker: Any,
    wire: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker = start_worker(wire, double.endpoint, lambda body: body)
    peer = double.ready()
    for junk in (
        [b""],
        [b"junk"],
        [b"", b"", b""],
        [*double.wire["request"], b"ticket", b""],
    ):
        double.send(peer, *junk)
    double.request(peer, b"still there")
    assert double.reply(peer) == [b"still there"]
    assert worker.stats()["drop_malformed"] == 4
    assert sum("sent a message that is not of" in each.message for each in caplog.records) == 1


# -- heartbeats -----------------------------------------------------------------------------------


def test_the_worker_heartbeats_into_silence_also_while_its_handler_computes(
    double: HeartbeatBroker, start_worker: Any, wire: str
) -> None:
    gate = Gate()
    started = time.monotonic()
    worker = start_worker(wire, double.endpoint, gate, heartbeat_interval=BEAT)
    peer = double.ready()
    double.request(peer, b"long work")
    gate.entered()
    before = worker.stats()["heartbeats"]
    for _ in range(5):
        assert double.receive() == (peer, double.wire["heartbeat"])
    assert worker.stats()["heartbeats"] >= before + 4
    # Before each lies a silence of an interval, however late they are read here.
    sent = worker.stats()["heartbeats"]
    assert time.monotonic() - started >= 0.9 * sent * BEAT
    gate.go.set()
    assert double.reply(peer) == [b"long work"]


def test_no_heartbeat_is_sent_while_replies_flow(
    double: HeartbeatBroker, start_worker: Any, wire: str
) -> None:
    worker = start_worker(wire, double.endpoint, lambda body: body, heartbeat_interval=0.5)
    peer = double.ready()
    end = time.monotonic() + 0.75
    longest = 0.0
    while (started := time.monotonic()) < end:
        double.request(peer, b"q")
        assert double.receive()[0] == peer
        longest = max(longest, time.monotonic() - started)
    if longest < 0.25:  # else this machine stood still, and the connection was silent
        assert worker.stats()["heartbeats"] == 0


def test_a_silent_broker_is_left_and_told_ready_anew_after_growing_pauses(
    double: HeartbeatBroker, start_worker: Any, wire: str
) -> None:
    beat = BEAT / 2
    started = time.monotonic()
    worker = start_worker(wire, double.endpoint, bytes.upper, heartbeat_interval=beat, liveness=2)
    peers = [double.ready()]
    # Two intervals of silence and a pause of one, two, four intervals; all since the start, for
    # what is read late here would make the time to the next one short.
    for intervals in itertools.accumulate((3, 4, 6)):
        if double.wire["disconnect"] is not None:
            assert double.next() == (peers[-1], double.wire["disconnect"])
        peers.append(double.ready())
        assert time.monotonic() - started > 0.9 * intervals * beat
    assert len(set(peers)) == 4  # a new socket each time
    assert worker.stats()["expired"] >= 3
    assert worker.stats()["readies"] == worker.stats()["disconnects"] + 1


def test_a_broker_that_heartbeats_is_not_left(
    double: HeartbeatBroker, start_worker: Any, wire: str
) -> None:
    worker = start_worker(wire, double.endpoint, bytes.upper, heartbeat_interval=BEAT, liveness=10)
    peer = double.ready()
    end = time.monotonic() + 1.2  # longer than the worker's patience of a second
    while time.monotonic() < end:
        double.say(peer, "heartbeat")
        double.receive()
    assert worker.stats()["expired"] == 0
    assert worker.stats()["readies"] == 1


# -- the connection -------------------------------------------------------------------------------


def test_ready_again_after_the_broker_was_restarted(
    peers: Peers, start_worker: Any, wire: str
) -> None:
    first = HeartbeatBroker(peers, wire=wire)
    worker = start_worker(wire, first.endpoint, bytes.upper, reconnect_min=BEAT)
    first.ready()
    first.stop()
    second = HeartbeatBroker(peers, first.endpoint, wire=wire)
    peer = second.ready()
    second.request(peer, b"q")
    assert second.reply(peer) == [b"Q"]
    assert (worker.stats()["readies"], worker.stats()["expired"]) == (2, 0)


def test_it_waits_for_a_broker_that_is_not_up_yet(
    peers: Peers, start_worker: Any, wire: str
) -> None:
    endpoint = free_endpoint()
    start_worker(wire, endpoint, bytes.upper, heartbeat_interval=BEAT, liveness=3)
    late = HeartbeatBroker(peers, endpoint, wire=wire)
    late.request(late.ready(), b"q")


def test_a_reply_to_a_connection_that_is_over_is_discarded(
    peers: Peers, start_worker: Any, wire: str
) -> None:
    gate = Gate()
    first = HeartbeatBroker(peers, wire=wire)
    worker = start_worker(wire, first.endpoint, gate, reconnect_min=BEAT)
    peer = first.ready()
    first.request(peer, b"at work", ticket=b"old 1")
    gate.entered()
    for number in range(EXCESS + 1):  # the last one is too much: then it has all the others
        first.request(peer, b"not begun", ticket=b"old %d" % (number + 2))
    wait_until(lambda: worker.stats()["drop_excess"] == 1, "it has them")
    first.stop()
    second = HeartbeatBroker(peers, first.endpoint, wire=wire)
    peer = second.ready()
    second.request(peer, b"new", ticket=b"new")
    gate.go.set()
    assert second.reply(peer, ticket=b"new") == [b"new"]
    assert gate.seen == [b"at work", b"new"]
    stats = worker.stats()
    assert (stats["requests"], stats["replies"], stats["discarded_replies"]) == (2, 1, 1)
    assert stats["discarded_requests"] == EXCESS


def test_two_brokers_at_once(peers: Peers, start_worker: Any, wire: str) -> None:
    one, two = (HeartbeatBroker(peers, wire=wire) for _ in range(2))
    start_worker(wire, [one.endpoint, two.endpoint], bytes.upper, reconnect_min=BEAT)
    at_one, at_two = one.ready(), two.ready()
    one.request(at_one, b"a")
    two.request(at_two, b"b")
    assert one.reply(at_one) == [b"A"]
    assert two.reply(at_two) == [b"B"]
    one.stop()  # the other one does not notice
    two.request(at_two, b"c")
    assert two.reply(at_two) == [b"C"]
    back = HeartbeatBroker(peers, one.endpoint, wire=wire)
    at_back = back.ready()
    back.request(at_back, b"d")
    assert back.reply(at_back) == [b"D"]


# -- capacity -------------------------------------------------------------------------------------


def test_capacity_requests_are_handled_at_once_over_all_brokers_and_never_more(
    peers: Peers, start_worker: Any, wire: str
) -> None:
    gate = Gate()
    brokers = [HeartbeatBroker(peers, wire=wire) for _ in range(2)]
    worker = start_worker(wire, [each.endpoint for each in brokers], gate, capacity=3)
    at = [each.ready("ready-3") for each in brokers]
    for broker, peer in zip(brokers, at, strict=True):
        for n in (b"0", b"1", b"2"):
            broker.request(peer, n, ticket=n)
    gate.entered(3)
    for turn in (1, 2):  # what came before the first junk was dealt with when the second is counted
        for broker, peer in zip(brokers, at, strict=True):
            broker.send(peer, b"junk")
        wait_until(lambda junk=2 * turn: worker.stats()["drop_malformed"] == junk)
    assert worker.stats()["requests"] == 3
    assert len(gate.seen) == 3
    gate.go.set()
    for broker, peer in zip(brokers, at, strict=True):
        bodies = []
        for _ in range(3):
            sender, frames = broker.next()
            assert sender == peer
            bodies.append(frames[-1])
            assert frames[-3] == frames[-1]  # ticket, empty, body
        assert sorted(bodies) == [b"0", b"1", b"2"]


def test_no_more_handlers_than_the_capacity_run_at_any_moment(
    double: HeartbeatBroker, start_worker: Any, wire: str
) -> None:
    lock, running, most = threading.Lock(), 0, 0

    def handler(body: bytes) -> bytes:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.001)
        with lock:
            running -= 1
        return body

    start_worker(wire, double.endpoint, handler, capacity=3)
    peer = double.ready("ready-3")
    for n in range(60):
        double.request(peer, b"q", ticket=b"%d" % n)
    tickets = {double.next()[1][-3] for _ in range(60)}
    assert tickets == {b"%d" % n for n in range(60)}
    assert most == 3


# -- nobody there ---------------------------------------------------------------------------------


def test_a_worker_says_once_that_nobody_is_there(
    peers: Peers, start_worker: Any, wire: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistyped endpoint shows in the log; and once it was reached there is nothing more to say."""
    endpoint = free_endpoint()
    worker = start_worker(wire, endpoint, bytes.upper)
    said = f"nobody accepts connections at {endpoint}; trying again"
    wait_until(lambda: said in caplog.messages, "the word in the log")
    late = HeartbeatBroker(peers, endpoint, wire=wire)
    late.request(late.ready(), b"q")
    wait_until(lambda: worker.stats()["connects"] == 1)
    assert caplog.messages.count(said) == 1
