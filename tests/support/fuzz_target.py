"""Bytes at random as a broker's life: nothing that comes in may raise, or unbalance the ledger.

:func:`one_input` is the target, for any fuzzer; :func:`same_input` the same with both
implementations, which must do the same.  ``tests/corpus`` is what they start from.  The bytes
are read like this (what is missing at the end counts as zero bytes):

    head    1 byte: bit 0 one socket for both sides, bit 1 a default service, bit 2 busy_liveness,
            bits 3-4 retries, bits 5-6 protocols: all, MDP, PPP, REQ
    step    1 byte: 0xF0 + n: n eighths of a second pass; 0xE0 + n: sends to peer n % 4 are taken (n
            below 4), refused (4 to 7) or fail; 0xD0 + n: connection n / 2 opens (even n) or closes;
            else a message: bits 0-1 its sender, bit 2 to the backend, bits 3-6 frames behind the
            id; with bit 7 its frames are followed by 1 byte, the connection that it came on
    frame   1 byte: its length up to 0xEF, and so many bytes; 0xFF - n: the n-th last ticket that a
            worker was sent; below: 300 zero bytes
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from dialects import ALL, MAJORDOMO
from models import BACKEND, BEHIND, BOTH, EIGHTH, FRONTEND, FULL, GONE, NO_CONNECTION, OK, Call
from twins import as_job

from brigantine import COUNTERS, BrokerConfig, ledger_holds
from brigantine.config.protocols import Protocol

CORPUS = sorted((Path(__file__).parents[1] / "corpus").glob("*.bin"))
#: The last says by its name that it understands error answers.
PEERS = (b"V", b"W", b"\0c", b"brigantine/1:c")
SPOKEN = (ALL, MAJORDOMO, Protocol.PPP, Protocol.REQ)
#: Steps that are no messages, and frames that are not spelled out.
TIME, RESULT, CONNECTION = 0xF0, 0xE0, 0xD0
LAST_TICKET, LONGEST = 0xFF, 0xEF
OLDEST_TICKET = 8
LONGEST_INPUT = 600


class Input:
    """Bytes to be taken from the front; zeros when there are none left."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def __bool__(self) -> bool:
        return self.at < len(self.data)

    def take(self, size: int) -> bytes:
        taken = self.data[self.at : self.at + size].ljust(size, b"\0")
        self.at += size
        return taken

    def byte(self) -> int:
        return self.take(1)[0]


class Life:
    """A switchboard that is told what the bytes spell."""

    def __init__(self, rooms: ModuleType, source: Input) -> None:
        head = source.byte()
        self.source = source
        self.sides = (BOTH, BOTH) if head & 1 else (FRONTEND, BACKEND)
        self.results = dict.fromkeys(PEERS, OK)
        self.tickets: list[bytes] = []
        #: Everything that was handed out, taken or not, and how much of it before the end.
        self.calls: list[Call] = []
        self.before_end = 0
        self.replies = 0
        self.now = 0.0
        config = BrokerConfig(
            retries=head >> 3 & 3, busy_liveness=2 if head & 4 else 0, heartbeat_interval=EIGHTH,
            liveness=3, request_ttl=1.0, max_frames=12, max_depth=3, max_message_bytes=1024,
            queue_limit=4, max_services=3,
        )  # fmt: skip
        self.board = rooms.Switchboard(
            config, self.outbox, protocols=int(SPOKEN[head >> 5 & 3]),
            default_service=b"" if head & 2 else None,
        )  # fmt: skip

    def outbox(self, side: int, frames: list[bytes]) -> int:
        assert frames[0] in PEERS, "nobody else has ever spoken"
        call = Call(int(side), frames, self.results[frames[0]])
        self.calls.append(call)
        job = as_job(call)
        if job:
            self.tickets.append(job[0])
        partial = frames[1:3] == [b"MDPC02", b"\x02"]
        goodbye = call.frames[1:2] == [b"MDPW02"] or call.frames[2:3] in ([b"MDPW01"], [b"MDPW02"])
        self.replies += call.side == FRONTEND and call.result == OK and not (partial or goodbye)
        return call.result

    def frame(self) -> bytes:
        size = self.source.byte()
        if size <= LONGEST:
            return self.source.take(size)
        age = LAST_TICKET - size
        if age < OLDEST_TICKET:
            return self.tickets[-1 - age] if age < len(self.tickets) else b"0" * 16
        return bytes(300)

    def step(self) -> None:
        what = self.source.byte()
        number = what & 0x0F
        if what >= TIME:
            self.now += number * EIGHTH
            self.board.tick(self.now)
        elif what >= RESULT:
            self.results[PEERS[number % 4]] = (OK, FULL, GONE, BEHIND)[number // 4]
        elif what >= CONNECTION:
            if number % 2:
                self.board.connection_closed(number // 2, self.now)
            else:
                self.board.connection_opened(number // 2)
        else:
            frames = [PEERS[what & 3], *(self.frame() for _ in range(what >> 3 & 15))]
            connection = self.source.byte() % 8 if what & 0x80 else NO_CONNECTION
            self.board.receive(self.sides[what >> 2 & 1], frames, self.now, connection)

    def check(self) -> None:
        counters = self.board.counters()
        assert list(counters) == list(COUNTERS)
        assert ledger_holds(counters), counters
        assert min(counters.values()) >= 0, counters
        if self.sides[0] == FRONTEND:
            assert counters["replied"] + counters["error_answers"] == self.replies


def lived(rooms: ModuleType, data: bytes) -> Life:
    """A broker after the life that ``data`` spells."""
    life = Life(rooms, Input(data))
    while life.source:
        life.step()
        life.check()
    life.before_end = len(life.calls)
    life.board.abort()
    life.check()
    counters = life.board.counters()
    assert counters["queued"] == counters["in_flight"] == counters["queued_bytes"] == 0
    assert life.board.drained()
    return life


def one_input(rooms: ModuleType, data: bytes) -> dict[str, int]:
    """Lead a broker through the life that ``data`` spells; returns its counters at the end."""
    counters: dict[str, int] = lived(rooms, data).board.counters()
    return counters


def same_input(one: ModuleType, other: ModuleType, data: bytes) -> None:
    """The same life with two implementations: the same frames to the same peers, and counters."""
    lives = [lived(rooms, data) for rooms in (one, other)]
    assert lives[0].calls[: lives[0].before_end] == lives[1].calls[: lives[1].before_end]
    # Who is told goodbye first is left open.
    goodbyes = [sorted(life.calls[life.before_end :]) for life in lives]
    assert goodbyes[0] == goodbyes[1]
    assert lives[0].board.counters() == lives[1].board.counters()
