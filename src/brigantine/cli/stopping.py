"""Graceful shutdown: SIGTERM, SIGINT, the end of standard input, or what we run having ended.

All of them arrive as bytes on one pipe, so that the main thread waits in one ``poll`` and sleeps
until then.  Python's own C handler writes the number of the signal to the pipe
(``signal.set_wakeup_fd``).  The signal handlers themselves do so only where somebody else has taken
that over, and take no lock, hence nothing can deadlock in them.

A service is often told twice to stop: systemd and ``docker stop`` signal a whole control group,
``timeout`` and many wrappers their child and its process group, a terminal all that runs in it.  So
SIGTERM asks for a graceful shutdown however often it comes, and so does the first Ctrl-C (SIGINT).
Only a person presses it again: the second Ctrl-C ends at once.  What a wrapper passes on within a
moment is no second one, and what our supervisor has to say to its workers comes by their
standard input, which never counts as a signal.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterable

from .exit_codes import SIGNALLED
from .reasons import END_OF_INPUT, ENDED, ReasonPipe
from .standard_input import standard_input
from .taken_signals import STOP_SIGNALS, TakenSignals

__all__ = ["ECHO", "StopRequests"]

#: Seconds in which one Ctrl-C may arrive as several signals.
ECHO = 0.05


class StopRequests:
    """Collects the reasons to stop, from :meth:`open` on.  Main thread only, but for :meth:`ended`.

    ``at_eof`` adds the end of standard input: a parent that holds the other end of that pipe can't
    die, not even by SIGKILL, without its children noticing.  ``also`` are more signals to report.
    """

    def __init__(self, *, at_eof: bool = False, also: Iterable[signal.Signals] = ()) -> None:
        self._at_eof = at_eof
        self._signals = (*STOP_SIGNALS, *also)
        self._known = {ENDED, END_OF_INPUT, *map(int, self._signals)}
        #: Whether Ctrl-C was among the reasons: the next one is the second.
        self._interrupted = False
        self._pipe: ReasonPipe
        self._taken: TakenSignals
        self._poller = select.poll()

    def open(self) -> StopRequests:
        """Take over the signals."""
        self._pipe = ReasonPipe()
        self._poller.register(self._pipe.read, select.POLLIN)
        self._taken = TakenSignals(self._signals, self._pipe)
        self._taken.take()
        if self._at_eof:
            tell = self._pipe.tell
            standard_input.then(lambda: tell(END_OF_INPUT))
            standard_input.start()
        return self

    def close(self) -> None:
        """Ignore the stop signals from now on: what is left to do is the way out of the process."""
        self._taken.close()

    def wait(self, timeout: float | None = None) -> int | None:
        """The next reason: a signal's number, END_OF_INPUT or ENDED.

        ``None`` when there was none for ``timeout`` seconds.
        """
        while self._poller.poll(None if timeout is None else max(0.0, timeout) * 1000.0):
            code = os.read(self._pipe.read, 1)[0]
            if code in self._known:
                return code
        return None

    def wait_first(self) -> int:
        """The next reason, whichever it is."""
        while True:
            code = self.wait()
            if code is not None:
                return code

    def debounce(self, why: int) -> bool:
        """After the reason ``why``: let pass what is the same decision, told once more.

        Returns whether the second Ctrl-C was among it.  To be called before anybody is told what the
        next one does, which :meth:`hint` says.
        """
        before = self._interrupted
        if before and why == signal.SIGINT:
            return True
        others = []
        code: int | None = why
        until = time.monotonic() + ECHO
        while code is not None:  # what is there is read also when the moment is over
            if code == signal.SIGINT:
                if before:
                    return True
                if not self._interrupted:
                    self._interrupted = True
                    until = time.monotonic() + ECHO
            elif code not in (why, *STOP_SIGNALS):
                others.append(code)
                if code == ENDED:
                    break
            code = self.wait(until - time.monotonic())
        for code in others:
            self._pipe.tell(code)
        return False

    def hint(self, ends: str) -> str:
        """The words for what ends it at once, such as ``; a second Ctrl-C exits at once``."""
        return f"; {'a second Ctrl-C' if self._interrupted else 'Ctrl-C twice'} {ends} at once"

    def wait_again(self, tell: Callable[[int], object]) -> int:
        """After the first reason and :meth:`debounce`: SIGINT for the second Ctrl-C, or ENDED.

        ``tell`` is given each stop signal that comes meanwhile and changes nothing.  The end of
        standard input is none: it comes whenever a parent that was told to stop lets go of the pipe.
        """
        while True:
            code = self.wait_first()
            if code == ENDED:
                return code
            if code in STOP_SIGNALS:
                if self.debounce(code):
                    return signal.SIGINT
                tell(code)

    def exit_at_second(self, tell: Callable[[int], object]) -> None:
        """:meth:`wait_again`, and exit at the second Ctrl-C, whatever is under way.

        To be called in a thread of its own: nobody else may wait from then on.
        """
        if (code := self.wait_again(tell)) != ENDED:
            os._exit(SIGNALLED + code)

    def watch_for_second(self, why: int) -> None:
        """After the first reason ``why``: have a thread exit at the second Ctrl-C."""

        def watch() -> None:
            if self.debounce(why):
                os._exit(SIGNALLED + signal.SIGINT)
            self.exit_at_second(lambda _: None)

        threading.Thread(target=watch, name="brigantine-stop", daemon=True).start()

    def ended(self) -> None:
        """Make :meth:`wait` return ENDED.  From any thread."""
        self._pipe.tell(ENDED)

    def __enter__(self) -> StopRequests:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()
