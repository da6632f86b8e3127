"""What a server's loop hands to its handlers, and what they hand back."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence

from ...config.servers import REPLIES_WAITING_BYTES
from ...system.bell import Bell
from ...system.wakeup import Wakeup
from ..sessions.sessions import REQUEST, Turn

__all__ = ["Answer", "Handoff", "Task", "Work"]

#: How an answer ends a work, or not: a reply, and the handler goes on; the last one; the end without one;
#: an error, of which the frames tell; a message beside all requests.
PART, REPLY, NOTHING, FAILURE, PUSH = range(5)


class Work:
    """One hand-out, from the loop to a handler and back."""

    __slots__ = (
        "body", "delimiter", "handed", "key", "number", "ours", "outcome", "over", "single", "told", "turn",
    )  # fmt: skip

    def __init__(self, key: bytes, body: list[bytes]) -> None:
        self.turn = Turn(REQUEST, 0, None, 0)
        #: The session's address, as Sessions has it.
        self.key = key
        self.body = body
        #: The request's, of one of our clients.
        self.number = 0
        #: Its client understands heads; it understands a broker's error answers.
        self.ours = self.told = False
        #: It has sent the empty frame; it takes one reply.
        self.delimiter = self.single = False
        #: It has ended for its client.
        self.over = False
        #: It was handed out.
        self.handed = False
        #: The counter of its end, once a reply was refused.
        self.outcome = ""


class Answer:
    """From a handler to the loop."""

    __slots__ = ("body", "kind", "serial", "work")

    def __init__(self, kind: int, body: list[bytes], work: Work | None, serial: int = 0) -> None:
        self.kind, self.body, self.work, self.serial = kind, body, work, serial


class Task:
    """What a handler is to do: an opening (``event`` 0), a request (1) or an end (2) of a session.

    ``serial`` is the session's number, ``body`` the request: ``bytes`` for one frame, a list of them for
    several.  ``single``: the client takes one reply.  ``reason`` says why a session has ended.
    """

    __slots__ = ("_work", "body", "event", "reason", "serial", "single")

    def __init__(self, work: object) -> None:
        assert isinstance(work, Work)
        self._work: Work | None = work
        self.event, self.serial, _, self.reason = work.turn
        self.single = work.single
        self.body: bytes | list[bytes] | None = None
        if self.event == REQUEST:
            self.body = work.body[0] if len(work.body) == 1 else work.body

    @property
    def address(self) -> tuple[bytes, ...]:
        """The address frames of the session."""
        return split_key(self._of_loop().key)

    @property
    def place(self) -> int:
        """The place of the session, for ``push()``."""
        self._of_loop()
        return 0

    @property
    def wanted(self) -> bool:
        """Whether replies still find their client, as far as is known."""
        return self._work is not None and not self._work.over and not self._work.outcome

    def _of_loop(self) -> Work:
        if self._work is None:
            raise RuntimeError("this task has ended")
        return self._work

    def _put(self, handoff: Handoff, kind: int, frames: Sequence[bytes]) -> None:
        work = self._of_loop()
        answer = Answer(kind, list(frames), work)
        if kind != PART:
            self._work = None
        handoff._put(answer)


def split_key(key: bytes) -> tuple[bytes, ...]:
    """The address frames of a session's key."""
    frames, at = [], 0
    while at < len(key):
        size = key[at]
        frames.append(key[at + 1 : at + 1 + size])
        at += size + 1
    return tuple(frames)


class Handoff:
    """Where handlers' threads take their tasks and put their replies; any thread may.

    A task has ``event``, ``serial``, ``body``, ``reason``, ``single``,
    ``address``, ``place`` and ``wanted``.
    """

    def __init__(self) -> None:
        self._works: deque[Work] = deque()
        self._answers: deque[Answer] = deque()
        #: Of the answers.
        self._bytes = 0
        self._ended = False
        self._come, self._room = Bell(), Bell()
        #: For the loop, and for an event loop that takes tasks.
        self._answered = Wakeup()
        self._signal: Wakeup | None = None
        self._armed = False
        self._process = os.getpid()

    def __del__(self) -> None:
        if os.getpid() == self._process:
            self._answered.close()
            if self._signal is not None:
                self._signal.close()

    # -- for handlers -------------------------------------------------------------------------

    def take(self) -> Task | None:
        """The next task; waits for it.  ``None`` when there will be no more."""
        while True:
            task = self.take_now()
            if task is not None or self._ended:
                return task
            self._come.wait(lambda: self._works or self._ended)

    def take_now(self) -> Task | None:
        """The next task, if there is one now."""
        try:
            return Task(self._works.popleft())
        except IndexError:
            return None

    @property
    def over(self) -> bool:
        """Whether there will be no more tasks."""
        return self._ended and not self._works

    def signal(self) -> int:
        """A descriptor that becomes readable at the next task after :meth:`arm`."""
        if self._signal is None:
            self._signal = Wakeup()
        return self._signal.fileno()

    def arm(self) -> bool:
        """Have the next task ring; ``False`` when there is something now: take it first."""
        assert self._signal is not None
        self._signal.clear()
        self._armed = True
        return not (self._works or self._ended)

    def hush(self) -> None:
        """What :meth:`signal` gave is not readable any more, until the next task after :meth:`arm`."""
        if self._signal is not None:
            self._signal.clear()

    @property
    def full(self) -> bool:
        """Whether so much has yet to be sent that who streams should wait."""
        return self._bytes > REPLIES_WAITING_BYTES and not self._ended

    def part(self, task: Task, frames: Sequence[bytes], wait: bool = True) -> None:
        """A reply that is not the last one; waits while too much has yet to be sent, if told to."""
        task._put(self, PART, frames)
        if wait:
            self._wait()

    def reply(self, task: Task, frames: Sequence[bytes]) -> None:
        """The last reply, and the handler's end."""
        task._put(self, REPLY, frames)

    def end(self, task: Task) -> None:
        """The handler's end, without another reply."""
        task._put(self, NOTHING, ())

    def fail(self, task: Task, frames: Sequence[bytes]) -> None:
        """The handler's end by an error, which these frames tell of."""
        task._put(self, FAILURE, frames)

    def push(self, place: int, serial: int, frames: Sequence[bytes]) -> None:  # noqa: ARG002
        """A message to the client of a session, beside all requests; waits as :meth:`part` does."""
        self._put(Answer(PUSH, list(frames), None, serial))
        self._wait()

    def _wait(self) -> None:
        self._room.wait(lambda: not self.full)

    def _put(self, answer: Answer) -> None:
        self._answers.append(answer)
        self._bytes += sum(map(len, answer.body))  # near enough, though threads may race here
        self._answered.set()

    # -- for the loop -------------------------------------------------------------------------

    def _hand_out(self, work: Work) -> None:
        """Another task."""
        self._works.append(work)
        self._come.ring()
        if self._armed and self._signal is not None:
            self._armed = False
            self._signal.set()

    def _take_answers(self) -> list[Answer]:
        """What has come from handlers."""
        found = []
        while self._answers:
            found.append(self._answers.popleft())
        self._bytes = 0
        self._room.ring()
        return found

    def finish(self) -> None:
        """There will be no more tasks."""
        self._ended = True
        self._come.ring()
        self._room.ring()
        if self._signal is not None:
            self._signal.set()
