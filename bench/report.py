"""Results as tables and as a chart."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable
from pathlib import Path

from .chart import Bar, Panel, draw
from .machine import line
from .targets import HIGHEST, Results, Target, medians, targets

__all__ = ["case_table", "chart", "readme", "rewrite", "summary", "target_table"]

#: Columns: heading, figure, digits, whether its range is shown.
COLUMNS = (
    ("requests/s", "rate", 0, True),
    ("p50 ms", "p50", 2, False),
    ("p99 ms", "p99", 2, True),
    ("CPU µs", "cpu", 1, True),
    ("loop µs", "loop", 1, False),
    ("I/O µs", "io", 1, False),
)
#: Cases of README and of the chart, with what stands there.
README_CASES = {
    "one-64": "one in flight, 64 workers",
    "capacity-16": "capacity 16, 16 workers",
    "capacity-64": "capacity 16, 64 workers",
    "open": "10,000/s, 1 KB, 1,000 clients",
}
CHART_CASES = ("one-64", "capacity-16", "capacity-64")


def table(head: Iterable[str], rows: Iterable[Iterable[str]], left: int = 1) -> str:
    """A Markdown table that can be read as it is; ``left`` columns of words, then figures."""
    cells = [list(head), *(list(row) for row in rows)]
    wide = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(
            cell.ljust(size) if column < left else cell.rjust(size)
            for column, (cell, size) in enumerate(zip(row, wide, strict=True))
        ) + " |"
        for row in cells
    ]  # fmt: skip
    rule = "".join(
        "|" + ("-" * (size + 2) if column < left else "-" * (size + 1) + ":")
        for column, size in enumerate(wide)
    )
    return "\n".join([lines[0], rule + "|", *lines[1:]])


def case_table(labels: dict[str, list[dict[str, float]]]) -> str:
    """A row for each contender: medians, and ranges where they matter."""
    rows = []
    for label, runs in labels.items():
        middle = medians(runs)
        row = [label]
        for _, key, digits, ranged in COLUMNS:
            # nats-server's threads take turns at everything.
            text = "" if label == "nats" and key in ("loop", "io") else f"{middle[key]:,.{digits}f}"
            if ranged and len(runs) > 1:
                low, high = (f(run[key] for run in runs) for f in (min, max))
                text += f" ({low:,.{digits}f}-{high:,.{digits}f})"
            row.append(text)
        row.append(
            f"{middle['lost']:,.0f}"
            + (f", {middle['unsent']:,.0f} unsent" * bool(middle["unsent"]))
        )
        rows.append(row)
    return table(["", *(heading for heading, *_ in COLUMNS), "lost"], rows)


def target_table(found: list[Target]) -> str:
    """A row for each promise."""
    return table(
        ["target", "made of", "ratio", "wanted", "met"],
        (
            [each.what, each.made_of, f"{each.value:.2f}",
             "" if each.bound == float("inf") else each.wanted,
             "" if each.bound == float("inf") else "yes" if each.met else "**no**"]
            for each in found
        ),
        left=2,
    )  # fmt: skip


def highest_table(results: Results) -> str:
    """The highest rates, where they were searched."""
    rows = []
    for label, runs in results.get(HIGHEST, {}).items():
        rates = [run["rate"] for run in runs]
        text = f"{medians(runs)['rate']:,.0f}"
        rows.append([label, text + (f" ({min(rates):,.0f}-{max(rates):,.0f})" * (len(rates) > 1))])
    return table(["", "requests/s with p99 below 10 ms"], rows) if rows else ""


def summary(results: Results, titles: dict[str, str], machine: dict[str, str]) -> str:
    """Everything, as Markdown."""
    parts = [f"{line(machine)}. Contenders on one CPU, the load on another. {_rounds(results)}"]
    for case, labels in results.items():
        if case != HIGHEST and labels:
            parts += [f"### {titles.get(case, case)}", case_table(labels)]
    if results.get(HIGHEST):
        parts += ["### The highest rate of that open loop", highest_table(results)]
    found = targets(results)
    if found:
        parts += ["### Targets", target_table(found)]
    return "\n\n".join(parts) + "\n"


def readme(results: Results, machine: dict[str, str]) -> str:
    """What README says: the cases that a reader asks for first, medians only, no pure Python."""
    rows = []
    for case, what in README_CASES.items():
        for label, runs in results.get(case, {}).items():
            if label.startswith("pure"):
                continue
            middle = medians(runs)
            rows.append([
                what, label, f"{middle['rate']:,.0f}", f"{middle['p50']:.2f}",
                f"{middle['p99']:.2f}", f"{middle['cpu']:.1f}",
            ])  # fmt: skip
            what = ""
    head = ["", "", "requests/s", "p50 ms", "p99 ms", "broker's CPU, µs a request"]
    about = f"{line(machine)}. {_rounds(results, ranges=False)}"
    return f"{about}\n\n{table(head, rows, left=2)}\n"


def _rounds(results: Results, *, ranges: bool = True) -> str:
    rounds = {len(runs) for labels in results.values() for runs in labels.values() if runs}
    least, most = min(rounds, default=0), max(rounds, default=0)
    many = f"{most}" if least == most else f"{least} to {most}"
    text = f"Medians of {many} round{'s' * (most > 1)} in alternation"
    text += " (lowest-highest)." if most > 1 and ranges else "."
    others = [
        run["others"]
        for labels in results.values()
        for runs in labels.values()
        for run in runs
        if "others" in run
    ]
    if others:
        text += (
            f" Other processes kept {statistics.median(others):.2f} CPUs busy meanwhile "
            f"({min(others):.2f}-{max(others):.2f})."
        )
    return text


def chart(results: Results, titles: dict[str, str], machine: dict[str, str]) -> str:
    """CPU of the broker a request, in the cases that the targets are about, or in what there is."""
    cases = [case for case in CHART_CASES if case in results] or list(results)
    panels = []
    for case in cases:
        bars = []
        for label, runs in results[case].items():
            if "cpu" not in runs[0]:
                continue
            middle, spent = medians(runs), [run["cpu"] for run in runs]
            bars.append(
                Bar(label, (middle["loop"], middle["io"]), min(spent), max(spent),
                    label.startswith("core"))
            )  # fmt: skip
        if bars:
            panels.append(Panel(titles.get(case, case), tuple(bars)))
    return draw(
        "CPU time of the broker, microseconds a request",
        panels,
        ("loop thread (nats: all)", "I/O thread"),
        f"Medians with ranges. {machine.get('CPU', '')}, libzmq {machine.get('libzmq', '')}.",
    )


def rewrite(file: Path, name: str, text: str) -> None:
    """Put ``text`` between the markers of that name.  Raises ``ValueError`` where they are missing."""
    before = file.read_text()
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    pattern = re.compile(f"{re.escape(first)}.*?{re.escape(last)}", re.DOTALL)
    if not pattern.search(before):
        raise ValueError(f"{file} has no {first} and {last} behind it")
    file.write_text(pattern.sub(lambda _: f"{first}\n{text.strip()}\n{last}", before))
