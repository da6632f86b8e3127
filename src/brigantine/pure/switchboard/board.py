"""All that a switchboard knows, and that its rooms work on.

What happens are functions that take the board, each in the room of its concept: ``services``,
``requests``, ``workers``, ``dispatch`` and so on.
"""

from __future__ import annotations

from collections.abc import Callable

from ...config import BrokerConfig
from ...config.limits import SENT_AWAY_EVERY, SILENT_HANDSHAKES
from ...counters import COUNTERS
from ...notices.kinds import Notice
from ...wire.req import BROKER_ERRORS, broker_error
from ..structures.expiry import ExpiryQueue
from ..structures.lanes import IntervalDeadlines
from ..structures.lru import LRUQueue
from ..structures.tickets import TicketTable
from ..wire.messages import DIALECTS, MDP, PPP, REQ
from .backlog import Backlog
from .notices import NoticeGate
from .outbox import Outbox, Side
from .records import Departure, Request, Service, Worker, WorkerKey
from .untold import Untold

__all__ = ["Board", "Events"]

#: ``events(kind, reason, worker, service)`` tells who watches.
Events = Callable[[str, str, "bytes | None", "bytes | None"], object]


class Board:
    """The data of a switchboard, which takes the same arguments.

    A request lives in one ``Request`` record from acceptance to its end; the record's slot is its
    ticket.  The ledger (see ``counters``) moves with the record's state.
    """

    def __init__(
        self,
        config: BrokerConfig,
        outbox: Outbox,
        seed: int,
        protocols: int,
        default_service: bytes | None,
    ) -> None:
        self.config = config
        self.outbox = outbox
        #: Protocols allowed: of workers, of clients.
        self.protocols = int(protocols) if config.strict else int(protocols) | DIALECTS
        self.client_protocols = self.protocols & (MDP | DIALECTS)
        if default_service is not None:
            self.client_protocols |= REQ
        #: Of clients and workers that name none.
        self.default_service = default_service or b""
        #: Workers of MDP are served where clients are, too.
        self.workers_at_frontend = config.workers_at_frontend is True
        #: Where clients are, and where the message came from that is being handled.
        self.client_side = Side.FRONTEND
        self.side: int = Side.BACKEND
        self.count = dict.fromkeys(COUNTERS, 0)

        self.tickets = TicketTable(seed)
        #: By slot.
        self.requests: dict[int, Request] = {}
        #: The waiting requests that came since the last dispatch_all, by client and service.
        self.arrivals: dict[tuple[bytes, Service], list[int]] = {}
        self.request_deadlines: ExpiryQueue[int] = ExpiryQueue(config.request_ttl)
        #: Counter of a request's end -> body of the answer to a client that wants to be told.
        self.error_bodies = {reason: broker_error(reason, config) for reason in BROKER_ERRORS}
        #: Ends that their clients had no room to be told of.
        self.untold = Untold()
        #: Requests by the connection that they came on, as far as that matters: see ``clients``.
        self.asked_on: dict[int, dict[int, None]] = {}
        self.departures: dict[int, Departure] = {}
        #: Turns of the loop: how often it has ticked.
        self.turn = 0
        #: Charged to requests in flight: their bodies that are kept to be sent again, and joined PARTIALs.
        self.kept_bytes = 0
        #: Requests in flight whose worker was lost.
        self.orphans = 0

        self.services: dict[bytes, Service] = {}
        #: How many were made known, ever, and which of them have most waiting.
        self.services_made = 0
        self.backlog = Backlog()
        #: Services in which a request or a worker became free for another try.
        self.dirty_services: dict[Service, None] = {}

        self.workers: dict[WorkerKey, Worker] = {}
        #: Those registered where clients are, which have another socket.
        self.fronted = 0
        #: Workers that can take a request but whose pipe was full, to try again at the next tick.
        self.blocked: LRUQueue[WorkerKey] = LRUQueue()
        # Workers of PPP and MDP: when they count as gone, idle and at work, and when a HEARTBEAT
        # to them is due.
        first = PPP if protocols & PPP or not protocols & MDP else MDP
        interval = config.interval(first)
        #: Of workers of MDP; 0 where it is the usual one of the three that follow.
        self.mdp_interval = config.interval(MDP) if config.interval(MDP) != interval else 0.0
        self.idle_deadlines: IntervalDeadlines[WorkerKey] = IntervalDeadlines(
            interval * config.liveness
        )
        self.busy_deadlines = self.idle_deadlines
        #: ``busy`` is not ``idle``.
        self.separate_busy = config.busy_liveness > 0
        if self.separate_busy:
            self.busy_deadlines = IntervalDeadlines(interval * config.busy_liveness)
        self.heartbeat_deadlines: IntervalDeadlines[WorkerKey] = IntervalDeadlines(interval)
        #: Workers whose connection is known to be gone.  What they said before may still be unread, so
        #: they are lost once all that had come was read, or when nothing is heard of them until this
        #: deadline.
        spoken = [each for each in (REQ, PPP, MDP) if protocols & each]
        patience = max(map(config.interval, spoken)) * config.liveness
        self.leaving: ExpiryQueue[WorkerKey] = ExpiryQueue(patience)
        #: Connection (AT_FRONTEND: where clients are) -> the worker that speaks on it; None while it has
        #: not said READY.
        self.connections: dict[int, WorkerKey | None] = {}
        #: Descriptor -> the number of the connection that was opened on it last, and how many there were.
        self.serials: dict[int, int] = {}
        self.opened = 0

        #: Connections where workers are on which nothing has come yet, until a person is told.
        self.silent: ExpiryQueue[int] = ExpiryQueue(config.handshake_timeout * SILENT_HANDSHAKES)
        #: Handshakes that were done there, and how many there were when each connection opened.
        self.handshakes = 0
        self.handshakes_at: dict[int, int] = {}

        #: Waiting requests for a service without a worker whose clients want to be told, and not late.
        self.no_service_deadlines: ExpiryQueue[int] = ExpiryQueue(config.service_grace)
        #: The time of the last call, and when last a service was left without a worker (at first: now).
        self.now = self.vacated = 0.0
        self.began = False

        #: When last a worker at the clients' socket was told DISCONNECT.
        self.sent_away_at = -SENT_AWAY_EVERY
        self.draining = False
        #: The sockets can't be used any more.
        self.sending_off = False
        #: Who watches.
        self.events: Events | None = None
        #: Who tells a person; who is told the level of one that is left out; where the peer speaks from
        #: whose message is being handled, as far as that is known.
        self.notices: Callable[[Notice], object] | None = None
        self.leave_out: Callable[[int], object] = lambda _: None
        self.address: Callable[[], str | None] = lambda: None
        #: The same of the peer of a connection, which may have sent none.
        self.address_on: Callable[[int], str | None] = lambda _: None
        self.gate = NoticeGate()

    def begin(self, now: float) -> None:
        """Take the time of a call; the first one is when the broker began."""
        if not self.began:
            self.began, self.vacated = True, now
        self.now = now

    def counters(self) -> dict[str, int]:
        """All counters by name."""
        idle = sum(len(service.free) for service in self.services.values())
        return {**self.count, "workers_idle": idle, "services": len(self.services)}
