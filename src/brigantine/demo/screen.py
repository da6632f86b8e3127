"""What the demo draws: a progress bar while it runs, a table at the end.  Needs rich."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from .comparison import Comparison
from .figures import Report

__all__ = ["as_text", "progress_bar"]

#: What stands in the table where nothing was measured.
_NOTHING = "-"

#: Figure of a run, its name in the table, how it is written.
_ROWS: tuple[tuple[str, str, str], ...] = (
    ("requests", "requests", ",d"),
    ("bytes", "bytes", ",d"),
    ("lost", "requests lost", ",d"),
    ("wrong", "wrong results", ",d"),
)
#: Of one run alone: the workers' hashing and the rest of the machine decide them, not the broker, so
#: beside each other they would say nothing.
_RATES: tuple[tuple[str, str, str], ...] = (
    ("requests_per_second", "requests/s", ",.0f"),
    ("megabytes_per_second", "MB/s", ",.1f"),
    ("latency_p50_ms", "latency p50, ms", ",.2f"),
    ("latency_p99_ms", "latency p99, ms", ",.2f"),
    ("broker_cpu_us", "broker CPU a request, µs", ",.1f"),
    ("broker_loop_cpu_us", "  its loop, µs", ",.1f"),
    ("broker_io_cpu_us", "  libzmq's I/O thread, µs", ",.1f"),
)
_KILL_ROWS: tuple[tuple[str, str, str], ...] = (
    ("workers_killed", "workers killed", ",d"),
    ("retries", "retries by clients", ",d"),
)


@contextlib.contextmanager
def progress_bar(total: int) -> Iterator[Callable[[str, int], object]]:
    """A bar for each implementation, on standard error, if that is a terminal.

    Gives ``progress(impl, bytes answered)``; ``total`` is the bytes of one run.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        tasks = {}

        def progress(impl: str, done: int) -> None:
            if impl not in tasks:
                tasks[impl] = bar.add_task(impl, total=total)
            bar.update(tasks[impl], completed=done)

        yield progress


def as_text(report: Report) -> str:
    """The tables, and what was checked, drawn as standard output can show it, but not written."""
    drawn = _Sheet()
    console = Console(file=drawn, highlight=False, soft_wrap=True)
    if report.comparison is not None:
        console.print(_comparison(report.comparison))
    console.print(_table(report))
    for line in _conclusion(report):
        console.print(line, markup=False)
    return drawn.getvalue()


class _Sheet(io.StringIO):
    """Takes what rich draws, and looks to it like standard output.

    Rich's own ``capture()`` touches standard output at its end all the same, and fails on a full disk.
    """

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Decides which lines the table has."""
        return getattr(sys.stdout, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Decides whether there are colours."""
        return sys.stdout is not None and sys.stdout.isatty()


def _table(report: Report) -> Table:
    table = Table(
        title=f"{report.workers} workers, {report.clients} clients, "
        f"chunks of up to {report.chunk_size:,} bytes",
        title_style="",
    )
    table.add_column()
    for name in report.runs:
        table.add_column(name, justify="right")
    rates = _RATES if len(report.runs) == 1 else ()
    for name, label, form in _ROWS + rates + (_KILL_ROWS if report.kill_workers else ()):
        table.add_row(label, *(_cell(getattr(run, name), form) for run in report.runs.values()))
    return table


def _comparison(comparison: Comparison) -> Table:
    table = Table(
        title=f"Broker CPU a request, µs: {comparison.rounds} rounds in alternation", title_style=""
    )
    for name in ("", "median", "lowest", "highest"):
        table.add_column(name, justify="right" if name else "left")
    for impl, cost in comparison.costs.items():
        table.add_row(impl, *(f"{each:,.1f}" for each in (cost.median, cost.lowest, cost.highest)))
    table.add_row("pure / core", f"{comparison.ratio:,.1f}", "", "")
    return table


def _conclusion(report: Report) -> Iterator[str]:
    corpus = report.corpus
    skipped = corpus.skipped + max(run.files_skipped for run in report.runs.values())
    yield f"{len(corpus.files):,} files under {corpus.root}, {corpus.size:,} bytes"
    if skipped:
        yield f"{skipped:,} files or folders could not be read and were left out"
    if corpus.truncated:
        yield "there is more under this path; --max-bytes sets the bound"
    if report.good:
        yield "every result is what the demo computed itself"
    else:
        yield "NOT every request had the right result: see the rows 'lost' and 'wrong'"


def _cell(value: float | None, form: str) -> str:
    return _NOTHING if value is None else format(value, form)
