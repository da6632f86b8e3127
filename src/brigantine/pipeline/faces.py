"""What a ventilator and a sink look like to their user, for threads and for asyncio."""

from __future__ import annotations

import os
import socket
import weakref
from collections.abc import Sequence
from typing import Any

from ..errors import ConfigError, NotReady, OptionName, WrongUse
from ..net.endpoints import as_endpoints, as_several
from ..system.deadline import Deadline
from ..validation.calls import public_name
from ..validation.values import shown
from .hub import Hub

__all__ = ["HubFace", "closed_in_task", "named", "optional"]


def named(name: str) -> str:
    """A name for logs and reports: the caller's, or of the host and process."""
    if not isinstance(name, str):
        raise WrongUse(OptionName("name"), f" must be a string, not {shown(name)}")
    if len(name) > 255 or not name.isprintable():
        raise ConfigError(
            OptionName("name"), f" must be printable, of at most 255 characters, not {shown(name)}"
        )
    return name or f"{socket.gethostname()}:{os.getpid()}:{os.urandom(2).hex()}"


def optional(value: str | Sequence[str], what: str) -> tuple[str, ...]:
    """Endpoints to bind, or none."""
    return as_endpoints(value, what) if as_several(value, what) else ()


class HubFace:
    """A hub as its user has it."""

    _io: Any

    def _run(self, io: Hub) -> None:
        """Start the hub's thread; it ends with this object, or the program, at the latest."""
        self._finalizer = weakref.finalize(self, _shut_down, io)
        try:
            io.start()
        except BaseException:
            self._finalizer.detach()
            raise

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where it is bound, with the real ports."""
        return tuple(self._io.endpoints)

    @property
    def endpoint(self) -> str:
        """The first of them."""
        return self.endpoints[0]

    @property
    def plain_endpoints(self) -> tuple[str, ...]:
        """Where it is bound for plain programs, with the real ports."""
        return tuple(self._io.plain_endpoints)

    def stats(self) -> dict[str, int]:
        """All counters by name, also after it was closed; never waits."""
        stats: dict[str, int] = self._io.stats()
        return stats

    def __repr__(self) -> str:
        state = "closed" if self._io.stopping or self._io.ended else "open"
        where = ",".join(self.endpoints)
        return f"<{public_name(type(self))} {state} endpoint={where}>"

    def _ended(self) -> bool:
        return bool(self._io.ended)

    def _fewer(self, workers: int, ready: int, deadline: Deadline) -> NotReady:
        what = f"{workers} workers should be ready{deadline.words}, and {ready} are: {self!r}"
        return NotReady(what, ready, ())


def _shut_down(io: Hub) -> None:
    """Close what nobody has closed: run when it is forgotten, or when Python exits."""
    io.stop()
    io.join(None)


async def closed_in_task(io: Any) -> None:
    """Close a hub, and wait for its thread in a task."""
    io.stop()
    try:
        await io.changes.wait_async(lambda: not io.running, None)
    finally:
        io.join(None)  # also when cancelled: it ends within ``linger``
