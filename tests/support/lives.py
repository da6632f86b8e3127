"""Lives of a broker, drawn message by message from all that the protocols know.

As it should be, nearly so, and not at all: what is drawn depends on nothing but the generator.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

from dialects import ALL, DIALECTS, LED, LED_CLIENTS, MAJORDOMO, WORDY, Dialect, Frames, asks
from models import BACKEND, BEHIND, BOTH, EIGHTH, FRONTEND, FULL, GONE, NO_CONNECTION, OK
from twins import Twins

from brigantine.config.protocols import Protocol

WORKERS = [b"V", b"W", b"brigantine/1:X", b"\0", b"w" * 255]
#: The last two say that they understand error answers.
CLIENTS = [b"a", b"\0c", b"MDPW02", b"V", b"brigantine/1:", b"brigantine/1:" + bytes(16)]
SERVICES = [b"", b"echo", b"other", b"e\0", b"s" * 300]
MMI = [b"mmi.service", b"mmi.services", b"mmi.workers", b"mmi.stats", b"mmi.", b"mmi.no", b"mmi"]
CONNECTIONS = [NO_CONNECTION, NO_CONNECTION, 3, 4, 5, 6]
GOOD_CAPACITIES = [
    b"", b"", b"\x01", b"\x02", b"\x03", b"\x7f", b"\xcc\x02", b"\xcd\x00\x03", b"\xcd\xff\xff",
    b"\xce\x00\x00\x00\x02", b"\xcf" + bytes(7) + b"\x04",
]  # fmt: skip
#: 125 ms, 250 ms, 1 s; and what is none: 0, 9 ms, over an hour, a capacity of three bytes.
GOOD_INTERVALS = [b"\x7d", b"\xcc\xfa", b"\xcd\x03\xe8"]
BAD_INTERVALS = [b"\x00", b"\x09", b"\xce\x00\x36\xee\x81", b"\xcd\x03", b"\x7d\x7d"]
BAD_CAPACITIES = [
    b"\x00", b"\x80", b"\xcc", b"\xcd\x01", b"\xce\x00\x01\x00\x00", b"\xcf" + b"\xff" * 8,
    b"\x01\x01", b"\xd0\x05", b"\xcc\x00", b"\xcf" + b"\x01" + bytes(7), b"\xa1\x31", b"\xff",
]  # fmt: skip
#: What frames of any message are made of.
WORDS = [
    b"", b"", b"x", b"READY", b"HEARTBEAT", b"MDPC01", b"MDPC02", b"MDPW01", b"MDPW02", b"MDPW03",
    b"\x01", b"\x02", b"\x03", b"\x04", b"\x05", b"\x06", b"\x07", b"\0", b"y" * 200, b"0" * 16,
]  # fmt: skip

SPOKEN = [
    Protocol.REQ, Protocol.PPP, Protocol.MDP01, Protocol.MDP02, MAJORDOMO,
    Protocol.REQ | Protocol.PPP, Protocol.REQ | MAJORDOMO, Protocol.PPP | MAJORDOMO, ALL,
]  # fmt: skip


class Life:
    """Draws what happens next to a pair of twins."""

    def __init__(self, rng: random.Random, twins: Twins, trouble: int) -> None:
        self.rng, self.twins = rng, twins
        #: Workers are where clients are, too, and some speak dialects.
        self.mixed = bool(twins.options.get("workers_at_frontend"))
        self.choices = [
            (32, self.ask), (36, self.reply), (10, self.join), (14, self.beat),
            (16, partial(self.reply, part=True)), (8, self.wait), (4, self.calm),
            (3, self.read_events), (2, self.connect), (8, self.burst),
            (2 * trouble, partial(self.reply, wrong=True)),
            (1 * trouble, partial(self.reply, wrong=True, part=True)),
            (1 * trouble, self.leave), (4 * trouble, self.mutated), (2 * trouble, self.nonsense),
            (2 * trouble, self.hang_up), (2 * trouble, self.client_leaves),
            (2 * trouble, self.refuse), (1 * trouble, self.mmi),
        ]  # fmt: skip

    def step(self) -> None:
        weights, choices = zip(*self.choices, strict=True)
        self.rng.choices(choices, weights)[0]()

    # -- what messages there are --------------------------------------------------------------

    def body(self) -> Frames:
        sizes = [0, 1, 33, 34, 200, 600]
        count = self.rng.choice([1, 1, 1, 2, 3, 6])
        return [bytes(self.rng.choice(sizes)) for _ in range(count)]

    def request(self) -> Frames:
        rng = self.rng
        client, service = (
            rng.choice(CLIENTS),
            rng.choice(SERVICES[:3] if rng.random() < 0.8 else SERVICES),
        )
        frames = asks(
            rng.choice(["", "0.1", "0.2", "0.2", *LED_CLIENTS]), client, service, *self.body()
        )
        if frames[1] != b"MDPC02" and rng.random() < 0.2:
            frames[1:1] = rng.choices([b"hop", b"brigantine/1:x"], k=rng.randint(1, 3))
        return frames

    def dialect(self, worker: bytes) -> Dialect:
        """That which the worker spoke before, mostly; else one that is allowed, mostly."""
        known = self.twins.dialects.get(worker)
        if known is None or self.rng.random() < 0.03:
            allowed = [
                each for each in DIALECTS.values() if each.flag & self.twins.options["protocols"]
            ]
            if self.mixed:
                allowed += [
                    each for each in (LED, WORDY) if each.flag & self.twins.options["protocols"]
                ]
            known = self.rng.choice(allowed * 10 + [*DIALECTS.values()])
            self.twins.dialects[worker] = known
        return known

    def registration(self) -> Frames:
        rng = self.rng
        worker = rng.choice(WORKERS)
        service = rng.choice(MMI) if rng.random() < 0.03 else rng.choice(SERVICES[:3])
        capacities = BAD_CAPACITIES if rng.random() < 0.05 else GOOD_CAPACITIES
        capacity, interval = rng.choice(capacities), b""
        if capacity and rng.random() < 0.3:
            interval = rng.choice(BAD_INTERVALS if rng.random() < 0.1 else GOOD_INTERVALS)
        return self.dialect(worker).registers(worker, service, capacity, interval)

    def answer(self, wrong: bool, part: bool) -> Frames:
        rng = self.rng
        if not self.twins.jobs:
            return self.registration()
        unanswered = list(self.twins.unanswered.values())
        if part:
            unanswered = [each for each in unanswered if each[2].partial] or unanswered
        ticket, worker, dialect = rng.choice(
            self.twins.jobs[-40:] if wrong or not unanswered else unanswered[-6:]
        )
        if wrong:
            worker = rng.choice([worker, rng.choice(WORKERS)])
            dialect = rng.choice([dialect, self.dialect(worker)])
            ticket = rng.choice(
                [ticket, ticket, ticket, ticket.upper(), ticket[:-1], b"f" * 16, b"\0"]
            )
        if part and dialect.partial is not None:
            return dialect.part(worker, ticket, *self.body())
        self.twins.unanswered.pop(ticket, None)
        return dialect.reply(worker, ticket, *self.body())

    def command(self, disconnect: bool) -> Frames:
        worker = self.rng.choice(WORKERS)
        dialect = self.dialect(worker)
        if disconnect and self.rng.random() < 0.5:
            return dialect.leaves(worker)
        byte = dialect.disconnect if disconnect else dialect.heartbeat
        return dialect.command(worker, dialect.ready if byte is None else byte)

    def any_message(self) -> Frames:
        makers: list[Callable[[], Frames]] = [
            self.request, self.registration, partial(self.answer, False, False),
            partial(self.answer, True, True), partial(self.command, False),
            partial(self.command, True),
        ]  # fmt: skip
        return self.rng.choice(makers)()

    # -- what happens -------------------------------------------------------------------------

    def client_port(self) -> int:
        return self.twins.sides[0]

    def connection(self, worker: bytes) -> int:
        if self.rng.random() < 0.05:
            return self.rng.choice(CONNECTIONS)
        return self.twins.spoke_on.get(worker, NO_CONNECTION)

    def from_worker(self, frames: Frames) -> None:
        side = self.twins.sides[-1]
        if self.mixed:
            side = self.twins.spoke_to.get(frames[0], side)
            if self.rng.random() < 0.1:
                side = self.rng.choice(self.twins.sides)
        self.twins.receive(side, frames, self.connection(frames[0]))

    def ask(self) -> None:
        connection = self.rng.choice(CONNECTIONS)
        self.twins.receive(self.client_port(), self.request(), connection)

    def client_leaves(self) -> None:
        how = self.rng.choice(["client_leaves", "client_closes", "client_connects"])
        self.twins.do(how, self.rng.choice(CONNECTIONS[2:]))

    def mmi(self) -> None:
        rng = self.rng
        frames = asks(rng.choice(["0.1", "0.2", *LED_CLIENTS]), rng.choice(CLIENTS), rng.choice(MMI),
                      rng.choice(SERVICES), *self.body()[1:])  # fmt: skip
        self.twins.receive(self.client_port(), frames, NO_CONNECTION)

    def join(self) -> None:
        frames = self.registration()
        connection = self.rng.choice(CONNECTIONS)
        side = self.rng.choice(self.twins.sides) if self.mixed else self.twins.sides[-1]
        if connection != NO_CONNECTION and self.rng.random() < 0.8:
            opened = "client_connected" if side == FRONTEND else "connection_opened"
            self.twins.event(opened, connection)
        self.twins.receive(side, frames, connection)

    def reply(self, *, wrong: bool = False, part: bool = False) -> None:
        if not wrong and not self.twins.unanswered:
            self.rng.choice([self.ask, self.join])()
            return
        frames = self.answer(wrong, part)
        late = self.twins.rigs[0]["drop_reply_late"]
        self.from_worker(frames)
        if self.twins.rigs[0]["drop_reply_late"] > late:
            for frame in frames:
                self.twins.unanswered.pop(frame, None)

    def beat(self) -> None:
        self.from_worker(self.command(disconnect=False))

    def burst(self) -> None:
        draw = self.rng.choice([self.reply, self.reply, self.ask, self.ask_or_reply])
        self.twins.burst(draw, self.rng.randint(2, 8))

    def ask_or_reply(self) -> None:
        self.rng.choice([self.ask, self.reply])()

    def leave(self) -> None:
        self.from_worker(self.command(disconnect=True))

    def mutated(self) -> None:
        frames = mutate(self.rng, self.any_message())
        side = self.rng.choice(self.twins.sides)
        self.twins.receive(side, frames, self.connection(frames[0] if frames else b""))

    def nonsense(self) -> None:
        frames = [self.rng.choice(WORDS) for _ in range(self.rng.randint(0, 7))]
        if frames and self.rng.random() < 0.8:
            frames[0] = self.rng.choice(WORKERS)
        self.twins.receive(self.rng.choice(self.twins.sides), frames, NO_CONNECTION)

    def wait(self) -> None:
        self.twins.do("wait", self.rng.choice([0, 0, 1, 1, 2, 5]) * EIGHTH)

    def connect(self) -> None:
        self.twins.event("connection_opened", self.rng.choice(CONNECTIONS[2:]))

    def hang_up(self) -> None:
        closed = "connection_closed"
        if self.mixed and self.rng.random() < 0.5:
            closed = "client_left"
        self.twins.event(closed, self.rng.choice(CONNECTIONS[2:]))

    def read_events(self) -> None:
        self.twins.read_events()

    def refuse(self) -> None:
        side, peers = self.rng.choice([(FRONTEND, CLIENTS), (BACKEND, WORKERS), (BACKEND, WORKERS)])
        self.twins.answers(side, self.rng.choice(peers), self.rng.choice([FULL, BEHIND, GONE]))

    def calm(self) -> None:
        for side, peers in ((FRONTEND, CLIENTS), (BACKEND, WORKERS)):
            for peer in peers:
                self.twins.answers(side, peer, OK)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.step()
        self.twins.drain()
        for _ in range(steps // 10):
            self.step()
        self.twins.do("abort")


def mutate(rng: random.Random, frames: Frames) -> Frames:
    """A message with one or two mistakes."""
    frames = list(frames)
    for _ in range(rng.randint(1, 2)):
        at = rng.randrange(len(frames)) if frames else 0
        kind = rng.randrange(6)
        if kind == 0:
            frames.insert(at, rng.choice(WORDS))
        elif not frames:
            continue
        elif kind == 1:
            del frames[at]
        elif kind == 2:
            frames[at] = rng.choice(WORDS)
        elif kind == 3:
            frames[at] = frames[at][:-1]
        elif kind == 4 and frames[at]:
            which = rng.randrange(len(frames[at]))
            flipped = frames[at][which] ^ (1 << rng.randrange(8))
            frames[at] = frames[at][:which] + bytes([flipped]) + frames[at][which + 1 :]
        else:
            other = rng.randrange(len(frames))
            frames[at], frames[other] = frames[other], frames[at]
    return frames


def options_of(rng: random.Random) -> dict[str, Any]:
    return {
        "sides": rng.choice([(FRONTEND, BACKEND), (BOTH,)]),
        "protocols": rng.choice([*SPOKEN, ALL, ALL, MAJORDOMO]),
        "default_service": rng.choice([b"", b"echo", None]),
        "seed": rng.choice([0, 0xFFFFFFFE]),
        "retries": rng.randint(0, 2),
        "queue_limit": rng.choice([0, 3, 100]),
        "queue_bytes": rng.choice([3000, 1 << 20]),
        "request_ttl": rng.choice([1.0, 8.0]),
        "heartbeat_interval": rng.choice([EIGHTH, 0.5, 4.0]),
        "liveness": rng.choice([2, 3]),
        "busy_liveness": rng.choice([0, 1, 6]),
        "max_services": rng.choice([1, 3, 100]),
        "max_frames": rng.choice([7, 12]),
        "max_depth": rng.choice([1, 3]),
        "max_message_bytes": rng.choice([1024, 1 << 16]),
    }
