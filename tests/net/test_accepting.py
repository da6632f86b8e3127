"""Who looks for connections that can't be accepted: one thread for all, which starts, looks and ends."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from harness import PATIENCE, wait_until

from brigantine import Sink
from brigantine.config.limits import DESCRIPTOR_SPARES
from brigantine.net import accepting
from brigantine.net.accepting import Accepting, _Looks
from brigantine.net.descriptors import DescriptorReserve, take_descriptors


class Member:
    """Of a broker; ``looked_at()`` is called with each look at it."""

    def __init__(self, looked_at: Callable[[], object] = lambda: None) -> None:
        self.reserve, self._looked_at = self, looked_at
        self.looks = 0

    @property
    def rejected(self) -> int:
        self.looks += 1
        self._looked_at()
        return 0

    def waited_for(self) -> bool:
        return False


class NoThread:
    """A thread for which there is no room."""

    def __init__(self, *_: object) -> None:
        pass

    def start(self) -> None:
        raise RuntimeError("can't start new thread")


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Looks]:
    """Of which each finds no descriptor, at once after the other."""
    monkeypatch.setattr(accepting, "ACCEPT_LOOK", 0.001)
    monkeypatch.setattr(accepting, "take_descriptors", lambda _: [])
    made = _Looks()
    yield made
    for each in made._members:
        made.remove(each)


def join(looks: _Looks, *members: Member) -> None:
    for each in members:
        looks.add(cast(Accepting, each))


def leave(looks: _Looks, member: Member) -> None:
    looks.remove(cast(Accepting, member))


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_where_no_thread_can_be_started_all_is_as_before_and_the_next_broker_is_looked_at(
    looks: _Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Member(), Member()
    taken: list[int] = []

    def take(count: int) -> list[int]:
        found = take_descriptors(count)
        taken.extend(found)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(accepting, "Background", NoThread)
        patched.setattr(accepting, "take_descriptors", take)
        with pytest.raises(RuntimeError):
            join(looks, first)
    assert len(taken) == DESCRIPTOR_SPARES
    assert not any(is_open(each) for each in taken)
    join(looks, second)
    wait_until(lambda: second.looks, "a look")
    assert first.looks == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_failed_is_replaced_when_the_next_broker_joins(looks: _Looks) -> None:
    def fail() -> None:
        raise MemoryError

    failing, other = Member(fail), Member()
    join(looks, failing)
    wait_until(lambda: looks._thread is not None and not looks._thread.running, "its end")
    leave(looks, failing)
    join(looks, other)
    wait_until(lambda: other.looks, "a look")


def test_who_has_left_is_not_looked_at_any_more_though_others_are(looks: _Looks) -> None:
    looking, go = threading.Event(), threading.Event()
    order: list[str] = []

    def look() -> None:
        looking.set()
        assert go.wait(PATIENCE)
        order.append("looked")

    leaving, staying = Member(look), Member()
    join(looks, leaving, staying)
    assert looking.wait(PATIENCE)
    waits = threading.Event()

    def left() -> None:
        waits.set()
        leave(looks, leaving)
        order.append("left")

    thread = threading.Thread(target=left)
    thread.start()
    wait_until(lambda: order or looks._lock.locked(), "it waits")
    go.set()
    thread.join()
    # It may have been in the next look by then, but in none afterwards.
    assert order[0] == "looked"
    assert order[-1] == "left"
    seen = staying.looks
    wait_until(lambda: staying.looks > seen + 2, "looks at the other")
    assert order[-1] == "left"


def test_a_listener_that_was_closed_has_nobody_who_waits() -> None:
    def tell(*_: object) -> None:
        raise AssertionError

    watched = Accepting(DescriptorReserve(list, tell), tell)
    [descriptor] = take_descriptors(1)
    watched._listeners.register(descriptor)
    os.close(descriptor)
    assert not watched.waited_for()


def test_a_forked_child_holds_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    of_parent = _Looks()
    of_parent._spares = take_descriptors(DESCRIPTOR_SPARES)
    held = tuple(of_parent._spares)
    assert all(map(is_open, held))
    monkeypatch.setattr(accepting, "_looks", of_parent)
    accepting._after_fork()
    assert not any(map(is_open, held))
    assert accepting._looks is not of_parent


def test_a_log_handler_that_blocks_holds_up_its_own_sink_alone() -> None:
    told_by: list[str] = []

    class Blocks(logging.Handler):
        def emit(self, _record: logging.LogRecord) -> None:
            told_by.append(threading.current_thread().name)

    log, handler = logging.getLogger("brigantine.pipeline"), Blocks()
    log.addHandler(handler)
    try:
        with Sink("tcp://127.0.0.1:*") as sink:
            io: Any = sink._io
            io._accepting.has_failed()
            assert threading.current_thread().name not in told_by
            wait_until(lambda: told_by, "the line")
    finally:
        log.removeHandler(handler)
    assert told_by == ["brigantine-sink"]
