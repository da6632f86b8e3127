"""A reply is whole or cut off behind its beginning, whatever comes in and whoever reads how fast.

Beside the switchboard stands a witness that looks at each message to a client alone.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
from dialects import MDP02, TalkRig, answer, asks, partial_answer
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from models import BACKEND, BEHIND, FRONTEND, FULL, GONE, OK, QUICK, Call, run_machine

from brigantine.config.limits import UNTOLD_RETRY
from brigantine.wire.req import ANNOUNCEMENT, BROKER_ERROR_MARK

SERVICE = b"echo"
WORKERS = (b"V", b"W")
#: Of their connections.
DESCRIPTORS = (7, 8, 9)
TTL = 8.0


class Job:
    """A request at a worker, and the parts of the reply that the worker has sent."""

    def __init__(self, worker: bytes, ticket: bytes, client: bytes) -> None:
        self.worker, self.ticket, self.client = worker, ticket, client
        self.parts: list[bytes] = []

    def next_part(self) -> bytes:
        self.parts.append(b"%s %s %d" % (self.worker, self.ticket, len(self.parts)))
        return self.parts[-1]


class Client:
    """What one client has got, and what it must never get."""

    def __init__(self, number: int) -> None:
        self.announced = number % 3 != 1
        self.version = ["0.2", "led", "0.1", "shifted", "0.2"][number % 5]
        self.name = (ANNOUNCEMENT if self.announced else b"foreign ") + b"%d" % number
        self.got: list[bytes] = []
        self.refused = self.ended = False

    def sees(self, call: Call, sent: list[list[bytes]]) -> None:
        """Hold a message against what workers have sent in answer to this client's request."""
        head = len(answer(self.version, self.name, SERVICE))
        body = call.frames[head:]
        partial = call.frames[:head] == partial_answer(self.name, SERVICE, version=self.version)
        assert partial or call.frames[:head] == answer(self.version, self.name, SERVICE)
        assert not self.ended, "after its end"
        if body[0] == BROKER_ERROR_MARK:
            assert self.announced
            assert not partial
        else:
            assert not self.refused, "after a part was refused"
            so_far = [*self.got, *body]
            assert any(so_far == parts[: len(so_far)] for parts in sent), "a part is missing"
            assert partial or so_far in sent, "a FINAL, and not all parts came before it"
        if call.result == OK:
            self.got += body
            self.ended = not partial
        else:
            self.refused = True


class ReplyMachine(RuleBasedStateMachine):
    """Two workers answer in parts; clients ask once each."""

    def __init__(self, rooms: ModuleType) -> None:
        super().__init__()
        self.rooms = rooms

    @initialize(retries=st.integers(0, 1))
    def make(self, retries: int) -> None:
        self.rig = TalkRig(
            self.rooms, MDP02, request_ttl=TTL, heartbeat_interval=100.0, retries=retries,
            max_message_bytes=1024,
        )  # fmt: skip
        self.clients: dict[bytes, Client] = {}
        self.jobs: list[Job] = []
        self.there: set[bytes] = set()
        #: The connection that each worker has; it goes on there without a READY where one has ended.
        self.at = dict(zip(WORKERS, DESCRIPTORS, strict=False))
        for worker in WORKERS:
            self.rig.opened(self.at[worker])
            self.join(worker)

    def look(self, calls: list[Call]) -> None:
        for call in calls:
            if call.side == FRONTEND:
                sent = [each.parts for each in self.jobs if each.client == call.to]
                self.clients[call.to].sees(call, sent)
            elif call.frames[:3] == MDP02.command(call.to, MDP02.request) and call.result == OK:
                self.jobs.append(Job(call.to, call.ticket, call.frames[-1]))

    @rule()
    def ask(self) -> None:
        client = Client(len(self.clients))
        self.clients[client.name] = client
        frames = asks(client.version, client.name, SERVICE, client.name)
        self.look(self.rig.receive(FRONTEND, frames))

    @rule(worker=st.sampled_from(WORKERS))
    def join(self, worker: bytes) -> None:
        if worker not in self.there:
            self.there.add(worker)
            self.look(self.rig.join(worker, b"\x20", self.at[worker]))

    @rule(worker=st.sampled_from(WORKERS), now=st.sampled_from([False] * 4 + [True]))
    def leave(self, worker: bytes, now: bool) -> None:
        if now:
            self.there.discard(worker)
            frames = MDP02.command(worker, MDP02.disconnect)
            self.look(self.rig.receive(BACKEND, frames, self.at[worker]))

    @rule(
        worker=st.sampled_from(WORKERS),
        lost=st.integers(0, 2),
        to=st.sampled_from(DESCRIPTORS),
        seen=st.booleans(),
        now=st.sampled_from([False] * 3 + [True]),
    )
    def breaks(self, worker: bytes, lost: int, to: int, seen: bool, now: bool) -> None:
        """Its connection ends, with what it had just sent, and it goes on as before on another."""
        former = self.at[worker]
        if not now or (to != former and to in self.at.values()):
            return
        for job in [each for each in self.jobs if each.worker == worker][-2:]:
            for _ in range(lost):
                job.next_part()
        self.there.discard(worker)
        self.at[worker] = to
        if seen or to == former:  # a ROUTER knows it again only when all that it said has been read
            self.look(self.rig.closed(former))
        self.look(self.rig.opened(to))

    @precondition(lambda self: self.jobs)
    @rule(
        data=st.data(), how=st.sampled_from(["part"] * 5 + ["final"] * 2 + ["malformed", "large"])
    )
    def reply(self, data: st.DataObject, how: str) -> None:
        """A worker says something to one of the last jobs, which may have ended long ago."""
        job = data.draw(st.sampled_from(self.jobs[-4:]))
        if how == "malformed":
            self.there.discard(job.worker)  # it is sent away
            command = MDP02.command(job.worker, MDP02.final)
            frames = [*command, job.ticket, b"no empty frame"]
            self.look(self.rig.receive(BACKEND, frames, self.at[job.worker]))
        elif how == "large":
            job.parts.append(b"never passed on")
            self.look(self.say(job, self.rig.part, bytes(2000)))
        else:
            say = self.rig.part if how == "part" else self.rig.final
            self.look(self.say(job, say))

    def say(self, job: Job, how: Callable[..., list[Call]], body: bytes = b"") -> list[Call]:
        body = body or job.next_part()
        return how(job.worker, job.ticket, body, connection=self.at[job.worker])

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), result=st.sampled_from([OK, OK, FULL, BEHIND, GONE]))
    def reads(self, data: st.DataObject, result: int) -> None:
        job = data.draw(st.sampled_from(self.jobs[-4:]))
        self.rig.results[FRONTEND, job.client] = result

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), result=st.sampled_from([FULL, BEHIND, GONE]), finals=st.booleans())
    def pauses(self, data: st.DataObject, result: int, finals: bool) -> None:
        """A client takes one part, has no room for the next, and reads on."""
        job = data.draw(st.sampled_from(self.jobs[-4:]))
        for answered in (OK, result, OK):
            self.rig.results[FRONTEND, job.client] = answered
            self.look(self.say(job, self.rig.part))
        if finals:
            self.look(self.say(job, self.rig.final))

    @rule(seconds=st.sampled_from([0.0, UNTOLD_RETRY, UNTOLD_RETRY, UNTOLD_RETRY, TTL / 2]))
    def wait(self, seconds: float) -> None:
        self.look(self.rig.wait(seconds))

    def teardown(self) -> None:
        if hasattr(self, "rig"):
            self.rig.results.clear()
            self.look(self.rig.wait(UNTOLD_RETRY))
            assert self.rig["error_answers_waiting"] == 0
            self.look(self.rig.abort())
            asking = [each for each in self.clients.values() if each.announced]
            told = sum(each.ended for each in asking)
            lost = self.rig["drop_error_answer"] + self.rig["failed_client_gone"]
            assert told + lost >= len(asking), "everybody who asks for it is told an end"


@pytest.mark.timeout(300)  # only to make a failure small takes that long
@pytest.mark.parametrize(
    "examples", [60, pytest.param(3000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
def test_nothing_of_a_reply_leaves_after_a_part_of_it_was_refused(
    rooms: ModuleType, examples: int
) -> None:
    run_machine(ReplyMachine, rooms, settings(QUICK, max_examples=examples, stateful_step_count=50))
