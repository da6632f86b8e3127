"""What publishers and subscribers know, without a socket of ZeroMQ or with a stand-in for it."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

import pytest
import zmq
from harness import PATIENCE

from brigantine.pubsub import departures, subscribers
from brigantine.pubsub.counters import PUBLISHER_COUNTERS, SUBSCRIBER_COUNTERS
from brigantine.pubsub.departures import Departures
from brigantine.pubsub.hearing import Hearing
from brigantine.pubsub.inbox import AllOfThem, LatestOnly
from brigantine.pubsub.message import Message
from brigantine.pubsub.stalls import Stalls
from brigantine.pubsub.subscribers import Subscribers
from brigantine.system.forks import socket_number
from brigantine.wire.pubsub import BEAT, SUBSCRIBE, TOKEN, UNSUBSCRIBE, welcome_topic

# -- who listens to heartbeats ----------------------------------------------------------------


class Crowd:
    """Subscribers of ours, as an XPUB that is told of subscriptions by hand shows them."""

    def __init__(self) -> None:
        self.known = Subscribers(dict.fromkeys(PUBLISHER_COUNTERS, 0))

    def say(self, action: bytes, who: int) -> None:
        for topic in (
            BEAT,
            welcome_topic(b"%x" % who * TOKEN, 1),
            welcome_topic(b"%x" % who * TOKEN, 2),
        ):
            list(self.known.hear([action + topic]))


@pytest.mark.parametrize("leaves", [1, 2])
def test_heartbeats_go_on_when_one_of_two_subscribers_leaves(leaves: int) -> None:
    crowd = Crowd()
    assert not crowd.known.beats_wanted
    crowd.say(SUBSCRIBE, 1)
    crowd.say(SUBSCRIBE, 2)
    crowd.say(UNSUBSCRIBE, leaves)
    assert crowd.known.beats_wanted
    crowd.say(UNSUBSCRIBE, 3 - leaves)
    assert not crowd.known.beats_wanted


def test_heartbeats_go_on_for_subscribers_beyond_those_that_are_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subscribers, "MOST_SUBSCRIBERS", 1)
    crowd = Crowd()
    crowd.say(SUBSCRIBE, 1)
    crowd.say(SUBSCRIBE, 2)
    crowd.say(UNSUBSCRIBE, 1)
    assert crowd.known.beats_wanted


def test_who_listens_to_heartbeats_alone_gets_them() -> None:
    crowd = Crowd()
    list(crowd.known.hear([SUBSCRIBE + BEAT]))
    assert crowd.known.beats_wanted
    list(crowd.known.hear([UNSUBSCRIBE + BEAT]))
    assert not crowd.known.beats_wanted


# -- what has left ----------------------------------------------------------------------------


class Tracker:
    """Of a marked message, until libzmq lets go of it."""

    done = False


class Outlet:
    """A socket that keeps all that it is given until it is told to let go."""

    def __init__(self) -> None:
        self.marks: list[tuple[int, Tracker]] = []
        self.sent = 0

    def send(self, _frame: Any, **how: Any) -> Tracker | None:
        self.sent += 1
        if not how.get("track"):
            return None
        self.marks.append((self.sent, Tracker()))
        return self.marks[-1][1]

    def let_go(self, count: int) -> None:
        for at, tracker in self.marks:
            tracker.done = tracker.done or at <= count


def test_what_was_published_last_has_not_left_while_its_mark_is_one_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(departures, "MOST_MARKS", 4)
    outlet: Any = Outlet()
    known = Departures()
    for _ in range(10):
        known.send(outlet, b"x", mark=True)
    outlet.let_go(9)
    assert not known.all_left()
    assert known.missing() > 0
    outlet.let_go(10)
    assert known.all_left()
    assert known.missing() == 0


def test_what_follows_the_last_mark_is_missing_where_sending_was_cut_short() -> None:
    outlet: Any = Outlet()
    known = Departures()
    for mark in (True, False, False):
        known.send(outlet, b"x", mark=mark)
    outlet.let_go(1)
    assert (known.missing(), known.missing(cut_short=True)) == (0, 2)


def test_what_is_sent_as_python_ends_leaves_though_nobody_can_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """pyzmq has a thread that tells, which can't be started any more then."""

    def refused(*_: object, **_how: object) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(zmq, "Frame", refused)
    outlet: Any = Outlet()
    known = Departures()
    known.send(outlet, b"x", mark=True)
    assert (outlet.sent, known.all_left(), known.missing()) == (1, True, 0)


# -- stalls -----------------------------------------------------------------------------------


class Full:
    """A socket that has no room, until it is told to drop."""

    def setsockopt(self, _option: int, _value: int) -> None: ...

    def send(self, _frame: bytes, flags: int) -> None:
        if flags & zmq.DONTWAIT:
            raise zmq.Again


def stalls(timeout: float, give_up_at: float) -> Stalls:
    full: Any = Full()
    stats = dict.fromkeys(PUBLISHER_COUNTERS, 0)
    return Stalls(full, timeout, lambda: ((), ()), stats, lambda: give_up_at)


def test_nobody_is_waited_for_beyond_the_end() -> None:
    began = time.monotonic()
    assert not stalls(3600.0, began + 0.01).send(b"topic")
    assert time.monotonic() - began < PATIENCE


def test_who_is_waited_for_in_vain_misses_the_message() -> None:
    assert stalls(0.01, time.monotonic() + 60.0).send(b"topic")


def test_a_later_connection_with_the_same_descriptor_is_not_cut_off() -> None:
    one, other = socket.socketpair()
    with one, other:
        number = socket_number(one.fileno())
        later, peer = socket.socketpair()
        with later, peer:
            os.dup2(later.fileno(), one.fileno())
            stalls(1.0, 0.0)._cut(one.fileno(), number)
            later.sendall(b"x")
            assert peer.recv(1) == b"x"
            stalls(1.0, 0.0)._cut(one.fileno(), socket_number(one.fileno()))
            assert peer.recv(1) == b""


# -- what a subscriber keeps ------------------------------------------------------------------


def message(publisher: str | None, missed: int | None) -> Message:
    return Message(b"t", b"x", publisher, 1, missed, frames=(b"t", b"x"))


@pytest.mark.parametrize(
    ("older", "newer", "told"),
    [
        (("A", 2), ("A", 3), 5),
        (("A", 0), ("A", 3), 3),
        (("A", None), ("A", 0), None),
        (("A", None), ("A", 3), None),
        (("A", 2), ("A", None), None),
        (("A", 2), ("B", 1), 1),
        (("A", None), ("B", 1), 1),
        (("A", 2), ("B", None), None),
    ],
)
def test_what_was_missed_before_a_message_that_was_replaced_is_told_if_it_is_known(
    older: tuple[str, int | None], newer: tuple[str, int | None], told: int | None
) -> None:
    inbox = LatestOnly(10, 10_000)
    assert inbox.put(message(*older))
    assert inbox.put(message(*newer))
    found = inbox.get(0)
    assert found is not None
    assert (found.publisher, found.missed) == (newer[0], told)


class Busy:
    """Everything is wanted, and last values may come at any time."""

    busy = True

    def wants(self, _topic: bytes) -> bool:
        return True


def test_messages_without_numbers_are_remembered_of_so_many_topics_only() -> None:
    """Those of which last values may come, too; the topics used last are known."""
    everything: Any = Busy()
    stats = dict.fromkeys(SUBSCRIBER_COUNTERS, 0)
    inbox = AllOfThem(100_000, 1 << 30)
    hearing = Hearing(3, everything, everything, everything, stats, inbox)
    for at in (*range(1000), 997, 1000):
        hearing.hear([b"%d" % at, b"x"], 0.0)
    assert len(hearing._lately) == 3
    for at in (997, 999, 1000):
        hearing._hear_last_value([b"%d" % at, b"x"])
    assert stats["last_values"] == 0
    hearing._hear_last_value([b"999", b"y"])
    assert stats["last_values"] == 1
