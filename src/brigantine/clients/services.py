"""The services of a balancing client: which there are, and which of them are asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from ..errors import ConfigError, NoReply, OptionName
from ..net.arguments import as_targets

__all__ = ["Services"]


class Services:
    """Each endpoint keeps its number for good: requests that run have it in hand."""

    def __init__(self, endpoints: Sequence[str], *, shared: bool) -> None:
        #: All that there ever were, by number.
        self.known = list(endpoints)
        self._removed: set[int] = set()
        self._shared = shared

    @property
    def asked(self) -> tuple[str, ...]:
        """Those that are asked."""
        return tuple(each for at, each in enumerate(self.known) if at not in self._removed)

    @property
    def removed(self) -> tuple[int, ...]:
        """The numbers of those that are not."""
        return tuple(self._removed)

    def add(self, endpoint: str) -> int | None:
        """The number of one more; ``None`` where it is asked already.

        Raises :class:`~brigantine.errors.ConfigError` for an endpoint that can't be connected to.
        """
        [checked] = as_targets((endpoint,), "endpoint", shared=self._shared)
        if checked not in self.known:
            self.known.append(checked)
            return len(self.known) - 1
        number = self.known.index(checked)
        if number not in self._removed:
            return None
        self._removed.discard(number)
        return number

    def remove(self, endpoint: str) -> int:
        """The number of one that is asked no more.

        Raises :class:`~brigantine.errors.ConfigError` for one that is not.
        """
        if endpoint not in self.asked:
            there = ", ".join(self.asked) or "none"
            raise ConfigError(
                OptionName("endpoint"),
                f": {endpoint!r} is none of this client's services ({there})",
            )
        number = self.known.index(endpoint)
        self._removed.add(number)
        return number

    def check_some(self) -> None:
        """Raises :class:`~brigantine.errors.NoReply` where there is nobody to ask."""
        if len(self._removed) == len(self.known):
            _nobody()


def _nobody() -> NoReturn:
    raise NoReply("no service is left to be asked: all were removed; add() one", [])
