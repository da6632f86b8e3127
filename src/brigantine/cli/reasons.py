"""The reasons to stop, a byte each on one pipe: a signal's number (1 to 64), or one of those here."""

from __future__ import annotations

import contextlib
import os
import signal
import weakref

__all__ = ["ENDED", "END_OF_INPUT", "ReasonPipe", "reason"]

#: What we run has ended.
ENDED = 0
END_OF_INPUT = 255


def reason(code: int) -> str:
    """The words for one of them."""
    if code == ENDED:
        return "ended"
    return "end of standard input" if code == END_OF_INPUT else signal.Signals(code).name


class ReasonPipe:
    """The pipe.  It is closed when nobody is left who may write to it, such as a thread that waits."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe()
        #: To be called where no thread is left, as in a forked child.
        self.close = weakref.finalize(self, _close, self.read, self.write)
        self.close.atexit = False
        os.set_blocking(self.write, False)

    def tell(self, code: int) -> None:
        """Add a reason.  From any thread, and from signal handlers."""
        with contextlib.suppress(BlockingIOError):  # full of reasons to stop already
            os.write(self.write, bytes((code,)))


def _close(*descriptors: int) -> None:
    for each in descriptors:
        os.close(each)
