"""What a pipeline promises, over every transport."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from harness import PATIENCE, wait_until
from line import ANY, Line, bodies

from brigantine import (
    BrigantineError,
    NotReady,
    PipelineClosed,
    PipelineWorker,
    SentBatch,
    Sink,
    Ventilator,
    WorkerFailed,
    WrongUse,
)

Make = Callable[..., Line]


@pytest.fixture(params=("tcp", "ipc", "inproc"))
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Options of a line over each transport."""
    if request.param == "tcp":
        yield {}
    elif request.param == "ipc":
        yield {"endpoint": f"ipc://{tmp_path}/SINK"}
    else:
        with zmq.Context() as context:
            yield {"endpoint": "inproc://SINK", "context": context}


def test_every_task_is_done_once_and_counted(where: dict[str, Any], line: Make) -> None:
    made = line(**where)
    made.worker()
    made.worker()
    reader, tasks = made.reader(), bodies(500)
    report = made.ventilator.send(tasks).wait(PATIENCE)
    assert report.complete
    assert reader.report() == report
    assert reader.numbers() == list(range(500))
    assert all(each.body == tasks[each.number].upper() for each in reader.results)
    assert made.ventilator.stats()["tasks"] == 500
    wait_until(lambda: made.ventilator.stats()["done"] == 500)
    assert made.sink.stats()["results"] == 500


def test_kill_ends_every_worker_after_the_batch(where: dict[str, Any], line: Make) -> None:
    made = line(**where)
    workers = [made.worker(lambda body: time.sleep(0.001) or body) for _ in range(3)]
    reader = made.reader()
    made.ventilator.send(bodies(200))
    assert made.ventilator.kill(PATIENCE) == 0
    assert reader.report().complete
    wait_until(lambda: not any(each._thread.running for each in workers), "the workers' end")
    assert sum(each.stats()["results"] for each in workers) == 200
    assert made.ventilator.stats()["lost_tasks"] == made.ventilator.stats()["workers_lost"] == 0


def test_a_worker_that_joins_after_the_kill_signal_ends_too(line: Make) -> None:
    made = line()
    assert made.ventilator.kill() == 0
    late = PipelineWorker(made.ventilator.endpoint, made.sink.endpoint, bytes.upper)
    late.run()  # returns
    assert late.stats()["kills"] >= 1  # the sink may say so, too


def test_the_sink_can_end_the_workers(line: Make) -> None:
    made = line()
    workers = [made.worker(), made.worker()]
    reader = made.reader()
    assert made.ventilator.send(bodies(50)).wait(PATIENCE).complete
    assert made.sink.kill(PATIENCE) == 0
    assert reader.report().complete
    wait_until(lambda: not any(each._thread.running for each in workers), "the workers' end")


def test_a_worker_of_two_ventilators_ends_when_both_have_said_so(line: Make) -> None:
    first = line()
    with Ventilator("tcp://127.0.0.1:*", first.sink.endpoint) as second:
        both = (first.ventilator.endpoint, second.endpoint)
        worker = PipelineWorker(both, first.sink.endpoint, bytes.upper).start()
        worker.wait_ready(PATIENCE, 2)
        first.ventilator.send(bodies(10)).wait(PATIENCE)
        first.ventilator.kill()
        wait_until(lambda: worker.stats()["kills"] == 1)
        assert second.send(bodies(10)).wait(PATIENCE).complete
        second.kill()
        wait_until(lambda: not worker._thread.running, "the worker's end")
        assert worker.stats()["results"] == 20


def test_a_batch_of_no_tasks_is_complete(line: Make) -> None:
    made = line(ventilator={"min_workers": 0})
    reader = made.reader()
    report = made.ventilator.send([]).wait(PATIENCE)
    assert report.complete
    assert report.tasks == 0
    assert reader.report() == report
    assert reader.results == []


def test_results_count_for_their_own_batch(line: Make) -> None:
    made = line()
    made.worker(prefetch=50)
    batches = [made.ventilator.batch() for _ in range(3)]
    for number in range(10):
        for at, batch in enumerate(batches):
            batch.send(b"%d-%d" % (at, number))
    for batch in batches:
        batch.end()
    for at, batch in enumerate(batches):
        received = made.sink.next_batch(PATIENCE)
        assert received.id == batch.id
        assert [each.body for each in received] == [b"%d-%d" % (at, n) for n in range(10)]
        assert received.report().complete
        assert batch.wait(PATIENCE).complete


def test_several_ventilators_share_workers_and_a_sink(line: Make) -> None:
    first = line()
    with Ventilator("tcp://127.0.0.1:*", first.sink.endpoint, name="second") as second:
        both = (first.ventilator.endpoint, second.endpoint)
        with PipelineWorker(both, first.sink.endpoint, bytes.upper) as worker:
            worker.wait_ready(PATIENCE, 2)
            reports = [each.send(bodies(100)).wait(PATIENCE) for each in (first.ventilator, second)]
            assert all(each.complete for each in reports)
            names = {first.sink.next_batch(PATIENCE).ventilator for _ in range(2)}
            assert names == {first.ventilator.name, "second"}


def test_what_the_function_raises_is_raised_where_the_result_is_read(line: Make) -> None:
    made = line()

    def work(body: bytes) -> bytes:
        if body == b"task-3":
            raise ValueError("no threes")
        return body

    made.worker(work)
    reader, tasks = made.reader(), bodies(5)
    batch = made.ventilator.send(tasks)
    report = batch.wait(PATIENCE)
    assert report.complete
    assert report.failed == (3,)
    assert reader.report().failed == (3,)
    (failed,) = [each for each in reader.results if each.number == 3]
    with pytest.raises(WorkerFailed, match="ValueError: no threes"):
        _ = failed.body


def test_a_function_without_a_result_is_an_empty_one(line: Make) -> None:
    made = line()
    made.worker(lambda _: None)
    reader = made.reader()
    made.ventilator.send([[b"two", b"frames"]])
    assert reader.report().complete
    assert [each.body for each in reader.results] == [b""]


def test_several_frames_go_both_ways(line: Make) -> None:
    made = line()
    made.worker(lambda body: list(reversed(body)))
    reader = made.reader()
    made.ventilator.send([[b"a", b"", b"c"]])
    assert reader.report().complete
    assert [each.body for each in reader.results] == [[b"c", b"", b"a"]]


# -- start --------------------------------------------------------------------------------------


def test_no_task_leaves_before_the_agreed_number_is_ready(line: Make) -> None:
    made = line(ventilator={"min_workers": 3})
    done: Counter[int] = Counter()

    def count(at: int) -> Callable[[bytes], bytes]:
        def work(body: bytes) -> bytes:
            done[at] += 1
            return body

        return work

    batch = made.ventilator.batch()
    for body in bodies(30):
        batch.send(body)
    made.worker(count(0))
    made.worker(count(1))
    with pytest.raises(NotReady, match="2 workers are ready, and min_workers=3"):
        batch.end(timeout=0.1)
    assert not done
    made.worker(count(2))
    batch.end()
    assert batch.wait(PATIENCE).complete
    assert sum(done.values()) == 30


def test_workers_and_ventilator_may_start_before_the_sink() -> None:
    probe = Sink("tcp://127.0.0.1:*")
    where = probe.endpoint
    probe.close()
    with Ventilator("tcp://127.0.0.1:*", where) as ventilator:
        worker = PipelineWorker(ventilator.endpoint, where, bytes.upper, ready_timeout=0.0).start()
        with pytest.raises(
            NotReady, match=r"no worker had room within 0\.1 s: the sink is not connected"
        ):
            ventilator.send(bodies(5), timeout=0.1)
        with Sink(where) as sink:
            received = sink.next_batch(PATIENCE)
            assert sorted(each.number for each in received) == list(range(5))
            assert received.report().complete
            worker.stop()


def test_wait_ready_says_how_many_there_are(line: Make) -> None:
    made = line()
    with pytest.raises(
        NotReady, match=r"2 workers should be ready within 0\.05 s, and 0 are"
    ) as error:
        made.ventilator.wait_ready(2, 0.05)
    assert error.value.confirmed == 0
    made.worker()
    made.worker()
    assert made.ventilator.wait_ready(2, PATIENCE) == 2
    assert made.sink.wait_ready(2, PATIENCE) == 2


# -- bounds -------------------------------------------------------------------------------------


def test_a_busy_worker_has_no_more_than_it_asked_for(line: Make) -> None:
    made = line(ventilator={"high_water_mark": 20})
    go = threading.Event()
    slow = made.worker(lambda body: go.wait(PATIENCE) and body, prefetch=3)
    batch = made.ventilator.batch()
    for body in bodies(10):
        batch.send(body)
    wait_until(lambda: made.ventilator.stats()["tasks"] == 3)
    fast = made.worker(prefetch=3)
    batch.end()
    wait_until(lambda: made.sink.stats()["results"] == 7)
    assert made.ventilator.stats()["tasks"] == 10
    assert fast.stats()["tasks"] == 7
    go.set()
    assert batch.wait(PATIENCE).complete
    assert slow.stats()["tasks"] == 3


def room_for(batch: SentBatch) -> bool:
    """Whether another task can be sent."""
    try:
        batch.send(b"x", timeout=0.5)
    except NotReady as error:
        return "1 workers are ready, and have all they take" not in str(error)
    return True


def test_back_pressure_of_a_sink_that_is_not_read_reaches_the_ventilator(line: Make) -> None:
    made = line(high_water_mark=10)
    made.worker(prefetch=4)
    batch = made.ventilator.batch()
    sent = 0
    while room_for(batch):
        sent += 1
    # Ten wait at the sink, four are with the worker, ten at the ventilator.
    assert sent == 10 + 4 + 10
    assert made.sink.stats()["waiting"] == 14
    assert made.sink.stats()["withheld"] == 4
    reader = made.reader()
    batch.end()
    assert reader.report().complete
    assert len(reader.results) == sent


def test_a_batch_beyond_the_sinks_bound_is_refused_with_a_word(line: Make) -> None:
    made = line(max_batches=1)
    made.worker()
    first = made.ventilator.batch()
    first.send(b"x")
    second = made.ventilator.batch()
    wait_until(lambda: made.sink.stats()["refused_batches"] == 1)
    wait_until(lambda: second._sent.refused)
    with pytest.raises(Exception, match="the sink has max_batches=1 batches open"):
        second.send(b"y")


def test_closing_a_batch_at_the_sink_ends_who_waits_for_it_at_the_ventilator(line: Make) -> None:
    made = line(max_batches=1)
    go = threading.Event()
    made.worker(lambda body: go.wait(PATIENCE) and body)
    batch = made.ventilator.send([b"x"])
    received = made.sink.next_batch(PATIENCE)
    received.close()
    report = batch.wait(PATIENCE)
    assert (report.tasks, report.missing) == (1, (0,))
    with pytest.raises(BrigantineError, match=r"the sink has refused .*: the batch is over"):
        batch.resend(report, [b"x"])
    go.set()
    wait_until(lambda: made.sink.stats()["late"] == 1)
    reader = made.reader()  # there is room for another
    made.ventilator.send([b"y"])
    assert reader.report().complete


def test_a_task_may_be_larger_than_a_result(line: Make) -> None:
    made = line()
    made.worker(lambda body: b"%d" % len(body), max_result_bytes=1024)
    reader = made.reader()
    made.ventilator.send([b"x" * 10_000])
    assert reader.report().complete
    assert [result.body for result in reader.results] == [b"10000"]


def test_a_batch_has_max_batch_tasks_at_most(line: Make) -> None:
    made = line(max_batch_tasks=3)
    made.worker()
    with pytest.raises(ValueError, match="max_batch_tasks=3"):
        made.ventilator.send(bodies(4))
    reader = made.reader()
    assert reader.report().tasks == 3


# -- the end ------------------------------------------------------------------------------------


def test_a_worker_that_stops_does_what_it_holds_first(line: Make) -> None:
    made = line()
    go = threading.Event()
    first = made.worker(lambda body: go.wait(PATIENCE) and body, prefetch=5)
    batch = made.ventilator.batch()
    for body in bodies(10):
        batch.send(body)
    wait_until(lambda: made.ventilator.stats()["tasks"] == 5)
    stopper = threading.Thread(target=first.stop)
    stopper.start()
    go.set()
    stopper.join(PATIENCE)
    assert first.stats()["results"] >= 5
    made.worker()
    batch.end()
    assert batch.wait(PATIENCE).complete
    assert made.ventilator.stats()["lost_tasks"] == 0


def test_calls_on_what_is_closed_say_so(line: Make) -> None:
    made = line()
    batch = made.ventilator.batch()
    made.ventilator.close()
    made.sink.close()
    for call in (
        lambda: batch.send(b"x"), made.ventilator.batch, made.ventilator.wait_ready,
        made.sink.next_batch, made.sink.wait_ready, made.sink.kill, made.ventilator.kill,
    ):  # fmt: skip
        with pytest.raises(PipelineClosed, match="has been closed"):
            call()
    assert list(made.sink) == []
    made.ventilator.close()  # again
    assert "closed" in repr(made.sink)


def test_closing_ends_who_waits_in_other_threads(line: Make) -> None:
    made = line()
    ended: list[BaseException] = []

    def wait(call: Callable[[], object]) -> None:
        try:
            call()
        except PipelineClosed as error:
            ended.append(error)

    batch = made.ventilator.batch()
    batch.send(b"x")
    calls = (made.sink.next_batch, made.ventilator.wait_ready, batch.end)
    received = made.sink.next_batch(PATIENCE)
    calls += (received.recv,)
    threads = [threading.Thread(target=wait, args=(call,)) for call in calls]
    for each in threads:
        each.start()
    made.ventilator.close()
    made.sink.close()
    for each in threads:
        each.join(PATIENCE)
    assert len(ended) == 4
    assert made.ventilator.stats()["dropped"] == 1


def test_the_iteration_ends_when_the_ventilator_gives_up(line: Make) -> None:
    made = line()
    reader = made.reader()
    made.worker()
    batch = made.ventilator.batch()
    batch.send(b"x")
    wait_until(lambda: len(reader.results) == 1)
    batch.close()
    report = reader.report()
    assert not report.complete
    assert report.tasks is None
    assert report.returned == 1


def test_the_sink_never_waits_for_ever(line: Make) -> None:
    made = line(batch_timeout=0.2)
    go = threading.Event()
    made.worker(lambda body: (body == b"task-0" or go.wait(PATIENCE)) and body)
    batch = made.ventilator.batch()
    for body in bodies(2):
        batch.send(body)
    batch.end()
    received = made.sink.next_batch(PATIENCE)
    assert [each.number for each in received] == [0]
    report = received.report()
    assert not report.complete
    assert report.missing == (1,)
    go.set()
    assert [each.number for each in received] == [1]  # what comes later counts
    assert received.report().complete


def test_a_generator_that_raises_ends_the_batch_with_what_was_sent(line: Make) -> None:
    made = line()
    made.worker()
    reader = made.reader()

    def tasks() -> Iterator[bytes]:
        yield b"one"
        raise RuntimeError("out of tasks")

    with pytest.raises(RuntimeError, match="out of tasks"):
        made.ventilator.send(tasks())
    assert reader.report().complete
    assert len(reader.results) == 1


def test_a_batch_that_was_ended_takes_no_more(line: Make) -> None:
    made = line()
    made.worker()
    batch = made.ventilator.send(bodies(2))
    with pytest.raises(WrongUse, match="was ended"):
        batch.send(b"x")
    with pytest.raises(WrongUse, match="tasks must be several bodies"):
        made.ventilator.send(b"abc")  # type: ignore[arg-type]


def test_a_worker_ends_when_no_ventilator_was_there_for_too_long(line: Make) -> None:
    made = line()
    worker = made.worker(orphan_timeout=0.2)
    made.ventilator.close()
    wait_until(lambda: not worker._thread.running, "the worker's end")


def test_swapped_endpoints_are_named(line: Make, caplog: pytest.LogCaptureFixture) -> None:
    made = line()
    worker = PipelineWorker(
        made.sink.endpoint, made.ventilator.endpoint, bytes.upper, ready_timeout=0.0
    )
    worker.start()
    words = f"{made.ventilator.endpoint} is the endpoint of a ventilator, not of a sink"
    wait_until(lambda: words in caplog.text)
    worker.stop()


@pytest.mark.parametrize(("size", "frames"), [(200_000, 1), (1, 9)])
def test_a_result_that_the_sink_does_not_take_is_an_error_and_the_rest_goes_on(
    size: int, frames: int
) -> None:
    with (
        Sink(ANY, max_message_bytes=1024, max_frames=8) as sink,
        Ventilator(ANY, sink.endpoint) as ventilator,
        PipelineWorker(
            ventilator.endpoint, sink.endpoint,
            lambda body: [b"x" * size] * frames if body == b"large" else body,
        ) as worker,
    ):  # fmt: skip
        ventilator.send([b"large", b"small"])
        batch = sink.next_batch(PATIENCE)
        assert batch is not None
        large, small = sorted(batch, key=lambda result: result.number)
        assert small.body == b"small"
        with pytest.raises(WorkerFailed, match=f"the sink at {sink.endpoint} takes"):
            large.body  # noqa: B018
        wait_until(lambda: worker.stats()["results"] == 2, "both are acknowledged")
        assert worker.stats()["errors"] == 1
