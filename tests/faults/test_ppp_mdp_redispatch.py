"""At scale: busy workers killed under load, and one silent worker among thousands."""

from __future__ import annotations

import random
import resource
import signal
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import zmq
from crew import DialectClient
from harness import PATIENCE, Peers, wait_until
from protocol_frames import Dialect
from watch import SCHEDULING_SLACK, lost, reaches

pytest_plugins = ("dialect_fixtures",)

LONG = (pytest.mark.long, pytest.mark.timeout(1800))
#: Requests that are out at once: more than workers, so each of them is at work all the time.
WINDOW = 20
WORKERS = 4
#: Seconds that a request takes, so that a kill finds its worker at work.
PACE = 0.002
#: How old the loop's idea of the time may be: it looks at the clock once a turn, before it reads.
A_TURN = 0.05


@pytest.mark.parametrize(
    ("requests", "kills"),
    [(100, 5), pytest.param(100_000, 1000, marks=LONG)],
    ids=["100", "100k"],
)
def test_killing_busy_workers_under_load_loses_and_doubles_nothing(
    dialect_broker: Any,
    hand: Any,
    peers: Peers,
    record: Any,
    dialect: Dialect,
    requests: int,
    kills: int,
) -> None:
    # A request may meet more than one dying worker; the client itself asks once.
    broker = dialect_broker(dialect, retries=3, request_ttl=600.0)

    def hire(number: int) -> Any:
        return hand(dialect, broker.backend, f"w{number}", process=True, pace=PACE)

    workers = [hire(number) for number in range(WORKERS)]
    reaches(broker, workers=WORKERS)
    chance = random.Random(2)
    due = {(turn + 1) * requests // (kills + 1) for turn in range(kills)}
    client = DialectClient(peers, broker.frontend, dialect)
    answers: Counter[bytes] = Counter()
    asked, hired = 0, WORKERS
    while (done := sum(answers.values())) < requests:
        while asked < min(requests, done + WINDOW):
            client.ask(b"%d" % asked)
            asked += 1
        if done in due:
            due.remove(done)
            index = chance.randrange(WORKERS)
            workers[index].signal(signal.SIGKILL)
            workers[index].close()
            workers[index] = hire(asked)
            hired += 1
            reaches(broker, workers_joined=hired)  # or the next victim might be one of no account
        answers[client.answer()[-1]] += 1
    twice = client.delivered_twice()
    stats = reaches(broker, in_flight=0, queued=0, workers_lost=kills)
    record(
        "busy worker killed (SIGKILL)",
        requests=requests,
        kills=kills,
        redispatched=stats["redispatched"],
        lost=lost(stats) + stats["failed"] + stats["shed"],
        delivered_twice=twice,
    )
    assert (twice, len(answers), set(answers.values())) == (0, requests, {1})
    assert stats["accepted"] == stats["replied"] == requests + 1
    assert kills // 2 <= stats["redispatched"] <= kills


# -- one among many ----------------------------------------------------------------------------

#: How many come at the same time: a handshake takes libzmq longer than a heartbeat.
AT_ONCE = 500


class Crowd:
    """Thousands of workers on one ROUTER: each connection that it makes is a peer of its own."""

    def __init__(
        self, peers: Peers, endpoint: str, dialect: Dialect, count: int, interval: float
    ) -> None:
        self._dialect = dialect
        self._socket = peers.socket(zmq.ROUTER, router_mandatory=1, sndhwm=0, rcvhwm=0)
        self._names = [b"#%d" % number for number in range(count)]
        self._endpoint = endpoint
        self._joined = 0
        self._step = interval / count
        self._silent: set[bytes] = set()
        self._turns = self._forever()
        self._next = time.monotonic()

    def join(self, count: int) -> int:
        """Let so many more come; how many are there then."""
        for name in self._names[self._joined : self._joined + count]:
            self._socket.setsockopt(zmq.CONNECT_ROUTING_ID, name)
            self._socket.connect(self._endpoint)
            self._socket.send_multipart([name, *self._dialect.ready()])
            self._joined += 1
        return self._joined

    def silence(self, place: int) -> float:
        """Let the worker say a last heartbeat; when that was."""
        name = self._names[place]
        self._silent.add(name)
        self._beat(name)
        return time.monotonic()

    def turn(self) -> None:
        """Say the heartbeats that are due, and read what has come."""
        now = time.monotonic()
        while self._next <= now:
            name = next(self._turns)
            if name not in self._silent:
                self._beat(name)
            self._next += self._step
        while self._socket.poll(0):
            _, *frames = self._socket.recv_multipart()
            assert self._dialect.hear(frames).kind == "HEARTBEAT", frames

    def _beat(self, name: bytes) -> None:
        self._socket.send_multipart([name, *self._dialect.heartbeat()])

    def _forever(self) -> Iterator[bytes]:
        while True:
            yield from self._names[: self._joined]


@pytest.mark.parametrize(
    ("count", "interval"),
    [(200, 0.4), pytest.param(10_000, 4.0, marks=LONG)],
    ids=["200", "10k"],
)
def test_a_worker_that_falls_silent_among_many_is_expired_in_time(
    dialect_process: Any,
    peers: Peers,
    record: Any,
    dialect: Dialect,
    count: int,
    interval: float,
) -> None:
    _allow_descriptors(count)
    liveness = 3
    limit = interval * liveness + 0.05
    broker = dialect_process(dialect, heartbeat_interval=interval, liveness=liveness)
    peers.context.set(zmq.MAX_SOCKETS, count + 100)
    # Half the interval: what is late by a turn is still in time.
    crowd = Crowd(peers, broker.backend, dialect, count, interval / 2)

    def turns_until(name: str, value: int) -> None:
        """Heartbeat until that counter is so high."""

        def there() -> bool:
            crowd.turn()
            found: int = broker.stats()[name]
            return found >= value

        wait_until(there, f"{name} = {value}", 6 * PATIENCE)

    while (joined := crowd.join(AT_ONCE)) < count:
        turns_until("workers", joined)
    turns_until("workers_idle", count)
    since = {place: crowd.silence(place) for place in (0, count // 2, count - 1)}
    took = []
    for gone, silent_since in enumerate(since.values(), start=1):
        turns_until("workers_expired", gone)  # one sweep may find several
        took.append(time.monotonic() - silent_since)
    stats = broker.stats()
    record(
        "idle worker frozen (SIGSTOP)",
        workers=count,
        detection_ms=max(took) * 1000,
        limit_ms=limit * 1000,
        false_expiries=stats["workers_lost"] - len(since),
    )
    assert stats["workers_lost"] == stats["workers_expired"] == len(since)
    assert min(took) >= interval * liveness - A_TURN
    assert max(took) <= limit + SCHEDULING_SLACK


def _allow_descriptors(wanted: int) -> None:
    """Each connection is a descriptor, here and in the broker's process, which inherits the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted + 1000:
        if hard != resource.RLIM_INFINITY and hard < wanted + 1000:
            pytest.skip(f"needs {wanted} file descriptors, {hard} are allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted + 1000, hard))
