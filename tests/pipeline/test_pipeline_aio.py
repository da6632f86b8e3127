"""The pipeline for asyncio: the same promises, with tasks in place of threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aio_doubles import run, until
from harness import PATIENCE, Peers
from line import ANY, bodies

import brigantine
from brigantine import NotReady, PipelineClosed, Report, WorkerFailed, WrongUse, aio


async def shout(body: bytes) -> bytes:
    await asyncio.sleep(0)
    return body.upper()


async def read(sink: aio.Sink) -> tuple[list[int], Report]:
    """The numbers of the next batch's results, and its report."""
    batch = await sink.next_batch(PATIENCE)
    numbers = [result.number async for result in batch]
    return sorted(numbers), await batch.report()


def test_every_task_is_done_once_and_kill_ends_the_workers() -> None:
    async def main() -> None:
        async with aio.Sink(ANY) as sink, aio.Ventilator(ANY, sink.endpoint) as ventilator:
            worker = aio.PipelineWorker(ventilator.endpoint, sink.endpoint, shout, capacity=10)
            running = asyncio.create_task(worker.run())
            assert await ventilator.wait_ready(1, PATIENCE) == 1
            assert await sink.wait_ready(1, PATIENCE) == 1
            reading = asyncio.create_task(read(sink))
            batch = await ventilator.send(bodies(300))
            report = await batch.wait(PATIENCE)
            assert report.complete
            assert await reading == (list(range(300)), report)
            assert await ventilator.kill(PATIENCE) == 0
            await running
            assert worker.stats()["results"] == 300

    run(main())


def test_tasks_may_come_from_an_async_generator() -> None:
    async def tasks() -> AsyncIterator[bytes]:
        for body in bodies(20):
            await asyncio.sleep(0)
            yield body

    async def main() -> None:
        async with (
            aio.Sink(ANY) as sink,
            aio.Ventilator(ANY, sink.endpoint) as ventilator,
            aio.PipelineWorker(ventilator.endpoint, sink.endpoint, shout),
        ):
            await (await ventilator.send(tasks())).wait(PATIENCE)
            async for batch in sink:
                bodies_back = [result.body async for result in batch]
                assert sorted(bodies_back) == sorted(each.upper() for each in bodies(20))
                break

    run(main())


def test_what_was_lost_is_run_again() -> None:
    async def main() -> None:
        async with aio.Sink(ANY) as sink, aio.Ventilator(ANY, sink.endpoint) as ventilator:
            never = asyncio.Event()

            async def hang(body: bytes) -> bytes:
                await never.wait()
                return body

            dying = aio.PipelineWorker(
                ventilator.endpoint, sink.endpoint, hang, prefetch=3, name="dying"
            )
            running = asyncio.create_task(dying.run())
            reading = asyncio.create_task(read(sink))
            batch = ventilator.batch()
            for body in bodies(3):
                assert await batch.send(body) < 3
            await batch.end(PATIENCE)
            await until(lambda: dying.stats()["tasks"] == 1)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            report = await batch.wait(PATIENCE)
            assert report.lost == {"dying": (0, 1, 2)}
            async with aio.PipelineWorker(ventilator.endpoint, sink.endpoint, shout):
                assert await batch.resend(report, dict(enumerate(bodies(3)))) == 3
                assert (await batch.wait(PATIENCE)).complete
            assert (await reading)[0] == [0, 1, 2]

    run(main())


def test_time_limits_and_closing_end_who_waits() -> None:
    async def main() -> None:
        sink = aio.Sink(ANY)
        ventilator = aio.Ventilator(ANY, sink.endpoint)
        with pytest.raises(NotReady):
            await sink.next_batch(0.01)
        with pytest.raises(NotReady):
            await ventilator.wait_ready(1, 0.01)
        await until(lambda: ventilator._io.sink_ready)
        with pytest.raises(NotReady, match="0 workers are ready, and min_workers=1"):
            await ventilator.send(bodies(1), 0.01)
        waiting = asyncio.create_task(sink.wait_ready())
        await asyncio.sleep(0)
        await ventilator.close()
        await sink.close()
        with pytest.raises(PipelineClosed):
            await waiting
        with pytest.raises(PipelineClosed):
            ventilator.batch()
        assert [batch async for batch in sink] == []

    run(main())


def test_a_cancelled_send_ends_the_batch_with_what_was_sent() -> None:
    async def main() -> None:
        async with (
            aio.Sink(ANY) as sink,
            aio.Ventilator(ANY, sink.endpoint, high_water_mark=2, min_workers=0) as ventilator,
        ):
            sending = asyncio.create_task(ventilator.send(bodies(10)))
            await until(lambda: ventilator.stats()["queued"] == 2)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            async with aio.PipelineWorker(ventilator.endpoint, sink.endpoint, shout):
                numbers, report = await read(sink)
            assert numbers == [0, 1]
            assert report.complete

    run(main())


def test_a_plain_ventilators_batch(peers: Peers) -> None:
    async def main() -> None:
        import zmq

        async with aio.Sink(ANY, plain=ANY) as sink:
            batch = await sink.plain_batch(3)
            results = peers.socket(zmq.PUSH, sink.plain_endpoints[0])
            for frame in (b"0", b"a", b"b", b"c"):
                results.send(frame)
            assert [result.body async for result in batch] == [b"a", b"b", b"c"]
            assert (await batch.collect()).complete

    run(main())


def test_what_a_coroutine_raises_is_raised_where_the_result_is_read() -> None:
    async def fail(_: bytes) -> None:
        raise ValueError("no")

    async def main() -> None:
        async with (
            aio.Sink(ANY) as sink,
            aio.Ventilator(ANY, sink.endpoint) as ventilator,
            aio.PipelineWorker(ventilator.endpoint, sink.endpoint, fail),
        ):
            await ventilator.send([b"x"])
            batch = await sink.next_batch(PATIENCE)
            result = await batch.recv()
            assert result is not None
            with pytest.raises(WorkerFailed, match="ValueError: no"):
                _ = result.body

    run(main())


def test_with_and_async_with_are_not_mixed_up() -> None:
    with brigantine.Sink(ANY) as sink:

        async def wrong() -> None:
            async with sink:  # type: ignore[attr-defined]
                pass

        with pytest.raises(WrongUse, match="use `with`, not `async with`"):
            run(wrong())

    async def other() -> None:
        made = aio.Sink(ANY)
        try:
            with made:  # type: ignore[attr-defined]
                pass
        finally:
            await made.close()

    with pytest.raises(WrongUse, match=r"aio\.Sink is for asyncio"):
        run(other())
