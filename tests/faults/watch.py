"""Looking at a broker's counters until they say what they should."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Protocol

from harness import PATIENCE, wait_until

from brigantine import COUNTERS

__all__ = ["SCHEDULING_SLACK", "Watched", "final_counters", "lost", "reaches", "stays"]

#: Seconds that a thread which could run may have to wait for a processor on a loaded machine with
#: two of them: some time slices of a handful of busy processes.  A promise that is broken shows as
#: another heartbeat interval at the least, or as never.
SCHEDULING_SLACK = 0.75


class Watched(Protocol):
    """A broker in this process or in another."""

    def stats(self) -> dict[str, int]: ...


def reaches(broker: Watched, timeout: float = PATIENCE, **wanted: int) -> dict[str, int]:
    """Wait until the counters have the values ``wanted``, and return all of them."""
    seen: dict[str, int] = {}

    def there() -> bool:
        seen.update(broker.stats())
        return all(seen[name] == value for name, value in wanted.items())

    try:
        wait_until(there, "the counters", timeout)
    except AssertionError:
        shown = {name: seen[name] for name in wanted}
        others = {name: value for name, value in seen.items() if value and name not in wanted}
        raise AssertionError(f"wanted {wanted}, found {shown}; the others: {others}") from None
    return seen


def stays(broker: Watched, seconds: float, **wanted: int) -> None:
    """Watch for ``seconds`` that the counters keep the values ``wanted``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        stats = broker.stats()
        assert {name: stats[name] for name in wanted} == wanted
        time.sleep(0.01)


def lost(stats: dict[str, int]) -> int:
    """Requests that were accepted and of which nothing more is known."""
    ended = stats["replied"] + stats["shed"] + stats["failed"]
    return stats["accepted"] - ended - stats["queued"] - stats["in_flight"]


def final_counters(log: Path) -> dict[str, int]:
    """The counters in the last line of a broker's log, where those that are zero are left out."""
    last = log.read_text().splitlines()[-1]
    found = {name: int(value) for name, value in re.findall(r"(\w+) (\d+)(?:,|$)", last)}
    return {name: found.get(name, 0) for name in COUNTERS}
