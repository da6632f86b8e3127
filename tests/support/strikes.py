"""Exceptions that a signal handler raises, as that of Ctrl-C does, at moments that a test chooses."""

from __future__ import annotations

import contextlib
import gc
import inspect
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

from harness import wait_until

__all__ = [
    "Struck", "handler_that_raises", "nothing_left", "struck", "struck_outside_coroutines", "sweep",
]  # fmt: skip


class Struck(BaseException):
    """As KeyboardInterrupt, which nobody catches by accident."""


#: How often the handler of :func:`handler_that_raises` was called.
_strikes = 0
#: Whether the last one came where no coroutine can learn of it.
_outside_coroutines = False


@contextlib.contextmanager
def handler_that_raises() -> Iterator[None]:
    """The time in which SIGALRM raises :class:`Struck`."""

    def strike(_: int, frame: FrameType | None) -> None:
        global _strikes, _outside_coroutines
        _strikes += 1
        _outside_coroutines = not _in_coroutine(frame)
        raise Struck

    before = signal.signal(signal.SIGALRM, strike)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def _in_coroutine(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_flags & inspect.CO_COROUTINE:
            return True
        frame = frame.f_back
    return False


def struck_outside_coroutines() -> bool:
    """Whether it came in the work that goes on, and not in a coroutine: in a callback, or in asyncio."""
    return _outside_coroutines


def struck(work: Callable[[], object], after: float) -> bool:
    """Do the work, in which Struck comes ``after`` seconds; returns whether it came."""
    before = _strikes
    try:
        _strike_within(work, after, before)
    except Struck:
        return True
    return False


def _strike_within(work: Callable[[], object], after: float, before: int) -> None:
    global _outside_coroutines
    _outside_coroutines = False
    signal.setitimer(signal.ITIMER_REAL, max(after, 1e-6))
    try:
        work()
    finally:
        left, _ = signal.setitimer(signal.ITIMER_REAL, 0.0)
    if left == 0.0:  # another thread may have taken it and be about to tell
        wait_until(lambda: _strikes > before, "a strike that is due")


def sweep(work: Callable[[], object], clean_up: Callable[[], object], moments: int) -> int:
    """Strike at so many moments of the work, and clean up each time; how often it came."""
    took = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
        clean_up()
    came = 0
    for moment in range(moments):
        came += struck(work, sorted(took)[1] * 1.1 * (moment + random.random()) / moments)
        clean_up()
    return came


@contextlib.contextmanager
def nothing_left(*, files: bool = True) -> Iterator[dict[str, int]]:
    """The time after which there are no more threads, of Python or of the system, and files than before.

    Gives what is filled at the end: how many more there are.
    """

    def counts() -> dict[str, int]:
        gc.collect()
        names = [each.name for each in threading.enumerate()]
        # A broker that goes on may have begun to tell something.
        tasks = len(os.listdir("/proc/self/task")) - names.count("brigantine-notices")
        ours = [name for name in names if name.startswith("brigantine") and "notices" not in name]
        counted = {"threads": len(ours), "tasks": tasks}
        return {**counted, "files": len(os.listdir("/proc/self/fd"))} if files else counted

    before, more = counts(), dict[str, int]()
    yield more

    def there() -> bool:
        more.update({what: max(0, now - before[what]) for what, now in counts().items()})
        return not any(more.values())

    wait_until(there, f"what there was before, {before}, instead of {counts()},")
