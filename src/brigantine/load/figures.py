"""What came out of a load."""

from __future__ import annotations

import resource
import statistics
import time
from dataclasses import asdict, dataclass
from typing import Any

from ..config.load import Plan
from ..core.load.load import Load
from ..core.structures.histogram import Histogram
from ..system.process_cpu import CpuTime

__all__ = ["QUANTILES", "Figures", "OwnCpu", "Shares"]

#: Name in the figures -> share of the requests that took no longer.
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}

_MILLI = 1e3
_MICRO = 1e6


@dataclass(frozen=True)
class OwnCpu:
    """Seconds: CPU time of this process, and time that passed."""

    user: float
    system: float
    elapsed: float

    @classmethod
    def now(cls) -> OwnCpu:
        """Up to now."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return cls(used.ru_utime, used.ru_stime, time.monotonic())

    def __sub__(self, earlier: OwnCpu) -> OwnCpu:
        return OwnCpu(
            self.user - earlier.user, self.system - earlier.system, self.elapsed - earlier.elapsed
        )

    @property
    def share(self) -> float:
        """CPUs that were busy, on the average."""
        return (self.user + self.system) / max(self.elapsed, 1e-9)


@dataclass(frozen=True)
class Shares:
    """How evenly the broker used the workers: requests that a worker has answered."""

    min: int
    median: float
    max: int

    @classmethod
    def of(cls, served: list[int]) -> Shares:
        """Of one number a worker; there is at least one worker."""
        return cls(min(served), statistics.median(served), max(served))


@dataclass(frozen=True)
class Figures:
    """What came out.  A figure that could not be measured is ``None``.

    At the end ``sent == replies + lost + errors + unanswered`` holds.
    """

    plan: Plan
    #: The run was broken off.
    interrupted: bool
    #: From the end of the warm-up to the last reply that counts.
    seconds: float
    #: By name in :data:`~brigantine.core.load.clients.CLIENT_COUNTS` and ``WORKER_COUNTS``; and
    #: ``unanswered``: still out when it was broken off; ``unsent``: meant to be sent in an open loop,
    #: but its client's window was full until the end; ``connections_lost``.
    counts: dict[str, int]
    #: ``None`` without clients.
    latencies: Histogram | None
    #: Seconds that a request was sent later than it was meant to be, at most.
    worst_lag: float
    #: ``None`` without workers.
    shares: Shares | None
    #: Of this process, warm-up included.
    cpu: OwnCpu
    #: Of the broker, warm-up included.
    broker_cpu: CpuTime | None

    @classmethod
    def of(
        cls,
        plan: Plan,
        load: Load,
        *,
        interrupted: bool,
        connections_lost: int,
        cpu: OwnCpu,
        broker_cpu: CpuTime | None,
    ) -> Figures:
        """Of a load that does not run any more."""
        counts = load.counts()
        counts["unanswered"] = counts["sent"] - sum(
            counts[end] for end in ("replies", "lost", "errors")
        )
        counts["connections_lost"] = connections_lost
        return cls(
            plan=plan,
            interrupted=interrupted,
            seconds=load.seconds,
            counts=counts,
            latencies=load.latencies,
            worst_lag=load.worst_lag,
            shares=Shares.of(load.workers.shares()) if load.workers is not None else None,
            cpu=cpu,
            broker_cpu=broker_cpu,
        )

    @property
    def good(self) -> bool:
        """Whether every request that was sent has its one right reply, as far as one could wait."""
        bad = ("lost", "duplicates", "wrong", "errors")
        return not any(self.counts[name] for name in bad)

    @property
    def rate(self) -> float | None:
        """Replies a second; ``None`` without clients."""
        if self.latencies is None:
            return None
        return self.counts["replies"] / self.seconds if self.seconds else 0.0

    def latency(self, share: float) -> float | None:
        """Seconds that ``share`` (0 to 1) of the requests took at most; ``None`` without replies."""
        return None if self.latencies is None else self.latencies.quantile(share)

    def per_request(self, seconds: float) -> float | None:
        """CPU seconds as microseconds a request that was answered or served."""
        requests = self.counts["replies"] or self.counts["served"]
        return seconds / requests * _MICRO if requests else None

    def as_json(self) -> dict[str, Any]:
        """Everything, as ``--json`` prints it."""
        latencies = self.latencies
        latency_ms = None
        if latencies is not None:
            named = {name: latencies.quantile(share) for name, share in QUANTILES.items()}
            named |= {"min": latencies.min, "mean": latencies.mean, "max": latencies.max}
            latency_ms = {name: _scaled(value, _MILLI) for name, value in named.items()}
        broker = self.broker_cpu
        return {
            "plan": asdict(self.plan),
            "ok": self.good,
            "interrupted": self.interrupted,
            "seconds": self.seconds,
            "requests_per_second": self.rate,
            **self.counts,
            "latency_ms": latency_ms,
            "worst_send_lag_ms": self.worst_lag * _MILLI,
            "worker_share": asdict(self.shares) if self.shares else None,
            "generator_cpu": {**asdict(self.cpu), "share": self.cpu.share},
            "broker_cpu": broker and {
                "loop": broker.loop,
                "io": broker.io,
                "loop_us_per_request": self.per_request(broker.loop),
                "io_us_per_request": self.per_request(broker.io),
            },
            "histogram_ns": latencies.as_dict() if latencies is not None else None,
        }  # fmt: skip


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
