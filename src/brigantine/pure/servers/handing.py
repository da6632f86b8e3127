"""What of a server's requests is at its handlers: handed out, answered, ended."""

from __future__ import annotations

import zmq

from ...config.servers import HANDED_AHEAD, HUNG_THREADS, ServerConfig
from ...wire import server as wire
from ..sessions.sessions import REQUEST
from .handoff import FAILURE, NOTHING, PART, PUSH, Answer, Handoff, Work
from .sending import Sending

__all__ = ["Handing"]


class Handing(Sending):
    """Base of the server's loop."""

    def __init__(
        self,
        router: zmq.Socket[bytes],
        config: ServerConfig,
        epoch: bytes,
        handoff: Handoff,
        workers: int,
        tells: int,
    ) -> None:
        super().__init__(router, config, epoch, tells)
        self._handoff = handoff
        #: Requests that may be at handlers at once, of those that have not ended.
        self._most = workers + HANDED_AHEAD
        #: Of requests that have not ended, by their number.
        self._works: dict[int, Work] = {}
        #: How many works are at handlers.
        self._at_work = 0

    def _hand_out(self) -> None:
        """Hand out as much as handlers can soon be at: the rest waits, within the bounds of Sessions."""
        while (
            self._sessions.count["in_flight"] < self._most
            # A request that has ended for its client is at a handler still, for as long as that hangs.
            and self._at_work < self._most + HUNG_THREADS
            and (turn := self._sessions.next()) is not None
        ):
            if turn.request is not None:
                work = self._works[turn.request]
            else:
                work = Work(self._sessions.address(turn.serial) or b"", [])
            work.turn, work.handed = turn, True
            self._at_work += 1
            self._handoff._hand_out(work)

    def _take_answers(self, now: float) -> None:
        for answer in self._handoff._take_answers():
            if answer.kind == PUSH:
                self._send_push(answer)
            else:
                self._take_answer(answer, now)

    def _take_answer(self, answer: Answer, now: float) -> None:
        work = answer.work
        assert work is not None
        if work.turn.event != REQUEST:
            self._end_work(work, "", now)
            return
        if answer.kind != NOTHING or work.ours:
            self._send_reply(answer, work)
        if answer.kind == PART:
            return
        outcome = work.outcome
        if outcome in ("shed_client_full", "shed_client_bytes"):
            self._tell(work, outcome)  # a reply in parts has no hole: it ends, if only by an error
        elif not outcome:
            outcome = "failed_handler" if answer.kind == FAILURE else "replied"
        self._end_work(work, outcome, now)

    def _send_reply(self, answer: Answer, work: Work) -> None:
        """One reply, or the end of all, to the client of a request; where it is refused the work knows."""
        if work.over or work.outcome:
            self._sessions.count["drop_reply_late"] += bool(answer.body)
            return
        if self._sessions.address(work.turn.serial) is None:
            work.outcome = "failed_client_gone"
            return
        kind = 0
        if work.ours:
            kind = {PART: wire.PART, FAILURE: wire.FAILED}.get(answer.kind, wire.FINAL)
        work.outcome = self._send_to(
            work.key, work.delimiter, kind, work.turn.serial, work.number, answer.body
        )
        if not work.outcome:
            self._sessions.count["replies"] += 1

    def _send_push(self, answer: Answer) -> None:
        key, client = self._sessions.address(answer.serial), self._client(answer.serial)
        if key is None or client is None:
            self._sessions.count["drop_reply_late"] += 1
            return
        kind = wire.PUSH if client.ours else 0
        refused = self._send_to(key, client.delimiter, kind, answer.serial, 0, answer.body)
        self._sessions.count["drop_reply_late" if refused else "replies"] += 1

    def _end_work(self, work: Work, outcome: str, now: float) -> None:
        self._at_work -= 1
        self._sessions.done(work.turn, now, outcome)
        if work.turn.request is not None:
            del self._works[work.turn.request]

    def _end_overdue(self, now: float) -> None:
        """End requests whose time is over."""
        for job in self._sessions.overdue(now):
            work = self._works[job]
            if work.handed:
                self._tell(work, "failed_expired_in_flight")
                work.over = True
            else:
                self._tell(work, "failed_expired_queued")
                del self._works[job]
