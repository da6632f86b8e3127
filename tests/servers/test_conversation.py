"""What an AsyncClient says, and when: without socket and clock."""

from __future__ import annotations

from typing import Any

import pytest

from brigantine.servers.async_client import _into_pushed
from brigantine.servers.calls import STATS, Call, Outcome
from brigantine.servers.conversation import ASK_AGAIN, PUSHED_WAITING, SILENCE, Conversation
from brigantine.wire import server as wire

TOKEN = b"an epoch" + b"\0" * 7 + b"\x01"


class Line:
    """A conversation, and what it is asked to do."""

    def __init__(self) -> None:
        self.stats = dict.fromkeys(STATS, 0)
        self.told: list[tuple[Any, ...]] = []
        self.talk = Conversation(
            "tcp://x", self.stats, lambda *event: self.told.append(event), delimiter=False
        )
        self.outcomes: list[Outcome] = []

    def said(self) -> list[int]:
        """The kinds of messages that it wants to send."""
        found = []
        while (message := self.talk.to_send()) is not None:
            head = wire.unpack_head(message[1])
            assert head is not None
            found.append(head.kind)
        return found

    def hear(self, kind: int, number: int, now: float, token: bytes = TOKEN) -> None:
        self.talk.heard([b"", wire.pack_head(kind, token, number)], now)

    def ask(self, now: float, limit: float = 1000.0) -> Call:
        call = Call([b"x"], now, now + limit, self.outcomes.append)
        self.talk.ask(call, now)
        return call

    def ring(self) -> None:
        """As ClientThread."""


@pytest.fixture
def line() -> Line:
    made = Line()
    made.talk.connected(0.0, ours=True)
    assert made.said() == [wire.HELLO]
    return made


@pytest.mark.parametrize("timeout", [0.05, 2.0, 120.0, 30 * 86400.0])
def test_an_idle_client_keeps_its_connection_however_long_a_session_lasts(
    line: Line, timeout: float
) -> None:
    line.hear(wire.WELCOME, round(timeout * 1000), 0.0)
    now = 0.0
    for _ in range(20):
        due = line.talk.due()
        assert due is not None
        assert now < due <= now + min(timeout / 2, SILENCE / 2)
        now = due
        line.talk.tick(now)
        assert line.said() == [wire.BEAT]
        line.hear(wire.HEARD, 0, now)
        assert not line.talk.spoilt


def test_a_hello_that_is_not_answered_is_said_again_and_opens_one_session(line: Line) -> None:
    assert line.talk.due() == ASK_AGAIN
    line.talk.tick(ASK_AGAIN)
    assert line.said() == [wire.HELLO]
    line.talk.tick(2 * ASK_AGAIN)
    line.talk.tick(3 * ASK_AGAIN)
    assert line.said() == [wire.HELLO], "one is enough, where the socket takes none"
    line.hear(wire.WELCOME, 60_000, 3.5)
    line.hear(wire.WELCOME, 60_000, 3.5)
    assert line.told == [(True, 1, "")]
    line.talk.tick(4 * ASK_AGAIN)
    assert line.said() == []


def test_a_refusal_ends_the_requests_of_the_session_that_there_was(line: Line) -> None:
    line.hear(wire.WELCOME, 60_000, 0.0)
    line.ask(0.0)
    line.hear(wire.REFUSED, 0, 1.0, wire.NO_TOKEN)
    assert [type(each.error).__name__ for each in line.outcomes] == ["SessionLost"]
    assert line.told[1:] == [(False, 1, "the server does not know it any more")]
    line.ask(1.0)
    line.talk.tick(1.0 + ASK_AGAIN)
    assert line.said() == [wire.HELLO], "and not the request, which nobody waits for"


def test_a_request_that_has_ended_before_it_was_sent_is_not_sent(line: Line) -> None:
    line.hear(wire.WELCOME, 60_000, 0.0)
    for number in range(1000):
        line.ask(0.0, limit=0.5 if number else 50.0)
        line.talk.tick(0.5 if number == 999 else 0.0)
    assert line.stats["timeouts"] == 999
    assert line.said() == [wire.ASK]


def test_requests_that_a_socket_does_not_take_do_not_pile_up(line: Line) -> None:
    line.hear(wire.WELCOME, 60_000, 0.0)
    for number in range(1000):
        line.talk.tick(number * 0.01)
        line.ask(number * 0.01, limit=0.01)
    assert len(line.talk._out) < 100


@pytest.mark.parametrize("how", ["replied", "forgotten"])
def test_nothing_is_kept_of_requests_that_have_ended(line: Line, how: str) -> None:
    if how == "replied":
        line.hear(wire.WELCOME, 60_000, 0.0)
    for number in range(1, 2001):
        call = line.ask(0.0)
        if how == "replied":
            line.hear(wire.FINAL, number, 0.0)
        else:
            line.talk.forget(call)
    pending = line.talk._pending
    kept = (pending._deadlines, pending.waiting, pending.all, pending.asked)
    assert max(map(len, kept)) < 100


def test_requests_that_wait_keep_their_deadlines(line: Line) -> None:
    """What is thrown away is of those that have ended."""
    for number in range(200):
        line.ask(0.0, limit=float(number + 1))
    for _ in range(1000):
        line.talk.forget(line.ask(0.0, limit=0.5))
    line.talk.tick(150.0)
    assert line.stats["timeouts"] == 150
    line.talk.tick(200.0)
    assert line.stats["timeouts"] == 200


def test_replies_that_nobody_reads_are_bounded_and_counted(line: Line) -> None:
    tell = _into_pushed(line)  # type: ignore[arg-type]
    for _ in range(PUSHED_WAITING + 5):
        tell(Outcome([b"x"], False))
    assert len(line.talk.pushed) == PUSHED_WAITING == line.stats["pushed"]
    assert line.stats["dropped"] == 5
