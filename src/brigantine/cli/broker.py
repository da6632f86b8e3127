"""``brigantine broker``: run a broker until it is told to stop."""

from __future__ import annotations

import argparse
import logging
import os
import signal
from collections.abc import Callable
from typing import Any

from ..broker.base import Broker
from ..broker.patterns import AnyBroker, LRUBroker, MajordomoBroker, ParanoidPirateBroker
from ..errors import BrokerStopped
from .descriptors import raise_file_limit
from .exit_codes import DONE, INTERRUPTED
from .options import add_config_options, options_from
from .output import log_to_stderr
from .process_options import add_log_level, add_stop_at_eof
from .reasons import ENDED, reason
from .serving import add_control, add_impl, add_side, begin, control_from, finish
from .stopping import StopRequests
from .values import reachable

__all__ = ["HELP", "NAME", "PATTERNS"]

NAME = "broker"
HELP = "Run a broker."
LRU = (
    "Load-balancing broker (Simple Pirate): REQ clients and workers, the longest idle worker first."
)
PPP = "Paranoid Pirate broker: REQ clients, and workers with heartbeats (PPP)."
MDP = "Majordomo broker: clients and workers of named services (MDP 0.1 and 0.2)."
ANY = "Broker for REQ, PPP and MDP workers at once, and for the clients of all of them."

_EPILOG = """\
Prints one line on standard output once it can be used:
  ready frontend=ENDPOINT[,ENDPOINT...] backend=ENDPOINT[,ENDPOINT...]
followed, with --control, by control=ENDPOINT[,ENDPOINT...].

SIGTERM, however often it comes, and the first Ctrl-C (SIGINT) drain the broker: new requests are shed
and accepted ones finished, for --drain-timeout at most. A second Ctrl-C stops at once; the requests
left are counted as failed_stopped in the last line of the log.

The exit code is 0 when no accepted request was left unfinished, also after drain or stop by brigantine
ctl; 1 when some were, or when the broker ended by itself; 2 when it could not start; 130 after a second
Ctrl-C.
"""

_log = logging.getLogger("brigantine.broker")


def _add_lru(parser: argparse.ArgumentParser) -> None:
    _add(parser, LRUBroker)


def _add_ppp(parser: argparse.ArgumentParser) -> None:
    _add(parser, ParanoidPirateBroker)


def _add_mdp(parser: argparse.ArgumentParser) -> None:
    _add(parser, MajordomoBroker, one_socket=True)
    parser.add_argument(
        "--default-service",
        type=os.fsencode,
        metavar="NAME",
        help="service for clients without an MDP header, which are refused otherwise",
    )


def _add_any(parser: argparse.ArgumentParser) -> None:
    _add(parser, AnyBroker, one_socket=True)


#: Name of the pattern -> what it is, and what adds its options.
PATTERNS = {
    "lru": (LRU, _add_lru),
    "ppp": (PPP, _add_ppp),
    "mdp": (MDP, _add_mdp),
    "any": (ANY, _add_any),
}


def _add(parser: argparse.ArgumentParser, kind: type[Broker], *, one_socket: bool = False) -> None:
    parser.epilog = _EPILOG
    parser.set_defaults(run=_run, kind=kind)
    add_side(parser, "--frontend", "clients")
    more = "; without it the frontend serves both, with workers of MDP alone" if one_socket else ""
    add_side(parser, "--backend", "workers", required=not one_socket, more=more)
    add_control(parser)
    add_impl(parser)
    add_log_level(parser, "info")
    add_stop_at_eof(parser)
    add_config_options(parser, kind.options())


def _run(arguments: argparse.Namespace) -> int:
    frontend = reachable(arguments.frontend, "frontend")
    backend = arguments.backend and reachable(arguments.backend, "backend")
    control = control_from(arguments)
    options = options_from(arguments, arguments.kind.option_names())
    if getattr(arguments, "default_service", None) is not None:
        options["default_service"] = arguments.default_service
    log_to_stderr(arguments.log_level)
    raise_file_limit()
    with (
        StopRequests(at_eof=arguments.stop_at_eof) as stops,
        _made(arguments, frontend, backend, control, options) as broker,
    ):
        begin(broker, stops, _log)
        if _serve(broker, stops) == signal.SIGINT:
            return INTERRUPTED
    left = broker.stats()["failed_stopped"]
    if left:
        raise BrokerStopped(
            f"the broker ended with {left} accepted requests unfinished (failed_stopped); "
            f"draining waits for --drain-timeout, here {broker.config.drain_timeout:g} s"
        )
    return DONE


def _made(
    arguments: argparse.Namespace,
    frontend: tuple[str, ...],
    backend: tuple[str, ...] | None,
    control: tuple[str, ...] | None,
    options: dict[str, Any],
) -> Broker:
    kind: Callable[..., Broker] = arguments.kind
    return kind(frontend, backend, impl=arguments.impl, control=control, **options)


def _serve(broker: Broker, stops: StopRequests) -> int:
    """Wait for a stop signal, drain, and return when the broker has ended: SIGINT, or ENDED.

    Raises :class:`~brigantine.errors.BrokerStopped` when it ends without having been told to.
    """
    why = again = stops.wait_first()
    if why != ENDED:

        def tell(code: int) -> None:
            _log.info("%s: draining%s", reason(code), stops.hint("stops"))

        broker.drain(timeout=0)
        stops.debounce(why)
        tell(why)
        again = stops.wait_again(tell)
        if again != ENDED:
            _log.warning("%s: stopping without waiting for %s", reason(again), _unfinished(broker))
            broker.stop()
    finish(broker, why, _log, idle="no request was made")
    return again


def _unfinished(broker: Broker) -> str:
    stats = broker.stats()
    return f"{stats['queued']} queued and {stats['in_flight']} requests in flight"
