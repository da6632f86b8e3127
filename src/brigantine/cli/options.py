"""The options of a broker on the command line: one for each field of BrokerConfig."""

from __future__ import annotations

import argparse
import re
import warnings
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from ..config import INTERVALS, BrokerConfig, is_whole
from ..errors import ConfigError
from .values import seconds, shown, size, whole

__all__ = ["HELP", "add_config_options", "add_option", "options_from"]

#: Field of BrokerConfig -> what ``--help`` says about it.  The broker's defaults are added.
HELP: dict[str, str] = {
    "heartbeat_interval": "seconds between heartbeats on a silent connection",
    "liveness": "intervals of silence after which a peer counts as gone",
    "queue_limit": "requests that may wait for a worker; beyond it they are shed",
    "max_services": "services that may be known at once",
    "busy_liveness": "intervals of silence after which a worker at work counts as gone; 0: as --liveness",
    "queue_bytes": "memory that waiting requests may hold, in bytes (or 64KiB, 256MiB, 1GiB)",
    "request_ttl": "seconds from acceptance until a request without a reply fails",
    "retries": "how often a request goes to another worker after its worker was lost",
    "service_grace": "seconds that a request for a service without workers waits for one, of a client "
    "that wants to be told",
    "handshake_timeout": "seconds that a peer has to finish ZMTP's handshake",
    "max_message_bytes": "largest frame, and largest sum of the frames of one message, in bytes",
    "max_frames": "most frames in one message, address stack included",
    "max_depth": "most address frames before the empty delimiter (hops a request has passed)",
    "high_water_mark": "messages that libzmq holds for one peer in each direction",
    "peer_bytes": "memory that messages handed to one peer may hold until its system has taken them",
    "io_threads": "I/O threads of libzmq",
    "drain_timeout": "seconds that a stopping broker waits for accepted work",
    "strict": "refuse peers of published dialects: PPP in words, MDP 0.2 with an empty frame in front",
    "workers_at_frontend": "serve Majordomo workers at the frontend, too: whoever reaches it may then "
    "serve any service (default: while only this machine can reach it)",
}


def add_config_options(parser: argparse.ArgumentParser, defaults: BrokerConfig) -> None:
    """Add one option per field of BrokerConfig; an option not given leaves no attribute."""
    group = parser.add_argument_group("limits")
    for field in fields(BrokerConfig):
        add_option(group, field.name, getattr(defaults, field.name), HELP.get(field.name, ""))


def add_option(group: argparse._ArgumentGroup, name: str, default: object, words: str) -> None:
    """Add the option for one limit; not given it leaves no attribute."""
    if isinstance(default, bool):
        group.add_argument(
            _option(name), default=argparse.SUPPRESS, action="store_true", help=words
        )
        return
    if name == "workers_at_frontend":
        group.add_argument(
            _option(name),
            default=argparse.SUPPRESS,
            action=argparse.BooleanOptionalAction,
            help=words,
        )
        return
    kind, metavar = _kind(name, default)
    group.add_argument(
        _option(name),
        dest=name,
        default=argparse.SUPPRESS,
        type=kind,
        metavar=metavar,
        help=f"{words} (default {_shown(name, default)})",
    )


def options_from(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that were given, by field, and no others: a broker has defaults of its own.

    Raises :class:`~brigantine.errors.ConfigError` naming the option as it was typed.
    """
    names = [field.name for field in fields(BrokerConfig)]
    given = {name: getattr(arguments, name) for name in names if hasattr(arguments, name)}
    try:
        with warnings.catch_warnings():  # told when the broker is made
            warnings.simplefilter("ignore", UserWarning)
            BrokerConfig(**given)
    except ConfigError as error:
        pattern = re.compile(rf"\b({'|'.join(names)})\b")
        raise ConfigError(pattern.sub(lambda match: _option(match[0]), str(error))) from None
    return given


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _shown(name: str, default: object) -> object:
    """A default as it may be typed, or in words."""
    if name.endswith("_bytes") and isinstance(default, int):
        return shown(default)
    if default is not None:
        return default
    return _by_protocol() if name == "heartbeat_interval" else "the broker's own"


def _by_protocol() -> str:
    """The interval of a broker that speaks several protocols."""
    names = {seconds: str(each.name)[:3] for each, seconds in INTERVALS.items()}
    own = ", ".join(f"{name} {seconds:g}" for seconds, name in names.items())
    return f"each protocol's own: {own}"


def _kind(name: str, default: object) -> tuple[Callable[[str], float], str]:
    """How a value is read, and its name in ``--help``.  Sizes are in bytes, times in seconds."""
    if name.endswith("_bytes"):
        return size, "BYTES"
    counts = is_whole(name) if default is None else isinstance(default, int)
    return (whole, "N") if counts else (seconds, "SECONDS")
