"""One part of a pipeline as a process: worker, sink, ventilator.  Talks in lines.

worker VENTILATORS SINK NAME [SECONDS [PREFETCH]]   ready; ended
sink ENDPOINT                                       ready ENDPOINT; result NUMBER; report ...
ventilator ENDPOINT SINK TASKS                      ready ENDPOINT; sent NUMBER; report ...
"""

from __future__ import annotations

import sys
import time

from brigantine import PipelineWorker, Sink, Ventilator


def say(*words: object) -> None:
    print(*words, flush=True)


def worker(ventilators: str, sink: str, name: str, seconds: str = "0", prefetch: str = "2") -> None:
    def work(body: bytes) -> bytes:
        say("task", body.decode())
        time.sleep(float(seconds))
        return body.upper()

    made = PipelineWorker(
        ventilators.split(","), sink, work, name=name, prefetch=int(prefetch), ready_timeout=0.0,
        heartbeat_interval=0.2,
    )  # fmt: skip
    say("ready")
    made.run()
    say("ended")


def sink(endpoint: str) -> None:
    with Sink(endpoint, batch_timeout=20.0) as made:
        say("ready", made.endpoint)
        for batch in made:
            for result in batch:
                say("result", result.number)
            say("report", batch.report())


def ventilator(endpoint: str, sink: str, tasks: str) -> None:
    with Ventilator(endpoint, sink) as made:
        say("ready", made.endpoint)
        batch = made.batch()
        for number in range(int(tasks)):
            batch.send(b"task-%d" % number)
            say("sent", number)
        batch.end()
        say("ended")
        sys.stdin.readline()
        say("report", batch.wait(10.0))


globals()[sys.argv[1]](*sys.argv[2:])
