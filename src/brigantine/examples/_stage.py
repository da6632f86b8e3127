"""What the examples share: their command lines, an end in time, and a second program beside the first."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from brigantine import NoReply

__all__ = ["ANY", "beside", "giving_up", "options", "said", "until"]

#: An endpoint of this machine, on a free port.
ANY = "tcp://127.0.0.1:*"


def options(
    argv: Sequence[str] | None,
    doc: str | None,
    *places: str,
    count: int = 10,
    seconds: float = 10.0,
) -> argparse.Namespace:
    """The command line: an option for each place, all of them optional; ``--count``, ``--seconds``."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for place in places:
        parser.add_argument(f"--{place}", metavar="ENDPOINT", help="play this part alone, there")
    parser.add_argument("--count", type=int, default=count, help=f"how many (default {count})")
    parser.add_argument(
        "--seconds", type=float, default=seconds, help=f"end after so long (default {seconds:g})"
    )
    return parser.parse_args(argv)


def said(text: str) -> None:
    """Print a line at once, whole."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def until(condition: Callable[[], object], seconds: float) -> bool:
    """Wait until something is true, or so long; whether it is."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


@contextlib.contextmanager
def giving_up() -> Iterator[None]:
    """Where there is no reply, the program ends with a line that says why."""
    try:
        yield
    except NoReply as error:
        raise SystemExit(f"The server seems to be offline, abandoning: {error}") from None


@contextlib.contextmanager
def beside(*programs: Callable[[], object]) -> Iterator[None]:
    """These run in threads of their own meanwhile; all have ended afterwards."""
    threads = [threading.Thread(target=each) for each in programs]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        for each in threads:
            each.join()
