"""The endpoints of a device: bound, or connected to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..errors import ConfigError, OptionName
from ..net.arguments import as_targets
from ..net.endpoints import as_endpoints, as_several
from ..net.overlap import leads_to

__all__ = ["BIND", "CONNECT", "End", "as_ends", "check_loop"]

#: In front of an endpoint: bind it, as without; connect to it.
BIND, CONNECT = "@", ">"


class End(NamedTuple):
    """An endpoint, and what is done with it."""

    endpoint: str
    connects: bool


def as_ends(value: str | Sequence[str], what: str, *, shared: bool) -> tuple[End, ...]:
    """One endpoint or several, each checked, with what is in front of it taken off.

    ``shared`` tells whether the caller passed a context.  Raises
    :class:`~brigantine.errors.ConfigError` for one that can't be used.
    """
    ends: list[End] = []
    for text in as_several(value, what):
        if isinstance(text, str) and text.startswith(CONNECT):
            [endpoint] = as_targets(text[len(CONNECT) :], what, shared=shared)
            if End(endpoint, connects=True) not in ends:  # a second connection would double it all
                ends.append(End(endpoint, connects=True))
        else:
            bare = text.removeprefix(BIND) if isinstance(text, str) else text
            [endpoint] = as_endpoints((bare,), what)
            ends.append(End(endpoint, connects=False))
    if not ends:
        raise ConfigError(
            OptionName(what), ": at least one endpoint is needed, such as tcp://127.0.0.1:5555"
        )
    return tuple(ends)


def check_loop(what: str, ends: Sequence[End], bound: Sequence[str]) -> None:
    """Raises :class:`~brigantine.errors.ConfigError` where a device would be connected to itself."""
    for end in ends:
        if end.connects and any(leads_to(end.endpoint, each) for each in bound):
            raise ConfigError(
                OptionName(what),
                f": {CONNECT}{end.endpoint} is where this device itself is bound: what it passes "
                "on would come back for ever. Connect to another endpoint",
            )
