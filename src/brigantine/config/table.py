"""A table of options: for each its name, default, range, unit and meaning, all in one row.

A table is a frozen dataclass whose fields are rows::

    @table
    @dataclass(frozen=True, kw_only=True)
    class SomeConfig(Config):
        liveness: int = count(3, 2, 1000, "Intervals of silence after which a peer counts as gone.")

From the rows are made: the checks of values, the list of options in docstrings, the command line with its
help, and the tables of the documentation.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ..validation.calls import called_rightly
from ..validation.values import LIKE_MILLISECONDS, flag, number, one_of, whole

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "REQUIRED",
    "Config",
    "Option",
    "amount",
    "choice",
    "count",
    "like",
    "listing",
    "rows",
    "seconds",
    "size",
    "switch",
    "table",
]

_Table = TypeVar("_Table", bound="Config")
#: The default of an option that must be given.
REQUIRED = MISSING
#: Where a field keeps its row.
_ROW = "option"
#: Sizes that have a name of their own, the largest first.
_SIZES = (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


@dataclass(frozen=True)
class Option:
    """One row of a table."""

    #: int, float, bool, or str for one of several words.
    kind: type
    default: Any
    #: What it means, in whole sentences; other options are named in double back-quotes.
    says: str
    #: Least and greatest.
    low: float = 0
    high: float = 0
    #: What the number counts: "seconds", "bytes", or nothing that has a unit.
    unit: str = ""
    #: The words that it may be.
    choices: tuple[str, ...] = ()
    #: What it is while it is None, in words.
    unset: str = ""
    #: Seconds from which on it is warned of, as they may be milliseconds by mistake.
    doubtful: float = LIKE_MILLISECONDS

    def check(self, name: str, value: Any) -> None:
        """Raise :class:`~brigantine.errors.ConfigError` for a value that can't be."""
        if value is None and self.default is None:
            return
        if self.kind is bool:
            flag(name, value)
        elif self.kind is str:
            one_of(name, value, self.choices)
        elif self.kind is int:
            whole(name, value, int(self.low), int(self.high), self.unit)
        else:
            number(name, value, self.low, self.high, self.unit, self.doubtful)

    def shown(self, value: Any) -> str:
        """A value as people write it: sizes from KiB up with their unit."""
        if value is None:
            return self.unset
        if isinstance(value, (bool, str)):
            return str(value)
        for unit, bytes_ in _SIZES if self.unit == "bytes" else ():
            if value >= bytes_ and value % bytes_ == 0:
                return f"{int(value) // bytes_:,} {unit}"
        return f"{value:,}" if isinstance(value, int) or value % 1 else f"{value:,.0f}"

    @property
    def range(self) -> str:
        """What it may be, in words."""
        if self.kind is bool:
            return "False or True"
        if self.choices:
            return " or ".join(self.choices)
        return f"{self.shown(self.low)} to {self.shown(self.high)}"


# -- rows by what they hold.  A default of None is for what suits the owner, ``unset`` says what that is --


def seconds(
    default: float | None,
    low: float,
    high: float,
    says: str,
    unset: str = "",
    doubtful: float = LIKE_MILLISECONDS,
) -> Any:
    """A time."""
    return _row(Option(float, default, says, low, high, "seconds", unset=unset, doubtful=doubtful))


def amount(
    default: float | None, low: float, high: float, unit: str, says: str, unset: str = ""
) -> Any:
    """A number that need not be whole, and is no time."""
    return _row(Option(float, default, says, low, high, unit, unset=unset))


def count(default: int | None, low: int, high: int, says: str, unset: str = "") -> Any:
    """A number of things."""
    return _row(Option(int, default, says, low, high, unset=unset))


def size(default: int, low: int, high: int, says: str) -> Any:
    """A number of bytes."""
    return _row(Option(int, default, says, low, high, "bytes"))


def switch(default: bool | None, says: str, unset: str = "") -> Any:
    """On or off."""
    return _row(Option(bool, default, says, unset=unset))


def choice(default: Any, choices: tuple[str, ...], says: str) -> Any:
    """One of several words."""
    return _row(Option(str, default, says, choices=choices))


def like(other: type[Config], name: str, **changes: Any) -> Any:
    """As the row of another table, but for what is said to differ."""
    return _row(replace(rows(other)[name], **changes))


def _row(option: Option) -> Any:
    return field(default=option.default, metadata={_ROW: option})


def rows(kind: type[Config]) -> Mapping[str, Option]:
    """The rows of a table by name, in its order."""
    return kind._rows


# -- tables ---------------------------------------------------------------------------------------


class Config:
    """Base of the tables: values are checked when one is made."""

    _rows: ClassVar[Mapping[str, Option]]
    #: One of them with a value, to show how it is given.
    _example: ClassVar[str] = "io_threads=2"

    def __post_init__(self) -> None:
        for name, option in rows(type(self)).items():
            option.check(name, getattr(self, name))
        self._check_together()

    def _check_together(self) -> None:
        """Raise :class:`~brigantine.errors.ConfigError` for values that do not go with each other."""

    @classmethod
    def bounds(cls, option: str) -> tuple[float, float]:
        """The least and the greatest value of an option."""
        row = rows(cls)[option]
        return row.low, row.high

    def filled(self, own: Mapping[str, Any]) -> Self:
        """With these for the options that were left to the owner."""
        left = {name: value for name, value in own.items() if getattr(self, name) is None}
        if not left:
            return self
        made = copy.copy(self)
        for name, value in left.items():
            object.__setattr__(made, name, value)
        made._check_together()  # each by itself was checked before
        return made


def table(kind: type[_Table]) -> type[_Table]:
    """Finish a table that ``dataclass`` has made: its call, and its docstring with all options.

    A field that is no row is not checked, nor an option of the command line.
    """
    kind._rows = {each.name: each.metadata[_ROW] for each in fields(kind) if _ROW in each.metadata}  # type: ignore[arg-type]
    setattr(kind, "__init__", called_rightly(kind.__init__))  # noqa: B010
    if kind.__doc__ is not None:  # there is none under -OO
        kind.__doc__ = f"{inspect.cleandoc(kind.__doc__)}\n\n{listing(rows(kind))}\n"
    return kind


def listing(options: Mapping[str, Option], own: Mapping[str, Any] | None = None) -> str:
    """A list of options for a docstring; ``own`` are the defaults of the one that takes them."""
    own = own or {}
    lines = []
    for name, row in options.items():
        default = row.default if own.get(name) is None else own[name]
        told = "" if default is REQUIRED else f"Default: {row.shown(default)}; "
        lines.append(f"- ``{name}``: {row.says} {told}{row.range}.")
    return "\n".join(lines)
