"""Task sink: collects the results of a batch, whoever did the tasks, and tells how long it took.

``--bind`` is where the guide's ventilator and workers connect (a start message, then a result for each
task); without, it starts them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from brigantine import PipelineWorker, Sink, Ventilator
from brigantine.examples._stage import ANY, options, said


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "bind", count=100)
    if given.bind:
        with Sink(ANY, plain=given.bind) as sink:
            said(f"Waiting at {given.bind}")
            batch = sink.plain_batch(given.count)
            began, seen = time.monotonic(), 0
            while seen < given.count and batch.recv(given.seconds) is not None:
                began, seen = (began if seen else time.monotonic()), seen + 1
            said(f"{seen} results in {time.monotonic() - began:.3f} s from the first")
        return
    with (
        Sink(ANY) as sink,
        Ventilator(ANY, sink.endpoint) as ventilator,
        PipelineWorker(ventilator.endpoint, sink.endpoint, bytes.upper),
    ):
        began = time.monotonic()
        ventilator.send([b"task %d" % number for number in range(given.count)])
        seen = sum(1 for _ in sink.next_batch(given.seconds))
        said(f"{seen} results in {time.monotonic() - began:.3f} s")
        ventilator.kill()


if __name__ == "__main__":
    main()
