"""A worker's dialog with one broker as a state machine, for PPP and MDP: no socket, no clock.

    closed ──opened──▶ open ──connected──▶ talking ──closed──▶ closed, until a pause is over
                        │ READY              │ HEARTBEAT into silence; requests and replies
                        └──────closed────────┘

The caller owns a socket that is used for one connection, tells the dialog what happened to it and
what came in, sends what the dialog hands out, and closes the socket when the dialog says that it is
over.  ``now`` is in seconds, monotonic.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from ..config.limits import LEAVE_WAIT
from ..net.backoff import Backoff
from .codec import Message, Says, WorkerCodec, is_ours

__all__ = ["Dialog", "Due", "Job"]


class Due(Enum):
    """What it is time for."""

    NOTHING = auto()
    #: Open a socket.
    OPEN = auto()
    #: Send a heartbeat.
    HEARTBEAT = auto()
    #: The broker was silent for too long: close the socket.
    CLOSE = auto()


class Job:
    """A request in the worker's hands, waiting or at work."""

    __slots__ = ("body", "dialog", "envelope", "void")

    def __init__(self, dialog: Dialog, envelope: Sequence[bytes], body: Sequence[bytes]) -> None:
        self.dialog = dialog
        self.envelope = envelope
        self.body = list(body)
        #: The connection that it came by is over, so its ticket is good for nothing.
        self.void = False


class Dialog:
    """What is known about one broker, and what is to be said to it.

    ``interval`` (seconds) x ``liveness`` of silence end a connection.  Silence counts once
    the connection stands: until then the socket is left to try.  ``backoff`` gives the
    pauses between connections; they grow until a connection brings a request or a heartbeat.
    """

    def __init__(
        self, codec: WorkerCodec, interval: float, liveness: int, backoff: Backoff, now: float
    ) -> None:
        self._codec = codec
        self._interval = interval
        #: Seconds of silence that end a connection.
        self.patience = interval * liveness
        self._backoff = backoff
        self._open_at = now
        self.is_open = False
        #: The connection stands.
        self.connected = False
        #: It is one of brigantine, as its tickets tell.
        self.is_ours = False
        #: When it was told that this worker is leaving, and whether it has answered that.
        self._leaving_at: float | None = None
        self._let_go = False
        #: The broker has said something on it that is of this protocol.
        self.heard_of = False
        #: When the broker was heard last, and spoken to last; only while connected.
        self._heard_at = self._sent_at = now
        #: Requests of this connection that have no reply yet.
        self.jobs: set[Job] = set()

    @property
    def speaks(self) -> str:
        """The protocol, in words."""
        return self._codec.name

    # -- the connection -----------------------------------------------------------------------

    def opened(self) -> list[bytes]:
        """A socket was made.  READY, to be sent as soon as the connection stands."""
        assert not self.is_open
        self.is_open = True
        return self._codec.ready()

    def established(self, now: float) -> None:
        """The handshake is done; READY is on its way."""
        if not self.connected:
            self.connected = True
            self._heard_at = self._sent_at = now

    def closed(self, now: float) -> set[Job]:
        """The socket was closed, or could not be made.  The requests that are void now."""
        self.is_open = self.connected = self.heard_of = False
        self.is_ours = self._let_go = False
        self._leaving_at = None
        self._open_at = now + self._backoff.next()
        jobs, self.jobs = self.jobs, set()
        for job in jobs:
            job.void = True
        return jobs

    # -- time ---------------------------------------------------------------------------------

    def due(self, now: float) -> Due:
        """What it is time for.  To be asked after all that has come in was read."""
        if not self.is_open:
            return Due.OPEN if now >= self._open_at else Due.NOTHING
        if not self.connected:
            return Due.NOTHING
        if now >= self._heard_at + self.patience:
            return Due.CLOSE
        return Due.HEARTBEAT if now >= self._sent_at + self._interval else Due.NOTHING

    def next_due(self) -> float | None:
        """When something will be due, at the earliest; ``None``: not before something happens."""
        if not self.is_open:
            return self._open_at
        if not self.connected:
            return None
        due = min(self._heard_at + self.patience, self._sent_at + self._interval)
        return due if self._leaving_at is None else min(due, self._leaving_at + LEAVE_WAIT)

    def excuse(self, gap: float) -> None:
        """This process stood still for ``gap`` seconds, in which it could not have listened."""
        self._heard_at += gap

    # -- the end ------------------------------------------------------------------------------

    def leave(self, now: float) -> list[bytes] | None:
        """What to send, if anything, as this worker wants to stop.

        A request may be on its way to a worker that stops.  A broker of brigantine sends no more once it is
        told, and says when all have come.  No other would understand it.
        """
        if not self.is_ours or self._leaving_at is not None:
            return None
        self._leaving_at = now
        return self._codec.leaving

    def may_end(self, now: float) -> bool:
        """Whether nothing more is to be waited for, or nobody knows."""
        if self.jobs:
            return False
        return self._leaving_at is None or self._let_go or now >= self._leaving_at + LEAVE_WAIT

    # -- what is said -------------------------------------------------------------------------

    def heard(self, frames: list[bytes], now: float) -> tuple[Says, Job | None]:
        """A message came in, which counts as the broker's heartbeat; a request becomes a job."""
        self.established(now)
        self._heard_at = now
        message: Message = self._codec.parse(frames)
        self.heard_of |= message.says is not Says.MALFORMED
        if message.says in (Says.REQUEST, Says.HEARTBEAT):
            self._backoff.reset()
        self._let_go |= message.says is Says.LEAVING
        if message.says is not Says.REQUEST:
            return message.says, None
        self.is_ours = self.is_ours or is_ours(message.envelope)
        job = Job(self, message.envelope, message.body)
        self.jobs.add(job)
        return message.says, job

    def said(self, now: float) -> None:
        """Something was sent, so no heartbeat is due for an interval."""
        self._sent_at = now

    def heartbeat(self) -> list[bytes]:
        """HEARTBEAT."""
        return self._codec.heartbeat

    def reply(self, job: Job, body: Sequence[bytes], *, final: bool) -> list[bytes]:
        """The reply to a job that is not void, or one part of it."""
        return self._codec.reply(job.envelope, body, final=final)

    def done(self, job: Job) -> None:
        """The job has got its reply, or is refused one."""
        self.jobs.discard(job)

    def goodbye(self) -> list[bytes] | None:
        """DISCONNECT, if the connection stands and the protocol has the word."""
        return self._codec.disconnect if self.connected else None
