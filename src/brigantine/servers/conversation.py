"""What an AsyncClient and its server say to each other: a state machine without socket or clock.

With a server that has shown that it is ours: HELLO, WELCOME with the session's token, then requests, each
with its number and the token, and heartbeats while nothing else is said.  A request that was asked in one
session is never sent in another.  With any other program: requests as they are, one after the other, for
only so is it known to which a reply belongs; no heartbeats.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ..config.servers import BEATS
from ..errors import Busy, Try, WorkerFailed
from ..wire import server as wire
from ..wire.req import raise_if_error, read_broker_error
from .calls import Call, Outcome, lost, no_reply, refused
from .pending import Pending

__all__ = ["ASK_AGAIN", "Conversation"]

#: Messages that answer no request and may wait to be read.
PUSHED_WAITING = 10_000
#: Seconds without any message, though heartbeats were sent, after which a connection is made again.
SILENCE = 30.0
#: Seconds until a client asks again that was refused a session, or not answered.
ASK_AGAIN = 1.0

_HELLO = [b"", wire.pack_head(wire.HELLO, wire.NO_TOKEN, 0)]
#: The states.
_NO_CONNECTION, _GREETED, _OPEN, _FOREIGN, _REFUSED = range(5)


class Conversation:
    """``now`` is seconds, monotonic.  What is to be sent is taken with :meth:`to_send`.

    ``told`` is called with ``True`` or ``False``, the session's number and a word when a session opens and
    when one has ended.
    """

    def __init__(
        self,
        endpoint: str,
        stats: dict[str, int],
        told: Callable[[bool, int, str], object],
        *,
        delimiter: bool,
    ) -> None:
        self._endpoint, self._stats, self._told = endpoint, stats, told
        self._delimiter = delimiter
        self._state = _NO_CONNECTION
        #: The token of the session, once there is one.
        self.token: bytes | None = None
        self._interval = 0.0
        self._said_at = self._heard_at = 0.0
        self._hello_at: float | None = None
        self._pending = Pending(stats)
        #: What is to be sent, and the request that it is.
        self._out: deque[tuple[list[bytes], Call | None]] = deque()
        #: Messages that belong to no request.
        self.pushed: deque[list[bytes]] = deque()
        #: The connection is to be made again: messages on this one can't be told apart.
        self.spoilt = False

    @property
    def session(self) -> int:
        """The number of the session; 0 where there is none."""
        return 0 if self.token is None else int.from_bytes(self.token[wire.EPOCH_BYTES :], "big")

    @property
    def stands(self) -> bool:
        """Whether requests can be sent."""
        return self._state in (_OPEN, _FOREIGN)

    def to_send(self) -> list[bytes] | None:
        """The next message for the socket.  A request that nobody waits for any more is left out."""
        while self._out:
            message, call = self._out.popleft()
            if call is None or not call.ended:
                return message
        return None

    # -- the connection -----------------------------------------------------------------------

    def connected(self, now: float, *, ours: bool) -> None:
        """A connection is established, and it is known whose server it is."""
        self.spoilt = False
        self._heard_at = now
        if ours:
            self._hello(now)
        else:
            self._state = _FOREIGN
            self._pump(now)

    def disconnected(self, now: float, why: str = "the connection was lost") -> None:
        """It has ended, and with it the session."""
        self._state, self._hello_at = _NO_CONNECTION, None
        self._out.clear()
        self._lose(now, why)
        for call in list(self._pending.asked.values()):
            self._lost(call, now, why)

    def _hello(self, now: float) -> None:
        # It, or the answer, may be lost on the way; to the server it is the same however often it comes.
        self._state, self._hello_at = _GREETED, now + ASK_AGAIN
        if (_HELLO, None) not in self._out:
            self._out.append((_HELLO, None))
            self._said_at = now

    def _lose(self, now: float, why: str) -> None:
        """The session has ended: what was asked in it is not asked in another."""
        token, number, self.token = self.token, self.session, None
        if token is None:
            return
        self._stats["sessions_lost"] += 1
        for call in self._pending.of_session(token):
            self._lost(call, now, why)
        self._told(False, number, why)

    def _lost(self, call: Call, now: float, why: str) -> None:
        error = lost(self._endpoint, now - call.started, why)
        self._pending.end(call, Outcome(None, True, error), "lost")

    # -- requests -----------------------------------------------------------------------------

    def ask(self, call: Call, now: float) -> None:
        """Another request."""
        self._pending.add(call)
        if len(self._out) > self._pending.most:
            self._out = deque(each for each in self._out if each[1] is None or not each[1].ended)
        self._pump(now)

    def forget(self, call: Call) -> None:
        """Nobody waits for it any more."""
        call.ended = True
        if self._pending.drop(call) and self._state == _FOREIGN:
            self.spoilt = True  # its reply could be taken for that of the next

    def _pump(self, now: float) -> None:
        while self.stands and not (self._state == _FOREIGN and self._pending.asked):
            call = self._pending.next()
            if call is None:
                return
            if self._state == _FOREIGN:
                frames = [b"", *call.frames] if self._delimiter else list(call.frames)
                self._out.append((frames, call))
            else:
                assert self.token is not None
                call.session = self.token
                self._say(wire.ASK, self.token, call.number, now, call)

    def _say(
        self, kind: int, token: bytes, number: int, now: float, call: Call | None = None
    ) -> None:
        frames = [] if call is None else call.frames
        self._out.append(([b"", wire.pack_head(kind, token, number), *frames], call))
        self._said_at = now

    # -- what comes ---------------------------------------------------------------------------

    def heard(self, message: list[bytes], now: float) -> None:
        """A message of the server's."""
        self._heard_at = now
        if self._state == _FOREIGN:
            self._heard_foreign(message, now)
            return
        head = wire.unpack_head(message[1]) if len(message) > 1 and not message[0] else None
        if head is None:
            self._stats["late"] += 1
            return
        body = message[2:]
        if head.kind == wire.WELCOME:
            self._welcome(head, now)
        elif head.kind == wire.REFUSED:
            self._refused(now)
        elif head.kind == wire.GONE:
            self._gone(head, now)
        elif head.token != self.token and head.kind != wire.FAILED:
            self._stats["late"] += 1
        elif head.kind == wire.PUSH:
            self.take_push(body)
        elif head.kind != wire.HEARD:
            self._reply(head, body, now)

    def _welcome(self, head: wire.Head, now: float) -> None:
        if self.token is not None and self.token != head.token:
            self._lose(now, "the server has opened another one")
        opened = self.token is None
        self.token = head.token
        # The answers, too, must come often enough for this side.
        self._interval = min(max(0.005, head.number / 1000.0 / BEATS), SILENCE / BEATS)
        self._state, self._hello_at = _OPEN, None
        if opened:
            self._stats["sessions"] += 1
            self._told(True, self.session, "")
        self._pump(now)

    def _gone(self, head: wire.Head, now: float) -> None:
        call = self._pending.asked.get(head.number)
        self._lose(now, "the server does not know it any more")
        if call is not None:
            self._lost(call, now, "the server does not know it any more")
        if self._state == _OPEN:
            self._hello(now)

    def _refused(self, now: float) -> None:
        self._lose(now, "the server does not know it any more")
        self._state, self._hello_at = _REFUSED, now + ASK_AGAIN
        for call in list(self._pending.waiting):
            error = Busy(
                f"the server at {self._endpoint} opens no session: it has as many as it may",
                [Try(self._endpoint, now - call.started, "", ("busy", "shed_sessions"))],
                "shed_sessions",
            )
            self._pending.end(call, Outcome(None, True, error), "failures")
        self._pending.waiting.clear()

    def _reply(self, head: wire.Head, body: list[bytes], now: float) -> None:
        call = self._pending.asked.get(head.number)
        if call is None:
            self._stats["late"] += 1
        elif head.kind == wire.PART:
            call.tell(Outcome(body, False))
        elif head.kind == wire.FINAL:
            self._pending.end(call, Outcome(body or None, True), "replies")
        elif head.kind == wire.FAILED:
            self._pending.end(call, Outcome(None, True, self._error(body, call, now)), "failures")

    def _error(self, body: list[bytes], call: Call, now: float) -> BaseException:
        said = read_broker_error(body)
        if said is not None:
            return refused(self._endpoint, now - call.started, said)
        try:
            raise_if_error(body)
        except WorkerFailed as error:
            return error
        return WorkerFailed("unreadable error report", repr(body[:1]))

    def _heard_foreign(self, message: list[bytes], now: float) -> None:
        if self._delimiter and message and not message[0]:
            message = message[1:]
        if not self._pending.asked:
            self.take_push(message)
            return
        (call,) = self._pending.asked.values()
        try:
            raise_if_error(message)
        except WorkerFailed as error:
            self._pending.end(call, Outcome(None, True, error), "failures")
        else:
            self._pending.end(call, Outcome(message, True), "replies")
        self._pump(now)

    def take_push(self, body: list[bytes]) -> None:
        """A message that answers no request, or one for which nobody waits."""
        if len(self.pushed) >= PUSHED_WAITING:
            self._stats["dropped"] += 1
            return
        self._stats["pushed"] += 1
        self.pushed.append(body)

    # -- time ---------------------------------------------------------------------------------

    def due(self) -> float | None:
        """When to call :meth:`tick` at the latest."""
        due = [] if self._pending.due is None else [self._pending.due]
        if self._state == _OPEN:
            due += [self._said_at + self._interval, self._heard_at + SILENCE]
        if self._hello_at is not None:
            due.append(self._hello_at)
        return min(due, default=None)

    def tick(self, now: float, seen: str = "") -> None:
        """End what has waited for too long, and beat.  ``seen``: what keeps requests from the server."""
        for call in self._pending.overdue(now):
            # The reply of another program could be taken for that of the next request.
            if self._state == _FOREIGN and call.number in self._pending.asked:
                self.spoilt = True
            error = no_reply(self._endpoint, now - call.started, seen)
            self._pending.end(call, Outcome(None, True, error), "timeouts")
        if self._state == _OPEN and self.token is not None:
            if now >= self._heard_at + SILENCE:
                self.spoilt = True
            elif now >= self._said_at + self._interval:
                self._stats["heartbeats"] += 1
                self._say(wire.BEAT, self.token, 0, now)
        if self._hello_at is not None and now >= self._hello_at:
            self._hello(now)

    def goodbye(self, now: float) -> None:
        """The client leaves."""
        if self._state == _OPEN and self.token is not None:
            self._say(wire.BYE, self.token, 0, now)

    def end_all(self, error: BaseException) -> None:
        """Whatever still waits ends so."""
        for call in list(self._pending.all.values()):
            self._pending.end(call, Outcome(None, True, error), "failures")
