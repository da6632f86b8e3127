"""Checks of single values, and how an error shows a value that is wrong."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

from ..errors import ConfigError, WrongUse

__all__ = ["check_range", "flag", "number", "of_the_caller", "shown", "whole"]

#: Characters of a wrong value that an error shows.
_SHOWN = 80
#: From so many seconds on a time may be one of milliseconds by mistake, and is warned of; not whole
#: half-hours, which nobody writes who has milliseconds in mind.
_LIKE_MILLISECONDS = 1000.0
_HALF_HOUR = 1800.0
#: Options for which more is not unusual, and from when on it is.
_MAY_BE_LONG = {"request_ttl": 10_000.0}
#: Seconds of a minute and of an hour, the longer first.
_UNITS = ((3600.0, "hours"), (60.0, "minutes"))


def shown(value: object) -> str:
    """A value as an error shows it: never too long, and whatever its ``repr`` does."""
    try:
        text = repr(value)
    except Exception:  # a number of too many digits, an object that is half made
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def number(name: str, value: float, low: float, high: float, unit: str = "seconds") -> float:
    """``value`` as a float.

    Raises :class:`~brigantine.errors.ConfigError` if out of range or none at all, and warns of seconds
    that look like milliseconds.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise WrongUse(f"{name} must be a number{f' of {unit}' * bool(unit)}, not {shown(value)}")
    check_range(name, value, low, high, unit)
    suspicious = value >= _MAY_BE_LONG.get(name, _LIKE_MILLISECONDS) and value % _HALF_HOUR
    if suspicious and unit == "seconds":
        _warn_of_milliseconds(name, value)
    return float(value)


def whole(name: str, value: int, low: int, high: int, unit: str = "") -> int:
    """``value`` unchanged.

    Raises :class:`~brigantine.errors.ConfigError` if out of range or no whole number.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        of = f" of {unit}" if unit else ""
        raise WrongUse(f"{name} must be a whole number{of}, not {shown(value)}")
    check_range(name, value, low, high, unit)
    return value


def flag(name: str, value: bool) -> bool:
    """``value`` unchanged.  Raises :class:`~brigantine.errors.ConfigError` if no truth value."""
    if not isinstance(value, bool):
        raise WrongUse(f"{name} must be True or False, not {shown(value)}")
    return value


def check_range(name: str, value: float, low: float, high: float, unit: str) -> None:
    if not low <= value <= high:
        bounds = f"from {_plain(low)} to {_plain(high)}"
        raise ConfigError(f"{name} must be {bounds}{unit and ' '}{unit}, not {shown(value)}")


def _plain(value: float) -> str:
    """A number as people write it."""
    return str(value) if isinstance(value, int) else f"{value:.15g}"


def _warn_of_milliseconds(name: str, value: float) -> None:
    size, unit = next(each for each in _UNITS if value >= each[0])
    warnings.warn(
        f"{name}={_plain(value)} is {value / size:.3g} {unit}: it is in seconds. "
        f"For {_plain(value)} milliseconds pass {_plain(value / 1000)}",
        stacklevel=of_the_caller()[0],
    )


def of_the_caller() -> tuple[int, FrameType]:
    """Whoever called this package: the ``stacklevel`` for a warning of the caller of this, the frame."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("brigantine."):
        level, frame = level + 1, frame.f_back
    return level, frame
