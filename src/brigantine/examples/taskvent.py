"""Task ventilator: sends a batch of tasks to whatever workers there are.

``--workers`` (a PUSH socket is bound there) and ``--sink`` (a PULL socket to connect to) are for the
guide's workers and sink, in any language.  Without both, it starts two workers and a sink.
"""

from __future__ import annotations

from collections.abc import Sequence

from brigantine import PipelineWorker, Sink, Ventilator
from brigantine.examples._stage import ANY, options, said


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "workers", "sink", count=100)
    tasks = [b"%d" % (number % 10) for number in range(given.count)]
    if bool(given.workers) != bool(given.sink):
        raise SystemExit("give both --workers and --sink, or neither")
    if given.workers:
        with Ventilator(
            ANY, given.sink, plain_workers=given.workers, plain_sink=True, min_workers=1
        ) as ventilator:
            said(f"Sending {given.count} tasks to workers at {given.workers}")
            batch = ventilator.send(tasks, timeout=given.seconds)
            batch.end(timeout=given.seconds)
        said("All tasks are with workers")
        return
    with (
        Sink(ANY) as sink,
        Ventilator(ANY, sink.endpoint, min_workers=2) as ventilator,
        PipelineWorker(ventilator.endpoint, sink.endpoint, bytes.upper),
        PipelineWorker(ventilator.endpoint, sink.endpoint, bytes.upper),
    ):
        said(f"Sending {given.count} tasks to two workers")
        report = ventilator.send(tasks).wait(given.seconds)
        said(str(report))
        ventilator.kill()


if __name__ == "__main__":
    main()
