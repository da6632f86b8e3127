"""Task worker: takes tasks (milliseconds to sleep), and ends when it is told that the batch is done.

``--ventilator`` and ``--sink`` are those of the guide, in any language (PUSH and PULL sockets to connect
to).  Without both, it starts a ventilator and a sink.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from brigantine import PipelineWorker, Sink, Ventilator
from brigantine.examples._stage import ANY, options, said, until


def work(task: bytes) -> bytes:
    """Sleep for so many milliseconds."""
    time.sleep(int(task) / 1000)
    return b""


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "ventilator", "sink", count=20)
    if bool(given.ventilator) != bool(given.sink):
        raise SystemExit("give both --ventilator and --sink, or neither")
    if given.ventilator:
        with PipelineWorker(
            given.ventilator, given.sink, work, plain_ventilator=True, plain_sink=True
        ) as worker:
            until(lambda: worker.stats()["results"] >= given.count, given.seconds)
            said(f"Did {worker.stats()['results']} tasks")
        return
    with (
        Sink(ANY) as sink,
        Ventilator(ANY, sink.endpoint) as ventilator,
        PipelineWorker(ventilator.endpoint, sink.endpoint, work) as worker,
    ):
        ventilator.send([b"%d" % (number % 3) for number in range(given.count)])
        report = sink.next_batch(given.seconds).collect()
        said(f"Did {report}")
        ventilator.kill()
        until(lambda: worker.stats()["kills"], given.seconds)
        said("Ended by the kill signal")


if __name__ == "__main__":
    main()
