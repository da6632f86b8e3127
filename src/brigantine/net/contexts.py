"""Contexts and sockets made in the main thread, where an exception out of the blue may strike.

After Ctrl-C, say, nothing but the exception's traceback may hold a socket, and ending its context
would wait for as long as the traceback lives: so all are known before libzmq knows them.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import MutableSet
from functools import partial
from typing import Any

import zmq

from ..system.signals import HELD

__all__ = ["KnownSocket", "OwnContext", "Sockets", "close_all", "end_context"]

#: Sockets that are open; those that are closed leave by themselves.
#:
#: Where the garbage collector may end the context, this must hold them, and not weakly: it would forget
#: those that an exception cut loose, before the end of the context waits for them.
Sockets = MutableSet[zmq.Socket[Any]]


class KnownSocket(zmq.Socket[bytes]):
    """A socket that who made it knows of before libzmq does."""

    def __init__(self, context: zmq.Context[Any], kind: int, *, known: Sockets) -> None:
        # Past pyzmq, which takes an attribute that it does not know for an option.
        self.__dict__["_known"] = known
        known.add(self)
        try:
            super().__init__(context, kind)
        except BaseException:  # no sockets left, say
            self.close()
            raise

    def close(self, linger: int | None = None) -> None:
        """As of any socket."""
        super().close(linger)
        self.__dict__["_known"].discard(self)


class OwnContext(zmq.Context[zmq.Socket[bytes]]):
    """A context that knows all its sockets; to be ended by :meth:`end`."""

    def __init__(self, io_threads: int = 1) -> None:
        known: Sockets = set()  # and not weakly: see there
        # Past pyzmq, which takes an attribute that it does not know for an option.
        self.__dict__["_known"] = known
        super().__init__(io_threads)

    def __del__(self) -> None:
        # Collected before them, it would wait for sockets that nobody can close any more.
        close_all(self.__dict__.get("_known", set()))
        super().__del__()

    def socket(self, socket_type: int, socket_class: Any = None, **options: Any) -> Any:
        """As of any context."""
        made_by = socket_class or partial(KnownSocket, known=self.__dict__["_known"])
        return super().socket(socket_type, made_by, **options)

    def end(self) -> None:
        """Close what sockets are still open, and terminate."""
        end_context(self, self.__dict__["_known"])


def close_all(known: Sockets) -> None:
    """Close what is open of them; none may be in use by another thread."""
    sockets = [each for each in list(known) if not each.closed]
    for socket in sockets:
        # libzmq would wait for a monitor whose reader was closed before what it watches.
        if socket.type != zmq.PAIR:
            with contextlib.suppress(zmq.ZMQError):  # the context was terminated
                socket.monitor(None, 0)
    for socket in sockets:
        socket.close(0)


def end_context(context: zmq.Context[Any], known: Sockets) -> None:
    """Terminate a context, and close what sockets are still open in it.

    libzmq gives up where a signal comes, to be asked again, and pyzmq forgets the context all the same:
    its threads would stay for as long as the process.  So signals wait, for no longer than the sockets
    linger that were closed before.
    """
    # Asked for first: pthread_sigmask() calls the handlers of signals that have come, after it has
    # changed the mask, and what they raise leaves it changed.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        close_all(known)
        context.term()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
