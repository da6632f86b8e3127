"""How a socket gets its one connection: names, addresses in turn, tries, and what became of it."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import zmq

from ..errors import ConnectError
from ..system.forks import close_socket, leave_to_parent, socket_number
from .backoff import Backoff
from .endpoints import connect
from .mismatch import HEAD, LOOK, Question, tell, told_no_more
from .monitor import monitor_event
from .names import Lookup, is_numeric, look_up, name_in

__all__ = ["Dialing"]

#: Seconds to the next try after one that failed, and the bound to which they grow.
RETRY, RETRY_MAX = 0.1, 1.0
#: Seconds after which the next address of a name gets its turn.
NEXT_ADDRESS = 1.0
#: Seconds beyond libzmq's own limits, in which it tells that a try has failed; it does not always.
GRACE = 1.0
#: What libzmq answers when files or sockets are used up, which may pass.
NO_FILES = (errno.EMFILE, errno.ENFILE)

#: A connection has its descriptor; it can be used; it has ended; libzmq would try again, if not told
#: to do so in 12 days.
_WATCHED = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CONNECT_RETRIED
)

#: What a try has met -> how the log begins that tells of it.
_WORDS = {
    "refused": "nobody accepts connections",
    "unreached": "connecting is not answered",
    "mute": "connections are accepted, but ZeroMQ's handshake is not answered",
    "hung_up": "no broker speaks ZMTP",
}
#: The word where what is bound there is asked, and is known not to fit.
MISMATCHED = "mismatched"

_numbers = itertools.count(1)

Made = TypeVar("Made", bound="zmq.Socket[Any]")


class Dialing(Generic[Made]):
    """Tries until a connection is established, on a fresh socket each time; then watches that one.

    One of our sockets has a routing id of its own choice, which no second connection may use: whoever
    still holds the first would refuse the second, or send it what was meant for the first.  So
    libzmq's own tries are switched off, and made here.  Nothing here waits.

    ``make`` gives a socket with its options and the PAIR that will watch it, or ``None`` to do without:
    then there is one try, and how it ends is not known.  ``opened`` is told of each socket that begins
    to connect, ``closing`` before one is closed.  ``wake`` may be called from any thread: it is time for
    another :meth:`advance`.  With ``again`` a connection that ends before its handshake was done is a try
    that has failed, otherwise it is over; and when files are used up the first try raises what it met,
    unless there were others before this began: ``tried``.
    """

    #: Whose sockets they are: nobody's until there may be some, for ``__del__`` comes even after a
    #: constructor that an exception out of the blue has interrupted.
    _process = -1

    def __init__(
        self,
        endpoint: str,
        make: Callable[[], tuple[Made, zmq.Socket[bytes] | None]],
        wake: Callable[[], object],
        *,
        patience: float,
        opened: Callable[[Made], object] = lambda _: None,
        closing: Callable[[], object] = lambda: None,
        again: bool = False,
        tried: bool = False,
        retry_max: float = RETRY_MAX,
    ) -> None:
        self.endpoint = endpoint
        self._make, self._wake = make, wake
        self._opened, self._closing = opened, closing
        self._again = again
        self._patience = patience
        self._backoff = Backoff(RETRY, retry_max)
        self.socket: Made | None = None
        #: Readable when something happens to the connection.
        self.monitor: zmq.Socket[bytes] | None = None
        #: Whether the connection is or was established, as far as is known; and whether it has ended.
        self.connected = self.over = False
        #: Why the last try has failed, in words; empty when none has.
        self.trouble = ""
        #: What the last try has met, in a word: unresolved, refused, unreached, mute, hung_up, or
        #: mismatched.
        self.met = ""
        #: The descriptor of the connection, and what tells that it still is; see close_socket().
        self._descriptor = (-1, 0)
        #: Over inproc there are no events: call :meth:`advance` from time to time.
        self.silent = endpoint.startswith("inproc://")
        self._addresses: deque[str] = deque()
        self._lookup: Lookup | None = None
        #: Where this try connects to; who is bound there, while that is asked.
        self._address = ""
        self._question: Question | None = None
        #: When the next try may begin; when this one has failed.
        self._try_at = self._fails_at = 0.0
        self._tried = tried
        self._process = os.getpid()
        leave_to_parent(self._in_child)

    @property
    def descriptor(self) -> tuple[int, int]:
        """The descriptor of the connection, and what tells that it still is: see ``socket_number()``."""
        return self._descriptor

    @property
    def exhausted(self) -> bool:
        """Whether all that the endpoint leads to was tried and has failed; the next try comes later."""
        return bool(self.trouble) and self.socket is None and not (self._addresses or self._lookup)

    def due(self) -> float | None:
        """When to call :meth:`advance` at the latest; ``None``: when the monitor or ``wake`` says so."""
        if self.connected or self.over:
            return None
        if self._question is not None:
            return time.monotonic() + LOOK
        if self._lookup is not None:
            return self._lookup.stale_at
        return self._try_at if self.socket is None else self._fails_at

    def advance(self, now: float) -> None:
        """Do what is to be done now.

        Raises :class:`~brigantine.errors.ConnectError` when connecting can't be tried.
        """
        if self.socket is not None:
            self._read_events(now)
        if self._question is not None and self._question.answered(now):
            self._hung_up(self._question, now)
        if self._question is not None:
            return
        if self.socket is None and not self.over and now >= self._try_at:
            self._try_next(now)

    def at_once(self, now: float) -> None:
        """Begin the next try now, if none has begun: what the last one has met may be long past."""
        if self.socket is None and not self.over and self._question is None:
            self._try_at = now
            self._try_next(now)

    def _read_events(self, now: float) -> None:
        failed = ""
        while (told := self._event()) is not None:
            event, value = told
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.connected, self.trouble, self.met = True, "", ""
                assert self.socket is not None
                told_no_more(int(self.socket.type), self.endpoint)
            elif event == zmq.EVENT_CONNECTED:
                self._descriptor = (value, socket_number(value))
                self.met = "mute"
            elif event == zmq.EVENT_CONNECT_RETRIED:
                failed = failed or "refused"
            elif self.connected:
                self.over = True
            else:
                failed = "hung_up"
        # A REQ socket that waits for its reply can't send either, so clients look when they are idle.
        if self.silent and not self._again and not self._can_send():
            self.over = True  # the pipe went with the broker's socket
        if self.connected or self.over:
            return
        if failed == "hung_up" and not self._addresses:
            # Its type may not be of those that fit.  libzmq never says so.
            assert self.socket is not None
            self._question = Question(int(self.socket.type), self.endpoint, self._address)
            self.met = failed
            self._let_go()
        elif failed or now >= self._fails_at:
            self._failed(failed or self.met or "unreached", now)

    def _hung_up(self, question: Question, now: float) -> None:
        """A connection has ended before its handshake was done, and who is bound there was asked."""
        self._question = None
        words = question.tell()
        self._failed(MISMATCHED if words.startswith(HEAD) else "hung_up", now, words)
        self.over = not self._again

    def _event(self) -> tuple[int, int] | None:
        """The next that waits, and its value.

        No ``with suppress()`` around an endless loop: CPython 3.12 may call a number instead of its
        exit when Ctrl-C comes just after it.
        """
        if self.monitor is None:
            return None
        try:
            return monitor_event(self.monitor.recv_multipart(zmq.DONTWAIT))
        except zmq.Again:
            return None

    def _can_send(self) -> bool:
        assert self.socket is not None
        return bool(cast(int, self.socket.getsockopt(zmq.EVENTS)) & zmq.POLLOUT)

    def unresolved(self) -> str:
        """Why the name of the host has no address, in words; empty if it has, or nothing is known."""
        if self.met == "unresolved":
            return self.trouble
        if self._lookup is None:
            return ""
        return f"can't look up {name_in(self.endpoint)}: no answer yet"

    def _failed(self, met: str, now: float, words: str = "") -> None:
        """A try has failed: the next address is tried at once, if there is one."""
        self.met = met
        self.trouble = words or f"{_WORDS[met]} at {self.endpoint}"
        self._let_go()
        if not self._addresses:
            self._try_at = now + self._backoff.next()

    def _try_next(self, now: float) -> None:
        address = self._next_address(now)
        if address is None:
            return
        first, self._tried = not self._tried, True
        try:
            self._open(address)
        except ConnectError as error:
            kind = 0 if self.socket is None else int(self.socket.type)
            self._let_go()
            if error.errno != errno.EPROTOTYPE:
                raise
            # Over inproc, where no connection even begins.
            words = str(error.strerror)
            tell(kind, self.endpoint, words)
            self._failed(MISMATCHED, now, words)
            return
        except zmq.ZMQError as error:
            self._let_go()
            if error.errno not in NO_FILES or (self._again and first):
                raise
            self._addresses.clear()
            self._failed("unreached", now, f"can't open a socket to {self.endpoint}: {error}")
            return
        except BaseException:
            self._let_go()
            raise
        limit = self._patience * 2 + GRACE
        self._fails_at = now + (min(limit, NEXT_ADDRESS) if self._addresses else limit)

    def _next_address(self, now: float) -> str | None:
        if self._addresses:
            return self._addresses.popleft()
        if is_numeric(self.endpoint):
            return self.endpoint
        if self._lookup is not None and self._lookup.stale:
            self._lookup.cancel()
            self._lookup = None
        if self._lookup is None:
            self._lookup = look_up(self.endpoint, self._wake)
        if self._lookup.endpoints is None:
            return None
        lookup, self._lookup = self._lookup, None
        if not lookup.endpoints:
            self._failed("unresolved", now, lookup.error)
            return None
        self._addresses.extend(lookup.endpoints)
        return self._addresses.popleft()

    def _open(self, address: str) -> None:
        self._address = address
        self.socket, self.monitor = self._make()
        # A host that does not answer at all: don't leave it to the system's two minutes.
        milliseconds = max(1, round(self._patience * 1000))
        self.socket.handshake_ivl = self.socket.connect_timeout = milliseconds
        if self.monitor is not None and not self.silent:
            where = f"inproc://brigantine-dialing-{os.getpid()}-{next(_numbers)}"
            self.socket.monitor(where, _WATCHED)
            self.monitor.linger = 0
            self.monitor.connect(where)
        connect(self.socket, address)
        self.connected = self.silent or self.monitor is None
        self._opened(self.socket)

    def _let_go(self, linger: int = 0) -> None:
        if os.getpid() != self._process:
            return  # a forked child has no right to its parent's sockets
        if self.socket is not None:
            self._closing()
        socket, self.socket = self.socket, None
        monitor, self.monitor = self.monitor, None
        if socket is not None and not socket.closed:
            # In this order: libzmq would wait for a monitor whose reader has gone.
            with contextlib.suppress(zmq.ZMQError):  # the user's context was terminated
                socket.monitor(None, 0)
        if monitor is not None:
            monitor.close(0)
        if socket is not None:
            socket.close(linger)

    def close(self, linger: int = 0) -> None:
        """Give everything back; ``linger`` milliseconds for what is still to be sent.

        May be called again.
        """
        self.over = True
        self._question = None
        if self._lookup is not None:
            self._lookup.cancel()
            self._lookup = None
        self._let_go(linger)

    def _in_child(self) -> None:
        """Close the connection in a forked child: the broker is to notice when the parent has died."""
        close_socket(*self._descriptor)

    def __del__(self) -> None:
        # Where an exception out of the blue, such as Ctrl-C, has cut it loose: in the right order.
        self._let_go()
