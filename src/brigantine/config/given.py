"""What a class was given: a config, or single options by name; and what it has for all others."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from ..errors import ConfigError, OptionName, WrongUse
from ..validation.calls import public_name, refuse_unknown
from ..validation.values import shown
from .table import Config, listing, rows

__all__ = ["TakesOptions", "config_of"]

_Table = TypeVar("_Table", bound=Config)


def config_of(
    owner: type,
    table: type[_Table],
    config: _Table | None,
    options: Mapping[str, Any],
    own: Mapping[str, Any] | None = None,
) -> _Table:
    """The config that was given, or one of these options, with the owner's own defaults.

    Raises :class:`~brigantine.errors.WrongUse` for both, for an option that there is not, and for what is
    no config.
    """
    if config is None:
        if not options.keys() <= rows(table).keys():
            refuse_unknown(owner, options, [*rows(table), *inspect.signature(owner).parameters])
        return table(**options).filled(own or {})
    if not isinstance(config, table):
        raise WrongUse(
            OptionName("config"),
            f" must be a {table.__name__}, not {shown(config)}; single options are given by name, "
            f"such as {public_name(owner)}(..., {table._example})",
        )
    if options:
        raise WrongUse(f"give a config or single options, not both: {', '.join(options)}")
    return config.filled(own or {})


class TakesOptions:
    """Base of classes that take options by name, or a config that has them all.

    The options are listed at the end of the docstring of each class that says which it takes.
    """

    #: The table of options, and the TypedDict that names those of them that this class takes.
    _table: ClassVar[type[Config]]
    _takes: ClassVar[type]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # There is none under -OO; one that is inherited has its list.
        if "__doc__" in cls.__dict__ and cls.__doc__ and hasattr(cls, "_takes"):
            table = rows(cls._table)
            mine = {name: table[name] for name in cls.option_names()}
            cls.__doc__ = (
                f"{inspect.cleandoc(cls.__doc__)}\n\n"
                f"Options, or a :class:`~brigantine.{cls._table.__name__}` as ``config``:\n\n"
                f"{listing(mine, cls._own())}\n"
            )

    @classmethod
    def option_names(cls) -> tuple[str, ...]:
        """The options that this class takes by name, in the order of their table."""
        return tuple(name for name in rows(cls._table) if name in cls._takes.__annotations__)

    @classmethod
    def _own(cls) -> Mapping[str, Any]:
        """What it has for options of its table that are left to it."""
        return {}

    @classmethod
    def _configured(
        cls, table: type[_Table], config: _Table | None, options: Mapping[str, Any]
    ) -> _Table:
        """What a constructor was given, or ``options()``.

        Raises :class:`~brigantine.errors.ConfigError` for an option of the table that this class has not.
        """
        mine = cls.option_names()
        for name in options:
            if name in rows(table) and name not in mine:
                raise cls._not_mine(name)
        made = config_of(cls, table, config, options, cls._own())
        for name, row in rows(table).items():
            if name not in mine and getattr(made, name) != row.default:
                raise cls._not_mine(name)
        return made

    @classmethod
    def _not_mine(cls, option: str) -> ConfigError:
        """What says that this class has no such option."""
        return WrongUse(
            f"{public_name(cls)} has no option '",
            OptionName(option),
            f"' (help({public_name(cls)}) tells them all)",
        )
