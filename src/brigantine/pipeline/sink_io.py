"""The sink's thread: takes results, acknowledges them, tells ventilators how their batches are."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Any

import zmq

from ..config.pipeline import BATCH, PipelineConfig
from ..net.descriptors import ConnectionWatch
from ..wire.pipeline import (
    ACK,
    ASK,
    BATCH_BYTES,
    BEGIN,
    BEGUN,
    END,
    FORGET,
    KEY_BYTES,
    KILL,
    LOST,
    PLAIN,
    PLAIN_KILL,
    REPORT,
    RESULT,
    frame_bytes,
    joined,
    pack,
    text_in,
    unpack,
    whole_in,
)
from .counters import SINK_COUNTERS
from .hub import Hub
from .ledger import OVER, Ledger
from .numbers import Numbers
from .peers import Peer
from .received import Received
from .report import MOST, Report, packed, unpacked_lost

__all__ = ["SinkIO"]

#: Keys acknowledged in one message.
ACKS_A_MESSAGE = 1000

_log = logging.getLogger("brigantine.pipeline")


class SinkIO(Hub):
    """Bound for our workers and ventilators, and for plain programs if wanted."""

    what = "sink"
    roles = ("worker", "ventilator")

    def __init__(
        self,
        endpoints: Sequence[str],
        config: PipelineConfig,
        context: zmq.Context[Any] | None,
        *,
        plain_endpoints: Sequence[str],
        kill_endpoints: Sequence[str],
    ) -> None:
        super().__init__(endpoints, config, context, SINK_COUNTERS)
        self.ledger = Ledger(config, self.count)
        self._plain_wanted, self._kill_wanted = plain_endpoints, kill_endpoints
        self.plain_endpoints: tuple[str, ...] = ()
        self.kill_endpoints: tuple[str, ...] = ()
        self._pull: Any = None
        self._xpub: Any = None
        #: Batches that have begun and that nobody has been given yet; taken by any thread.
        self.begun: deque[Received] = deque()
        #: Batches of plain ventilators that are wanted, and those to be closed: by any thread.
        self.wanted: deque[tuple[bytes, int, int, list[Received]]] = deque()
        self.closing: deque[Received] = deque()
        #: Who wants to know how a batch is, and where the answer goes: by any thread.
        self.questions: deque[tuple[Received, list[Report]]] = deque()
        #: Workers are to end.
        self.killing = False
        #: Ventilators that have said so, and workers that were told, by route.
        self._killed: set[bytes] = set()
        self._plain_killed = False
        self._stop_at: float | None = None
        #: Batches whose ventilators are to be told of results of plain workers.
        self._plain_news: set[Received] = set()

    # -- any thread ---------------------------------------------------------------------------

    @property
    def workers(self) -> int:
        """Workers of ours that are connected."""
        return sum(each.role == "worker" for each in list(self.peers.values()))

    def next_begun(self) -> Received | None:
        """The batch that has begun first of those that nobody has been given, if there is any."""
        try:
            return self.begun.popleft()
        except IndexError:
            return None

    def report(self, record: Received) -> list[Report]:
        """Where the answer will be how a batch is, or is already."""
        if self.ended:
            return [record.report()]
        answer: list[Report] = []
        self.questions.append((record, answer))
        self.wake()
        return answer

    def stats(self) -> dict[str, int]:
        """As of any hub."""
        workers = self.workers
        return {
            **super().stats(),
            "workers": workers,
            "ventilators": len(self.peers) - workers,
            "waiting": self.ledger.waiting - len(self.ledger.taken),
            "waiting_bytes": self.ledger.waiting_bytes,
        }

    # -- the thread ---------------------------------------------------------------------------

    def _open(self) -> None:
        super()._open()
        if self._plain_wanted:
            self._pull = self._socket(zmq.PULL)
            self._watched(
                ConnectionWatch(self._pull, self.reserve, at=lambda: self.plain_endpoints)
            )
            self.plain_endpoints = tuple(
                self._bind(self._pull, each) for each in self._plain_wanted
            )
        if self._kill_wanted:
            self._xpub = self._socket(zmq.XPUB)
            self._xpub.xpub_verbose = 1
            self._watched(ConnectionWatch(self._xpub, self.reserve, at=lambda: self.kill_endpoints))
            self.kill_endpoints = tuple(self._bind(self._xpub, each) for each in self._kill_wanted)

    def _register(self, poller: zmq.Poller, due: list[float]) -> None:
        if self._pull is not None and not self.ledger.full:
            poller.register(self._pull, zmq.POLLIN)
        if self._xpub is not None:
            poller.register(self._xpub, zmq.POLLIN)
        if (at := self.ledger.due()) is not None:
            due.append(at)

    def _finished(self, _now: float) -> bool:
        return self.stopping

    def _work(self, now: float) -> bool:
        while self.wanted:
            batch, tasks, starts, made = self.wanted.popleft()
            made.append(self.ledger.begin_plain(batch, tasks, starts, now))
            self._tell_if_complete(made[0])
            self.changes.ring()
        more = self._read_plain() if self._pull is not None else False
        while self.questions:
            about, answer = self.questions.popleft()
            answer.append(about.report())
            self.changes.ring()
        while self.closing:
            self._over(self.closing.popleft())
        self.ledger.tick(now)
        self._acknowledge()
        self._tell_plain()
        if self._xpub is not None and self._read_subscriptions():
            more = True
        if self.killing:
            self._kill()
        return more

    def _close(self) -> None:
        self.ledger.tick(self._now)
        self._acknowledge()
        super()._close()

    def _acknowledge(self) -> None:
        for route, keys in self.ledger.acks.items():
            peer = self.peers.get(route)
            for at in range(0, len(keys) if peer is not None else 0, ACKS_A_MESSAGE):
                assert peer is not None
                self.send(peer, (ACK, joined(keys[at : at + ACKS_A_MESSAGE])))
        self.ledger.acks.clear()

    def _read_plain(self) -> bool:
        for _ in range(BATCH):
            if self.ledger.full:
                return False
            frames = self._receive(self._pull)
            if frames is None:
                return False
            record = self.ledger.plain_result(frames, self._now) if frames else None
            if record is not None:
                self._plain_news.add(record)
                self._tell_if_complete(record)
                self.changes.ring()
        return True

    def _tell_plain(self) -> None:
        for record in self._plain_news:
            owner = self._owner(record)
            if owner is not None:
                self.send(
                    owner, (PLAIN, record.batch, pack({"plain_returned": record.plain_returned}))
                )
        self._plain_news.clear()

    def _owner(self, record: Received) -> Peer | None:
        return next((peer for peer in self.peers.values() if peer.id == record.owner), None)

    def _read_subscriptions(self) -> bool:
        """Who subscribes when all are to end is told so again: it came too late for the first word.

        Reads up to BATCH of them; whether there may be more.
        """
        for _ in range(BATCH):
            frames = self._receive(self._xpub)
            if frames is None:
                return False
            if frames and frames[0][:1] == b"\1":
                self._plain_killed = False
        return True

    # -- the end of workers -------------------------------------------------------------------

    def _kill(self) -> None:
        for peer in list(self.peers.values()):
            if (
                peer.role == "worker"
                and peer.route not in self._killed
                and self.send(peer, (KILL,))
            ):
                self._killed.add(peer.route)
                self.count["kills"] += 1
        if self._xpub is not None and not self._plain_killed:
            self._xpub.send(PLAIN_KILL, zmq.DONTWAIT)
            self._plain_killed = True

    def _killed_by(self, peer: Peer) -> None:
        """A ventilator has said that its workers are to end: all others have, too?"""
        self._killed.add(peer.route)
        ventilators = [each for each in self.peers.values() if each.role == "ventilator"]
        if all(each.route in self._killed for each in ventilators):
            self.killing = True

    def _go_on(self, peer: Peer) -> None:
        """A ventilator has another batch."""
        self._killed.discard(peer.route)
        if self.killing:
            self.killing = self._plain_killed = False
            self._killed.clear()

    # -- who is connected ---------------------------------------------------------------------

    def _joined(self, peer: Peer, _hello: dict[str, Any]) -> None:
        for other in [each for each in self.peers.values() if each.id == peer.id]:
            if other is not peer:
                del self.peers[other.route]
                self._killed.discard(other.route)
        if peer.role == "worker":
            self.count["workers_joined"] += 1

    def _welcome(self) -> dict[str, Any]:
        config = self.config
        return {
            **super()._welcome(), "max_bytes": frame_bytes(config), "max_frames": config.max_frames
        }  # fmt: skip

    def _leaving(self, peer: Peer) -> None:
        peer.leaving = True

    def _lost(self, peer: Peer, why: str) -> None:
        self._killed.discard(peer.route)
        if not why or peer.leaving:
            return
        if peer.role == "worker":
            self.count["workers_lost"] += 1
        _log.warning("%s %s %s", peer.role, peer.name, why)

    def _said(self, peer: Peer, word: bytes, frames: list[bytes]) -> bool:
        if word == RESULT:
            return self._result(peer, frames)
        if peer.role != "ventilator":
            return False
        if word == KILL and not frames:
            self._killed_by(peer)
            return True
        if not frames or len(frames[0]) != BATCH_BYTES:
            return False
        if word == BEGIN and len(frames) == 2:
            self._begin(peer, frames[0], unpack(frames[1]))
            return True
        record = self.ledger.owned(frames[0], peer.id)
        if record is None:  # it is over
            if word == ASK:
                self._refuse(peer, frames[0], OVER)
            return word in (END, LOST, ASK, FORGET)
        return self._of_batch(peer, record, word, frames[1:])

    def _result(self, peer: Peer, frames: list[bytes]) -> bool:
        if len(frames) < 2 or len(frames[0]) != KEY_BYTES:
            return False
        key, batch = frames[0], frames[0][:BATCH_BYTES]
        self.ledger.result(key, frames[1:], peer.route, peer.name, self._now)
        record = self.ledger.open.get(batch)
        if record is not None:
            self._tell_if_complete(record)
            self.changes.ring()
        return True

    def _begin(self, peer: Peer, batch: bytes, words: dict[str, Any]) -> None:
        self._go_on(peer)
        name = text_in(words, "name") or peer.name
        plain = words.get("plain") is True
        record, refused = self.ledger.begin(batch, peer.id, name, self._now, plain=plain)
        if record is not None:
            self.begun.append(record)
            self.changes.ring()
        self._refuse(peer, batch, refused)

    def _refuse(self, peer: Peer, batch: bytes, why: str) -> None:
        """Say why a batch is not waited for; an empty reason: it is."""
        self.send(peer, (BEGUN, batch, why.encode()))

    def _over(self, record: Received) -> None:
        """Nobody reads it any more: its ventilator need not wait for it, either."""
        owner = self._owner(record)
        if self.ledger.close(record) and owner is not None:
            self._report(owner, record)
            self._refuse(owner, record.batch, OVER)

    def _of_batch(self, peer: Peer, record: Received, word: bytes, frames: list[bytes]) -> bool:
        """What a ventilator says of a batch of its own."""
        if word == END and len(frames) == 2:
            words = unpack(frames[0])
            tasks = whole_in(words, "tasks", MOST) if "tasks" in words else None
            plain = Numbers.unpacked(frames[1][: self.config.max_batch_tasks // 8 + 1])
            self.ledger.end(
                record, tasks, whole_in(words, "plain", MOST), plain, self._now,
                handed=words.get("handed") is True,
            )  # fmt: skip
            self._tell_if_complete(record)
        elif word == LOST and len(frames) == 1:
            self.ledger.lose(record, unpacked_lost(unpack(frames[0]).get("lost")))
        elif word == ASK and not frames:
            self._report(peer, record)
        elif word == FORGET and not frames:
            record.over = True
        else:
            return False
        self.changes.ring()
        return True

    def _tell_if_complete(self, record: Received) -> None:
        """Tell who reads, and the ventilator once, that all results are here."""
        record.done = record.complete
        if record.done and not record.told:
            owner = self._owner(record)
            if owner is not None:
                record.told = True
                self._report(owner, record)

    def _report(self, peer: Peer, record: Received) -> None:
        self.send(peer, (REPORT, record.batch, *packed(record.report())))
