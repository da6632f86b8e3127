"""How the system schedules a loop: a broker's, or the load generator's."""

from __future__ import annotations

import contextlib
import os

__all__ = ["let_others_finish"]


def let_others_finish() -> None:
    """Have this thread, when it wakes, wait for the one that runs on its CPU (Linux; else nothing).

    For a loop's thread: libzmq's I/O thread wakes it with the first message that it has read.  Where
    they share a CPU the loop would preempt it before the second, for each message again.  SCHED_BATCH is
    made for that: "without extra preemptions between the workload's tasks" (sched(7)).  It needs no
    privilege, and on a CPU that is free the thread wakes as before.  What it saves:
    docs/performance.md.
    """
    if hasattr(os, "SCHED_BATCH"):
        with contextlib.suppress(OSError):  # a sandbox may forbid the call
            if os.sched_getscheduler(0) == os.SCHED_OTHER:
                os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
