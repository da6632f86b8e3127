"""Signals are for the main thread: waiting so that it handles them in time, and threads without them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Set

__all__ = [
    "HELD",
    "leave_signals_to_main_thread",
    "longest_wait",
    "signal_mask",
    "use_signal_mask",
]

#: Seconds that the main thread sleeps at most before it looks for signals.
SIGNAL_CHECK = 0.25
#: Signals that a thread's own mistake raises; they must not be held back.
_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
#: All others.
HELD = signal.valid_signals() - _FAULTS


def longest_wait() -> float | None:
    """Seconds that this thread may wait in one go; ``None`` for any length.

    The system may let any thread of the process take a signal.  Python's handlers run in the main
    thread all the same, but when another thread took the signal nothing wakes the main thread, and
    it would wait to the end of its poll, or for ever.
    """
    return SIGNAL_CHECK if threading.current_thread() is threading.main_thread() else None


def leave_signals_to_main_thread() -> None:
    """Hold back signals in this thread and those that it starts: here they would not wake the main one."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD)


def signal_mask() -> Set[int]:
    """The signals that this thread holds back."""
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())


def use_signal_mask(mask: Set[int]) -> None:
    """Hold back these in this thread, and no others; so do the processes and threads that it starts."""
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
