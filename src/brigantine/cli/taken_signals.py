"""Signals that a command takes over, and gives back: to who has called it as a function, to a forked child.

A command that is a process keeps them to its end, as they are to do nothing on its way out.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from .reasons import ENDED, ReasonPipe

__all__ = [
    "RESTART_SIGNAL",
    "STOP_SIGNALS",
    "TakenSignals",
    "hold_signals",
    "signals_given_back",
]

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
#: Restart, for those that ask to be told of it: see restart.py.
RESTART_SIGNAL = signal.SIGHUP


def hold_signals() -> None:
    """Let the signals wait until the program that this process becomes is ready for them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (*STOP_SIGNALS, RESTART_SIGNAL))


class TakenSignals:
    """Has the numbers of ``signals`` written to a pipe, from :meth:`take` on.  Main thread only."""

    def __init__(self, signals: tuple[signal.Signals, ...], pipe: ReasonPipe) -> None:
        self._signals, self._pipe = signals, pipe
        #: Before: their handlers, which of them were blocked, and where Python wrote their numbers.
        self._before: dict[signal.Signals, Any] = {}
        self._blocked: set[int] = set()
        self._woken = -1
        #: From :meth:`take` to :meth:`close`.
        self.is_open = False

    def take(self) -> None:
        """Take them over."""
        self._woken = signal.set_wakeup_fd(self._pipe.write, warn_on_full_buffer=False)
        self.is_open = True
        _taken.append(self)
        for number in self._signals:
            self._before[number] = signal.signal(number, self._handle)
        before = signal.pthread_sigmask(signal.SIG_UNBLOCK, self._signals)  # see hold_signals()
        self._blocked = before & set(self._signals)

    def close(self) -> None:
        """Ignore the stop signals from now on: what is left to do is the way out of the process.

        Where it is not, see :func:`signals_given_back`.
        """
        self.is_open = False
        self.ignore()

    def ignore(self) -> None:
        """The same, but for a fork."""
        self._wake(-1)
        for number in self._signals:
            signal.signal(number, _on_the_way_out(number))

    def give_back(self) -> None:
        """All as it was, but for the mask, where it still is as we left it."""
        self._wake(self._woken)
        for number, before in self._before.items():
            ours = self._handle if self.is_open else _on_the_way_out(number)
            if signal.getsignal(number) == ours:
                signal.signal(number, signal.SIG_DFL if before is None else before)
        self.is_open = False

    def give_back_at_end(self) -> None:
        """The same with the mask; whoever still waits is told."""
        self.give_back()
        signal.pthread_sigmask(signal.SIG_BLOCK, self._blocked)
        self._pipe.tell(ENDED)

    def give_back_in_child(self) -> None:
        """The same in a forked child, which nobody else of us is in."""
        if self.is_open:
            self.give_back()
            self._pipe.close()

    def _wake(self, instead: int) -> None:
        """Have Python write numbers there and no more to our pipe, unless it is another's turn by now."""
        woken = signal.set_wakeup_fd(-1)
        wanted = instead if woken in (-1, self._pipe.write) else woken
        with contextlib.suppress(OSError, ValueError):  # that was closed meanwhile
            signal.set_wakeup_fd(wanted)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        """Without a handler the signal would end the process; see the top of stopping.py.

        An event loop that is told to watch for a signal, as the worker's function may do with any,
        wants to be woken itself, for all of them.  One that has ended leaves nobody to be woken but us.
        """
        woken = signal.set_wakeup_fd(self._pipe.write, warn_on_full_buffer=False)
        if woken != self._pipe.write:
            if woken != -1:
                signal.set_wakeup_fd(woken)
            self._pipe.tell(number)


def _on_the_way_out(number: int) -> signal.Handlers:
    """What a signal does there."""
    return signal.SIG_IGN if number in STOP_SIGNALS else signal.SIG_DFL


class _Mask(threading.local):
    """The signal mask before a fork, where that has changed it."""

    before: set[int] | None = None


#: Those that were taken over and not given back.
_taken: list[TakenSignals] = []
_mask = _Mask()


@contextlib.contextmanager
def signals_given_back() -> Iterator[None]:
    """For a command that is no process of its own: at its end signals are as it has found them."""
    before = len(_taken)
    try:
        yield
    finally:
        # Other threads can't have taken any, nor can they give them back.
        if threading.current_thread() is threading.main_thread():
            while len(_taken) > before:
                _taken.pop().give_back_at_end()


def _before_fork() -> None:
    """Let signals wait for as long as the child's would be taken for ours."""
    _mask.before = None  # that of an earlier fork is none to go back to
    if any(each.is_open for each in _taken):
        # Asked for first: what a handler raises after the mask has changed would leave it changed.
        _mask.before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        signal.pthread_sigmask(signal.SIG_BLOCK, (*STOP_SIGNALS, RESTART_SIGNAL, signal.SIGCHLD))


def _after_fork() -> None:
    if _mask.before is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, _mask.before)


@atexit.register
def _ignore_signals() -> None:
    """Let none end what has done its work: Python gives the signals back to the system at its end.

    Who registers first comes last: what the worker's function has left to do is done by now.
    """
    for each in _taken:
        if each.is_open:
            each.ignore()


def _in_child() -> None:
    while _taken:
        _taken.pop().give_back_in_child()
    _after_fork()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
