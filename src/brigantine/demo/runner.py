"""Leads the demo: for each implementation a broker, workers and clients, and their figures."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from .._impl import implementation
from ..clients.lazy_pirate import LazyPirateClient
from ..errors import NoReply
from ..system.process_cpu import CpuTime, read_cpu_time
from .comparison import IMPLS, compare
from .corpus import ChunkReader, Corpus
from .figures import Report, Run
from .load import Load
from .processes import DemoFailed, Fleet
from .work import read_answer

__all__ = ["Plan", "run_demo"]

#: Seconds between two workers killed.
KILL_EVERY = 0.5
#: Seconds between two looks at what goes on.
_TICK = 0.1
#: Seconds that all workers may take to start.
_START_TIMEOUT = 60.0
#: Seconds that one request waits for the workers' start, and between two of them.
_WARM_UP_TIMEOUT = 1.0
_WARM_UP_PAUSE = 0.01


@dataclass(frozen=True)
class Patience:
    """How clients deal with silence: seconds for a try, retries, longest pause between tries."""

    timeout: float
    retries: int
    backoff_max: float


#: Nobody is killed: silence means that something is wrong, or that the machine is very busy.
_CALM = Patience(timeout=10.0, retries=3, backoff_max=1.0)
#: A request at a killed worker is lost to the broker (its retries are 0): the client asks again.
_UNDER_FIRE = Patience(timeout=1.0, retries=30, backoff_max=1.0)


@dataclass(frozen=True)
class Plan:
    """What the demo is to do."""

    corpus: Corpus
    impls: tuple[str, ...]
    workers: int
    clients: int
    chunk_size: int
    kill_workers: bool


#: ``progress(impl, bytes answered)`` is called some ten times a second.
Progress = Callable[[str, int], object]


#: ``pause(seconds)`` sleeps for so long, and raises when the demo is to be broken off.
Pause = Callable[[float], object]


def run_demo(plan: Plan, progress: Progress, pause: Pause) -> Report:
    """Run each implementation in turn, and compare what they cost.

    What ``pause`` raises ends it, and all its processes.
    Raises :class:`~brigantine.errors.CoreMissing` before anything is started, and
    :class:`DemoFailed` when a broker or a worker ends that nobody killed.
    """
    for impl in plan.impls:
        implementation(impl)
    runs = {impl: _run(plan, impl, progress, pause) for impl in plan.impls}
    comparison = compare(pause) if set(IMPLS) <= set(plan.impls) else None
    return Report(
        plan.corpus,
        plan.chunk_size,
        plan.workers,
        plan.clients,
        plan.kill_workers,
        runs,
        comparison,
    )


def _run(plan: Plan, impl: str, progress: Progress, pause: Pause) -> Run:
    patience = _UNDER_FIRE if plan.kill_workers else _CALM
    chunks = ChunkReader(plan.corpus, plan.chunk_size)
    with (
        Fleet(impl, plan.workers, pause) as fleet,
        LazyPirateClient(
            fleet.frontend,
            timeout=patience.timeout,
            retries=patience.retries,
            backoff_max=patience.backoff_max,
        ) as client,
    ):
        _warm_up(fleet, client, pause)
        tries = client.stats()["tries"]
        cpu = read_cpu_time(fleet.broker.pid)
        load = Load(client, chunks, plan.clients)
        load.start()
        killer = _Killer(fleet)
        while not load.done():
            fleet.must_run()
            if plan.kill_workers:
                killer.look()
            progress(impl, load.answered)
            pause(_TICK)
        progress(impl, load.answered)
        return Run.measured(
            load,
            _used(cpu, read_cpu_time(fleet.broker.pid)),
            tries=client.stats()["tries"] - tries,
            killed=killer.killed,
            skipped=chunks.skipped,
        )


def _warm_up(fleet: Fleet, client: LazyPirateClient, pause: Pause) -> None:
    """Return when every worker has answered: then the start of Python is in no figure."""
    missing = {worker.pid for worker in fleet.workers}
    deadline = time.monotonic() + _START_TIMEOUT
    while missing:
        fleet.must_run()
        if time.monotonic() > deadline:
            raise DemoFailed(f"{len(missing)} workers did not start within {_START_TIMEOUT:g} s")
        try:
            _, pid = read_answer(client.request(b"", timeout=_WARM_UP_TIMEOUT, retries=0))
        except NoReply:
            pause(0.0)
            continue
        # The one that was idle for longest comes next: with all of them there, each has its turn.
        pause(0.0 if pid in missing else _WARM_UP_PAUSE)
        missing.discard(pid)


class _Killer:
    """kill -9 for a random worker, at the first look and then every half second."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._due = time.monotonic()
        self.killed = 0

    def look(self) -> None:
        """Kill one, and start another in its place, if it is time."""
        if time.monotonic() >= self._due:
            self._fleet.replace_worker(random.choice(self._fleet.workers))
            self._due = time.monotonic() + KILL_EVERY
            self.killed += 1


def _used(before: CpuTime | None, after: CpuTime | None) -> CpuTime | None:
    return after - before if before is not None and after is not None else None
