"""Batches while workers are killed, stopped and started: each is completed from its reports."""

from __future__ import annotations

import contextlib
import random
import signal
import threading
import time
from collections.abc import Callable

import pytest
from harness import PATIENCE, wait_until
from line import Child, Line, bodies

#: Minutes together: they have their own command.
pytestmark = pytest.mark.long

#: Seconds of the short run and of the long one.
SHORT, LONG = 5.0, 300.0


@pytest.mark.parametrize(
    "seconds", [SHORT, pytest.param(LONG, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
)
def test_every_batch_is_completed_from_its_reports(
    line: Callable[..., Line],
    child: Callable[..., Child],
    record: Callable[..., None],
    seconds: float,
) -> None:
    made = line(heartbeat_interval=0.2, high_water_mark=50)
    chance = random.Random(7)
    over = threading.Event()
    deaths = 0

    def start() -> Child:
        prefetch = chance.choice((1, 2, 10, 50))
        ends = (made.ventilator.endpoint, made.sink.endpoint)
        return child("worker", *ends, f"w{deaths}", 0.001, prefetch)

    workers = [start() for _ in range(3)]

    def chaos() -> None:
        nonlocal deaths
        while not over.wait(chance.random() * 0.7):
            at = chance.randrange(3)
            if chance.random() < 0.6:
                workers[at].signal(signal.SIGKILL)
                workers[at].wait()
                deaths += 1
                workers[at] = start()
            else:
                workers[at].signal(signal.SIGSTOP)
                over.wait(chance.random() * 1.2)
                workers[at].signal(signal.SIGCONT)

    thread = threading.Thread(target=chaos)
    thread.start()
    until, tasks_sent, resent = time.monotonic() + seconds, 0, 0
    with contextlib.ExitStack() as stack:
        stack.callback(thread.join)
        stack.callback(over.set)
        while time.monotonic() < until:
            tasks = bodies(chance.choice((0, 1, 100, 700)))
            reader = made.reader()
            batch = made.ventilator.send(tasks)
            report = batch.wait(3 * PATIENCE)
            while not report.complete:
                assert report.again, report
                resent += batch.resend(report, tasks)
                report = batch.wait(3 * PATIENCE)
            assert reader.report().complete
            assert reader.numbers() == list(range(len(tasks)))
            tasks_sent += len(tasks)
    assert made.ventilator.kill(PATIENCE) == 0
    wait_until(lambda: all(each.process.poll() is not None for each in workers), "their end")
    record(
        "worker, sink or ventilator of a pipeline killed",
        tasks=tasks_sent, deaths=deaths, run_again=resent, unreported=0,
    )  # fmt: skip
