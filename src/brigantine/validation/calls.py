"""Calls that can't be right: unknown options, ``with`` instead of ``async with``."""

from __future__ import annotations

import difflib
import functools
import inspect
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from ..errors import OptionName, WrongUse
from .values import of_the_caller

__all__ = [
    "ForTasks",
    "ForThreads",
    "called_rightly",
    "did_you_mean",
    "public_name",
    "refuse_unknown",
]

_Init = TypeVar("_Init", bound=Callable[..., None])


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A suggestion of the name most like ``name``; empty if nothing is like it."""
    alike = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {alike[0]}?" if alike else ""


def called_rightly(init: _Init) -> _Init:
    """A constructor whose errors about its call name the public class, and what may be meant.

    Python's own name the class that the constructor is defined in, which nobody may know.
    """

    @functools.wraps(init)
    def checked(self: object, *arguments: Any, **options: Any) -> None:
        try:
            init(self, *arguments, **options)
        except TypeError as error:
            if isinstance(error, WrongUse):
                raise
            signature = inspect.signature(init)
            try:
                signature.bind(self, *arguments, **options)
            except TypeError as wrong:
                refuse_unknown(type(self), options, signature.parameters)
                raise WrongUse(f"{public_name(type(self))}: {wrong}") from None
            raise

    return cast(_Init, checked)


def refuse_unknown(kind: type, options: Iterable[str], known: Iterable[str]) -> None:
    """Raise :class:`~brigantine.errors.WrongUse` for an option that a class does not have."""
    names = [name for name in known if name not in ("self", "options")]
    for option in options:
        if option not in names:
            raise WrongUse(
                f"{public_name(kind)} has no option '",
                OptionName(option),
                f"'{did_you_mean(option, names)} (help({public_name(kind)}) tells them all)",
            )


def public_name(kind: type) -> str:
    """The name by which users know a class: those for asyncio have the same as those for threads."""
    inside = kind.__module__ == "brigantine.aio" or kind.__module__.endswith(("_aio", ".aio"))
    return f"aio.{kind.__name__}" if inside else kind.__name__


class ForThreads:
    """What is used by ``with``; ``async with`` is told what to do instead."""

    def _warn_in_coroutine(self, method: str) -> None:
        """Warn of a call in ``async def``: it blocks the event loop, and gives nothing to ``await``."""
        level, frame = of_the_caller()
        if frame.f_code.co_flags & inspect.CO_COROUTINE:
            name = type(self).__name__
            warnings.warn(
                f"{name}.{method}() is for threads: in `async def` it blocks the event loop, and there is "
                f"nothing to await{_twin(name)}",
                RuntimeWarning,
                stacklevel=level,
            )

    if not TYPE_CHECKING:  # a type checker is to find the mistake by itself

        def __aenter__(self) -> NoReturn:
            name = type(self).__name__
            raise WrongUse(f"{name} is for threads: use `with`, not `async with`{_twin(name)}")

        def __aexit__(self, *_: object) -> NoReturn:
            raise AssertionError("never entered")


class ForTasks:
    """What is used by ``async with``; ``with`` is told what to do instead."""

    if not TYPE_CHECKING:

        def __enter__(self) -> NoReturn:
            name = type(self).__name__
            raise WrongUse(
                f"aio.{name} is for asyncio: use `async with`, not `with`, or brigantine.{name} "
                "for threads"
            )

        def __exit__(self, *_: object) -> NoReturn:
            raise AssertionError("never entered")


def _twin(name: str) -> str:
    """That there is a class for asyncio, if there is one."""
    if name.endswith(("Client", "Worker", "Router", "Publisher", "Subscriber")):
        return f"; brigantine.aio.{name} is for asyncio"
    return "; it runs in a thread of its own and does not wait for the event loop"
