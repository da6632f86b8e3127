"""What the commands that run a broker or a device have in common."""

from __future__ import annotations

import argparse
import contextlib
import logging
import threading

from .._impl import ENVIRONMENT
from ..errors import BrokerStopped
from ..net.endpoints import as_control_endpoints
from ..runtime.handle import LoopHandle
from .output import abandon_stdout, write
from .reasons import ENDED
from .stopping import StopRequests
from .values import reachable

__all__ = ["add_control", "add_impl", "add_side", "begin", "control_from", "finish"]


def add_side(
    parser: argparse.ArgumentParser, option: str, who: str, *, required: bool = True, more: str = ""
) -> None:
    """Add ``--frontend`` or ``--backend``."""
    parser.add_argument(
        option,
        action="append",
        required=required,
        metavar="EP",
        help=f"endpoint for {who}, such as tcp://127.0.0.1:5555 (port * for any free one) or "
        f"ipc:///run/name; may be given several times{more}",
    )


def add_control(parser: argparse.ArgumentParser) -> None:
    """Add ``--control``."""
    parser.add_argument(
        "--control",
        action="append",
        metavar="EP",
        help="endpoint for brigantine ctl, reachable only from this machine: tcp://127.0.0.1:PORT "
        "or ipc://PATH; may be given several times",
    )


def control_from(arguments: argparse.Namespace) -> tuple[str, ...] | None:
    """The control endpoints, checked."""
    if not arguments.control:
        return None
    return as_control_endpoints(reachable(arguments.control, "control"), "control")


def add_impl(parser: argparse.ArgumentParser) -> None:
    """Add ``--impl``."""
    parser.add_argument(
        "--impl",
        choices=("core", "pure"),
        help=f"the compiled core or the pure-Python implementation (default: {ENVIRONMENT}, or core)",
    )


def begin(handle: LoopHandle, stops: StopRequests, log: logging.Logger) -> None:
    """Say that it runs, and have ``stops`` tell of its end."""
    log.info("started: %r", handle)
    _say_ready(handle, log)
    threading.Thread(
        target=_tell_when_ended, args=(handle, stops), name="brigantine-ended", daemon=True
    ).start()


def finish(handle: LoopHandle, why: int, log: logging.Logger, *, idle: str) -> None:
    """Wait until it has ended, and say what was done; ``idle`` are the words for nothing.

    ``why`` is the first reason to stop.  Raises :class:`~brigantine.errors.BrokerStopped` when it
    has ended without having been told to.
    """
    handle.join()
    counters = ", ".join(f"{name} {value}" for name, value in handle.stats().items() if value)
    log.info("stopped: %s", counters or idle)
    if why == ENDED and not handle.told_to_end:
        raise BrokerStopped(f"the {handle.what} ended by itself")


def _say_ready(handle: LoopHandle, log: logging.Logger) -> None:
    """Print the ready line, with the endpoints that the system has chosen."""
    frontend, backend = ",".join(handle.frontends), ",".join(handle.backends or handle.frontends)
    more = {"capture": getattr(handle, "captures", ()), "control": handle.controls}
    rest = "".join(f" {what}={','.join(ends)}" for what, ends in more.items() if ends)
    try:
        write(f"ready frontend={frontend} backend={backend}{rest}\n".encode())
    except BrokenPipeError:
        log.warning("nobody reads standard output; going on without the ready line")
        abandon_stdout()


def _tell_when_ended(handle: LoopHandle, stops: StopRequests) -> None:
    """Wait until it has ended: for a thread of its own."""
    with contextlib.suppress(BrokerStopped):  # told by the main thread, which joins again
        handle.join()
    stops.ended()
