"""A simple model of the switchboard, for its state machine test."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from models import BACKEND, BEHIND, FRONTEND, FULL, GONE, NO_CONNECTION, OK, charge

from brigantine import BrokerConfig

#: What became of a reply -> how its request ended.
REPLY_ENDS = {
    OK: "replied",
    FULL: "shed_client_full",
    BEHIND: "shed_client_bytes",
    GONE: "failed_client_gone",
}


@dataclass(eq=False)
class Life:
    """A worker from READY until its connection is lost."""

    identity: bytes
    connection: int
    job: Asked | None = None
    #: Its connection is known to be gone, and what it said is not read yet.
    leaving: bool = False


@dataclass(eq=False)
class Asked:
    """A request from acceptance to its end."""

    address: list[bytes]
    body: list[bytes]
    deadline: float
    retries: int
    #: It is in flight, and its body is kept to be sent again.
    kept: bool = False
    #: Who was sent it last, and in which of its lives.
    sent_to: bytes | None = None
    life: Life | None = None
    ticket: bytes | None = None


class BoardModel:
    """What a switchboard is to do, in plain lists, with no thought of cost.

    ``sends`` collects what it expects to be handed to the outbox: (side, identity, request).
    """

    def __init__(self, config: BrokerConfig, results: dict[tuple[int, bytes], int]) -> None:
        self.config = config
        self.results = results
        self.waiting: list[Asked] = []
        self.flying: list[Asked] = []
        self.living: dict[bytes, Life] = {}
        self.idle: list[Life] = []
        self.blocked: list[Life] = []
        #: Found to be gone, and what they said may be unread; a message is being handled.
        self.gone: list[Life] = []
        self.reading = False
        self.open: set[int] = set()
        self.draining = False
        self.count: Counter[str] = Counter()
        self.sends: list[tuple[int, bytes, Asked]] = []

    def offer(self, side: int, identity: bytes, asked: Asked) -> int:
        self.sends.append((side, identity, asked))
        return self.results.get((side, identity), OK)

    def end(self, how: str) -> None:
        self.count.update({how, how.partition("_")[0]})

    # -- clients ------------------------------------------------------------------------------

    def ask(self, address: list[bytes], body: list[bytes], now: float) -> None:
        self.count["accepted"] += 1
        if self.draining:
            self.end("shed_draining")
            return
        config = self.config
        asked = Asked(address, body, now + config.request_ttl, config.retries)
        self.waiting.append(asked)
        self.reading = True
        self.hand_out()
        self.reading = False
        self.bound(asked)
        self.catch_up()

    def bound(self, asked: Asked) -> None:
        config = self.config
        if asked not in self.waiting:
            return
        if len(self.waiting) > config.queue_limit:
            self.waiting.remove(asked)
            self.end("shed_queue_full")
        elif self.queued_bytes() > config.queue_bytes:
            self.waiting.remove(asked)
            self.end("shed_queue_bytes")

    def hand_out(self) -> None:
        while self.waiting and self.idle:
            asked, life = self.waiting[0], self.idle.pop(0)
            result = self.offer(BACKEND, life.identity, asked)
            if result == OK:
                self.flying.append(self.waiting.pop(0))
                self.keep(asked)
                life.job, asked.life, asked.sent_to = asked, life, life.identity
            elif result in (FULL, BEHIND):
                self.count["worker_full" if result == FULL else "worker_behind"] += 1
                self.blocked.append(life)
            else:
                self.gone.append(life)
        if self.gone and not self.reading:
            self.catch_up()

    def keep(self, asked: Asked) -> None:
        kept = sum(charge(each.address, each.body) for each in self.flying if each.kept)
        if not asked.retries:
            return
        if kept + charge(asked.address, asked.body) > self.config.queue_bytes:
            asked.retries = 0
            self.count["retries_given_up"] += 1
        else:
            asked.kept = True

    def catch_up(self) -> None:
        """All that had come was read: whoever turned out to be gone is lost."""
        gone, self.gone = self.gone, []
        for life in gone:
            self.lose(life)
        self.hand_out()

    # -- workers ------------------------------------------------------------------------------

    def ready(self, identity: bytes, connection: int) -> None:
        life = self.living.get(identity)
        if life is not None and connection in (life.connection, NO_CONNECTION):
            self.count["ready_again"] += 1
        self.speak(identity, connection)
        self.hand_out()

    def reply(self, identity: bytes, connection: int, ticket: bytes, issued: set[bytes]) -> None:
        self.known(identity, connection)
        asked = next((each for each in self.flying if each.ticket == ticket), None)
        if asked is None:
            self.count["drop_reply_stale" if ticket in issued else "drop_reply_unknown"] += 1
        elif asked.sent_to != identity:
            self.count["drop_reply_foreign"] += 1
        else:
            self.flying.remove(asked)
            result = self.offer(FRONTEND, asked.address[0], asked)
            self.end(REPLY_ENDS[result])
        self.speak(identity, connection)
        self.hand_out()

    def speak(self, identity: bytes, connection: int) -> None:
        """A worker said READY or replied: it is free, unless what it works on is not over."""
        life = self.known(identity, connection)
        if life is not None:
            if life.job is not None and life.job not in self.flying:
                life.job = None
                if not life.leaving:
                    self.idle.append(life)
            return
        if connection != NO_CONNECTION:
            if connection not in self.open:
                self.count["drop_ready_gone"] += 1
                return
            self.lose_on(connection)
        self.count["workers_joined"] += 1
        self.living[identity] = Life(identity, connection)
        self.idle.append(self.living[identity])

    def known(self, identity: bytes, connection: int) -> Life | None:
        """The worker of that identity; one that speaks on another connection has lost its life."""
        life = self.living.get(identity)
        if life is None or connection in (life.connection, NO_CONNECTION):
            return life
        self.lose(life)
        return None

    def lose(self, life: Life) -> None:
        del self.living[life.identity]
        self.idle = [each for each in self.idle if each is not life]
        self.blocked = [each for each in self.blocked if each is not life]
        self.count["workers_lost"] += 1
        job = life.job
        if job in self.flying and job.retries:
            self.flying.remove(job)
            self.waiting.insert(0, job)
            job.retries -= 1
            job.kept = False
            job.life = job.sent_to = job.ticket = None
            self.count["redispatched"] += 1

    def lose_on(self, connection: int) -> None:
        for life in [each for each in self.living.values() if each.connection == connection]:
            self.lose(life)

    def leaves(self, life: Life) -> None:
        """From now on it gets nothing more."""
        life.leaving = True
        self.open.discard(life.connection)
        self.idle = [each for each in self.idle if each is not life]
        self.blocked = [each for each in self.blocked if each is not life]

    def closed(self, connection: int, now: float) -> None:
        self.open.discard(connection)
        self.lose_on(connection)
        self.tick(now)

    # -- time and what can be seen ------------------------------------------------------------

    def tick(self, now: float) -> None:
        for group, how in (
            (self.waiting, "failed_expired_queued"),
            (self.flying, "failed_expired_in_flight"),
        ):
            for asked in [each for each in group if each.deadline <= now]:
                group.remove(asked)
                self.end(how)
        self.idle += self.blocked
        self.blocked = []
        self.hand_out()

    def queued_bytes(self) -> int:
        return sum(charge(each.address, each.body) for each in self.waiting)

    def next_deadline(self) -> float | None:
        return min((each.deadline for each in self.waiting + self.flying), default=None)

    def drained(self) -> bool:
        working = [each for each in self.flying if each.life in self.living.values()]
        return not self.waiting and not working

    def counters(self) -> Counter[str]:
        gauges = {
            "queued": len(self.waiting),
            "in_flight": len(self.flying),
            "workers": len(self.living),
            "workers_idle": len(self.idle),
            "queued_bytes": self.queued_bytes(),
            "services": int(bool(self.waiting or self.flying or self.living)),
        }
        return Counter({**self.count, **gauges})
