"""A contender and its load in one process, for inproc: ``python -m bench.inproc JSON``.

Prints what ``brigantine load --json`` prints.  No I/O thread has a part in inproc: the broker's thread
and the load's are all there is, each on a CPU of its own.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from typing import Any

import zmq

import brigantine
from brigantine.load import Generator, Plan

from .processes import CONTENDER_CPU, LOAD_CPU, broker_threads, cpu_of, pin, run_proxy

ENDS = ("inproc://front", "inproc://back")
BROKERS = {
    "lru": brigantine.LRUBroker,
    "ppp": brigantine.ParanoidPirateBroker,
    "mdp": brigantine.MajordomoBroker,
}


def measure(given: dict[str, Any]) -> dict[str, Any]:
    """As told: ``kind`` of contender, and fields of a plan."""
    kind = given.pop("kind")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with ExitStack() as stack:
        pin(CONTENDER_CPU)  # for the threads that are started now
        if kind == "proxy":  # it knows no capacity: whatever comes is passed on
            given |= {"pattern": "proxy", "capacity": 1}
            run_proxy(context, ENDS)
        else:
            broker = BROKERS[given["pattern"]](*ENDS, impl=kind, context=context, drain_timeout=0.0)
            stack.enter_context(broker)
        threads = broker_threads()
        pin(LOAD_CPU)
        plan = Plan(frontend=ENDS[0], backend=ENDS[1], **given)
        with Generator(plan, context) as load:
            before = cpu_of(threads)
            figures = load.run()
            loop = cpu_of(threads) - before
    context.term()
    return {
        **figures.as_json(),
        "broker_cpu": {
            "loop": loop,
            "io": 0.0,
            "loop_us_per_request": figures.per_request(loop),
            "io_us_per_request": 0.0,
        },
    }


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
