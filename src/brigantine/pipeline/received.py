"""What a sink knows of one batch."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from .numbers import Numbers
from .report import Report, Result

__all__ = ["Received", "Stored"]


@dataclass(slots=True)
class Stored:
    """A result that waits to be read."""

    key: bytes
    result: Result
    size: int
    #: Whom to tell that it was taken, once it is; empty when that was done.
    peer: bytes


@dataclass(slots=True, eq=False)
class Received:
    """What is known of a batch."""

    batch: bytes
    #: Who owns it; empty for a batch of a plain ventilator.
    owner: bytes
    ventilator: str
    #: Whether results without a number may be its own.
    plain: bool
    #: When something of it was last heard.
    heard_at: float
    tasks: int | None = None
    #: The numbers whose results are here, and those among them that are errors.
    seen: Numbers = field(default_factory=Numbers)
    failed: Numbers = field(default_factory=Numbers)
    highest: int = -1
    duplicates: int = 0
    lost: dict[str, set[int]] = field(default_factory=dict)
    #: Numbers that went to plain workers, how many of them have no result of ours, how often they
    #: were sent; how many results without a number came.
    plain_numbers: Numbers = field(default_factory=Numbers)
    plain_only: int = 0
    plain_tasks: int = 0
    plain_returned: int = 0
    #: Start signals of a plain ventilator that are still to come.
    starts: int = 0
    #: Whether all tasks are with workers, so that ``plain_numbers`` are all.
    handed: bool = False
    #: Whether nobody waits for the rest of it any more.
    over: bool = False
    #: Whether all is here, and what was to be read is in ``results``: for any thread.
    done: bool = False
    #: Whether its ventilator was told so.
    told: bool = False
    #: What waits to be read: by any thread, from the left.
    results: deque[Stored] = field(default_factory=deque)

    @property
    def complete(self) -> bool:
        """Whether the results of all tasks are here."""
        if self.tasks is None or not self.handed:
            return False
        enough = self.plain_returned >= self.plain_tasks or not self.plain_only
        return enough and self.seen.count + self.plain_only >= self.tasks

    @property
    def takes_plain(self) -> bool:
        """Whether a result without a number may be of this one."""
        short = not self.handed or self.plain_returned < self.plain_tasks
        return self.plain and short and not self.over

    def forget_lost(self) -> None:
        """Forget the lost workers whose tasks have all come back."""
        seen = self.seen
        self.lost = {
            name: numbers
            for name, numbers in self.lost.items()
            if any(each not in seen for each in numbers)
        }

    def report(self) -> Report:
        """How it is."""
        unsure = self.plain_returned < self.plain_tasks
        below = self.highest + 1 if self.tasks is None else self.tasks
        missing = [each for each in self.seen.missing(below) if each not in self.plain_numbers]
        absent = {*missing, *(self.plain_numbers if unsure else ())}
        lost = {name: tuple(sorted(absent & numbers)) for name, numbers in self.lost.items()}
        return Report(
            batch=self.batch.hex(),
            ventilator=self.ventilator,
            tasks=self.tasks,
            returned=self.seen.count + min(self.plain_returned, self.plain_tasks or 1 << 62),
            missing=tuple(missing),
            failed=tuple(self.failed),
            duplicates=self.duplicates,
            lost={name: numbers for name, numbers in lost.items() if numbers},
            plain_tasks=self.plain_tasks,
            plain_returned=self.plain_returned,
            unsure=tuple(n for n in self.plain_numbers if n not in self.seen) if unsure else (),
        )
