"""A reader that is slower than a stream's generator, or stopped, gets all of it or an error."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from client_shells import SHELLS, face
from commands import Commands, started
from harness import PATIENCE, Peers, wait_until
from mdp_doubles import CLIENT_02, FINAL, PARTIAL, mdp_broker
from models import memory
from watch import lost, reaches

from brigantine import MajordomoBroker, MajordomoWorker, NoReply, aio

#: Far more than a broker with this high-water mark keeps for one client.
PART, PARTS = 32 * 1024, 1500
HIGH_WATER_MARK = 20
SERVICE = "svc"


@pytest.fixture
def running(impl: str) -> Iterator[MajordomoBroker]:
    with mdp_broker(impl, high_water_mark=HIGH_WATER_MARK) as broker:
        yield broker


class Source:
    """A worker whose generator numbers its parts; the last one it sends when it is told to."""

    def __init__(self, broker: MajordomoBroker) -> None:
        self.go_on = threading.Event()
        self.called = 0
        self._worker = MajordomoWorker(broker.backend, SERVICE, self._parts)

    def _parts(self, _: bytes) -> Iterator[bytes]:
        self.called += 1
        for number in range(PARTS):
            yield self.part(number)
        assert self.go_on.wait(PATIENCE)
        yield b"the last"

    @staticmethod
    def part(number: int) -> bytes:
        return b"%d:" % number + bytes(PART)

    def __enter__(self) -> Source:
        self._worker.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.go_on.set()
        self._worker.__exit__(*error)


@pytest.fixture
def source(running: MajordomoBroker) -> Iterator[Source]:
    with Source(running) as made:
        reaches(running, workers=1)
        yield made


@pytest.fixture
def commands() -> Iterator[Commands]:
    yield from started()


def is_cut(error: NoReply, broker: MajordomoBroker) -> None:
    """That it tells what became of the reply, which the broker has counted once."""
    assert error.reason == "shed_client_full"
    assert "high_water_mark" in str(error)
    assert str(error).startswith(("svc: the stream broke off after", "svc: the reply was cut off"))
    stats = reaches(broker, shed_client_full=1, error_answers=1, error_answers_waiting=0)
    assert (stats["replied"], stats["drop_partial_shed"], stats["in_flight"]) == (0, 1, 0)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_stream_that_is_read_too_slowly_ends_with_an_error_behind_a_whole_beginning(
    running: MajordomoBroker, source: Source, record: Callable[..., None], shell: str
) -> None:
    got: list[bytes] = []
    before = memory()

    def take(part: bytes) -> None:
        if not got:  # a pause in which the pipe fills up
            wait_until(lambda: running.stats()["shed_client_full"], "the cut")
            source.go_on.set()
        got.append(part)

    with face(shell, "0.2", running.frontend) as client, pytest.raises(NoReply) as raised:
        client.parts(b"?", take)
    assert got == [source.part(number) for number in range(len(got))]
    assert HIGH_WATER_MARK <= len(got) < PARTS
    is_cut(raised.value, running)
    # The parts that it made meanwhile were for nobody; then it is free.
    stats = reaches(running, workers_idle=1, drop_reply_late=PARTS + 1 - len(got))
    record(
        "reader slower than a stream, or stopped",
        parts=len(got),
        of=PARTS,
        end="error",
        lost=lost(stats),
        grown_mib=(memory() - before) / 2**20,
    )


def test_a_joined_reply_is_whole_or_an_error(running: MajordomoBroker, source: Source) -> None:
    async def ask() -> None:
        async with aio.MajordomoClient(running.frontend, timeout=PATIENCE, retries=0) as client:
            asked = asyncio.create_task(client.request(SERVICE, b"?"))
            while not running.stats()["partials"]:
                await asyncio.sleep(0.001)
            # The event loop stands still.
            wait_until(lambda: running.stats()["shed_client_full"], "the cut")
            source.go_on.set()
            await asked

    with pytest.raises(NoReply) as raised:
        asyncio.run(ask())
    is_cut(raised.value, running)
    assert source.called == 1


READER = """
import sys
from brigantine import MajordomoClient, NoReply
client = MajordomoClient(sys.argv[1], timeout=30.0, retries=0)
read = 0
try:
    if sys.argv[2] == "stream":
        for part in client.stream("svc", b"?"):
            read += 1
    else:
        read = len(client.request("svc", b"?"))
    print("whole", read, flush=True)
except NoReply as error:
    print("error", error.reason, flush=True)
"""


@pytest.mark.parametrize("how", ["stream", "request"])
def test_a_reader_that_is_stopped_in_the_middle_gets_all_or_an_error(
    running: MajordomoBroker,
    source: Source,
    commands: Commands,
    record: Callable[..., None],
    how: str,
) -> None:
    reader = commands(running.frontend, how, program=READER)
    wait_until(lambda: running.stats()["partials"] > 2, "parts")
    os.kill(reader.process.pid, signal.SIGSTOP)
    wait_until(
        lambda: running.stats()["partials"] + running.stats()["drop_reply_late"] + 1 >= PARTS,
        "the rest",
    )
    source.go_on.set()
    stats = reaches(running, workers_idle=1, in_flight=0)
    os.kill(reader.process.pid, signal.SIGCONT)
    end, what = reader.line().split()
    record(
        "reader slower than a stream, or stopped",
        end=end,
        parts=stats["partials"],
        lost=lost(stats),
    )
    if stats["replied"]:
        assert (end, int(what)) == ("whole", PARTS + 1)
    else:
        assert (end, what) == ("error", "shed_client_full")
    assert stats["replied"] + stats["shed"] == 1


def test_a_slow_reader_of_others_gets_a_whole_beginning_and_no_final(
    running: MajordomoBroker, source: Source, peers: Peers
) -> None:
    slow = peers.dealer(running.frontend, rcvhwm=1, rcvbuf=4096)
    slow.send_multipart([CLIENT_02, b"\x01", SERVICE.encode(), b"?"])
    wait_until(lambda: running.stats()["shed_client_full"], "the cut")
    source.go_on.set()
    stats = reaches(running, workers_idle=1)
    for number in range(stats["partials"]):
        assert slow.recv_multipart()[1:] == [PARTIAL, SERVICE.encode(), source.part(number)]
    # The next answer is one to the next question.
    slow.send_multipart([CLIENT_02, b"\x01", b"mmi.service", SERVICE.encode()])
    assert slow.recv_multipart() == [CLIENT_02, FINAL, b"mmi.service", b"200"]
