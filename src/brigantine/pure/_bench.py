"""The hot paths in a tight loop, as the broker runs them: what the benchmarks time.

Each class prepares its data once; ``run(count)`` does ``count`` rounds and leaves things as they were.
"""

from __future__ import annotations

from ..config import BrokerConfig
from ..config.protocols import Protocol
from ..config.servers import ServerConfig
from ..wire.mdp import CLIENT_02, CLIENT_REQUEST, FINAL_02, WORKER_02
from ..wire.mdp import READY as MDP_READY
from ..wire.req import EMPTY, READY
from .sessions.keeping import TELLS_NONE
from .sessions.sessions import Sessions
from .structures.expiry import ExpiryQueue
from .structures.lru import LRUQueue
from .structures.tickets import TicketTable, Verdict
from .switchboard.outbox import Sent, Side
from .switchboard.switchboard import Switchboard
from .wire.envelope import find_delimiter

__all__ = [
    "EnvelopeRounds",
    "ExpiryRounds",
    "LRURounds",
    "MajordomoRounds",
    "SessionsRounds",
    "SwitchboardRounds",
    "TicketRounds",
]

#: What a worker's identity and a ticket look like.
_IDENTITY = b"\0\x12\x34\x56\x78"
_TOKEN = b"0000000012345678"


def _identity(number: int) -> bytes:
    """Five bytes, the first of them zero, as libzmq makes them up."""
    return b"\0" + number.to_bytes(4, "big")


class EnvelopeRounds:
    """A round: check a request's bounds, split it, wrap it for a worker, the reply for the client."""

    def __init__(self, frames: list[bytes]) -> None:
        self._frames = frames
        self._made: list[bytes] = []
        self._max_frames = BrokerConfig.max_frames
        self._max_depth = BrokerConfig.max_depth
        self._max_bytes = BrokerConfig.max_message_bytes

    def run(self, count: int) -> None:
        """``count`` rounds."""
        frames, max_depth = self._frames, self._max_depth
        max_frames, max_bytes = self._max_frames, self._max_bytes
        for _ in range(count):
            if len(frames) > max_frames or sum(map(len, frames)) > max_bytes:
                return
            at = find_delimiter(frames, max_depth)
            address, body = frames[:at], frames[at + 1 :]
            self._made = [_IDENTITY, EMPTY, _TOKEN, EMPTY, *body]
            self._made = [*address, EMPTY, *body]


class LRURounds:
    """A round: take the least recently used of ``workers`` workers, and append it again."""

    def __init__(self, workers: int) -> None:
        self._queue: LRUQueue[bytes] = LRUQueue()
        for number in range(workers):
            self._queue.ready(_identity(number))

    def run(self, count: int) -> None:
        """``count`` rounds."""
        queue = self._queue
        for _ in range(count):
            worker = queue.next()
            if worker is not None:
                queue.ready(worker)


class ExpiryRounds:
    """A round: one sweep over ``workers`` deadlines, of which ``share`` has expired and is set again."""

    def __init__(self, workers: int, share: float) -> None:
        self._queue: ExpiryQueue[int] = ExpiryQueue(1.0)
        self._now = 1.0
        self._step = share
        # Spread evenly: in `share` seconds that share of them expires.
        for number in range(workers):
            self._queue.refresh(number, (number + 1) / workers)

    def run(self, count: int) -> None:
        """``count`` rounds."""
        queue = self._queue
        for _ in range(count):
            self._now += self._step
            for key in queue.sweep(self._now):
                queue.refresh(key, self._now)


class SessionsRounds:
    """A round: a request of one of ``sessions`` sessions in turn: heard, handed out, done, swept."""

    def __init__(self, sessions: int) -> None:
        config = ServerConfig(max_sessions=sessions, session_timeout=86400.0)
        self._board = Sessions(config, TELLS_NONE)
        self._keys = [b"\x05\0" + number.to_bytes(4, "big") for number in range(sessions)]
        self._next, self._now = 0, 0.0
        for key in self._keys:
            self._board.hear(key, 0.0, 1)

    def run(self, count: int) -> None:
        """``count`` rounds."""
        board, keys = self._board, self._keys
        for _ in range(count):
            key = keys[self._next]
            self._next = (self._next + 1) % len(keys)
            self._now += 1e-9
            board.hear(key, self._now, 1)
            board.ask(key, 64, self._now)
            turn = board.next()
            assert turn is not None
            board.done(turn, self._now)
            board.sweep(self._now)


class TicketRounds:
    """A round: open a ticket beside ``live`` others, write it, resolve what was written, close it."""

    def __init__(self, live: int) -> None:
        self._table = TicketTable()
        for _ in range(live):
            self._table.open()

    def run(self, count: int) -> None:
        """``count`` rounds."""
        table = self._table
        for _ in range(count):
            token = table.token(table.open())
            table.close(table.resolve(token), Verdict.ANSWERED)


class SwitchboardRounds:
    """A round: a request comes in and goes to a worker, its reply comes in and goes to the client."""

    def __init__(self, workers: int, body: bytes) -> None:
        self._switchboard = Switchboard(BrokerConfig(), self._send)
        self._request = [b"\0clnt", EMPTY, body]
        self._sent: list[bytes] = []
        for number in range(workers):
            self._switchboard.receive(Side.BACKEND, [_identity(number), EMPTY, READY], 0.0)

    def _send(self, _port: int, frames: list[bytes]) -> Sent:
        self._sent = frames
        return Sent.OK

    def run(self, count: int) -> None:
        """``count`` rounds."""
        receive = self._switchboard.receive
        for _ in range(count):
            receive(Side.FRONTEND, self._request.copy(), 0.0)
            receive(Side.BACKEND, self._sent, 0.0)

    def replied(self) -> int:
        """Rounds done so far."""
        return self._switchboard.counters()["replied"]


class MajordomoRounds:
    """As :class:`SwitchboardRounds`, in MDP 0.2: of ``services`` services, each with a worker, in turn."""

    def __init__(self, services: int, body: bytes) -> None:
        config = BrokerConfig(max_services=services)
        self._switchboard = Switchboard(config, self._send, protocols=Protocol.MDP02)
        self._body = body
        self._names = [b"service-%d" % number for number in range(services)]
        self._next = 0
        self._sent: list[bytes] = []
        for number, name in enumerate(self._names):
            frames = [_identity(number), WORKER_02, MDP_READY, name]
            self._switchboard.receive(Side.BACKEND, frames, 0.0)

    def _send(self, _port: int, frames: list[bytes]) -> Sent:
        self._sent = frames
        return Sent.OK

    def run(self, count: int) -> None:
        """``count`` rounds."""
        receive, names, body = self._switchboard.receive, self._names, self._body
        for _ in range(count):
            request = [b"\0clnt", CLIENT_02, CLIENT_REQUEST, names[self._next], body]
            self._next = (self._next + 1) % len(names)
            receive(Side.FRONTEND, request, 0.0)
            reply = self._sent
            reply[2] = FINAL_02
            receive(Side.BACKEND, reply, 0.0)

    def replied(self) -> int:
        """Rounds done so far."""
        return self._switchboard.counters()["replied"]
