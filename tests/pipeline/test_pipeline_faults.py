"""What a pipeline lives through: killed, stopped and late parts, cut connections."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest
import zmq
from harness import PATIENCE, Peers, wait_until
from line import ANY, Child, Line, bodies
from models import SANITIZED
from relay import Relay

from brigantine import PipelineWorker, Sink, Ventilator

Make = Callable[..., Line]
Start = Callable[..., Child]
Record = Callable[..., None]
#: Heartbeats by which a silent peer is found soon.
FAST = {"heartbeat_interval": 0.1, "liveness": 3}


def joined(made: Line, workers: int) -> None:
    wait_until(lambda: made.ventilator.stats()["workers"] == workers, f"{workers} workers")


# -- pipeline workers that come late, are slow or stopped -----------------------------------------


def test_behind_a_stopped_worker_wait_no_more_than_prefetch(
    line: Make, child: Start, record: Record
) -> None:
    made = line(ventilator={"min_workers": 3, **FAST})
    stopped = child("worker", made.ventilator.endpoint, made.sink.endpoint, "stopped", 0, 2)
    made.worker(lambda body: time.sleep(0.005) or body)  # slow
    made.worker()
    joined(made, 3)
    stopped.signal(signal.SIGSTOP)
    tasks = bodies(200)
    batch = made.ventilator.batch()
    for body in tasks:
        batch.send(body)
    late = made.worker()
    batch.end()
    report = batch.wait(PATIENCE)
    behind = report.lost.get("stopped", ())
    assert len(behind) <= 2
    assert report.missing == behind
    reader = made.reader()
    if behind:
        batch.resend(report, tasks)
    report = batch.wait(PATIENCE)
    assert report.complete
    stopped.signal(signal.SIGCONT)
    assert reader.report().returned == 200
    assert late.stats()["tasks"]
    record(
        "pipeline workers that come late, are slow or stopped",
        tasks=200,
        lost=0,
        behind_the_stopped_one=len(behind),
    )


# -- worker, sink or ventilator of a pipeline killed ----------------------------------------------


def test_what_a_killed_worker_held_is_reported_and_can_be_run_again(
    line: Make, child: Start, record: Record
) -> None:
    made = line(ventilator={"min_workers": 2})
    dying = child("worker", made.ventilator.endpoint, made.sink.endpoint, "dying", 60, 5)
    made.worker(prefetch=5)
    joined(made, 2)
    reader, tasks = made.reader(), bodies(300)
    batch = made.ventilator.send(tasks)
    dying.expect("task")
    began = time.monotonic()
    dying.signal(signal.SIGKILL)
    wait_until(lambda: made.ventilator.stats()["workers_lost"] == 1)
    detected = time.monotonic() - began
    report = batch.wait(PATIENCE)
    assert not report.complete
    assert list(report.lost) == ["dying"]
    assert report.missing == report.lost["dying"]
    assert len(report.missing) == 5
    assert batch.resend(report, tasks) == 5
    assert batch.wait(PATIENCE).complete
    assert reader.report().complete
    assert reader.numbers() == list(range(300))
    record(
        "worker, sink or ventilator of a pipeline killed",
        reported=5,
        unreported=0,
        detection_ms=detected * 1000,
    )


def test_a_result_that_comes_after_its_task_was_run_again_is_a_duplicate(
    line: Make, child: Start
) -> None:
    made = line(ventilator=FAST)
    slow = child("worker", made.ventilator.endpoint, made.sink.endpoint, "slow", 0.3, 1)
    joined(made, 1)
    reader, tasks = made.reader(), bodies(1)
    batch = made.ventilator.send(tasks)
    slow.expect("task")
    slow.signal(signal.SIGSTOP)
    report = batch.wait(PATIENCE)
    assert report.missing == (0,)
    second = made.ventilator.batch()  # keeps the sink's batch open no longer than need be
    second.end()
    made.worker()
    batch.resend(report, tasks)
    assert batch.wait(PATIENCE).complete
    assert reader.report().complete
    slow.signal(signal.SIGCONT)
    wait_until(lambda: made.sink.stats()["late"] + made.sink.stats()["duplicates"] == 1)
    assert len(reader.results) == 1


def test_a_sink_that_is_killed_and_comes_back_gets_the_rest_and_then_all(
    child: Start, record: Record
) -> None:
    first = child("sink", ANY)
    where = first.expect("ready")
    tasks = bodies(200)
    with (
        Ventilator(ANY, where, **FAST) as ventilator,
        PipelineWorker(
            ventilator.endpoint, where, lambda body: time.sleep(0.002) or body
        ) as worker,
    ):
        batch = ventilator.batch()
        for body in tasks[:100]:
            batch.send(body)
        first.expect("result")
        first.signal(signal.SIGKILL)
        first.wait()
        second = child("sink", where)
        second.expect("ready")
        for body in tasks[100:]:
            batch.send(body)
        batch.end()
        report = batch.wait(2 * PATIENCE)
        assert not report.complete  # what the first one had is gone with it
        rounds = 0
        missing = len(report.missing)
        while not report.complete and rounds < 5:
            rounds += 1
            batch.resend(report, tasks)
            report = batch.wait(2 * PATIENCE)
        assert report.complete
        second.expect("report")
        assert worker.stats()["discarded_results"] == 0
        record(
            "worker, sink or ventilator of a pipeline killed",
            killed="sink",
            reported=missing,
            unreported=0,
            rounds=rounds,
        )


def test_a_killed_ventilator_leaves_a_report_and_its_workers_serve_the_next(
    child: Start, record: Record
) -> None:
    with Sink(ANY, batch_timeout=0.5) as sink:
        first = child("ventilator", ANY, sink.endpoint, 5000)
        where = first.expect("ready")
        worker = PipelineWorker(where, sink.endpoint, lambda body: time.sleep(0.002) or body)
        with worker:
            batch = sink.next_batch(PATIENCE)
            first.expect("sent")
            first.signal(signal.SIGKILL)
            first.wait()
            numbers = sorted(result.number for result in batch)
            report = batch.report()
            assert not report.complete
            assert report.tasks is None  # it never said how many there are
            assert report.returned == len(numbers)
            assert numbers == list(range(len(numbers)))
            batch.close()
            with Ventilator(where, sink.endpoint) as second:
                second.wait_ready(1, PATIENCE)
                assert second.send(bodies(50)).wait(PATIENCE).complete
                assert len(list(sink.next_batch(PATIENCE))) == 50
            record(
                "worker, sink or ventilator of a pipeline killed",
                killed="ventilator",
                false_completions=0,
                workers_left=0,
            )


@pytest.mark.parametrize("where", ["ventilator", "sink", "both"])
def test_a_cut_connection_in_a_batch_loses_no_result(
    line: Make, record: Record, where: str
) -> None:
    made = line()
    with Relay(made.ventilator.endpoint) as tasks_way, Relay(made.sink.endpoint) as results_way:
        done: Counter[bytes] = Counter()

        def work(body: bytes) -> bytes:
            done[body] += 1
            time.sleep(0.001)
            return body

        worker = PipelineWorker(
            tasks_way.endpoint, results_way.endpoint, work, prefetch=20, capacity=2
        )
        with worker:
            made.ventilator.wait_ready(1, PATIENCE)
            reader, tasks = made.reader(), bodies(400)
            batch = made.ventilator.batch()
            for at, body in enumerate(tasks):
                batch.send(body)
                if at % 100 == 50:
                    for relay in (tasks_way, results_way):
                        if where == "both" or relay is {"ventilator": tasks_way}.get(
                            where, results_way
                        ):
                            relay.cut()
            batch.end()
            report = batch.wait(PATIENCE)
            reported = len(report.missing)
            if where == "sink":
                assert report.complete  # results are sent again, tasks were not on that way
            while not report.complete:
                batch.resend(report, tasks)
                report = batch.wait(PATIENCE)
            assert reader.report().complete
            assert reader.numbers() == list(range(400))
            assert set(done) == set(tasks)
            record(
                "worker, sink or ventilator of a pipeline killed",
                cut=where,
                unreported=0,
                reported=reported,
                done_twice=sum(done.values()) - 400,
            )


def test_a_worker_behind_a_dead_cable_is_found_by_its_silence(line: Make, record: Record) -> None:
    made = line(ventilator=FAST, sink=FAST)
    with Relay(made.ventilator.endpoint) as way:
        worker = PipelineWorker(
            way.endpoint, made.sink.endpoint, bytes.upper, heartbeat_interval=0.1
        )
        with worker:
            made.ventilator.wait_ready(1, PATIENCE)
            began = time.monotonic()
            way.swallow()
            wait_until(lambda: made.ventilator.stats()["expired"] == 1)
            detected = time.monotonic() - began
            # The worker finds out as well, and is back by a new connection.
            made.ventilator.wait_ready(1, PATIENCE)
            assert made.ventilator.send(bodies(10)).wait(PATIENCE).complete
            assert worker.stats()["expired"] == 1
            record(
                "worker, sink or ventilator of a pipeline killed",
                detection_ms=detected * 1000,
                limit_ms=300,
            )


# -- the end of a batch overtakes its tasks -------------------------------------------------------


def test_the_kill_signal_overtakes_no_task_and_leaves_no_worker(
    line: Make, child: Start, record: Record
) -> None:
    first = line()
    with Ventilator(ANY, first.sink.endpoint, name="second") as second:
        both = f"{first.ventilator.endpoint},{second.endpoint}"
        workers = [child("worker", both, first.sink.endpoint, f"w{n}", 0.005, 3) for n in range(3)]
        for each in (first.ventilator, second):
            each.wait_ready(3, PATIENCE)
        batches = [each.batch() for each in (first.ventilator, second)]
        for body in bodies(60):
            for batch in batches:
                batch.send(body)
        for batch in batches:
            batch.end()
        workers[0].signal(signal.SIGSTOP)
        first.ventilator.kill()
        second.kill()
        late = child("worker", both, first.sink.endpoint, "late")
        workers[0].signal(signal.SIGCONT)
        assert all(batch.wait(2 * PATIENCE).complete for batch in batches)
        for each in (*workers, late):
            each.expect("ended")
            assert each.wait() == 0
        received = [first.sink.next_batch(PATIENCE) for _ in batches]
        assert [len(list(each)) for each in received] == [60, 60]
        record("the end of a batch overtakes its tasks", tasks=120, lost=0, workers_left=0)


def test_a_worker_that_missed_the_signal_ends_by_time_limit(line: Make, record: Record) -> None:
    made = line()
    with Relay(made.ventilator.endpoint) as way:
        worker = PipelineWorker(way.endpoint, made.sink.endpoint, bytes.upper, orphan_timeout=0.5)
        worker.start()
        made.ventilator.wait_ready(1, PATIENCE)
        way.cut()
        made.ventilator.close()
        wait_until(lambda: not worker._thread.running, "its end")
        record("the end of a batch overtakes its tasks", workers_left=0)


# -- sink late, restarted or slow; strange results ------------------------------------------------


def test_results_of_another_batch_junk_and_doubles_complete_nothing(
    line: Make, peers: Peers, record: Record
) -> None:
    made = line(ventilator={"min_workers": 0})
    made.worker()
    old = made.ventilator.send(bodies(5))
    assert old.wait(PATIENCE).complete
    assert made.reader().report().complete
    stranger = peers.dealer(made.sink.endpoint)
    name = b"\x83\xa4role\xa6worker\xa2id\xc4\x08stranger\xa4name\xa1s"
    stranger.send_multipart([b"BPL1\x01", name])
    go = threading.Event()
    made.worker(lambda body: go.wait(PATIENCE) and body, prefetch=3)
    batch = made.ventilator.batch()
    made.workers[0].stop()
    for body in bodies(3):
        batch.send(body)
    batch.end()
    reader = made.reader()
    for key in (bytes.fromhex(old.id), b"unknown!", bytes.fromhex(batch.id)):
        for number in (0, 7, 1 << 40):
            stranger.send_multipart([b"BPL1\x20", key + number.to_bytes(8, "big"), b"forged"])
    stranger.send_multipart([b"BPL1\x20", bytes.fromhex(batch.id) + bytes(8), b"again"])
    wait_until(lambda: made.sink.stats()["duplicates"] == 1)
    stats = made.sink.stats()
    assert stats["late"] == 3
    assert stats["drop_malformed"] == 2
    assert not batch.report.complete
    go.set()
    assert batch.wait(PATIENCE).complete
    assert reader.report().complete
    assert reader.numbers() == [0, 1, 2]
    record("sink late, restarted or slow; strange results", false_completions=0)


def test_a_slow_sink_holds_back_the_ventilator_and_memory_stays(line: Make, record: Record) -> None:
    made = line(high_water_mark=20)
    size = 200_000
    made.worker(lambda _: b"r" * size, prefetch=10)
    batch = made.ventilator.batch()
    before = resident()
    sender = threading.Thread(target=lambda: ([batch.send(b"t") for _ in range(600)], batch.end()))
    sender.start()
    wait_until(lambda: made.sink.stats()["withheld"] == 10)
    most = 0
    received = made.sink.next_batch(PATIENCE)
    for read, _ in enumerate(received, 1):
        if read % 20 == 0:
            stats = made.sink.stats()
            most = max(most, stats["waiting_bytes"])
            assert made.ventilator.stats()["tasks"] - read <= 20 + 10 + 10
    sender.join(PATIENCE)
    assert received.report().complete
    assert most <= (20 + 10) * size
    grown = resident() - before
    assert grown < 100 or SANITIZED
    record(
        "sink late, restarted or slow; strange results",
        results=600,
        waiting_mb=most / 1e6,
        rss_mb=grown,
    )


def resident() -> float:
    """MB of this process."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def test_a_worker_that_never_answers_ends_in_a_report(line: Make, record: Record) -> None:
    made = line(batch_timeout=0.3)
    go = threading.Event()
    made.worker(lambda body: go.wait(3 * PATIENCE) and body)
    batch = made.ventilator.send(bodies(1))
    received = made.sink.next_batch(PATIENCE)
    began = time.monotonic()
    assert list(received) == []
    waited = time.monotonic() - began
    assert received.report().missing == (0,)
    assert batch.wait(0.1).missing == (0,)
    go.set()
    record("sink late, restarted or slow; strange results", waited_ms=waited * 1000, limit_ms=300)


def test_nothing_of_ours_acts_in_a_forked_child(line: Make) -> None:
    made = line()
    made.worker()
    batch = made.ventilator.batch()
    child = os.fork()
    if not child:
        code = 1
        with contextlib.suppress(BaseException):
            try:
                batch.send(b"x")
            except RuntimeError as error:
                code = 0 if "not in this forked child" in str(error) else 2
            made.ventilator.close()
            made.sink.close()
        os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    for body in bodies(20):
        batch.send(body)
    batch.end()
    assert batch.wait(PATIENCE).complete


def test_endpoints_are_free_after_close() -> None:
    with zmq.Context() as context:
        for _ in range(3):
            with (
                Sink("inproc://s", context=context),
                Ventilator("inproc://v", "inproc://s", context=context),
            ):
                pass
    sink = Sink(ANY)
    where = sink.endpoint
    sink.close()
    Sink(where).close()
