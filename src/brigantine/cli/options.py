"""The options of a table on the command line: one for each row, with its meaning, range and default."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any

from ..config.table import Config, Option, rows
from .values import number, shown, size, whole

__all__ = ["add_config_options", "add_rows", "options_from", "words_for"]

#: Options that are typed in another way: --version is the program's own.
_TYPED = {"version": "--mdp-version"}
#: How the meaning of an option names another.
_NAMED = re.compile(r"``(\w+)``")


def add_config_options(
    parser: argparse.ArgumentParser, defaults: Config, names: Iterable[str] | None = None
) -> None:
    """Add one option for each row of a table, or for those of these names.

    ``defaults`` are those of the class that takes them.  An option that is not given leaves no attribute.
    """
    group = parser.add_argument_group("limits")
    add_rows(
        group, rows(type(defaults)) if names is None else names, type(defaults), vars(defaults)
    )


def add_rows(
    group: argparse._ActionsContainer,
    names: Iterable[str],
    table: type[Config],
    own: Mapping[str, Any],
) -> None:
    """Add one option for each of these rows; ``own`` are defaults in place of the table's."""
    for name in names:
        row = rows(table)[name]
        _add(group, name, row, own.get(name, row.default))


def _add(group: argparse._ActionsContainer, name: str, row: Option, default: Any) -> None:
    more: dict[str, Any] = {}
    if row.kind is bool:
        more["action"] = "store_true" if default is False else argparse.BooleanOptionalAction
    elif row.choices:
        more["choices"] = row.choices
    else:
        more["type"], more["metavar"] = _kind(row)
    words = _plain(row.says)
    if default is not False:
        words += f" (default {_shown(row, default)})"
    group.add_argument(_typed(name), dest=name, default=argparse.SUPPRESS, help=words, **more)


def options_from(arguments: argparse.Namespace, names: Iterable[str]) -> dict[str, Any]:
    """The options that were given, by name, and no others: who takes them has defaults of its own."""
    return {name: getattr(arguments, name) for name in names if hasattr(arguments, name)}


def words_for(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace, without: Collection[str]
) -> list[str]:
    """The words of a command line that gives the same arguments, but for some by name."""
    words, positional = [], []
    for action in parser._actions:
        value = getattr(arguments, action.dest, action.default)
        if action.dest in without or value is None or value == action.default:
            continue
        if not action.option_strings:
            positional.append(str(value))
        elif isinstance(action, argparse.BooleanOptionalAction):
            words.append(action.option_strings[0 if value else 1])
        elif action.nargs == 0:
            words.append(action.option_strings[0])
        else:
            several = value if isinstance(value, list) else [value]
            words += [f"{action.option_strings[0]}={each}" for each in several]
    return [*words, "--", *positional]


def _typed(name: str) -> str:
    return _TYPED.get(name) or "--" + name.replace("_", "-")


def _plain(says: str) -> str:
    """A meaning as ``--help`` has it: other options as they are typed, no sentence's end."""
    words = _NAMED.sub(lambda match: _typed(match[1]), says).removesuffix(".").replace("%", "%%")
    return words[:1].lower() + words[1:] if words[1:2].islower() else words


def _shown(row: Option, default: Any) -> str:
    """A default as it may be typed, or in words."""
    if default is None:
        return _plain(row.unset)
    return shown(default) if row.unit == "bytes" else str(default)


def _kind(row: Option) -> tuple[Callable[[str], float], str]:
    """How a value is read, and its name in ``--help``.  Sizes are in bytes, times in seconds."""
    if row.unit == "bytes":
        return size, "BYTES"
    if row.kind is int:
        return whole, "N"
    return partial(number, row.unit), "SECONDS" if row.unit == "seconds" else "N"
