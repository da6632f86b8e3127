"""The outcome of a batch: its results, and the report of what did not come back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..wire.body import from_frames
from ..wire.pipeline import BATCH_BYTES, pack, text_in, unpack, whole_in
from ..wire.req import raise_if_error
from .numbers import Numbers

__all__ = ["MOST_WORKERS", "Report", "Result"]

#: Numbers that a sentence names.
_NAMED = 10
#: Workers that a report names on the wire, and numbers of one.
MOST_WORKERS, MOST_NUMBERS = 1000, 10_000
#: More than any count of tasks.
MOST = 1 << 62


@dataclass(frozen=True)
class Result:
    """One result at the sink.

    - ``number``: the number of its task within the batch, from 0; -1 for the result of a plain worker,
      which can't say.
    - ``worker``: the name of the worker, empty for a plain one.
    """

    batch: str
    number: int
    frames: list[bytes] = field(repr=False)
    worker: str

    @property
    def body(self) -> bytes | list[bytes]:
        """What the worker's function returned: ``bytes`` for one frame, else a list of them.

        Raises :class:`~brigantine.errors.WorkerFailed` if it raised instead.
        """
        raise_if_error(self.frames)
        return from_frames(self.frames)


@dataclass(frozen=True, kw_only=True)
class Report:
    """The state of a batch: what has come back, and what has not.

    - ``tasks``: how many tasks it has, or ``None`` while its ventilator has not said so (it is still
      sending, or was lost).
    - ``missing``: the numbers of tasks whose results have not arrived; if ``tasks`` is unknown, of those
      below the highest that has.
    - ``failed``: the numbers of tasks on which a worker's function raised; they have come back, as errors.
    - ``duplicates``: how many results arrived again and were dropped.
    - ``lost``: for each lost worker, the missing tasks that it held.
    - ``plain_tasks``, ``plain_returned``: how many tasks plain workers got, and how many results came from
      them.  These results have no number.
    - ``unsure``: while plain results are missing, the numbers of all plain tasks, since nobody knows which
      of them are missing.
    """

    batch: str
    ventilator: str = ""
    tasks: int | None = None
    returned: int = 0
    missing: tuple[int, ...] = field(default=(), repr=False)
    failed: tuple[int, ...] = ()
    duplicates: int = 0
    lost: Mapping[str, tuple[int, ...]]
    plain_tasks: int = 0
    plain_returned: int = 0
    unsure: tuple[int, ...] = field(default=(), repr=False)

    @property
    def complete(self) -> bool:
        """Whether the result of every task has come."""
        return self.tasks is not None and not self.missing and not self.unsure

    @property
    def again(self) -> tuple[int, ...]:
        """The numbers of the tasks to run again so that the batch is complete."""
        return tuple(sorted({*self.missing, *self.unsure}))

    def __str__(self) -> str:
        of = "an unknown number of" if self.tasks is None else str(self.tasks)
        words = f"batch {self.batch}: {self.returned} of {of} results"
        if self.missing:
            words += f"; missing {_named(self.missing)}"
        for worker, numbers in self.lost.items():
            words += f"; {worker} was lost with {_named(numbers)}"
        if self.unsure:
            short = self.plain_tasks - self.plain_returned
            words += f"; {short} of the {self.plain_tasks} that went to plain workers"
        if self.failed:
            words += f"; failed {_named(self.failed)}"
        if self.duplicates:
            words += f"; {self.duplicates} came twice"
        return words


def _named(numbers: tuple[int, ...]) -> str:
    more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
    return ", ".join(map(str, numbers[:_NAMED])) + more


def packed_lost(lost: Mapping[str, tuple[int, ...]]) -> dict[str, list[int]]:
    """The lost workers that a message names: no more than it has room for."""
    return {
        worker: list(numbers[:MOST_NUMBERS])
        for worker, numbers in list(lost.items())[:MOST_WORKERS]
    }


def unpacked_lost(value: Any) -> dict[str, tuple[int, ...]]:
    """Workers and numbers, from a message of a peer's."""
    if not isinstance(value, dict):
        return {}
    return {
        text_in({"name": worker}, "name"): tuple(each for each in numbers if _is_number(each))
        for worker, numbers in list(value.items())[:MOST_WORKERS]
        if isinstance(worker, str) and isinstance(numbers, list)
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST


def packed(report: Report) -> list[bytes]:
    """The frames of a report: a map, and which tasks are missing, unsure, and failed."""
    value: dict[str, Any] = {
        "returned": report.returned,
        "duplicates": report.duplicates,
        "lost": packed_lost(report.lost),
        "plain": report.plain_tasks,
        "plain_returned": report.plain_returned,
    }
    if report.tasks is not None:
        value["tasks"] = report.tasks
    numbers = (report.missing, report.unsure, report.failed)
    return [pack(value), *(Numbers(each).packed() for each in numbers)]


def unpacked(batch: bytes, frames: Sequence[bytes], ventilator: str) -> Report:
    """A report, from the frames that the sink has sent after the batch."""
    assert len(batch) == BATCH_BYTES
    value = unpack(frames[0])
    missing, unsure, failed = (tuple(Numbers.unpacked(each)) for each in frames[1:4])
    return Report(
        batch=batch.hex(),
        ventilator=ventilator,
        tasks=whole_in(value, "tasks", MOST) if "tasks" in value else None,
        returned=whole_in(value, "returned", MOST),
        missing=missing,
        failed=failed,
        duplicates=whole_in(value, "duplicates", MOST),
        lost=unpacked_lost(value.get("lost")),
        plain_tasks=whole_in(value, "plain", MOST),
        plain_returned=whole_in(value, "plain_returned", MOST),
        unsure=unsure,
    )
