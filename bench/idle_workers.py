"""What workers cost that have nothing to do: ``python -m bench.idle_workers``.

CPU of a broker while so many workers are connected and silent but for their heartbeats.  Those of PPP and
MDP are the broker's and cost the same for each worker.  REQ workers have none, so libzmq pings them,
and looks through all timers of an I/O thread at each answer: with the square of the workers.
"""

from __future__ import annotations

import argparse
import sys
import time

from brigantine import LRUBroker, MajordomoBroker, ParanoidPirateBroker
from brigantine.load import Generator, Plan
from brigantine.system.process_cpu import CpuTime, read_cpu_time

from .processes import Contender, allow_files
from .report import table

COUNTS = (100, 1000, 10_000)
#: Intervals in which it is measured, and before: workers that came together are pinged together.
INTERVALS, SETTLE = 2, 1
#: Seconds that connecting may take.
PATIENCE = 60.0
#: Requests a second meanwhile, and seconds that the load would go on.
RATE, LONG = 1.0, 1000.0


def measured(pattern: str, count: int, interval: float) -> CpuTime:
    """Shares of a CPU."""
    with Contender("core", pattern=pattern, options={"heartbeat_interval": interval}) as contender:
        plan = Plan(
            pattern=pattern, frontend=contender.frontend, backend=contender.backend, clients=1,
            workers=count, heartbeat_interval=interval, connect_timeout=PATIENCE,
            rate=RATE, duration=LONG,
        )  # fmt: skip
        with Generator(plan) as generator:
            generator.start()  # from now on its workers say that they are there
            try:
                return _watched(contender.pid, interval)
            finally:
                generator.finish()


def _watched(pid: int, interval: float) -> CpuTime:
    time.sleep(SETTLE * interval)
    before, began = read_cpu_time(pid), time.monotonic()
    time.sleep(INTERVALS * interval)
    after, seconds = read_cpu_time(pid), time.monotonic() - began
    if before is None or after is None:
        raise SystemExit("this system does not tell the CPU time of a process")
    spent = after - before
    return CpuTime(spent.loop / seconds, spent.io / seconds)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.idle_workers", description=__doc__)
    parser.add_argument(
        "--workers", type=int, action="append", metavar="N", help="default 100, 1,000, 10,000"
    )
    options = parser.parse_args()
    allow_files()
    cases = (
        ("lru", LRUBroker.options().heartbeat_interval),
        ("ppp", ParanoidPirateBroker.options().heartbeat_interval),
        ("mdp", MajordomoBroker.options().heartbeat_interval),
    )
    rows = []
    for pattern, interval in cases:
        for count in options.workers or COUNTS:
            spent = measured(pattern, count, interval)
            rows.append(
                (pattern, f"{interval:g} s", f"{count:,}", f"{spent.loop:.1%}", f"{spent.io:.1%}")
            )
            print(*rows[-1], file=sys.stderr, flush=True)
    print(table(("pattern", "heartbeats", "workers", "loop", "I/O thread"), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
