"""Errors about the arguments of brokers, workers and clients, in the words of the command line."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator

from ..errors import ConfigError
from .output import complain

__all__ = ["as_typed"]

#: Such errors begin with the argument that they are about; further on there are values.
_ARGUMENT = re.compile(r"\A[a-z_]+(?=:|=| must be )")
#: What is not an option of the same name.
_OPTIONS = {"brokers": "--broker", "handler": "MODULE:FUNCTION"}


@contextlib.contextmanager
def as_typed() -> Iterator[None]:
    """Have a :class:`~brigantine.errors.ConfigError` name the option as it is typed.

    Around what makes a broker, a worker or a client from options; also as a decorator.
    """
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        try:
            yield
        except ConfigError as error:
            raise ConfigError(_ARGUMENT.sub(_option, str(error))) from None
    for each in told:
        complain(f"warning: {_ARGUMENT.sub(_option, str(each.message))}")


def _option(argument: re.Match[str]) -> str:
    return _OPTIONS.get(argument[0], "--" + argument[0].replace("_", "-"))
