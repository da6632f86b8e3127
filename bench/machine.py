"""Where figures were taken."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

import zmq

__all__ = ["Others", "describe", "line", "nats_server"]

#: What of a CPU's time in /proc/stat is not work: idle and iowait (proc(5)); guests count twice.
IDLE = (3, 4)
COUNTED = 8


def describe() -> dict[str, str]:
    """What figures depend on, by name."""
    nats = _nats_version()
    return {
        "CPU": f"{_cpu()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "Python": platform.python_version(),
        "pyzmq": zmq.__version__,
        "libzmq": zmq.zmq_version(),
        **({"nats-server": nats} if nats else {}),
    }


def line(machine: dict[str, str]) -> str:
    """All in one line."""
    return "; ".join(
        value if name in ("CPU", "system") else f"{name} {value}" for name, value in machine.items()
    )


def nats_server() -> str | None:
    """The program, where it is installed.  Debian puts it where only root looks."""
    return shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def _nats_version() -> str | None:
    program = nats_server()
    if program is None:
        return None
    said = subprocess.run([program, "--version"], capture_output=True, text=True)
    return said.stdout.strip().rpartition(" v")[2]


class Others:
    """How much of the machine everybody else uses meanwhile: their figures are in ours, too."""

    def __init__(self) -> None:
        self._start = self._now()

    def cpus(self) -> float:
        """CPUs kept busy since then by who is neither this process nor a child that has ended."""
        all_of_it, own, passed = (b - a for a, b in zip(self._start, self._now(), strict=True))
        return max(0.0, (all_of_it - own) / passed)

    @staticmethod
    def _now() -> tuple[float, float, float]:
        ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
        busy = sum(ticks[:COUNTED]) - sum(ticks[index] for index in IDLE)
        return busy / os.sysconf("SC_CLK_TCK"), sum(os.times()[:4]), time.monotonic()


def _cpu() -> str:
    try:
        for each in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = each.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
