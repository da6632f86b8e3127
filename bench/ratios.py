"""The hot paths, core against pure, as docs/performance.md has them: ``python -m bench.ratios``.

Everything is measured in this run, and only ratios of medians are printed, with what they were made
of.  ``--check`` exits 1 when one misses its floor, ``--quick`` is a short run that only proves that this
works.  Whole brokers are compared by ``bench.compare``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from brigantine.core import _bench as core
from brigantine.pure import _bench as pure

from .processes import pin
from .report import rewrite, table

WORKERS = 64
BODY = 64
PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"


@dataclass
class Row:
    """One line of the table: how many times the baseline's figure is ours."""

    what: str
    core: str
    other: str
    ratio: float
    #: The ratio to reach (at least), where one is promised.
    floor: float | None = None


def nanoseconds(run: Callable[[int], None], least: float) -> float:
    """Median time of a round over seven calls of at least ``least`` seconds."""
    count = 1
    while True:
        start = time.perf_counter()
        run(count)
        spent = time.perf_counter() - start
        if spent >= least:
            break
        count = count * 2 if spent < least / 20 else int(count * 1.2 * least / spent) + 1
    times = []
    for _ in range(7):
        start = time.perf_counter()
        run(count)
        times.append((time.perf_counter() - start) / count * 1e9)
    return statistics.median(times)


def hot_paths(quick: bool) -> list[Row]:
    """Core against pure, each as the broker runs it."""
    least = 0.005 if quick else 0.1
    many = 10_000 if quick else 1_000_000
    message = [b"\0abcd", b"", b"x" * BODY]
    cases: list[tuple[str, str, tuple[object, ...]]] = [
        ("envelope: parse and rewrap", "EnvelopeRounds", (message,)),
        ("LRU queue: next and ready, 1,000 workers", "LRURounds", (1000,)),
        (f"expiry: sweep over {many:,}, none expired", "ExpiryRounds", (many, 0.0)),
        (f"expiry: sweep over {many:,}, 1 % expired", "ExpiryRounds", (many, 0.01)),
        ("tickets: open, write, resolve, close", "TicketRounds", (WORKERS,)),
        ("state machine: a request and its reply", "SwitchboardRounds", (WORKERS, b"x" * BODY)),
        ("state machine, MDP: a request and its reply", "MajordomoRounds", (10, b"x" * BODY)),
    ]
    rows = []
    for what, name, arguments in cases:
        ours, theirs = (
            nanoseconds(getattr(module, name)(*arguments).run, least) for module in (core, pure)
        )
        rows.append(Row(what, f"{ours:,.0f} ns", f"{theirs:,.0f} ns", theirs / ours, floor=10.0))
    return rows


def independence(quick: bool) -> list[Row]:
    """The same operation among few and among many: cost among few through cost among many."""
    least, many = (0.005, 10_000) if quick else (0.1, 1_000_000)
    body = b"x" * BODY
    rows = []
    for what, lots, floor, make in (
        ("LRU queue: next and ready, workers", many, 1 / 3, core.LRURounds),
        ("expiry: sweep, none expired, workers", many, 1 / 3, lambda n: core.ExpiryRounds(n, 0.0)),
        ("state machine, workers", 10_000, 1 / 1.5, lambda n: core.SwitchboardRounds(n, body)),
        # As many instructions, but each session's memory comes from beyond the caches: what that is of a
        # request in all, bench.compare --scenario sessions tells.
        ("sessions of a server, sessions", 100_000, 1 / 8, core.SessionsRounds),
        ("state machine, MDP, services", 10_000, 1 / 1.5, lambda n: core.MajordomoRounds(n, body)),
    ):
        few, more = (nanoseconds(make(count).run, least) for count in (10, lots))
        rows.append(
            Row(
                f"{what}: 10 against {lots:,}", f"{few:.1f} ns", f"{more:.1f} ns", few / more, floor
            )
        )
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.ratios", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short run, to see that it works")
    parser.add_argument(
        "--markdown", action="store_true", help="put the tables into docs/performance.md"
    )
    parser.add_argument("--check", action="store_true", help="exit 1 when a ratio misses its floor")
    options = parser.parse_args()
    pin(1)
    paths, sizes = hot_paths(options.quick), independence(options.quick)
    for marker, head, rows in (
        ("ratios", ["what", "core", "pure Python", "pure / core"], paths),
        ("sizes", ["the core among few and among many", "few", "many", "few / many"], sizes),
    ):
        text = table(
            head, ([each.what, each.core, each.other, f"**{each.ratio:.1f}**"] for each in rows)
        )
        print(text, end="\n\n")
        if options.markdown:
            rewrite(PAGE, marker, text)
    missed = [each for each in paths + sizes if each.floor is not None and each.ratio < each.floor]
    for each in missed:
        print(f"missed: {each.what}: {each.ratio:.2f}, to reach {each.floor:.2f}", file=sys.stderr)
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
