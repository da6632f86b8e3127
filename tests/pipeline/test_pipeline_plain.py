"""The guide's programs, which know nothing of brigantine, at every place of a pipeline: raw sockets."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import zmq
from harness import PATIENCE, Peers, wait_until
from line import ANY, Line, bodies

from brigantine import PipelineWorker, Sink, Ventilator, WrongUse

Make = Callable[..., Line]


class TaskWork(threading.Thread):
    """taskwork of the guide: PULL tasks, PUSH empty results; SUB for the kill signal, as its second has."""

    def __init__(self, peers: Peers, tasks: str, results: str, kill: str | None = None) -> None:
        super().__init__(daemon=True)
        self.receiver = peers.socket(zmq.PULL, tasks)
        self.sender = peers.socket(zmq.PUSH, results)
        self.controller = peers.socket(zmq.SUB, kill, subscribe=b"") if kill else None
        self.done: list[bytes] = []
        self.told = b""
        self.stop = False
        self.start()

    def run(self) -> None:
        poller = zmq.Poller()
        poller.register(self.receiver, zmq.POLLIN)
        if self.controller is not None:
            poller.register(self.controller, zmq.POLLIN)
        while not self.stop:
            ready = dict(poller.poll(20))
            if self.receiver in ready:
                self.done.append(self.receiver.recv())
                self.sender.send(b"")
            if self.controller is not None and self.controller in ready:
                self.told = self.controller.recv()
                return


@pytest.fixture
def taskwork(peers: Peers) -> Iterator[Callable[..., TaskWork]]:
    """``taskwork(tasks, results, kill=None)`` runs in a thread."""
    made: list[TaskWork] = []

    def start(*endpoints: str, **options: str) -> TaskWork:
        made.append(TaskWork(peers, *endpoints, **options))
        return made[-1]

    yield start
    for each in made:
        each.stop = True
        each.join(PATIENCE)


def test_plain_workers_between_ours(taskwork: Callable[..., TaskWork]) -> None:
    with (
        Sink(ANY, plain=ANY, kill=ANY) as sink,
        Ventilator(ANY, sink.endpoint, plain_workers=ANY, min_workers=2) as ventilator,
    ):
        (tasks,), (results,), (kill,) = (
            ventilator.plain_endpoints, sink.plain_endpoints, sink.kill_endpoints,
        )  # fmt: skip
        workers = [taskwork(tasks, results, kill=kill) for _ in range(2)]
        batch = ventilator.send(bodies(100))
        received = sink.next_batch(PATIENCE)
        assert [each.number for each in received] == [-1] * 100
        report = received.report()
        assert report.complete
        assert report.plain_tasks == report.plain_returned == report.returned == 100
        assert batch.wait(PATIENCE) == report
        assert sorted(workers[0].done + workers[1].done) == sorted(bodies(100))
        assert all(each.done for each in workers)
        ventilator.kill()
        for each in workers:
            each.join(PATIENCE)
            assert each.told == b"KILL"


def test_plain_workers_beside_ours_do_not_take_all(taskwork: Callable[..., TaskWork]) -> None:
    with (
        Sink(ANY, plain=ANY) as sink,
        Ventilator(ANY, sink.endpoint, plain_workers=ANY, min_workers=2) as ventilator,
        PipelineWorker(ventilator.endpoint, sink.endpoint, bytes.upper, prefetch=10) as ours,
    ):
        plain = taskwork(ventilator.plain_endpoints[0], sink.plain_endpoints[0])
        ventilator.wait_ready(2, PATIENCE)
        batch = ventilator.send(bodies(400))
        report = batch.wait(PATIENCE)
        assert report.complete
        assert report.plain_tasks == len(plain.done) > 0
        wait_until(lambda: ours.stats()["results"] == 400 - report.plain_tasks > 0)


def test_what_a_plain_worker_lost_is_run_again_by_ours(peers: Peers) -> None:
    with (
        Sink(ANY, plain=ANY, batch_timeout=0.5) as sink,
        Ventilator(ANY, sink.endpoint, plain_workers=ANY) as ventilator,
    ):
        dying = peers.socket(zmq.PULL, ventilator.plain_endpoints[0])
        batch = ventilator.send(bodies(20))
        results = peers.socket(zmq.PUSH, sink.plain_endpoints[0])
        for _ in range(5):
            dying.recv()
            results.send(b"")
        wait_until(lambda: sink.stats()["results"] == 5)
        dying.close(0)
        report = batch.wait(PATIENCE)
        assert not report.complete
        assert (report.plain_tasks, report.plain_returned) == (20, 5)
        assert report.again == report.unsure == tuple(range(20))  # which of them, nobody knows
        with PipelineWorker(ventilator.endpoint, sink.endpoint, bytes.upper):
            assert batch.resend(report, bodies(20)) == 20
            assert batch.wait(PATIENCE).complete
            received = sink.next_batch(PATIENCE)
            wait_until(lambda: received.complete)
            assert received.collect().complete


@pytest.mark.parametrize("errors", [False, True])
def test_our_workers_and_ventilator_before_a_plain_sink(peers: Peers, errors: bool) -> None:
    tasksink = peers.socket(zmq.PULL)
    port = tasksink.bind_to_random_port("tcp://127.0.0.1")
    sink = f"tcp://127.0.0.1:{port}"

    def work(_: bytes) -> bytes | None:
        if errors:
            raise ValueError("not told to a plain sink")
        return None

    with Ventilator(ANY, sink, plain_sink=True) as ventilator:
        worker = PipelineWorker(ventilator.endpoint, sink, work, plain_sink=True)
        with worker:
            batch = ventilator.send(bodies(100))
            # The start of the batch and results, over two connections: in which order is up to the system.
            came = Counter(tasksink.recv() for _ in range(101))
            assert came == {b"0": 1, b"": 100}
            report = batch.wait(PATIENCE)
            assert report.complete  # as far as the workers know
            assert report.returned == 100
            assert worker.stats()["errors"] == 100 * errors


def test_our_workers_and_sink_behind_a_plain_ventilator(peers: Peers) -> None:
    taskvent = peers.socket(zmq.PUSH)
    port = taskvent.bind_to_random_port("tcp://127.0.0.1")
    with Sink(ANY, plain=ANY, kill=ANY) as sink:
        (results,), (kill,) = sink.plain_endpoints, sink.kill_endpoints
        start = peers.socket(zmq.PUSH, results)
        batch = sink.plain_batch(100)
        workers = [
            PipelineWorker(
                f"tcp://127.0.0.1:{port}", results, bytes.upper, plain_ventilator=True, kill=kill
            ).start()
            for _ in range(2)
        ]  # fmt: skip
        for each in workers:
            each.wait_ready(PATIENCE)
        start.send(b"0")
        wait_until(lambda: batch._record.starts == 0)
        for body in bodies(100):
            taskvent.send(body)
        assert sorted(result.body for result in batch) == sorted(
            each.upper() for each in bodies(100)
        )
        report = batch.report()
        assert report.complete
        assert report.tasks == report.plain_returned == 100
        sink.kill()
        wait_until(lambda: not any(each._thread.running for each in workers), "the workers' end")


def test_a_plain_ventilators_batch_that_stays_short_is_reported(peers: Peers) -> None:
    with Sink(ANY, plain=ANY, batch_timeout=0.2) as sink:
        batch = sink.plain_batch(10, start=False)
        results = peers.socket(zmq.PUSH, sink.plain_endpoints[0])
        for _ in range(7):
            results.send(b"r")
        assert len(list(batch)) == 7
        report = batch.report()
        assert not report.complete
        assert str(report).endswith("7 of 10 results; 3 of the 10 that went to plain workers")


def test_plain_messages_that_nobody_waits_for_are_counted(peers: Peers) -> None:
    with Sink(ANY, plain=ANY) as sink:
        peers.socket(zmq.PUSH, sink.plain_endpoints[0]).send(b"")
        wait_until(lambda: sink.stats()["drop_unexpected"] == 1)


def test_a_sink_without_a_plain_endpoint_says_what_to_do() -> None:
    with Sink(ANY) as sink, pytest.raises(WrongUse, match="pass plain= to the sink"):
        sink.plain_batch(1)


def test_a_plain_sink_that_is_not_read_makes_the_ventilator_wait(peers: Peers) -> None:
    tasksink = peers.socket(zmq.PULL, rcvhwm=1)
    port = tasksink.bind_to_random_port("tcp://127.0.0.1")
    sink = f"tcp://127.0.0.1:{port}"
    big = b"x" * 500_000
    with Ventilator(ANY, sink, plain_sink=True, high_water_mark=1) as ventilator:
        worker = PipelineWorker(
            ventilator.endpoint, sink, lambda _: big, plain_sink=True, linger=0.0
        )
        with worker:
            batch = ventilator.batch()
            sent = 0
            with contextlib.suppress(TimeoutError):
                while sent < 3000:
                    batch.send(b"t", timeout=0.5)
                    sent += 1
            assert sent < 1100  # libzmq's own mark towards a plain sink, and what the systems hold
            reader = threading.Thread(
                target=lambda: [tasksink.recv_multipart() for _ in range(sent + 1)]
            )
            reader.start()
            batch.end()
            reader.join(3 * PATIENCE)
            assert batch.wait(PATIENCE).returned == sent


def test_the_kill_signal_reaches_plain_workers_that_subscribe_later(peers: Peers) -> None:
    with Sink(ANY, kill=ANY) as sink:
        sink.kill()
        time.sleep(0)  # whoever comes now is too late for the first word
        late = peers.socket(zmq.SUB, sink.kill_endpoints[0], subscribe=b"")
        assert late.recv() == b"KILL"
