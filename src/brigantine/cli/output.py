"""What the command line says: results on standard output, one line of trouble on standard error."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from ..errors import BrigantineError, ConfigWarning

__all__ = [
    "OutputFailed",
    "abandon_stdout",
    "complain",
    "flush_stdout",
    "log_to_stderr",
    "warnings_told",
    "write",
    "write_text",
]

LOG_FORMAT = "%(asctime)s [%(process)d] %(levelname)s %(name)s: %(message)s"


class OutputFailed(BrigantineError):
    """Standard output can't be written (a full disk, for one)."""


def complain(message: str) -> None:
    """Say on standard error, in exactly one line, what is wrong."""
    with contextlib.suppress(OSError):
        print(f"brigantine: {one_line(message)}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def warnings_told(typed: Callable[[str], str]) -> Iterator[None]:
    """Have each warning about an option told once, in one line, with the name that ``typed`` gives it."""
    told: set[str] = set()
    usual = warnings.showwarning

    def show(message: Warning | str, *more: Any, **named: Any) -> None:
        if not isinstance(message, ConfigWarning):
            usual(message, *more, **named)
        elif (words := message.spelled(typed)) not in told:
            told.add(words)
            complain(f"warning: {words}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", ConfigWarning)
        warnings.showwarning = show
        yield


def one_line(text: str) -> str:
    """``text`` with line breaks as spaces and other control characters escaped."""
    joined = " ".join(line.strip() for line in text.splitlines() if line.strip())
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in joined
    )


def write(data: bytes) -> None:
    """Write ``data`` to standard output at once.

    Raises ``BrokenPipeError`` when nobody reads any more, and :class:`OutputFailed` otherwise.
    """
    if sys.stdout is None:  # started with standard output closed
        return
    try:
        sys.stdout.buffer.write(data)
    except BrokenPipeError:
        raise
    except OSError as error:
        _failed(error)
    flush_stdout()


def write_text(text: str) -> None:
    """:func:`write` text for people to read: ``?`` for what this terminal or locale can't encode."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    write(text.encode(encoding, "replace"))


def flush_stdout() -> None:
    """Hand over what was printed, so that trouble with it shows now and not while Python exits."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _failed(error)


def abandon_stdout() -> None:
    """Let what is still to be written go nowhere; Python would complain about it at exit."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def log_to_stderr(level: str) -> None:
    """Send the log of brigantine from ``level`` (``"info"`` and so on) up to standard error."""
    logging.raiseExceptions = False  # a closed standard error must not end a broker
    logging.basicConfig(stream=sys.stderr, level=level.upper(), format=LOG_FORMAT)


def _failed(error: OSError) -> None:
    abandon_stdout()
    raise OutputFailed(f"can't write to standard output: {error.strerror or error}") from error
