"""Which implementation runs: the compiled core, or the pure-Python baseline when asked for by name."""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType
from typing import Literal

from .errors import ConfigError, CoreMissing, OptionName
from .validation.values import shown

__all__ = ["ENVIRONMENT", "Impl", "chosen", "implementation"]

Impl = Literal["core", "pure"]

#: The environment variable that chooses where no ``impl=`` is given.
ENVIRONMENT = "BRIGANTINE_IMPL"


def chosen(impl: str | None = None) -> Impl:
    """``impl``, or else what BRIGANTINE_IMPL says, or else ``"core"``.

    Raises :class:`~brigantine.errors.ConfigError` for any other word.
    """
    source = "impl" if impl is not None else ENVIRONMENT
    name = impl if impl is not None else os.environ.get(ENVIRONMENT) or "core"
    if name == "core":
        return "core"
    if name == "pure":
        return "pure"
    raise ConfigError(OptionName(source), f" must be 'core' or 'pure', not {shown(name)}")


def implementation(impl: str | None = None) -> ModuleType:
    """The package ``brigantine.core`` or ``brigantine.pure``.  Never one instead of the other.

    Raises :class:`~brigantine.errors.CoreMissing` when the compiled core can't be loaded.
    """
    name = chosen(impl)
    try:
        return import_module(f".{name}", __package__)
    except ImportError as error:
        if name == "pure":
            raise
        raise CoreMissing(
            f"the compiled core of brigantine can't be loaded ({error}). "
            "Install it with a C++ compiler at hand: pip install --force-reinstall brigantine "
            "(in a source tree: pip install -e .). To run the slower pure-Python baseline instead, "
            f"say so: set {ENVIRONMENT}=pure"
        ) from error
