"""The state machine of the broker: frames and ``now`` in, frames out.  No socket, no clock.

A request lives in one ``Request`` record from acceptance to its end; the record's slot is its
ticket.  The ledger (see ``counters``) moves with the record's state.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from ..config import EVENT_NAME_BYTES, FRAME_OVERHEAD, NAME_COPIES, REQUEST_OVERHEAD, BrokerConfig
from ..counters import COUNTERS
from ..wire import ANNOUNCEMENT, BROKER_ERRORS, broker_error
from ..wire_mdp import MMI_PREFIX
from . import codec
from .commands import MDP, MDP02, REQ, Command, Says
from .expiry import ExpiryQueue
from .lru import LRUQueue
from .mmi import answer_mmi
from .pace import PaceOrder
from .records import Request, Service, State, Worker
from .report import pack_services, pack_workers
from .tickets import TicketTable, Verdict

__all__ = ["NO_CONNECTION", "Port", "Sent", "Switchboard"]

#: The connection of a peer that has none to name (inproc, and tests).
NO_CONNECTION = -1


class Port(IntEnum):
    """The sides of a broker."""

    #: Where clients are.
    FRONTEND = 0
    #: Where workers are.
    BACKEND = 1
    #: One socket for clients and for workers (Majordomo).
    BOTH = 2


class Sent(IntEnum):
    """What became of a message handed to the outbox."""

    #: libzmq has taken it.
    OK = 0
    #: The peer's high-water mark is reached (EAGAIN).
    FULL = 1
    #: No such peer is connected (EHOSTUNREACH).
    GONE = 2


#: Counter of a request's end -> body of the answer to a client that wants to be told.
_ERROR_BODIES = {reason: broker_error(reason) for reason in BROKER_ERRORS}

#: ``outbox(port, frames)`` sends the frames or tells why not.
Outbox = Callable[[int, list[bytes]], int]
#: ``events(kind, reason, worker, service)`` tells who watches.
Events = Callable[[str, str, "bytes | None", "bytes | None"], object]
#: Why a worker is gone -> the kind of event that tells of it; "lost" where nothing stands here.
_LOSSES = {"workers_expired": "expired", "workers_disconnected": "disconnected"}


class Switchboard:
    """Decides for every message what is sent to whom.

    ``outbox(port, frames)`` must send or refuse at once, and return a
    :class:`~brigantine.pure.switchboard.Sent`.  ``sync_connections()`` is called before a worker is
    registered: whoever feeds :meth:`connection_opened` and :meth:`connection_closed` must catch up
    there.  ``protocols`` are those that workers may speak, as
    :class:`~brigantine.protocols.Protocol` flags.  Clients without a header go to
    ``default_service``, and so do workers that name no service; with ``None`` such clients are
    refused.  Not thread-safe: one loop calls it.
    """

    def __init__(
        self,
        config: BrokerConfig,
        outbox: Outbox,
        seed: int = 0,
        sync_connections: Callable[[], object] | None = None,
        protocols: int = REQ,
        default_service: bytes | None = b"",
    ) -> None:
        self._config = config
        self._outbox = outbox
        self._sync = sync_connections
        self._protocols = int(protocols)
        self._clients = self._protocols & MDP
        if default_service is not None:
            self._clients |= REQ
        self._default = default_service or b""
        self._tickets = TicketTable(seed)
        self._requests: dict[int, Request] = {}
        #: The waiting requests that came since the last settle, by client and service.
        self._arrivals: dict[tuple[bytes, Service], list[int]] = {}
        self._deadlines: ExpiryQueue[int] = ExpiryQueue(config.request_ttl)
        #: Requests in flight whose worker was lost.
        self._orphans = 0
        self._services: dict[bytes, Service] = {}
        self._workers: dict[bytes, Worker] = {}
        #: Workers that can take a request but whose pipe was full, to try again at the next tick.
        self._parked = LRUQueue()
        # Workers of PPP and MDP: when they count as gone, idle and at work, and when a HEARTBEAT
        # to them is due.
        interval = config.heartbeat_interval
        self._idle: PaceOrder[bytes] = PaceOrder(interval * config.liveness)
        self._busy = self._idle
        if config.busy_liveness:
            self._busy = PaceOrder(interval * config.busy_liveness)
        self._beats: PaceOrder[bytes] = PaceOrder(interval)
        #: Within this time a worker that lives has said READY anew.
        self._grace = interval * config.liveness
        #: Waiting requests for a service without a worker whose clients want to be told, and not late.
        self._vacancies: ExpiryQueue[int] = ExpiryQueue(self._grace)
        #: The time of the last call, and when last a service was left without a worker (at first: now).
        self._now = self._vacated = 0.0
        self._began = False
        # Connection -> the worker that speaks on it; None while it has not said READY.
        self._connections: dict[int, bytes | None] = {}
        #: Where workers and clients are.
        self._worker_port = Port.BACKEND
        self._client_port = Port.FRONTEND
        #: Services in which a request or a worker became free for another try.
        self._due: dict[Service, None] = {}
        self._draining = False
        #: The sockets can't be used any more.
        self._mute = False
        self._count = dict.fromkeys(COUNTERS, 0)
        self._events: Events | None = None

    # -- what comes in ------------------------------------------------------------------------

    def receive(
        self, port: int, frames: list[bytes], now: float, connection: int = NO_CONNECTION
    ) -> None:
        """Handle one message as the ROUTER on ``port`` received it (routing id first)."""
        self.take(port, frames, now, connection)
        self._settle(now)

    def take(
        self, port: int, frames: list[bytes], now: float, connection: int = NO_CONNECTION
    ) -> None:
        """As :meth:`receive`, but requests are handed to workers in :meth:`tick`."""
        self._begin(now)
        if port == Port.BOTH:
            self._worker_port = self._client_port = Port.BOTH
        if len(frames) > self._config.max_frames:
            self.count_too_many_frames()
        elif sum(map(len, frames)) > self._config.max_message_bytes:
            self._count["drop_too_large"] += 1
        elif port == Port.FRONTEND or (port == Port.BOTH and not codec.is_worker(frames)):
            self._from_client(frames, now)
        else:
            self._from_worker(frames, now, connection)

    def count_too_many_frames(self) -> None:
        """Count a message of which the loop read no more than ``max_frames`` frames."""
        self._count["drop_too_many_frames"] += 1

    def count_pause(self) -> None:
        """Count a gap that the loop has credited to every deadline."""
        self._count["pauses"] += 1

    def count_event_missed(self) -> None:
        """Count an event for which a slow reader left no room."""
        self._count["events_missed"] += 1

    def tick(self, now: float) -> None:
        """Do what is due: fail requests, give up workers, send heartbeats, try full pipes again."""
        self._begin(now)
        for slot in self._deadlines.sweep(now):
            self._expired(self._requests[slot])
        for slot in self._vacancies.sweep(now):
            request = self._requests[slot]
            if request.state is State.QUEUED and not request.service.workers:
                self._finish(request, "failed", "failed_no_service", Verdict.LATE)
        for order in {id(self._idle): self._idle, id(self._busy): self._busy}.values():
            for identity in order.sweep(now):
                self._count["workers_expired"] += 1
                self._lose(self._workers[identity], "workers_expired")
        for identity in self._beats.sweep(now):
            self._heartbeat(self._workers[identity], now)
        while (parked := self._parked.next()) is not None:
            self._set_free(self._workers[parked])
        self._settle(now)

    def _begin(self, now: float) -> None:
        """Take the time of a call; the first one is when the broker began."""
        if not self._began:
            self._began, self._vacated = True, now
        self._now = now

    def next_deadline(self) -> float | None:
        """When :meth:`tick` has something to do, in the time of ``now``; ``None`` for never."""
        orders = (self._deadlines, self._vacancies, self._idle, self._busy, self._beats)
        deadlines = (order.next_deadline() for order in orders)
        return min((each for each in deadlines if each is not None), default=None)

    def has_parked(self) -> bool:
        """Whether :meth:`tick` has workers to try again whose pipe was full."""
        return len(self._parked) > 0

    def connection_opened(self, connection: int) -> None:
        """A peer connected where workers do; ``connection`` (a descriptor) names it until it closes."""
        self._connections[connection] = None

    def connection_closed(self, connection: int) -> None:
        """A connection is gone, and with it the worker that spoke on it.

        Its requests are sent to others at the next :meth:`receive` or :meth:`tick`.
        """
        identity = self._connections.pop(connection, None)
        if identity is not None:
            self._lose(self._workers[identity])

    def drain(self) -> None:
        """From now on shed new requests; go on with those accepted."""
        self._draining = True

    def drained(self) -> bool:
        """Whether nothing waits, and nothing is in flight at a worker that is still there."""
        return not self._count["queued"] and self._count["in_flight"] == self._orphans

    def abort(self, goodbyes: bool = True) -> None:
        """Fail everything that is left, as the broker stops now.

        With ``goodbyes`` clients that understand it and workers of MDP are told; without, nothing
        is sent any more.
        """
        self._mute = not goodbyes
        self._arrivals.clear()
        for request in list(self._requests.values()):
            self._finish(request, "failed", "failed_stopped", Verdict.LATE)
        if self._mute:
            return
        for worker in list(self._workers.values()):
            if worker.protocol & MDP and not worker.lost:
                self._send(codec.disconnect(worker.identity, worker.protocol))

    # -- clients ------------------------------------------------------------------------------

    def _from_client(self, frames: list[bytes], now: float) -> None:
        command = codec.parse_client(frames, self._config.max_depth, self._clients)
        if command.says is Says.TOO_DEEP:
            self._count["drop_too_deep"] += 1
            return
        if command.says is not Says.REQUEST:
            self._count["drop_malformed_request"] += 1
            return
        self._count["accepted"] += 1
        name = self._name(frames, command)
        if self._protocols & MDP and name.startswith(MMI_PREFIX):
            self._answer_mmi(frames, command, name)
            return
        if self._draining:
            self._refuse(frames, command, "shed", "shed_draining")
            return
        vacant = command.service >= 0 and self._is_vacant(name) and _announced(frames, command)
        if vacant and now - self._vacated >= self._grace:
            self._refuse(frames, command, "failed", "failed_no_service")
            return
        service = self._service(name, by_worker=False)
        if service is None:
            self._refuse(frames, command, "shed", "shed_services")
            return
        service.users += 1
        # All that came, the service's name included, and what holding it costs.
        charge = REQUEST_OVERHEAD + FRAME_OVERHEAD * (len(frames) - 1) + sum(map(len, frames))
        if command.service >= 0:
            charge += (NAME_COPIES - 1) * len(name)
        request = Request(
            self._tickets.open(),
            frames[: command.address],
            service,
            command.protocol,
            frames[command.body :],
            self._config.retries,
            charge,
        )
        self._requests[request.slot] = request
        self._count["queued"] += 1
        self._count["queued_bytes"] += request.charge
        self._deadlines.refresh(request.slot, now)
        if vacant:
            self._vacancies.refresh(request.slot, now)
        self._enqueue(request, now)

    def _name(self, frames: list[bytes], command: Command) -> bytes:
        """The service that a request or a READY is for."""
        return self._default if command.service < 0 else frames[command.service]

    def _is_vacant(self, name: bytes) -> bool:
        """Whether nobody offers the service of that name."""
        service = self._services.get(name)
        return service is None or not service.workers

    def _refuse(self, frames: list[bytes], command: Command, end: str, reason: str) -> None:
        """End a request that was accepted but gets no record."""
        self._count[end] += 1
        self._count[reason] += 1
        self._watch(end, reason, None, self._name(frames, command))
        if _announced(frames, command):
            name = frames[command.service] if command.service >= 0 else b""
            self._tell(frames[: command.address], name, command.protocol, reason)

    def _tell(self, address: list[bytes], name: bytes, protocol: int, reason: str) -> None:
        """Tell a client that understands it how its request ended, if it is still there."""
        if self._mute:
            return
        head = codec.reply_head(address, name, protocol, partial=False)
        if self._outbox(self._client_port, [*head, *_ERROR_BODIES[reason]]) == Sent.OK:
            self._count["error_answers"] += 1

    def _answer_mmi(self, frames: list[bytes], command: Command, name: bytes) -> None:
        self._count["mmi"] += 1
        self._count["replied"] += 1  # beforehand, so that the ledger in the answer balances
        body = answer_mmi(name, frames[command.body :], self._services, self.counters())
        head = codec.reply_head(frames[: command.address], name, command.protocol, partial=False)
        sent = self._outbox(self._client_port, [*head, body])
        if sent == Sent.OK:
            return
        self._count["replied"] -= 1
        end, reason = (
            ("shed", "shed_client_full") if sent == Sent.FULL else ("failed", "failed_client_gone")
        )
        self._count[end] += 1
        self._count[reason] += 1
        self._watch(end, reason, None, name)

    def _service(self, name: bytes, *, by_worker: bool) -> Service | None:
        """The service of that name, made known if need be; ``None`` beyond the bound.

        The bound is for clients, who can name any number of services: a worker has a connection.
        """
        service = self._services.get(name)
        if service is None and (by_worker or len(self._services) < self._config.max_services):
            service = self._services[name] = Service(name)
        return service

    def _leave_service(self, service: Service) -> None:
        """A worker or a request needs it no longer."""
        service.users -= 1
        if not service.users:
            del self._services[service.name]

    def _enqueue(self, request: Request, now: float) -> None:
        """Let a new request wait for its turn in settle, or shed it at the bounds of the queue."""
        service, count, config = request.service, self._count, self._config
        service.queue[request.slot] = None
        self._arrivals.setdefault((request.address[0], service), []).append(request.slot)
        if service.free:
            self._due[service] = None
        if count["queued"] <= config.queue_limit and count["queued_bytes"] <= config.queue_bytes:
            return
        self._settle(now)  # which may make room
        if request.worker is not None:
            return
        if count["queued"] > config.queue_limit:
            self._finish(request, "shed", "shed_queue_full", Verdict.LATE)
        elif count["queued_bytes"] > config.queue_bytes:
            self._finish(request, "shed", "shed_queue_bytes", Verdict.LATE)

    def _stand_together(self) -> None:
        """Have the requests that each client sent since the last settle follow each other.

        Replies that leave together for one connection share a system call, and so do the requests
        that its client sends when it has them.
        """
        for (_, service), slots in self._arrivals.items():
            for slot in slots:
                service.queue.move_to_end(slot)

    def _dispatch(self, request: Request, now: float) -> Worker | None:
        """Send a waiting request to the least recently used worker that takes it.

        Returns the worker.  Messages to one peer share a system call, so a worker's turn goes on
        while it was given fewer in a row than the next one has in hand: with an idle one next to it
        each gets one, and the busier all are, the more they get at once.
        """
        service = request.service
        while True:
            identity = service.free.next()
            if identity is None:
                return None
            worker = self._workers[identity]
            head = codec.to_worker(identity, self._tickets.token(request.slot), worker.protocol)
            sent = self._send([*head, *request.body])
            if sent == Sent.OK:
                break
            if sent == Sent.GONE:
                self._lose(worker)
            else:
                self._count["worker_full"] += 1
                worker.run = 0
                self._parked.ready(identity)
        service.queue.pop(request.slot, None)
        worker.requests[request.slot] = None
        worker.occupied += 1
        worker.live += 1
        request.worker = worker
        request.state = State.IN_FLIGHT
        self._count["queued"] -= 1
        self._count["queued_bytes"] -= request.charge
        self._count["in_flight"] += 1
        worker.run += 1
        following = service.free.head()
        if worker.occupied == worker.capacity:
            worker.run = 0
        elif following is not None and worker.run < self._workers[following].occupied:
            service.free.again(identity)
        else:
            worker.run = 0
            service.free.ready(identity)
        if worker.protocol != REQ:
            self._beats.refresh(identity, now)
            if worker.occupied == 1 and self._busy is not self._idle:
                self._heard(worker, now)  # from now on it may be silent for longer
        return worker

    def _settle(self, now: float) -> None:
        """Send waiting requests as long as workers are free, oldest first.  Then a turn has ended."""
        if self._arrivals:
            self._stand_together()
            self._arrivals.clear()
        while self._due:
            service = next(iter(self._due))
            while service.queue:
                request = self._requests[next(iter(service.queue))]
                if self._dispatch(request, now) is None:
                    break
            head = service.free.head()
            if head is not None and self._workers[head].run:
                self._workers[head].run = 0
                service.free.next()
                service.free.ready(head)
            del self._due[service]

    # -- workers ------------------------------------------------------------------------------

    def _send(self, frames: list[bytes]) -> int:
        return self._outbox(self._worker_port, frames)

    def _from_worker(self, frames: list[bytes], now: float, connection: int) -> None:
        command = codec.parse_worker(frames, self._protocols)
        says = command.says
        if says is Says.MALFORMED:
            self._malformed(frames, command, now)
            return
        identity = frames[0]
        if says is Says.READY:
            self._ready(frames, command, now, connection)
            return
        worker = self._known(identity, connection)
        if worker is not None and worker.protocol != command.protocol:
            self._count["drop_malformed_worker"] += 1
            if worker.protocol != REQ:
                self._heard(worker, now)
            return
        if says is Says.FINAL or says is Says.PARTIAL:
            self._reply(frames, command, worker, now, connection)
        elif worker is None:
            self._unexpected(identity, command)
        elif says is Says.DISCONNECT:
            self._count["workers_disconnected"] += 1
            self._lose(worker, "workers_disconnected")
        else:
            self._heard(worker, now)

    def _malformed(self, frames: list[bytes], command: Command, now: float) -> None:
        """RFC 7: a peer that sends what is no command is treated as invalid.

        Where the protocol has no such rule, it lives at least: any frame is a heartbeat.
        """
        self._count["drop_malformed_worker"] += 1
        worker = self._workers.get(frames[0]) if frames else None
        if worker is None or worker.lost:
            return
        if command.protocol & MDP and worker.protocol == command.protocol:
            self._send_disconnect(frames[0], command.protocol)
            self._lose(worker, "drop_malformed_worker")
        elif worker.protocol != REQ:
            self._heard(worker, now)

    def _unexpected(self, identity: bytes, command: Command) -> None:
        """RFC 7: a valid command from a peer that never said READY is answered with DISCONNECT."""
        self._count["drop_unexpected"] += 1
        if command.protocol & MDP and command.says is not Says.DISCONNECT:
            self._send_disconnect(identity, command.protocol)

    def _send_disconnect(self, identity: bytes, protocol: int) -> None:
        self._count["disconnects"] += 1
        self._send(codec.disconnect(identity, protocol))

    def _ready(self, frames: list[bytes], command: Command, now: float, connection: int) -> None:
        identity = frames[0]
        # It may be back on the same descriptor, its old connection's end not yet heard of.
        if connection != NO_CONNECTION and self._sync is not None:
            self._sync()
        worker = self._known(identity, connection)
        name = self._name(frames, command)
        if worker is not None:
            self._count["ready_again"] += 1
            if worker.protocol != command.protocol:
                return
            if worker.protocol & MDP:  # RFC 7: READY is sent once a connection
                self._send_disconnect(identity, worker.protocol)
                self._lose(worker, "ready_again")
                return
            if worker.protocol == REQ:
                # Busy with a live request: one job at a time, whatever it says.  Otherwise what it
                # was busy with has expired, and it is free.
                if worker.occupied and not worker.live:
                    worker.occupied = 0
                    self._set_free(worker)
                return
            self._lose(worker, "ready_again")  # RFC 6: a new conversation
        self._register(identity, name, command, now, connection)

    def _reply(
        self, frames: list[bytes], command: Command, worker: Worker | None, now: float,
        connection: int,
    ) -> None:  # fmt: skip
        identity, body = frames[0], frames[command.body :]
        partial = command.says is Says.PARTIAL
        slot = self._tickets.resolve(frames[command.ticket])
        holder = self._workers.get(identity)
        matched = slot >= 0 and holder is not None and self._requests[slot].worker is holder
        if matched:
            self._answer(self._requests[slot], body, partial=partial)
        elif slot >= 0:
            self._count["drop_reply_foreign"] += 1
        elif slot == Verdict.ANSWERED:
            self._count["drop_reply_duplicate"] += 1
        elif slot == Verdict.LATE:
            self._count["drop_reply_late"] += 1
        else:
            self._count["drop_reply_unknown"] += 1
        if worker is None:
            if command.protocol == REQ:
                # Its reply says that it is free, though it answers the broker that ran here before,
                # or comes on a new connection.
                self._register(identity, self._default, command, now, connection)
            elif command.protocol & MDP:
                self._send_disconnect(identity, command.protocol)
            return
        # The place of a request that expired meanwhile.  A REQ worker has but one request, so
        # whatever it answers says that it is done with it.
        over = not matched and (worker.protocol == REQ or slot == Verdict.LATE)
        if not partial and over and worker.occupied > worker.live:
            worker.occupied -= 1
        if worker.protocol != REQ:
            self._heard(worker, now)  # it may be idle now, which has another deadline
        if not partial:
            self._set_free(worker)

    def _answer(self, request: Request, body: list[bytes], *, partial: bool) -> None:
        """Give the client its reply: the end of the request, whether the client takes it or not."""
        if partial and request.protocol != MDP02:
            self._join(request, body)
            return
        if request.partial and self._too_large([*request.partial, *body]):
            self._finish(request, "failed", "failed_partials_too_large", Verdict.ANSWERED)
            return
        head = codec.reply_head(
            request.address, request.service.name, request.protocol, partial=partial
        )
        sent = self._outbox(self._client_port, [*head, *request.partial, *body])
        if partial:
            self._count["partials" if sent == Sent.OK else "drop_partial_shed"] += 1
            request.retries = 0  # its client must not get parts of two workers
        elif sent == Sent.OK:
            self._finish(request, "replied", None, Verdict.ANSWERED)
        elif sent == Sent.FULL:
            self._finish(request, "shed", "shed_client_full", Verdict.ANSWERED)
        else:
            self._finish(request, "failed", "failed_client_gone", Verdict.ANSWERED)

    def _join(self, request: Request, body: list[bytes]) -> None:
        """Keep a PARTIAL for a client that can take one reply only."""
        self._count["partials"] += 1
        request.partial += body
        if self._too_large(request.partial):
            self._finish(request, "failed", "failed_partials_too_large", Verdict.LATE)

    def _too_large(self, body: list[bytes]) -> bool:
        """Whether a joined reply is beyond the bounds of a message."""
        return (
            len(body) > self._config.max_frames
            or sum(map(len, body)) > self._config.max_message_bytes
        )

    def _known(self, identity: bytes, connection: int) -> Worker | None:
        """The registered worker of that identity, if it still speaks on the same connection."""
        worker = self._workers.get(identity)
        if worker is None or worker.lost:
            return None
        if connection not in (worker.connection, NO_CONNECTION):
            self._lose(worker)  # it came back on another connection, so the old one is dead
            return None
        return worker

    def _register(
        self, identity: bytes, name: bytes, command: Command, now: float, connection: int
    ) -> None:
        """Make a worker known, on a connection that is open, and free."""
        if connection != NO_CONNECTION:
            if self._sync is not None:
                self._sync()
            if connection not in self._connections:
                self._count["drop_ready_gone"] += 1
                self._watch("refused", "drop_ready_gone", identity, name)
                return
            before = self._connections[connection]
            if before is not None:  # the descriptor was used again: its former worker is gone
                self._lose(self._workers[before])
        mmi = command.protocol & MDP and name.startswith(MMI_PREFIX)
        service = None if mmi else self._service(name, by_worker=True)
        if service is None:
            self._count["drop_ready_refused"] += 1
            self._watch("refused", "drop_ready_refused", identity, name)
            if command.protocol & MDP:
                self._send_disconnect(identity, command.protocol)
            return
        if connection != NO_CONNECTION:
            self._connections[connection] = identity
        worker = self._workers.get(identity)
        if worker is None:
            worker = self._workers[identity] = Worker(identity)
        worker.register(service, command.protocol, command.capacity, connection)
        service.workers += 1
        service.users += 1
        self._count["workers"] += 1
        self._count["workers_joined"] += 1
        self._watch("joined", "workers_joined", identity, name)
        if worker.protocol != REQ:
            interval = command.interval / 1000
            self._idle.assign(identity, interval * self._config.liveness)
            if self._busy is not self._idle:
                self._busy.assign(identity, interval * self._config.busy_liveness)
            self._beats.assign(identity, interval)
            self._heard(worker, now)
            self._beats.refresh(identity, now)
        self._set_free(worker)

    def _heard(self, worker: Worker, now: float) -> None:
        """Any frame from a worker counts as its heartbeat."""
        # At work, too, on what has expired meanwhile.
        if self._busy is not self._idle:
            (self._idle if worker.occupied else self._busy).remove(worker.identity)
        (self._busy if worker.occupied else self._idle).refresh(worker.identity, now)

    def _heartbeat(self, worker: Worker, now: float) -> None:
        """Nothing was sent to the worker for an interval."""
        sent = self._send(codec.heartbeat(worker.identity, worker.protocol))
        if sent == Sent.GONE:
            self._lose(worker)
            return
        self._count["heartbeats" if sent == Sent.OK else "worker_full"] += 1
        self._beats.refresh(worker.identity, now)

    def _set_free(self, worker: Worker) -> None:
        """Let a worker that has a place take part again."""
        if worker.occupied < worker.capacity and worker.identity not in self._parked:
            worker.service.free.ready(worker.identity)
            self._due[worker.service] = None

    def _lose(self, worker: Worker, reason: str = "workers_lost") -> None:
        """A worker is gone: out of every order; its requests go to others, or wait for their end."""
        identity, service = worker.identity, worker.service
        service.free.remove(identity)
        if worker.protocol != REQ:
            for order in {
                id(each): each for each in (self._idle, self._busy, self._beats)
            }.values():
                order.release(identity)
        self._parked.remove(identity)
        worker.lost = True
        worker.live = worker.occupied = 0
        if self._connections.get(worker.connection) == identity:
            self._connections[worker.connection] = None
        worker.connection = NO_CONNECTION
        service.workers -= 1
        if not service.workers:
            self._vacated = self._now
        self._count["workers"] -= 1
        self._count["workers_lost"] += 1
        self._watch(_LOSSES.get(reason, "lost"), reason, identity, service.name)
        for slot in reversed(list(worker.requests)):
            request = self._requests[slot]
            if request.orphan:
                continue
            if request.retries > 0:
                del worker.requests[slot]
                self._take_back(request)
            else:
                request.orphan = True
                self._orphans += 1
        self._forget_if_empty(worker)
        self._due[service] = None
        self._leave_service(service)

    def _take_back(self, request: Request) -> None:
        """Put a request whose worker was lost at the head of the queue, under a new ticket."""
        self._tickets.renew(request.slot)
        self._vacancies.remove(request.slot)  # there was a worker: it has until its deadline
        request.retries -= 1
        self._watch_request("redispatched", "redispatched", request)
        request.worker = None
        request.partial = []
        request.state = State.QUEUED
        request.service.queue[request.slot] = None
        request.service.queue.move_to_end(request.slot, last=False)
        self._count["redispatched"] += 1
        self._count["in_flight"] -= 1
        self._count["queued"] += 1
        self._count["queued_bytes"] += request.charge

    def _forget_if_empty(self, worker: Worker) -> None:
        if worker.lost and not worker.requests:
            self._workers.pop(worker.identity, None)

    # -- ends ---------------------------------------------------------------------------------

    def _expired(self, request: Request) -> None:
        if request.state is State.QUEUED:
            self._finish(request, "failed", "failed_expired_queued", Verdict.LATE)
        else:
            # Its worker stays busy until it says something: it may still be at work.
            self._finish(request, "failed", "failed_expired_in_flight", Verdict.LATE)

    def _finish(self, request: Request, end: str, reason: str | None, verdict: Verdict) -> None:
        """The one place where a request ends."""
        count = self._count
        if request.state is State.QUEUED:
            request.service.queue.pop(request.slot, None)
            count["queued"] -= 1
            count["queued_bytes"] -= request.charge
        else:
            count["in_flight"] -= 1
        count[end] += 1
        if reason is not None:
            count[reason] += 1
            self._watch_request(end, reason, request)
        if reason in _ERROR_BODIES and request.address[-1].startswith(ANNOUNCEMENT):
            self._tell(request.address, request.service.name, request.protocol, reason)
        del self._requests[request.slot]
        self._deadlines.remove(request.slot)
        self._vacancies.remove(request.slot)
        self._tickets.close(request.slot, verdict)
        worker = request.worker
        if worker is not None:
            del worker.requests[request.slot]
            if request.orphan:
                self._orphans -= 1
            else:
                worker.live -= 1
                if verdict is Verdict.ANSWERED:
                    worker.occupied -= 1
            self._forget_if_empty(worker)
        self._leave_service(request.service)

    # -- what can be seen ---------------------------------------------------------------------

    def watch_with(self, events: Events | None) -> None:
        """Have ``events(kind, reason, worker, service)`` called for what happens; ``None`` ends it.

        ``kind`` is one of :data:`brigantine.events.KINDS`, ``reason`` a counter, ``worker`` an
        identity or ``None``, ``service`` a name, cut off at ``EVENT_NAME_BYTES``.
        """
        self._events = events

    def _watch(self, kind: str, reason: str, worker: bytes | None, service: bytes) -> None:
        if self._events is not None:
            self._events(kind, reason, worker, service[:EVENT_NAME_BYTES])

    def _watch_request(self, kind: str, reason: str, request: Request) -> None:
        worker = None if request.worker is None else request.worker.identity
        self._watch(kind, reason, worker, request.service.name)

    def packed_services(self) -> bytes:
        """All services, as the answer to SERVICES of ``brigantine.control``."""
        return pack_services(self._services.values())

    def packed_workers(self) -> bytes:
        """All workers, as the answer to WORKERS of ``brigantine.control``."""
        return pack_workers(self._workers.values())

    def counters(self) -> dict[str, int]:
        """All counters by name (see :data:`brigantine.COUNTERS`)."""
        idle = sum(len(service.free) for service in self._services.values())
        return {**self._count, "workers_idle": idle, "services": len(self._services)}

    def idle_workers(self, service: bytes = b"") -> list[bytes]:
        """Identities of the free workers of a service, least recently used first."""
        known = self._services.get(service)
        return [] if known is None else list(known.free)


def _announced(frames: list[bytes], command: Command) -> bool:
    """Whether the client that sent a request says by its routing id that it understands errors."""
    return frames[command.address - 1].startswith(ANNOUNCEMENT)
