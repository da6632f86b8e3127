"""The figures of one run, and of the demo as a whole."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from ..system.process_cpu import CpuTime
from .comparison import Comparison
from .corpus import Corpus
from .load import Load

__all__ = ["Report", "Run"]

_MILLI = 1e3
_MICRO = 1e6
#: Decimal, as in megabytes a second.
_MEGA = 1e6


@dataclass(frozen=True)
class Run:
    """What one implementation did.  A figure that could not be measured is ``None``."""

    requests: int
    bytes: int
    words: int
    seconds: float
    requests_per_second: float
    megabytes_per_second: float
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    #: CPU time of the broker for one request, user and system, in microseconds.
    broker_cpu_us: float | None
    #: Of it: the broker's loop, and libzmq's I/O threads.
    broker_loop_cpu_us: float | None
    broker_io_cpu_us: float | None
    #: Tries that the clients made beside the first one of each request.
    retries: int
    #: Requests that were not answered, with all retries.
    lost: int
    #: Answers that were not what the demo computed itself, and errors of workers.
    wrong: int
    workers_killed: int
    #: Files that could be read at first, but not when they were to be sent.
    files_skipped: int

    @classmethod
    def measured(
        cls, load: Load, cpu: CpuTime | None, *, tries: int, killed: int, skipped: int
    ) -> Run:
        """Add up what the clients have counted; ``cpu`` is the broker's during the run."""
        latencies = sorted(value for tally in load.tallies for value in tally.latencies)
        lost = sum(tally.lost for tally in load.tallies)
        failed = sum(tally.failed for tally in load.tallies)
        requests = len(latencies) + lost + failed
        seconds = max(load.ended - load.started, 1e-9)

        def per_request(used: float) -> float | None:
            return used / requests * _MICRO if requests else None

        return cls(
            requests=requests,
            bytes=load.answered,
            words=sum(tally.words for tally in load.tallies),
            seconds=seconds,
            requests_per_second=len(latencies) / seconds,
            megabytes_per_second=load.answered / _MEGA / seconds,
            latency_p50_ms=_percentile(latencies, 0.50),
            latency_p99_ms=_percentile(latencies, 0.99),
            broker_cpu_us=per_request(cpu.loop + cpu.io) if cpu else None,
            broker_loop_cpu_us=per_request(cpu.loop) if cpu else None,
            broker_io_cpu_us=per_request(cpu.io) if cpu else None,
            retries=tries - requests,
            lost=lost,
            wrong=sum(tally.wrong for tally in load.tallies) + failed,
            workers_killed=killed,
            files_skipped=skipped,
        )


@dataclass(frozen=True)
class Report:
    """The whole demo."""

    corpus: Corpus
    chunk_size: int
    workers: int
    clients: int
    kill_workers: bool
    #: By implementation, in the order in which they ran.
    runs: dict[str, Run]
    #: Of both, measured alternately; ``None`` unless both ran, and where CPU time can't be read.
    comparison: Comparison | None = None

    @property
    def good(self) -> bool:
        """Whether every request was answered, and rightly."""
        return all(run.lost == 0 and run.wrong == 0 for run in self.runs.values())

    def as_json(self) -> dict[str, Any]:
        """Everything, as ``--json`` prints it."""
        return {
            "path": self.corpus.root,
            "files": len(self.corpus.files),
            "bytes": self.corpus.size,
            "files_skipped": self.corpus.skipped,
            "truncated": self.corpus.truncated,
            "chunk_size": self.chunk_size,
            "workers": self.workers,
            "clients": self.clients,
            "kill_workers": self.kill_workers,
            "ok": self.good,
            "runs": {name: dataclasses.asdict(run) for name, run in self.runs.items()},
            "comparison": None if self.comparison is None else self.comparison.as_json(),
            "pure_to_core": {}
            if self.comparison is None
            else {"broker_cpu_us": self.comparison.ratio},
        }


def _percentile(ordered: list[float], share: float) -> float | None:
    """Nearest rank, in milliseconds, of sorted seconds."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] * _MILLI
