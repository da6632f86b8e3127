"""What a device loses when a side goes and comes back under load: what was on its way, no more."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from figures import measured
from harness import PATIENCE, Peers, wait_until

from brigantine import QueueDevice, StreamerDevice

ANY = "tcp://127.0.0.1:*"
#: Of libzmq's queue for a peer; and how many messages of BODY bytes the systems of both sides may hold.
MARK, BODY = 20, 200_000
IN_BUFFERS = 40

#: A worker of a streamer, or a server of a queue, that says what it has got.
CHILD = """
import sys, zmq
kind, where = sys.argv[1:]
with zmq.Context() as context:
    with context.socket(getattr(zmq, kind)) as socket:
        socket.rcvhwm = 1
        socket.connect(where)
        while True:
            frames = socket.recv_multipart()
            print(frames[-1][:12].decode(), flush=True)
            if kind == "REP":
                socket.send(frames[-1])
"""


class Killed:
    """A process that reads until it is killed."""

    def __init__(self, kind: str, where: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD, kind, where], stdout=subprocess.PIPE, text=True
        )
        self.got: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith("\n"):
                self.got.append(line.strip())

    def kill(self) -> None:
        """SIGKILL; what it had said is known afterwards."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def killed() -> Iterator[Callable[..., Killed]]:
    """``killed(kind, endpoint)``: all are killed at the end."""
    made: list[Killed] = []

    def start(*arguments: str) -> Killed:
        made.append(Killed(*arguments))
        return made[-1]

    yield start
    for each in made:
        with contextlib.suppress(ValueError):  # closed already
            each.kill()


@pytest.fixture
def device(request: pytest.FixtureRequest, impl: str) -> Iterator[Any]:
    kind = request.param
    with kind(ANY, ANY, impl=impl, high_water_mark=MARK) as made:
        yield made


def came_lately(got: list[Any], look: Callable[[], object] = lambda: None) -> bool:
    """Whether it grows within a moment."""
    before = len(got)

    def grown() -> bool:
        look()
        return len(got) > before

    with contextlib.suppress(AssertionError):
        wait_until(grown, timeout=0.5)
    return grown()


@pytest.mark.parametrize("device", [StreamerDevice], indirect=True, ids=["streamer"])
def test_a_killed_worker_takes_with_it_what_was_on_its_way_and_no_more(
    device: Any, impl: str, peers: Peers, killed: Callable[..., Killed]
) -> None:
    source = peers.socket(zmq.PUSH, device.frontend, sndhwm=1)
    sent, deaths = 0, 4
    workers: list[Killed] = []
    for _ in range(deaths):
        workers.append(killed("PULL", device.backend))
        while len(workers[-1].got) < 30:
            source.send_multipart([b"%012d" % sent + bytes(BODY)])
            sent += 1
        workers[-1].kill()
    last = killed("PULL", device.backend)
    # What waits at the sender and in the device is passed on to the next one.
    wait_until(lambda: device.stats()["to_backend"] == sent)
    deadline = time.monotonic() + 3 * PATIENCE
    while not last.got or int(last.got[-1]) != sent - 1:
        assert time.monotonic() < deadline, "the last task"
        if not came_lately(last.got):  # it went the way of the dead: another one
            source.send_multipart([b"%012d" % sent + bytes(BODY)])
            sent += 1
    last.kill()
    got = [int(number) for each in (*workers, last) for number in each.got]
    lost = sent - len(got)
    assert got == sorted(set(got))  # in order, and none twice
    assert lost <= deaths * (MARK + 1 + IN_BUFFERS)
    measured.append((
        "a side of a device is killed under load", impl, "streamer",
        {"sent": sent, "deaths": deaths, "lost_a_death": lost / deaths, "bound": MARK + 1 + IN_BUFFERS},
    ))  # fmt: skip


@pytest.mark.parametrize("device", [QueueDevice], indirect=True, ids=["queue"])
def test_a_killed_server_takes_with_it_what_it_had_and_the_rest_is_answered(
    device: Any, impl: str, peers: Peers, killed: Callable[..., Killed]
) -> None:
    client = peers.socket(zmq.DEALER, device.frontend, sndhwm=1)
    sent, deaths = 0, 3
    answered: list[int] = []

    def read_answers() -> None:
        while client.poll(0):
            answered.append(int(client.recv_multipart()[-1][:12]))

    servers: list[Killed] = []
    for _ in range(deaths):
        servers.append(killed("REP", device.backend))
        while len(servers[-1].got) < 20:
            if client.poll(5, zmq.POLLOUT):
                client.send_multipart([b"", b"%012d" % sent + bytes(BODY)])
                sent += 1
            read_answers()
        servers[-1].kill()
    last = killed("REP", device.backend)
    wait_until(lambda: device.stats()["to_backend"] == sent)

    deadline = time.monotonic() + 3 * PATIENCE
    while not answered or answered[-1] != sent - 1:
        assert time.monotonic() < deadline, "the last answer"
        if not came_lately(answered, read_answers):  # it went the way of the dead: another one
            client.send_multipart([b"", b"%012d" % sent + bytes(BODY)])
            sent += 1
    last.kill()
    assert answered == sorted(set(answered))
    lost = sent - len(answered)
    assert lost <= deaths * (MARK + 1 + IN_BUFFERS)
    measured.append((
        "a side of a device is killed under load", impl, "queue",
        {"sent": sent, "deaths": deaths, "lost_a_death": lost / deaths, "bound": MARK + 1 + IN_BUFFERS},
    ))  # fmt: skip


@pytest.mark.parametrize("device", [StreamerDevice], indirect=True, ids=["streamer"])
def test_while_nobody_is_there_nothing_is_lost(device: Any, impl: str, peers: Peers) -> None:
    source = peers.socket(zmq.PUSH, device.frontend, sndhwm=1)
    numbers = iter(range(100_000))

    def send_all_there_is_room_for() -> int:
        last = -1
        while source.poll(100, zmq.POLLOUT):
            last = next(numbers)
            source.send(b"%d" % last + bytes(BODY))
        return last

    last = send_all_there_is_room_for()
    assert last >= 0
    wait_until(lambda: device.stats()["held"] == 1)
    target = peers.socket(zmq.PULL, device.backend)
    got = [int(target.recv().rstrip(b"\0")) for _ in range(last + 1)]
    assert got == list(range(last + 1)), impl
