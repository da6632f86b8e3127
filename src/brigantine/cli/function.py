"""Finding the function that ``module:function`` names."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from functools import reduce
from importlib import import_module
from typing import Any

from ..errors import ConfigError

__all__ = ["load_function"]

_log = logging.getLogger("brigantine.worker")


def load_function(name: str) -> Callable[[Any], Any]:
    """Import ``module:function``; the current folder is searched first, as by ``python -m``.

    The function may be an attribute of an attribute (``module:Class.method``).
    Raises :class:`~brigantine.errors.ConfigError` when there is no such function.
    """
    module_name, colon, path = name.partition(":")
    if not (module_name and colon and path):
        raise ConfigError(f"{name!r} must be MODULE:FUNCTION, such as brigantine.handlers:echo")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = import_module(module_name)
    except (Exception, SystemExit) as error:  # the module may do anything when it is imported
        _log.debug("importing %s", module_name, exc_info=True)
        raise ConfigError(
            f"can't import {module_name!r}: {type(error).__name__}: {error} "
            "(--log-level debug shows where)"
        ) from error
    try:
        found = reduce(getattr, path.split("."), found)
    except AttributeError:
        raise ConfigError(f"{module_name!r} has no function {path!r}") from None
    if not callable(found):
        raise ConfigError(f"{name!r} is not a function but {type(found).__name__}")
    function: Callable[[Any], Any] = found
    return function
