"""Every contender under the same load: ``python -m bench.compare``.

Core, pure, ``zmq.proxy`` and, where it is installed, nats-server (queue group): each is started anew
for each run on one CPU, the load on another, in alternation for several rounds.  Prints medians and
ranges of throughput, latency and CPU time of the broker a request, and each ratio that was promised
with its target.  The tables are Markdown.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import machine, report
from .contenders import Entry, Missing, Shape, measure
from .scenarios import OPEN, QUICK, SCENARIOS, SEARCHED, Case, with_other
from .targets import HIGHEST, RATE, Results, targets

ROUNDS, SECONDS = 5, 1.5
QUICK_SECONDS = 0.2
README = Path(__file__).resolve().parent.parent / "README.md"
MARKER = "compare"
#: The highest rate: p99 in milliseconds that it is to keep, seconds of a try, the steps upwards, and
#: how close to come.  A try that fails is done again: others' work on the machine fails some.
P99, TRY_SECONDS, STEP, CLOSE, TRIES = 10.0, 2.0, 1.3, 0.04, 2
#: How often a run is done again that others' work has disturbed, where that is asked for.
AGAIN = 20
#: Rounds of that search, which takes half a minute for each contender.
SEARCHES = 3


def tell(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


class Comparison:
    """Measures cases; what is missing here is told once and left out."""

    def __init__(self, seconds: float, calm: float | None = None) -> None:
        self.seconds, self.calm = seconds, calm
        self.results: Results = {}
        self.left_out: dict[str, str] = {}

    def run(self, case: Case, rounds: int) -> None:
        """All runs of a case in turn, in every other round backwards."""
        found = self.results.setdefault(case.name, {run.label: [] for run in case.runs})
        for number in range(rounds):
            for run in case.runs[:: -1 if number % 2 else 1]:
                result = self._measure(run.entry, run.shape, self.seconds)
                if result is None:
                    continue
                found[run.label].append(result)
                tell(f"{case.name} {number + 1}/{rounds}: {run.label}: "
                     f"{result['rate']:,.0f}/s, p99 {result['p99']:.2f} ms, {result['cpu']:.1f} µs "
                     f"({result['loop']:.1f} + {result['io']:.1f}), "
                     f"others {result['others']:.2f} CPUs")  # fmt: skip
        self.results[case.name] = {label: runs for label, runs in found.items() if runs}

    def _measure(self, entry: Entry, shape: Shape, seconds: float) -> dict[str, float] | None:
        try:
            for _ in range(AGAIN):
                result = measure(entry, shape, seconds)
                if self.calm is None or result["others"] <= self.calm:
                    break
            return result
        except Missing as missing:
            if str(missing) not in self.left_out:
                tell(f"left out: {missing}")
            self.left_out[str(missing)] = entry.kind
            return None

    def search(self, rounds: int) -> None:
        """The highest rates of the open loop."""
        found = self.results.setdefault(HIGHEST, {})
        for number in range(rounds):
            for entry in SEARCHED:
                rate = highest_rate(lambda rate, entry=entry: self._keeps(entry, rate))
                if rate is None:
                    continue
                found.setdefault(entry.name, []).append({"rate": rate})
                tell(f"highest rate {number + 1}/{rounds}: {entry.name}: {rate:,.0f}/s")

    def _keeps(self, entry: Entry, rate: float) -> bool | None:
        """Whether p99 stays low enough at that rate, and nothing is lost or left unsent."""
        for _ in range(TRIES):
            result = self._measure(entry, replace(OPEN, rate=rate), TRY_SECONDS)
            if result is None:
                return None
            if result["p99"] < P99 and not result["lost"] and not result["unsent"]:
                return True
        return False


def highest_rate(keeps: Callable[[float], bool | None]) -> float | None:
    """The highest rate that is kept, to a few per cent; 0 if RATE is not, ``None`` if nobody is there."""
    low, high = 0.0, RATE
    while True:
        kept = keeps(high)
        if kept is None:
            return None
        if not kept:
            break
        low, high = high, high * STEP
    if not low:
        return 0.0
    while high / low > 1 + CLOSE:
        middle = (low * high) ** 0.5
        if keeps(middle):
            low = middle
        else:
            high = middle
    return low


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument(
        "--scenario", action="append", choices=[*SCENARIOS, "all"], metavar="NAME",
        help=f"one of {', '.join(SCENARIOS)}, all (default one-in-flight and capacity); may be repeated",
    )  # fmt: skip
    parser.add_argument("--case", action="append", metavar="NAME", help="only this case of them")
    parser.add_argument(
        "--rounds", type=int, default=ROUNDS, metavar="N", help="default %(default)s"
    )
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, metavar="S", help="of a run (default %(default)s)"
    )
    parser.add_argument(
        "--calm", type=float, metavar="CPUS",
        help=f"do a run again, up to {AGAIN} times, in which others kept more CPUs busy than that",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="a few seconds, to see that it works")
    parser.add_argument(
        "--against", type=Path, metavar="TREE",
        help="beside the core that of another source tree, built in place: `other`",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the raw results")
    parser.add_argument(
        "--from", type=Path, action="append", default=[], dest="kept", metavar="FILE",
        help="kept results: measure nothing unless a scenario is named, which then replaces its own",
    )  # fmt: skip
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw a chart of CPU a request")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE",
        help=f"put all tables between <!-- {MARKER} --> and <!-- /{MARKER} --> of that file",
    )  # fmt: skip
    parser.add_argument(
        "--marker", default=MARKER, metavar="WORD", help="other markers (default %(default)s)"
    )
    parser.add_argument("--readme", action="store_true", help="put the short table into README.md")
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    return parser.parse_args()


def chosen(options: argparse.Namespace) -> list[Case]:
    """The cases to be measured now."""
    if options.quick:
        return QUICK
    default = [] if options.kept else ["one-in-flight", "capacity"]
    names = options.scenario or default
    if "all" in names:
        names = list(SCENARIOS)
    cases = [case for name in names for case in SCENARIOS[name]()]
    if options.case:
        cases = [case for case in cases if case.name in options.case]
    if options.against:
        cases = [with_other(case, options.against.resolve()) for case in cases]
    return cases


def main() -> int:
    # Contenders must not outlive this process, and SystemExit ends them.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    options = arguments()
    about, comparison = machine.describe(), Comparison(options.seconds, options.calm)
    for file in options.kept:
        kept: dict[str, Any] = json.loads(file.read_text())
        comparison.results |= kept["cases"]
        about = kept["machine"]
    if options.quick:
        options.rounds, comparison.seconds = 1, QUICK_SECONDS
    for case in chosen(options):
        comparison.results.pop(case.name, None)
        comparison.run(case, options.rounds)
        keep(options, comparison.results, about)
        if case.name == "open":
            comparison.results.pop(HIGHEST, None)
            comparison.search(min(options.rounds, SEARCHES))
    publish(options, comparison.results, about)
    missed = [each for each in targets(comparison.results) if not each.met]
    return 1 if missed and options.check else 0


def keep(options: argparse.Namespace, results: Results, about: dict[str, str]) -> None:
    """Write the raw results, where that was asked for: after each case, as a full run takes long."""
    if options.json:
        options.json.write_text(json.dumps({"machine": about, "cases": results}, indent=1) + "\n")


def publish(options: argparse.Namespace, results: Results, about: dict[str, str]) -> None:
    """Print the tables, and write the files that were asked for."""
    cases = [*QUICK, *(case for make in SCENARIOS.values() for case in make())]
    titles = {case.name: case.title for case in cases}
    order = [*(name for name in [*titles, HIGHEST] if name in results)]
    results = {name: results[name] for name in order}
    text = report.summary(results, titles, about)
    print(text)
    keep(options, results, about)
    if options.svg:
        options.svg.write_text(report.chart(results, titles, about))
    if options.markdown:
        report.rewrite(options.markdown, options.marker, text)
    if options.readme:
        report.rewrite(README, MARKER, report.readme(results, about))


if __name__ == "__main__":
    sys.exit(main())
