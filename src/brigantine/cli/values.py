"""Values on the command line: numbers, sizes and endpoints, with errors that say what is wanted."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Sequence

from ..errors import ConfigError, OptionName
from ..net.endpoints import as_endpoints

__all__ = [
    "at_least_one", "none_or_more", "number", "reachable", "seconds", "shown", "size", "whole",
]  # fmt: skip

_UNITS = {"": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
_SIZE = re.compile(r"(\d{1,18}) ?(|[KMG]iB)\Z", re.ASCII | re.IGNORECASE)


def number(unit: str, text: str) -> float:
    """A number of something."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of {unit}")
    return value


def seconds(text: str) -> float:
    """A number of seconds."""
    return number("seconds", text)


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def none_or_more(text: str) -> int:
    """A count of 0 or more."""
    value = whole(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not 0 or more")
    return value


def at_least_one(text: str) -> int:
    """A count of 1 or more."""
    value = whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1 or more")
    return value


def size(text: str) -> int:
    """A number of bytes, also as 64KiB, 16MiB or 1GiB."""
    match = _SIZE.match(text)
    if match is None:
        wanted = "a number of bytes, such as 65536, 64KiB or 16MiB"
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return int(match[1]) * _UNITS[match[2].upper()]


def shown(value: int) -> str:
    """A number of bytes as :func:`size` reads it."""
    for unit in ("GiB", "MiB", "KiB"):
        if value and value % _UNITS[unit.upper()] == 0:
            return f"{value // _UNITS[unit.upper()]}{unit}"
    return str(value)


def reachable(values: Sequence[str], option: str) -> tuple[str, ...]:
    """Endpoints that another process can reach.

    Raises :class:`~brigantine.errors.ConfigError` for one that is wrong, or inproc.
    """
    for value in values:
        if not value.isprintable():
            raise ConfigError(
                OptionName(option), f": {value!r} has characters that can't be printed"
            )
    endpoints = as_endpoints(tuple(values), option)
    for endpoint in endpoints:
        if endpoint.startswith("inproc://"):
            raise ConfigError(
                OptionName(option),
                f": {endpoint!r} can't be reached from another process; use tcp:// or ipc://",
            )
    return endpoints
