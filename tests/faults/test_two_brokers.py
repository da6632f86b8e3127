"""Two brokers, workers registered with both, and the one in use is killed or stopped under load.

The clients' timeout is interval x liveness, as docs/clients.md has it.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from client_shells import SERVICE, Face, face
from harness import wait_until
from protocol_frames import MDP02, PPP, Dialect
from watch import SCHEDULING_SLACK, reaches

from brigantine import MajordomoWorker, ParanoidPirateWorker

pytest_plugins = ("dialect_fixtures",)

#: What the figures are printed under.
FAULT = "one of two brokers killed and started again"
INTERVAL = 0.2
LIVENESS = 3
TIMEOUT = INTERVAL * LIVENESS
TIMES = {"heartbeat_interval": INTERVAL, "liveness": LIVENESS}
#: What the promise allows over interval x liveness until the first reply.
MARGIN = 1.0
AT_ONCE = 8
#: The version of a client to each kind of broker.
PROTOCOLS = {PPP: "plain", MDP02: "0.2"}


class Load:
    """Threads that ask one client as fast as they get replies, and check each."""

    def __init__(self, client: Face) -> None:
        self._client = client
        self._leaving = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(AT_ONCE)]
        self.asked = [0] * AT_ONCE
        #: (when it came, how long it took) of each reply, in seconds.
        self.replies: list[tuple[float, float]] = []
        self.errors: list[BaseException] = []
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        while not self._leaving.is_set():
            body = b"%d/%d" % (number, self.asked[number])
            self.asked[number] += 1
            began = time.monotonic()
            try:
                assert self._client.request(body) == b"re:" + body
            except BaseException as error:
                self.errors.append(error)
                return
            now = time.monotonic()
            self.replies.append((now, now - began))

    def runs(self, more: int = 20) -> None:
        """Wait for so many more replies for each thread."""
        wanted = len(self.replies) + more * AT_ONCE
        wait_until(lambda: self.errors or len(self.replies) >= wanted, "the load runs")
        assert not self.errors

    def first_after(self, moment: float) -> float:
        """Seconds from then to the first reply to what was still open then, or asked later."""
        return min(came for came, took in self.replies if came - took >= moment) - moment

    def longest(self, since: float) -> float:
        """Seconds of the longest request that ended after that."""
        return max(took for came, took in self.replies if came >= since)

    def end(self) -> int:
        """Stop asking; requests that have no reply."""
        self._leaving.set()
        for thread in self._threads:
            thread.join()
        return sum(self.asked) - len(self.replies)


class Pair:
    """Two brokers, two workers registered with both, a client that knows both, and its load."""

    def __init__(self, start: Any, dialect: Dialect, shell: str) -> None:
        self._start, self._dialect = start, dialect
        self.brokers = [start(dialect, **TIMES) for _ in range(2)]
        backends = [broker.backend for broker in self.brokers]
        self._workers = [self._worker(backends) for _ in range(2)]
        for broker in self.brokers:
            reaches(broker, workers=2)
        frontends = [broker.frontend for broker in self.brokers]
        # One timeout for the broker that is gone, and all the retries for the one that is left.
        self._face = face(shell, PROTOCOLS[dialect], frontends, timeout=TIMEOUT, retries=3)
        self.client = self._face.__enter__()
        self.load = Load(self.client)

    def _worker(self, backends: list[str]) -> Any:
        handler = lambda body: b"re:" + body  # noqa: E731
        if self._dialect is PPP:
            return ParanoidPirateWorker(backends, handler, capacity=4, **TIMES).start()
        return MajordomoWorker(backends, SERVICE, handler, capacity=4, **TIMES).start()

    def again(self) -> None:
        """Start the first broker again, where it was."""
        first = self.brokers[0]
        self.brokers[0] = self._start(self._dialect, first.frontend, first.backend, **TIMES)

    def is_back(self) -> None:
        """Wait until the first broker has the workers and all of the load."""
        reaches(self.brokers[0], workers=2)

        def first_only() -> bool:
            one, two = (broker.stats()["accepted"] for broker in self.brokers)
            self.load.runs(2)
            more, none = (broker.stats()["accepted"] for broker in self.brokers)
            return bool(more > one and none == two)

        wait_until(first_only, "the clients' return to the first broker")

    def close(self) -> None:
        self.load.end()
        self._face.__exit__(None, None, None)
        for worker in self._workers:
            worker.stop()


@pytest.fixture
def pair(dialect_process: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr("brigantine.clients.failover.HALF_OPEN_AFTER", INTERVAL)
    made: list[Pair] = []

    def start(dialect: Dialect, shell: str) -> Pair:
        made.append(Pair(dialect_process, dialect, shell))
        made[-1].load.runs()
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.mark.parametrize(
    ("dialect", "shell"),
    [(MDP02, "threads"), (PPP, "asyncio")],
    ids=["mdp02-threads", "ppp-asyncio"],
)
def test_kill_9_of_the_broker_in_use_loses_nothing_and_it_is_used_again_when_it_is_back(
    pair: Any, record: Any, dialect: Dialect, shell: str
) -> None:
    scene = pair(dialect, shell)
    first, second = scene.brokers
    assert second.stats()["accepted"] == 0
    first.signal(signal.SIGKILL)
    killed = time.monotonic()
    first.wait()
    scene.load.runs()
    silences = scene.client.stats()
    silences = silences["tries"] - silences["requests"]
    scene.again()
    scene.is_back()
    missing = scene.load.end()
    stats = scene.client.stats()
    record(
        FAULT,
        shell=shell,
        requests=stats["requests"],
        lost=missing,
        first_reply_ms=scene.load.first_after(killed) * 1000,
        longest_ms=scene.load.longest(killed) * 1000,
        retried=stats["tries"] - stats["requests"],
    )
    assert (missing, scene.load.errors) == (0, [])
    assert stats["replies"] == stats["requests"]
    # What was on its way was tried once more; nothing else was kept waiting by the dead broker.
    # (A machine that is busy may let one or the other wait once more for its new broker.)
    assert silences < 2 * AT_ONCE
    for took in (scene.load.first_after(killed), scene.load.longest(killed)):
        assert took <= INTERVAL * LIVENESS + MARGIN + SCHEDULING_SLACK


@pytest.mark.parametrize(
    ("dialect", "shell"),
    [(MDP02, "asyncio"), pytest.param(PPP, "threads", marks=pytest.mark.long)],
    ids=["mdp02-asyncio", "ppp-threads"],
)
def test_a_broker_that_stands_still_is_left_alone_until_it_goes_on(
    pair: Any, record: Any, dialect: Dialect, shell: str
) -> None:
    scene = pair(dialect, shell)
    first, _ = scene.brokers
    first.signal(signal.SIGSTOP)
    stopped = time.monotonic()
    scene.load.runs()
    left = scene.client.stats()
    # The fault itself has a length: many times that after which a broker that is back is tried.
    time.sleep(TIMEOUT + 4 * INTERVAL)
    scene.load.runs()
    still = scene.client.stats()
    first.signal(signal.SIGCONT)
    scene.is_back()
    missing = scene.load.end()
    stats = scene.client.stats()
    record(
        "broker frozen for a while (SIGSTOP)",
        shell=shell,
        requests=stats["requests"],
        lost=missing,
        first_reply_ms=scene.load.first_after(stopped) * 1000,
        longest_ms=scene.load.longest(stopped) * 1000,
        retried=stats["tries"] - stats["requests"],
    )
    assert (missing, scene.load.errors) == (0, [])
    assert left["tries"] - left["requests"] <= AT_ONCE
    assert still["tries"] - left["tries"] <= still["requests"] - left["requests"] + AT_ONCE
    for took in (scene.load.first_after(stopped), scene.load.longest(stopped)):
        assert took <= INTERVAL * LIVENESS + MARGIN + SCHEDULING_SLACK
