"""What the switchboard knows of a service, a worker and a request."""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum, auto

from ..structures.lru import LRUQueue

__all__ = [
    "AT_FRONTEND",
    "NO_CONNECTION",
    "Departure",
    "Request",
    "Service",
    "State",
    "Worker",
    "WorkerKey",
]

#: The connection of a peer that has none to name (inproc, and tests).
NO_CONNECTION = -1
#: Added to the descriptor of a worker where clients are: a descriptor is used again on either side, and the
#: monitors of both tell of that in no order.
AT_FRONTEND = 1 << 30

#: A worker is what has an identity on a side: the side, and the identity.
WorkerKey = tuple[int, bytes]


class Service:
    """A name that workers serve.  It stays while a worker or a request needs it."""

    __slots__ = (
        "age", "bytes", "free", "in_hand", "name", "queue", "unoccupied", "users", "workers",
    )  # fmt: skip

    def __init__(self, name: bytes, age: int) -> None:
        self.name = name
        #: How many services had been made known before it.
        self.age = age
        #: Workers that could take a request now, least recently used first.
        self.free: LRUQueue[WorkerKey] = LRUQueue()
        #: Slots of the waiting requests, next one first.
        self.queue: OrderedDict[int, None] = OrderedDict()
        #: Charged to these.
        self.bytes = 0
        #: Registered workers, those of them that hold nothing, and places taken at all of them.
        self.workers = self.unoccupied = self.in_hand = 0
        #: Registered workers and requests that have not ended.
        self.users = 0


class Worker:
    """A worker by the side that it is at and its identity.

    It is in its service's ``free`` or in the board's ``blocked`` exactly when it is not lost
    and ``occupied < capacity``, and it is not ``stopping``.
    """

    __slots__ = (
        "address",
        "burst",
        "capacity",
        "connection",
        "dialect",
        "heard",
        "heard_at",
        "identity",
        "joined_at",
        "key",
        "live",
        "longest",
        "lost",
        "occupied",
        "protocol",
        "requests",
        "serial",
        "service",
        "side",
        "stopping",
    )  # fmt: skip

    def __init__(self, key: WorkerKey) -> None:
        self.key = key
        self.side, self.identity = key
        self.requests: dict[int, None] = {}  # slots of those it may answer, as they were sent
        self.lost = True

    def register(
        self, service: Service, protocol: int, capacity: int, connection: int, serial: int
    ) -> None:
        """Begin a conversation; ``requests`` of an earlier one may still be answered."""
        self.service = service
        self.protocol = protocol
        self.capacity = capacity
        self.connection = connection
        #: What tells that connection from others on the same descriptor: see ``Board.serials``.
        self.serial = serial
        self.lost = False
        #: Places taken: by live requests, and by those that expired while it was at work on them.
        self.occupied = 0
        #: It stands at the head of the service's ``free`` for more than one request.
        self.burst = False
        #: It has said that it is leaving: it gets nothing more, and has its time for what it holds.
        self.stopping = False
        #: Requests of this conversation that have not ended.
        self.live = 0

    def joined(self, now: float, dialect: int, address: str | None) -> None:
        """It said READY, in that dialect and from that address."""
        self.dialect = dialect
        self.address = address
        #: When it did, when it was last heard of, the longest time between two words, and how many came.
        self.joined_at = self.heard_at = now
        self.longest = 0.0
        self.heard = -1  # READY itself is counted in a moment

    def says(self, now: float) -> None:
        """It is heard of."""
        self.longest = max(self.longest, now - self.heard_at)
        self.heard_at = now
        self.heard += 1


class State(Enum):
    """Where a request is."""

    QUEUED = auto()
    IN_FLIGHT = auto()


class Request:
    """An accepted request."""

    __slots__ = (
        "address", "begun", "body", "charge", "connection", "dialect", "kept", "orphan", "partial",
        "protocol", "retries", "service", "slot", "state", "taken_back", "turn", "worker",
    )  # fmt: skip

    def __init__(
        self,
        slot: int,
        address: list[bytes],
        service: Service,
        protocol: int,
        dialect: int,
        body: list[bytes],
        retries: int,
        charge: int,
    ) -> None:
        self.slot = slot
        self.address = address
        self.service = service
        #: The client's, as its dialect.
        self.protocol = protocol
        self.dialect = dialect
        self.body = body
        self.retries = retries
        self.state = State.QUEUED
        self.worker: Worker | None = None
        #: It was at a worker before, which was lost.
        self.taken_back = False
        #: What it counts for in flight: its charge if its body is kept, to be sent again; joined PARTIALs.
        self.kept = 0
        #: In flight, but the worker was lost.
        self.orphan = False
        #: A part of its reply has come, and was passed on or is kept: the rest must come by the same way.
        self.begun = False
        #: What came as PARTIAL for a client that can take one reply only.
        self.partial: list[bytes] = []
        #: The descriptor that it came on, where that matters: see ``clients``; and the turn of the loop.
        self.connection = NO_CONNECTION
        self.turn = 0
        #: Bytes that it counts for while it waits.
        self.charge = charge


class Departure:
    """A client's connection that has closed."""

    __slots__ = ("read", "taken")

    def __init__(self) -> None:
        #: Its descriptor has been given away since.
        self.taken = False
        #: The clients' side was found empty since.
        self.read = False
