"""The implementation under test and the pure baseline do the same, step by step and byte by byte.

The pure half compares the baseline with itself: nothing in it may depend on anything but its input.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import (
    ANSWERED,
    BACKEND,
    BEHIND,
    EIGHTH,
    FRONTEND,
    FULL,
    GONE,
    LATE,
    NO_CONNECTION,
    OK,
    QUICK,
    Call,
    Rig,
)

from brigantine import BadEnvelope
from brigantine._impl import implementation

#: What happens to a switchboard: the name of a method of Pair, and its arguments.
Step = tuple[str, tuple[Any, ...]]

WORKERS = [b"V", b"W", b"X", b"\0", b"w" * 255]
CLIENTS = [b"a", b"b", b"\0c"]
CONNECTIONS = [NO_CONNECTION, 3, 4, 5]
#: What may be done to a ticket before it is used: nothing, mostly.
SPOILED: list[Callable[[bytes], bytes]] = [
    bytes,
    bytes,
    bytes,
    bytes.upper,
    lambda ticket: ticket[:-1],
    lambda ticket: b"f" * len(ticket),
]


@pytest.fixture(params=["core", pytest.param("pure", marks=pytest.mark.long)])
def impl(request: pytest.FixtureRequest) -> str:
    """The baseline is compared with itself in long runs only."""
    name: str = request.param
    return name


class Pair:
    """The same switchboard twice.  Every step is done to both, and what can be seen is compared."""

    def __init__(self, rooms: ModuleType, seed: int, **options: Any) -> None:
        self.rigs = [Rig(each, seed=seed, **options) for each in (rooms, implementation("pure"))]
        for rig in self.rigs:
            rig.watch()
        #: Of the worker that was sent it, and where that worker spoke last.
        self.tickets: list[tuple[bytes, bytes]] = []
        self.spoke_on: dict[bytes, int] = {}

    def do(self, name: str, *arguments: Any) -> None:
        calls: list[list[Call]] = [getattr(rig, name)(*arguments) for rig in self.rigs]
        assert calls[0] == calls[1]
        events = [rig.told() for rig in self.rigs]
        if name == "abort":  # in which order is left open
            events = [sorted(each, key=repr) for each in events]
        assert events[0] == events[1]
        self.tickets += [(call.ticket, call.to) for call in calls[0] if call.side == BACKEND]
        left, right = (rig.board for rig in self.rigs)
        assert left.counters() == right.counters()
        assert left.idle_workers() == right.idle_workers()
        assert left.next_deadline() == right.next_deadline()
        assert left.drained() == right.drained()

    def receive(self, port: int, frames: list[bytes], connection: int) -> None:
        if port == BACKEND and frames:
            self.spoke_on[frames[0]] = connection
        self.do("receive", port, frames, connection)

    def join(self, worker: bytes, connection: int) -> None:
        if connection != NO_CONNECTION:
            self.do("opened", connection)
        self.receive(BACKEND, [worker, b"", b"READY"], connection)

    def reply(self, age: int, worker: bytes | None, spoil: int, body: list[bytes]) -> None:
        """Use the ticket sent ``age`` jobs ago, by the worker that was sent it or another."""
        ticket, sent_to = (
            self.tickets[-1 - age % len(self.tickets)] if self.tickets else (b"", b"?")
        )
        sender = worker or sent_to
        frames = [sender, b"", SPOILED[spoil](ticket), b"", *body]
        self.receive(BACKEND, frames, self.spoke_on.get(sender, NO_CONNECTION))

    def closed(self, connection: int) -> None:
        self.do("closed", connection)

    def wait(self, eighths: int) -> None:
        self.do("wait", eighths * EIGHTH)

    def answers(self, port: int, peer: bytes, result: int) -> None:
        for rig in self.rigs:
            rig.results[port, peer] = result

    def drain(self) -> None:
        for rig in self.rigs:
            rig.board.drain()
        self.do("settled")

    def run(self, steps: Iterable[Step]) -> None:
        for name, arguments in steps:
            getattr(self, name)(*arguments)
        self.do("abort")


frames = st.sampled_from([b"", b"", b"x", b"READY", b"\x01", b"\0", b"y" * 40, b"0" * 16])
bodies = st.lists(frames, max_size=4)
workers, clients = st.sampled_from(WORKERS), st.sampled_from(CLIENTS)
connections = st.sampled_from(CONNECTIONS)
asked = st.builds(lambda client, body: [client, b"", *body], clients, bodies)


def step(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(name), st.tuples(*arguments))


steps = st.one_of(
    step("receive", st.just(FRONTEND), asked, st.just(NO_CONNECTION)),
    step("reply", st.integers(0, 2), st.none(), st.just(0), bodies),
    step("join", workers, connections),
    step("receive", st.just(BACKEND), st.builds(lambda w: [w, b"", b"\x01"], workers), connections),
    step("reply", st.integers(0, 20), st.none() | workers, st.integers(0, 5), bodies),
    step(
        "receive", st.sampled_from([FRONTEND, BACKEND]), st.lists(frames, max_size=8), connections
    ),
    step("closed", connections),
    step("wait", st.integers(0, 5)),
    step("answers", st.just(BACKEND), workers, st.sampled_from([OK, OK, FULL, GONE, BEHIND])),
    step("answers", st.just(FRONTEND), clients, st.sampled_from([OK, OK, FULL, GONE, BEHIND])),
)
options = st.fixed_dictionaries(
    {
        "seed": st.sampled_from([0, 0xFFFFFFFE]),
        "retries": st.integers(0, 2),
        "queue_limit": st.sampled_from([0, 1, 3, 100]),
        "queue_bytes": st.sampled_from([1000, 1 << 20]),
        "request_ttl": st.sampled_from([1.0, 8.0]),
        "max_frames": st.just(7),
        "max_depth": st.sampled_from([1, 3]),
    }
)


@pytest.mark.timeout(300)  # only to make a failure small takes that long
@QUICK
@given(options=options, history=st.lists(steps, min_size=15, max_size=45))
def test_any_history_is_the_same_on_both(
    rooms: ModuleType, options: dict[str, Any], history: list[Step]
) -> None:
    Pair(rooms, **options).run(history)


def random_step(rng: random.Random, size: int, trouble: int) -> Step:
    """One step in the life of a broker with up to ``size`` workers; ``trouble`` is from 1 up."""
    worker, client = b"worker %d" % rng.randrange(size), b"client %d" % rng.randrange(5)
    connection = rng.choice([NO_CONNECTION, rng.randrange(size)])
    body = [rng.randbytes(rng.choice([0, 1, 33, 34, 300, 900])) for _ in range(rng.randint(1, 3))]
    made: list[tuple[int, Step]] = [
        (32, ("receive", (FRONTEND, [client, b"", *body], NO_CONNECTION))),
        (40, ("reply", (rng.randrange(size), None, 0, body))),
        (10, ("join", (worker, connection))),
        (6, ("receive", (BACKEND, [worker, b"", b"READY"], connection))),
        (4 * trouble, ("reply", (rng.randrange(5 * size), worker, rng.randrange(6), body))),
        (2 * trouble, ("receive", (rng.randrange(2), [worker, *body], connection))),
        (4 * trouble, ("closed", (connection,))),
        (8, ("wait", (rng.randrange(4),))),
        (3 * trouble, ("answers", (BACKEND, worker, rng.choice([OK, FULL, GONE, BEHIND])))),
        (1 * trouble, ("answers", (FRONTEND, client, rng.choice([OK, FULL, GONE, BEHIND])))),
        (6, ("answers", (BACKEND, worker, OK))),
        (2, ("answers", (FRONTEND, client, OK))),
    ]
    weights, choices = zip(*made, strict=True)
    chosen: Step = rng.choices(choices, weights)[0]
    return chosen


def live(rooms: ModuleType, seed: int, steps: int) -> None:
    """A broker's life, the same in every run, in which nearly all that can happen happens."""
    rng = random.Random(seed)
    size, trouble = 3 + 5 * (seed % 4), 1 + 3 * (seed % 2)
    pair = Pair(
        rooms,
        rng.getrandbits(32),
        retries=seed % 3,
        queue_limit=12,
        queue_bytes=16_000,
        request_ttl=8.0,
        max_message_bytes=1024,
    )
    life = [random_step(rng, size, trouble) for _ in range(steps)]
    pair.run([*life, ("drain", ()), *life[:50]])
    wanted = {"replied", "shed_client_full", "shed_client_bytes", "failed_client_gone", "worker_behind",
              "failed_expired_in_flight",
              "drop_reply_unknown", "drop_reply_late", "drop_reply_duplicate", "drop_reply_foreign",
              "drop_ready_gone", "drop_too_large", "shed_queue_full", "shed_queue_bytes",
              "shed_draining", "failed_stopped", "workers_lost", "ready_again", "worker_full"}  # fmt: skip
    wanted |= {"redispatched"} if seed % 3 else set()
    assert wanted <= pair.rigs[0].peak.keys()


@pytest.mark.parametrize("seed", range(6))
def test_a_long_life_is_the_same_on_both(rooms: ModuleType, seed: int) -> None:
    live(rooms, seed, steps=3000)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(6, 24))
def test_a_very_long_life_is_the_same_on_both(rooms: ModuleType, seed: int) -> None:
    live(rooms, seed, steps=50_000)


@QUICK
@given(
    message=st.lists(frames, max_size=8),
    max_frames=st.integers(0, 8),
    max_depth=st.integers(0, 4),
)
def test_any_message_is_judged_the_same_by_both(
    rooms: ModuleType, message: list[bytes], max_frames: int, max_depth: int
) -> None:
    def judge(module: ModuleType) -> Any:
        try:
            made = module.Envelope.parse(message, max_frames=max_frames, max_depth=max_depth)
        except BadEnvelope as error:
            return error.reason
        return made.address, made.body, made.frames(), made.size

    assert judge(rooms) == judge(implementation("pure"))


@pytest.mark.parametrize("seed", [0, 0xFFFFFFF0, 0x12345678])
def test_tickets_are_the_same_bytes_in_both(rooms: ModuleType, seed: int) -> None:
    """A worker may outlive a broker that is then started again as the other implementation."""
    tables = [each.TicketTable(seed) for each in (rooms, implementation("pure"))]
    rng = random.Random(seed)
    live: list[int] = []
    for _ in range(300):
        if not live or rng.random() < 0.5:
            slots = {table.open() for table in tables}
            assert len(slots) == 1
            live += slots
        else:
            slot, end = live.pop(rng.randrange(len(live))), rng.choice([LATE, ANSWERED])
            for table in tables:
                table.close(slot, end)
        assert len({tuple(table.token(slot) for slot in live) for table in tables}) == 1
