"""Being told to stop: SIGTERM, SIGINT, the end of standard input, or what we run having ended.

All of them arrive as bytes on one pipe, so that the main thread waits in one ``poll`` and sleeps
until then.  Python's own C handler writes the number of the signal to the pipe
(``signal.set_wakeup_fd``).  The signal handlers themselves do so only where somebody else has taken
that over, and take no lock, hence nothing can deadlock in them.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Iterable
from types import FrameType

__all__ = [
    "ENDED",
    "END_OF_INPUT",
    "RESTART_SIGNAL",
    "STOP_SIGNALS",
    "StopRequests",
    "hold_signals",
    "is_restart",
    "reason",
]

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
#: Begin anew, for those that ask to be told of it.
RESTART_SIGNAL = signal.SIGHUP

#: What :meth:`StopRequests.wait` returns beside signal numbers (which are 1 to 64).
ENDED = 0
END_OF_INPUT = 255

#: The file descriptor of standard input, and how much of it is thrown away at once.
_STDIN = 0
_READ_SIZE = 65536


def reason(code: int) -> str:
    """The words for what :meth:`StopRequests.wait` returned."""
    if code == ENDED:
        return "ended"
    return "end of standard input" if code == END_OF_INPUT else signal.Signals(code).name


def is_restart(code: int | None) -> bool:
    """Whether what :meth:`StopRequests.wait` returned asks to begin anew.

    SIGHUP does, unless it came because the terminal was closed: that is a reason to stop.
    """
    if code != RESTART_SIGNAL:
        return False
    poller = select.poll()
    for descriptor in _terminals:
        poller.register(descriptor, 0)
    return not any(event & select.POLLHUP for _, event in poller.poll(0))


def hold_signals() -> None:
    """Let the signals wait until the program that this process becomes is ready for them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (*STOP_SIGNALS, RESTART_SIGNAL))


#: Standard streams that were a terminal at the start; one that has hung up no longer says so.
_terminals = [descriptor for descriptor in range(3) if os.isatty(descriptor)]


class StopRequests:
    """Collects the reasons to stop, from :meth:`open` on.  Main thread only, but for :meth:`ended`.

    ``at_eof`` adds the end of standard input: a parent that holds the other end of that pipe can't
    die, not even by SIGKILL, without its children noticing.  ``also`` are more signals to report.
    """

    def __init__(self, *, at_eof: bool = False, also: Iterable[signal.Signals] = ()) -> None:
        self._at_eof = at_eof
        self._signals = (*STOP_SIGNALS, *also)
        self._known = {ENDED, END_OF_INPUT, *map(int, self._signals)}
        self._read = self._write = -1
        self._poller = select.poll()

    def open(self) -> StopRequests:
        """Take over the signals."""
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._poller.register(self._read, select.POLLIN)
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in self._signals:
            signal.signal(number, self._handle)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._signals)  # see hold_signals()
        if self._at_eof:
            threading.Thread(target=self._watch_input, name="brigantine-stdin", daemon=True).start()
        return self

    def close(self) -> None:
        """Ignore the stop signals from now on: what is left to do is the way out of the process."""
        signal.set_wakeup_fd(-1)
        for number in self._signals:
            signal.signal(number, signal.SIG_IGN if number in STOP_SIGNALS else signal.SIG_DFL)
        # The pipe stays open: the thread that watches standard input may still hold its number.

    def wait(self, timeout: float | None = None) -> int | None:
        """The next reason: a signal's number, END_OF_INPUT or ENDED.

        ``None`` when there was none for ``timeout`` seconds.
        """
        while self._poller.poll(None if timeout is None else max(0.0, timeout) * 1000.0):
            code = os.read(self._read, 1)[0]
            if code in self._known:
                return code
        return None

    def wait_first(self) -> int:
        """The next reason, whichever it is."""
        while True:
            code = self.wait()
            if code is not None:
                return code

    def wait_again(self) -> int:
        """After a first reason: the next stop signal, or ENDED.

        The end of standard input is no second reason: it comes whenever a parent that has sent
        SIGTERM lets go of the pipe.
        """
        while True:
            code = self.wait()
            if code == ENDED or code in STOP_SIGNALS:
                return code

    def ended(self) -> None:
        """Make :meth:`wait` return ENDED.  From any thread."""
        self._tell(ENDED)

    def __enter__(self) -> StopRequests:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tell(self, code: int) -> None:
        with contextlib.suppress(BlockingIOError):  # full of reasons to stop already
            os.write(self._write, bytes((code,)))

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        """Without a handler the signal would end the process; see the top of this file.

        An event loop that is told to watch for a signal, as the worker's function may do with any,
        wants to be woken itself, for all of them.
        """
        woken = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        if woken != self._write:
            signal.set_wakeup_fd(woken)
            self._tell(number)

    def _watch_input(self) -> None:
        # Python has no sys.stdin when the descriptor was closed at the start; by now its number
        # may belong to something else.
        with contextlib.suppress(OSError):
            while sys.stdin is not None and os.read(_STDIN, _READ_SIZE):
                pass
        self._tell(END_OF_INPUT)
