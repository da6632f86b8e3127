"""CPU time of a broker process, with libzmq's I/O threads apart from the rest.  Linux only."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

__all__ = ["CpuTime", "read_cpu_time"]

#: How libzmq names its background threads ("ZMQbg/IO/0", "ZMQbg/Reaper").
_ZMQ_THREADS = "ZMQbg/"
#: utime and stime in /proc/PID/stat, counted from behind the name (proc(5): fields 14 and 15).
_UTIME, _STIME = 11, 12


@dataclass(frozen=True)
class CpuTime:
    """Seconds of CPU, user and system together."""

    #: The broker's loop (and the main thread, which sleeps).
    loop: float
    #: libzmq's I/O threads, which send and receive.
    io: float

    def __sub__(self, earlier: CpuTime) -> CpuTime:
        return CpuTime(self.loop - earlier.loop, self.io - earlier.io)


def read_cpu_time(pid: int) -> CpuTime | None:
    """What the threads of a process have used up to now; ``None`` where the system can't tell."""
    loop = io = 0.0
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:  # no /proc, or the process has ended
        return None
    for thread in threads:
        folder = f"/proc/{pid}/task/{thread}"
        with contextlib.suppress(OSError):  # that thread has ended meanwhile
            if _read(f"{folder}/comm").startswith(_ZMQ_THREADS):
                io += _seconds(folder)
            else:
                loop += _seconds(folder)
    return CpuTime(loop, io)


def _seconds(folder: str) -> float:
    """CPU seconds of one thread, from the most exact source that this kernel has."""
    with contextlib.suppress(OSError):
        # Nanoseconds on the CPU; kernels with CONFIG_SCHED_INFO.
        return int(_read(f"{folder}/schedstat").split()[0]) / 1e9
    # Clock ticks, mostly of 10 ms.  The name, in parentheses, may hold blanks.
    fields = _read(f"{folder}/stat").rpartition(")")[2].split()
    return (int(fields[_UTIME]) + int(fields[_STIME])) / os.sysconf("SC_CLK_TCK")


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
