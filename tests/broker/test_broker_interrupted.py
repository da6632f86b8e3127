"""What a signal handler may do to the broker whose method it has interrupted.

A handler runs between two steps of the main thread, which keeps the locks that it holds.  A thread's trace
function does just the same, and can be had at every line in turn.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from harness import PATIENCE

import brigantine
from brigantine import BrokerStopped, LRUBroker

PACKAGE = str(Path(brigantine.__file__).parent)


class Interruption:
    """Calls ``handler`` once, before the line number ``at`` of the package that this thread comes to."""

    def __init__(self, at: int, handler: Callable[[], object]) -> None:
        self._left = at
        self._handler = handler
        self.happened = False

    def trace(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            if self._left == 0:
                self.happened = True
                self._handler()
            self._left -= 1
        return self.trace


def interrupted(
    method: Callable[[], object], at: int, handler: Callable[[], object]
) -> Interruption:
    """Call ``method`` in a thread, and ``handler`` in its midst; fails when that does not end."""
    interruption = Interruption(at, handler)
    raised: list[BaseException] = []

    def run() -> None:
        sys.settrace(interruption.trace)
        try:
            with contextlib.suppress(BrokerStopped):
                method()
        except BaseException as error:
            raised.append(error)
        finally:
            sys.settrace(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), f"interrupted at line {at} it never ends"
    assert raised == []
    return interruption


def first_event(broker: LRUBroker) -> None:
    with broker.events() as events:
        events.next(0.0)


METHODS: dict[str, Callable[[LRUBroker], object]] = {
    "stats": LRUBroker.stats,
    "workers": LRUBroker.workers,
    "services": LRUBroker.services,
    "events": first_event,
    "drain": lambda broker: broker.drain(0.0),
    "stop": LRUBroker.stop,
}


@pytest.mark.pairwise
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ending", ["stop", "drain"])
def test_a_signal_handler_may_end_the_broker_whatever_it_interrupts(
    broker: Callable[..., LRUBroker], method: str, ending: str
) -> None:
    at, happened = 0, True
    while happened:
        running = broker()
        happened = interrupted(
            lambda running=running: METHODS[method](running), at, getattr(running, ending)
        ).happened
        at += 1
        running.stop()
        assert not running.running
    assert at > 3  # it was interrupted at more places than its first line


@pytest.mark.parametrize("method", METHODS)
def test_a_signal_handler_may_look_at_the_counters_whatever_it_interrupts(
    broker: Callable[..., LRUBroker], method: str
) -> None:
    at, happened = 0, True
    while happened:
        running, seen = broker(), list[dict[str, int]]()
        happened = interrupted(
            lambda running=running: METHODS[method](running),
            at,
            lambda running=running, seen=seen: seen.append(running.stats()),
        ).happened
        at += 1
        assert len(seen) == happened
        running.stop()


@pytest.mark.parametrize("method", ["events", "stats", "stop"])
def test_a_signal_handler_may_close_a_reader_whatever_it_interrupts(
    broker: Callable[..., LRUBroker], method: str
) -> None:
    at, happened = 0, True
    while happened:
        running = broker()
        reader = running.events()
        happened = interrupted(
            lambda running=running: METHODS[method](running), at, reader.close
        ).happened
        at += 1
        if happened:
            assert list(reader) == []
        running.stop()


def test_a_question_in_the_midst_of_a_question_is_refused(broker: Callable[..., LRUBroker]) -> None:
    """It would wait for the lock of the question that it has interrupted, for ever."""
    refused: list[str] = []
    at, happened = 0, True
    running = broker()

    def ask() -> None:
        try:
            running.workers()
        except RuntimeError as error:
            refused.append(str(error))

    while happened:
        happened = interrupted(running.services, at, ask).happened
        at += 1
    assert 0 < len(refused) < at
    assert all("let it set a flag" in words for words in refused)
    assert running.services() == {}


def test_a_handler_that_raises_leaves_a_broker_in_order(broker: Callable[..., LRUBroker]) -> None:
    """Ctrl-C, wherever it strikes: the next question is answered, and ``stop()`` waits for the end."""
    running = broker()

    class Struck(Exception):
        pass

    def strike(*_: object) -> None:
        raise Struck

    before = signal.signal(signal.SIGALRM, strike)
    try:
        for _ in range(300):
            with contextlib.suppress(Struck):
                signal.setitimer(signal.ITIMER_REAL, 0.001)
                while True:
                    running.workers()
                    running.stats()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert running.services() == {}
    running.stop()
    assert not running.running
