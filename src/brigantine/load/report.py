"""The figures as lines for people, and the line that tells how far it is."""

from __future__ import annotations

from ..config.load import Plan
from .figures import QUANTILES, Figures

__all__ = ["progress_line", "report"]

_MILLI = 1e3
#: Columns before the figures of a line.
_LABEL = 12
_TROUBLE = ("lost", "late", "duplicates", "wrong", "errors")


def report(figures: Figures) -> str:
    """All of it, a line for each thing."""
    lines = [("load", _load(figures.plan)), ("peers", _peers(figures.plan))]
    if figures.latencies is not None:
        lines += [
            ("throughput", _throughput(figures)),
            ("latency ms", _latency(figures)),
            ("requests", _requests(figures)),
        ]
    if figures.shares is not None:
        lines.append(("workers", _workers(figures)))
    lines.append(("CPU", _cpu(figures)))
    if figures.broker_cpu is not None:
        lines.append(("broker CPU", _broker_cpu(figures)))
    if figures.interrupted and figures.plan.clients:
        lines.append(("note", "broken off: these are the figures so far"))
    return "".join(f"{label:<{_LABEL}}{text}\n" for label, text in lines)


def progress_line(
    elapsed: float, counts: dict[str, int], before: dict[str, int], since: float
) -> str:
    """How far it is after ``elapsed`` seconds; ``before`` are the counters ``since`` seconds ago."""
    key = "replies" if counts["sent"] else "served"
    # They start over after the warm-up.
    rate = max(0, counts[key] - before[key]) / since
    text = f"{elapsed:.0f} s: {counts[key]:,} {key}, {rate:,.0f}/s"
    trouble = [f"{name} {counts[name]:,}" for name in _TROUBLE if counts[name]]
    return ", ".join([text, *trouble])


def _load(plan: Plan) -> str:
    name = f"{plan.protocol}, service {plan.service}" if plan.pattern == "mdp" else plan.pattern
    if not plan.clients:
        return name
    if plan.rate is None:
        return f"{name}, closed loop"
    return f"{name}, open loop of {plan.rate:,g} requests/s"


def _peers(plan: Plan) -> str:
    return (
        f"clients {plan.clients:,} (window {plan.window}), workers {plan.workers:,} "
        f"(capacity {plan.capacity}), bodies of {plan.size:,} bytes"
    )


def _throughput(figures: Figures) -> str:
    return (
        f"{figures.rate or 0.0:,.1f} requests/s ({figures.counts['replies']:,} replies in "
        f"{figures.seconds:.3f} s)"
    )


def _latency(figures: Figures) -> str:
    if figures.latencies is None or not figures.latencies.count:
        return "no reply"
    named = {name: figures.latency(share) for name, share in QUANTILES.items()}
    named["max"] = figures.latencies.max
    return "   ".join(f"{name} {(value or 0.0) * _MILLI:.3f}" for name, value in named.items())


def _requests(figures: Figures) -> str:
    counts = figures.counts
    always = ("sent", "lost", "duplicates", "wrong")
    if_any = ("late", "errors", "unanswered", "unsent", "partials", "connections_lost")
    names = [*always, *(name for name in if_any if counts[name])]
    text = ", ".join(f"{name.replace('_', ' ')} {counts[name]:,}" for name in names)
    if figures.plan.rate is not None:
        text += f"; sent up to {figures.worst_lag * _MILLI:.3f} ms late"
    return text


def _workers(figures: Figures) -> str:
    shares, counts = figures.shares, figures.counts
    assert shares is not None
    text = (
        f"served {counts['served']:,}: a worker {shares.min:,} to {shares.max:,}, "
        f"median {shares.median:,g}"
    )
    names = ["disconnects", "ready_again", "nonsense"]
    if not figures.plan.clients:
        names.append("connections_lost")
    more = [f"{name.replace('_', ' ')} {counts[name]:,}" for name in names if counts[name]]
    return "; ".join([text, *more])


def _cpu(figures: Figures) -> str:
    cpu = figures.cpu
    return (
        f"this process: user {cpu.user:.2f} s, system {cpu.system:.2f} s in {cpu.elapsed:.2f} s "
        f"({cpu.share:.0%} of one CPU)"
    )


def _broker_cpu(figures: Figures) -> str:
    cpu = figures.broker_cpu
    assert cpu is not None
    loop, io = (figures.per_request(each) for each in (cpu.loop, cpu.io))
    text = f"loop {cpu.loop:.2f} s, I/O threads {cpu.io:.2f} s"
    if loop is None or io is None:
        return text
    return f"{text}: {loop:.1f} and {io:.1f} µs a request"
