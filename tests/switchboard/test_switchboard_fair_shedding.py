"""When more waits than may: one service's backlog turns no other's requests away."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from dialects import MDP02, TalkRig, answer, asks
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from models import FRONTEND, QUICK, Call, charge, run_machine

from brigantine.wire.req import ANNOUNCEMENT, broker_error

A, B, C = SERVICES = (b"service a", b"service b", b"service c")
#: What holding a request costs whose body is one byte.
SMALL = 2000


def client(number: int) -> bytes:
    return ANNOUNCEMENT + b"%04d" % number


def body_of(size: int, number: int) -> bytes:
    """A body with which a request for any service is charged ``size`` bytes."""
    head = asks("0.2", client(number), A)
    return bytes(size - charge(head[:1], head[1:]) - 2 * len(A))


class Fair(TalkRig):
    """Clients are numbered as they come, and each asks to be told."""

    def __init__(self, rooms: ModuleType, **options: Any) -> None:
        super().__init__(rooms, MDP02, services=SERVICES, **options)
        self.asked = 0
        self.watch()

    def want(self, service: bytes, size: int = SMALL) -> list[tuple[int, str]]:
        """Ask, as the next client; who was shed by that, and why."""
        number, self.asked = self.asked, self.asked + 1
        frames = asks("0.2", client(number), service, body_of(size, number))
        calls = self.receive(FRONTEND, frames)
        return [shed(call) for call in calls if call.side == FRONTEND]

    def ready(self, service: bytes) -> list[Call]:  # type: ignore[override]
        return self.receive(1, MDP02.registers(b"W " + service, service))


def shed(call: Call) -> tuple[int, str]:
    """The number of the client that is told that it was shed, and the counter."""
    number = int(call.to.removeprefix(ANNOUNCEMENT))
    for reason in ("shed_queue_full", "shed_queue_bytes"):
        for service in SERVICES:
            if call.frames == answer("0.2", call.to, service, *broker_error(reason)):
                return number, reason
    raise AssertionError(call)


@pytest.fixture
def make(rooms: ModuleType) -> Callable[..., Fair]:
    return partial(Fair, rooms)


FULL, BYTES = "shed_queue_full", "shed_queue_bytes"


def test_the_newest_of_the_service_with_most_waiting_makes_room(make: Callable[..., Fair]) -> None:
    rig = make(queue_limit=4)
    assert [rig.want(A) for _ in range(4)] == [[]] * 4
    assert rig.want(B) == [(3, FULL)]
    assert rig.want(B) == [(2, FULL)]
    assert rig.want(B) == [(6, FULL)], "as many as the other: now it is the newcomer"
    assert rig.want(A) == [(7, FULL)]
    assert rig.want(C) == [(5, FULL)], "of two with as many, the one that came to be known last"
    assert (rig["queued"], rig["shed"], rig["error_answers"]) == (4, 5, 5)
    assert [event[3] for event in rig.told()] == [A, A, B, A, B]
    rig.ready(A)
    assert rig["queued"] == 3


def test_with_one_service_it_is_the_newcomer(make: Callable[..., Fair]) -> None:
    rig = make(queue_limit=3, queue_bytes=3 * SMALL)
    for number in range(6):
        assert rig.want(A) == ([] if number < 3 else [(number, FULL)])
    rig = make(queue_bytes=3 * SMALL)
    for number in range(6):
        assert rig.want(A) == ([] if number < 3 else [(number, BYTES)])


def test_a_live_service_goes_on_beside_a_backlog(make: Callable[..., Fair]) -> None:
    rig = make(queue_limit=100)
    for _ in range(300):
        rig.want(A)
    rig.ready(B)
    for number in range(5):
        assert rig.want(B) == ([] if number == 0 else [(100 - number, FULL)])
    assert (rig["queued"], rig["in_flight"], rig["shed"]) == (100, 1, 204)


def test_bytes_are_taken_from_the_service_that_holds_most(make: Callable[..., Fair]) -> None:
    rig = make(queue_bytes=10 * SMALL)
    for _ in range(4):
        rig.want(A, 2 * SMALL)
    rig.want(B)
    rig.want(B)
    # A holds eight of ten, in fewer requests than C brings.
    assert rig.want(C) == [(3, BYTES)]
    assert [rig.want(C) for _ in range(1)] == [[]]
    assert rig["queued_bytes"] == 10 * SMALL


def test_a_large_newcomer_may_take_the_room_of_several(make: Callable[..., Fair]) -> None:
    rig = make(queue_bytes=10 * SMALL)
    for _ in range(10):
        rig.want(A)
    assert rig.want(B, 4 * SMALL) == [(number, BYTES) for number in (9, 8, 7, 6)]
    assert (rig["queued"], rig["queued_bytes"]) == (7, 10 * SMALL)


def test_a_newcomer_that_is_too_large_takes_nobody_s_room_in_vain(
    make: Callable[..., Fair],
) -> None:
    rig = make(queue_bytes=10 * SMALL)
    for _ in range(10):
        rig.want(A)
    for size in (6 * SMALL, 11 * SMALL):
        assert rig.want(B, size) == [(rig.asked - 1, BYTES)]
    assert (rig["queued"], rig["shed"]) == (10, 2)
    # Nothing was changed by trying: they are handed out in their order.
    jobs = rig.receive(1, MDP02.registers(b"W", A, b"\x0a"))
    for number, job in enumerate(jobs):
        [reply] = rig.final(b"W", job.ticket, b"done")
        assert reply.to == client(number)
    assert rig["replied"] == 10


def test_one_that_was_at_a_worker_is_never_shed(make: Callable[..., Fair]) -> None:
    rig = make(queue_limit=3, retries=1)
    rig.receive(1, MDP02.registers(b"W " + A, A, b"\x02"))
    for _ in range(3):
        rig.want(A)
    rig.bye(b"W " + A)
    assert (rig["redispatched"], rig["queued"]) == (2, 3)
    assert rig.want(B) == [(2, FULL)], "A has most, and this one was at no worker"
    assert rig.want(B) == [(4, FULL)], "A has as many, but none that may be shed"
    assert rig.want(C) == [(5, FULL)]
    assert (rig["queued"], rig["shed"]) == (3, 3)


def test_when_all_others_were_at_a_worker_it_is_the_newcomer(make: Callable[..., Fair]) -> None:
    rig = make(queue_limit=2, retries=1)
    rig.receive(1, MDP02.registers(b"W " + A, A, b"\x05"))
    for _ in range(5):
        rig.want(A)
    rig.receive(1, MDP02.command(b"W " + A, MDP02.disconnect))
    assert (rig["redispatched"], rig["queued"]) == (5, 5)
    assert rig.want(B) == [(5, FULL)]
    assert rig.want(A) == [(6, FULL)], "A's newest is the newcomer"
    assert rig["queued"] == 5


# -- any history, beside a model of it ------------------------------------------------------------


class Waiting:
    """A request in the model."""

    def __init__(self, number: int, service: bytes, size: int) -> None:
        self.number, self.service, self.size = number, service, size
        self.fresh = True
        #: It is at a worker, and may be sent again.
        self.kept = False


class FairMachine(RuleBasedStateMachine):
    """Requests for three services, each of which has a worker or none."""

    def __init__(self, rooms: ModuleType) -> None:
        super().__init__()
        self.rooms = rooms

    @initialize(
        queue_limit=st.sampled_from([0, 1, 3, 5, 100]),
        queue_bytes=st.sampled_from([0, 3 * SMALL, 8 * SMALL, 1 << 20]),
    )
    def make(self, **options: int) -> None:
        self.rig = Fair(self.rooms, retries=100, **options)
        self.limit, self.bytes = options["queue_limit"], options["queue_bytes"]
        self.queues: dict[bytes, list[Waiting]] = {name: [] for name in SERVICES}
        self.at_work: dict[bytes, Waiting | None] = {}
        self.tickets: dict[bytes, bytes] = {}
        #: Services of requests whose worker was lost, and which there was no room to keep.
        self.orphans: list[bytes] = []
        self.ages: dict[bytes, int] = {}
        self.made = 0

    def needs(self, service: bytes) -> None:
        """The service is known from now on."""
        if service not in self.ages:
            self.ages[service], self.made = self.made, self.made + 1

    def forgets(self) -> None:
        """Services that nobody needs are not known any more."""
        for name in [n for n in self.ages if not self.queues[n] and n not in self.at_work]:
            if name in self.orphans:
                continue
            del self.ages[name]

    def all_waiting(self) -> list[Waiting]:
        return [each for queue in self.queues.values() for each in queue]

    def heaviest(self, weight: Callable[[Waiting], int], own: bytes) -> list[Waiting] | None:
        """The queue that weighs most, if that is more than that of ``own``."""
        may = {name: queue for name, queue in self.queues.items() if queue and queue[-1].fresh}
        weights = {name: (sum(map(weight, queue)), self.ages[name]) for name, queue in may.items()}
        most = max(weights, key=weights.__getitem__)
        return may[most] if weights[most][0] > weights[own][0] else None

    def shed(self, new: Waiting) -> list[tuple[int, str]]:
        """Who is to be shed now that ``new`` waits, and why."""
        excess = sum(each.size for each in self.all_waiting()) - self.bytes
        excess = min(excess, new.size)
        full = len(self.all_waiting()) > self.limit
        largest = self.heaviest(lambda _: 1, new.service) if full else None
        if full and largest is None:
            self.queues[new.service].remove(new)
            return [(new.number, FULL)]
        if excess <= 0:
            return [(largest.pop().number, FULL)] if largest else []
        before = {name: list(queue) for name, queue in self.queues.items()}
        victims = []
        while excess > 0 and (queue := self.heaviest(lambda each: each.size, new.service)):
            victims.append(queue.pop())
            excess -= victims[-1].size
        if excess > 0:
            self.queues = before
            self.queues[new.service].remove(new)
            victims = [new]
        return [(each.number, BYTES) for each in victims]

    def handed_out(self, job: Waiting) -> Waiting:
        kept = sum(each.size for each in self.at_work.values() if each is not None and each.kept)
        job.kept = kept + job.size <= self.bytes
        return job

    @rule(service=st.sampled_from(SERVICES), size=st.sampled_from([1, 1, 1, 2, 4]))
    def ask(self, service: bytes, size: int) -> None:
        new = Waiting(self.rig.asked, service, size * SMALL)
        self.needs(service)
        if service in self.at_work and self.at_work[service] is None:
            expected = []
            self.at_work[service] = self.handed_out(new)
        else:
            self.queues[service].append(new)
            expected = self.shed(new)
        self.forgets()
        assert self.rig.want(service, size * SMALL) == expected
        self.compare()

    @rule(service=st.sampled_from(SERVICES))
    def join(self, service: bytes) -> None:
        if service in self.at_work:
            return
        self.needs(service)
        queue = self.queues[service]
        self.at_work[service] = self.handed_out(queue.pop(0)) if queue else None
        self.rig.ready(service)
        self.compare()

    @precondition(lambda self: self.at_work)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        service = data.draw(st.sampled_from(sorted(self.at_work)))
        job = self.at_work.pop(service)
        if job is not None and not job.kept:
            self.orphans.append(service)
        elif job is not None:
            job.fresh = job.kept = False
            self.queues[service].insert(0, job)
        self.rig.receive(1, MDP02.command(b"W " + service, MDP02.disconnect))
        self.forgets()
        self.compare()

    def compare(self) -> None:
        waiting = self.all_waiting()
        assert self.rig["queued"] == len(waiting)
        assert self.rig["queued_bytes"] == sum(each.size for each in waiting)
        at_work = sum(job is not None for job in self.at_work.values())
        assert self.rig["in_flight"] == at_work + len(self.orphans)
        assert self.rig["services"] == len(self.ages)


@pytest.mark.timeout(300)  # only to make a failure small takes that long
@pytest.mark.parametrize(
    "examples", [60, pytest.param(3000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
def test_who_is_shed_is_what_the_model_says(rooms: ModuleType, examples: int) -> None:
    run_machine(FairMachine, rooms, settings(QUICK, max_examples=examples, stateful_step_count=50))
