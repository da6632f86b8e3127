"""Checks of single values, and how an error shows a value that is wrong."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from types import FrameType

from ..errors import ConfigError, ConfigWarning, OptionName, WrongUse

__all__ = [
    "LIKE_MILLISECONDS",
    "check_range",
    "flag",
    "number",
    "of_the_caller",
    "one_of",
    "shown",
    "whole",
]

#: Characters of a wrong value that an error shows.
_SHOWN = 80
#: From so many seconds on a time may be one of milliseconds by mistake, and is warned of; not whole
#: half-hours, which nobody writes who has milliseconds in mind.
LIKE_MILLISECONDS = 1000.0
_HALF_HOUR = 1800.0
#: Seconds of a minute and of an hour, the longer first.
_UNITS = ((3600.0, "hours"), (60.0, "minutes"))


def shown(value: object) -> str:
    """A value as an error shows it: never too long, and whatever its ``repr`` does."""
    try:
        text = repr(value)
    except Exception:  # a number of too many digits, an object that is half made
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def number(
    name: str,
    value: float,
    low: float,
    high: float,
    unit: str = "seconds",
    doubtful: float = LIKE_MILLISECONDS,
) -> float:
    """``value`` as a float.

    Raises :class:`~brigantine.errors.ConfigError` if out of range or none at all, and warns of seconds
    that look like milliseconds: from ``doubtful`` on.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise WrongUse(
            OptionName(name), f" must be a number{f' of {unit}' * bool(unit)}, not {shown(value)}"
        )
    check_range(name, value, low, high, unit)
    suspicious = value >= doubtful and value % _HALF_HOUR
    if suspicious and unit == "seconds":
        _warn_of_milliseconds(name, value)
    return float(value)


def whole(name: str, value: int, low: int, high: int, unit: str = "") -> int:
    """``value`` unchanged.

    Raises :class:`~brigantine.errors.ConfigError` if out of range or no whole number.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        of = f" of {unit}" if unit else ""
        raise WrongUse(OptionName(name), f" must be a whole number{of}, not {shown(value)}")
    check_range(name, value, low, high, unit)
    return value


def flag(name: str, value: bool) -> bool:
    """``value`` unchanged.  Raises :class:`~brigantine.errors.ConfigError` if no truth value."""
    if not isinstance(value, bool):
        raise WrongUse(OptionName(name), f" must be True or False, not {shown(value)}")
    return value


def one_of(name: str, value: str, words: Sequence[str]) -> str:
    """``value`` unchanged.  Raises :class:`~brigantine.errors.ConfigError` if it is none of the words."""
    if not isinstance(value, str) or value not in words:
        wanted = " or ".join(map(repr, words)) if len(words) < 3 else f"one of {', '.join(words)}"
        raise ConfigError(OptionName(name), f" must be {wanted}, not {shown(value)}")
    return value


def check_range(name: str, value: float, low: float, high: float, unit: str) -> None:
    if not low <= value <= high:
        bounds = f"from {_plain(low)} to {_plain(high)}"
        raise ConfigError(
            OptionName(name), f" must be {bounds}{unit and ' '}{unit}, not {shown(value)}"
        )


def _plain(value: float) -> str:
    """A number as people write it."""
    return str(value) if isinstance(value, int) else f"{value:.15g}"


def _warn_of_milliseconds(name: str, value: float) -> None:
    size, unit = next(each for each in _UNITS if value >= each[0])
    told = ConfigWarning(
        OptionName(name),
        f"={_plain(value)} is {value / size:.3g} {unit}: it is in seconds. "
        f"For {_plain(value)} milliseconds pass {_plain(value / 1000)}",
    )
    warnings.warn(
        told,
        stacklevel=of_the_caller()[0],
    )


def of_the_caller() -> tuple[int, FrameType]:
    """Whoever called this package: the ``stacklevel`` for a warning of the caller of this, the frame."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("brigantine."):
        level, frame = level + 1, frame.f_back
    return level, frame
