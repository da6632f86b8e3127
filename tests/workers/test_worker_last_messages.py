"""What a broker said before its connection closed is taken by workers, though the close is known first."""

from __future__ import annotations

import time
from typing import Any

import pytest
from heartbeat_doubles import WIRES, unstarted

from brigantine import LRUWorker

NOWHERE = "tcp://127.0.0.1:1"


class FakeConnection:
    """A connection of which the end is known, with messages that are still to be read."""

    trouble = ""
    connected = True
    socket = monitor = object()
    number = 1
    requests = 0
    warned = False
    mismatched = False

    def __init__(self, messages: list[list[bytes]]) -> None:
        self.messages = messages
        self.waiting: list[object] = []
        self.closed = False

    def read_events(self) -> tuple[bool, bool]:
        return False, True

    def tell_trouble(self, log: object) -> None:
        pass

    def receive(self) -> list[bytes] | None:
        return self.messages.pop(0) if self.messages else None

    def add(self, frames: list[bytes]) -> bool:
        self.waiting.append(frames)
        return True

    def close(self) -> None:
        self.closed = True


def session_of(wire: str, messages: list[list[bytes]]) -> tuple[Any, dict[str, int]]:
    """A worker's session with a broker, and its counters."""
    worker: Any = unstarted(wire, NOWHERE, bytes.upper)
    io = worker._make_io()
    io._wakeup.close()
    [session] = io._sessions.values()
    session.dialog.opened()
    session.dialog.established(time.monotonic())
    session.connection = FakeConnection(messages)
    return session, session._stats


@pytest.mark.parametrize("wire", ["0.1", "0.2"])
def test_a_worker_that_was_sent_away_knows_it_though_the_connection_has_closed(wire: str) -> None:
    session, stats = session_of(wire, [WIRES[wire]["heartbeat"], WIRES[wire]["disconnect"]])
    session.listen(set(), time.monotonic())
    assert session.connection is None
    assert (stats["dismissed"], stats["disconnects"]) == (1, 1)


@pytest.mark.parametrize("wire", ["ppp", "0.1", "0.2"])
def test_requests_that_came_before_the_close_are_counted_as_discarded(wire: str) -> None:
    """More of them than are read in one turn."""
    request = [*WIRES[wire]["request"], b"ticket", b"", b"x"]
    session, stats = session_of(wire, [list(request) for _ in range(300)])
    session.listen(set(), time.monotonic())
    assert session.connection is None
    assert (stats["discarded_requests"], stats["disconnects"]) == (300, 1)


def test_so_they_are_by_one_without_heartbeats() -> None:
    worker: Any = LRUWorker(NOWHERE, bytes.upper, ready_timeout=0)
    io = worker._make_io()
    io._wakeup.close()
    io._connection = connection = FakeConnection([[b"", b"ticket", b"", b"x"] for _ in range(300)])
    io._read_events(connection)
    assert connection.closed
    assert (io._stats["discarded_requests"], io._stats["disconnects"]) == (300, 1)
