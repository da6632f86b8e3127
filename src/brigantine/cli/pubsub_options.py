"""The options of publishers and subscribers on the command line: one for each field of their tables."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

from ..config.pubsub import PublisherConfig, SubscriberConfig
from .options import add_option
from .values import seconds, whole

__all__ = ["HELP", "add_endpoints", "add_table", "add_waiting", "given_of"]

#: Field of PublisherConfig and SubscriberConfig -> what ``--help`` says about it.
HELP: dict[str, str] = {
    "heartbeat_interval": "seconds between heartbeats",
    "liveness": "intervals of silence after which a publisher counts as gone",
    "high_water_mark": "messages that libzmq holds for one peer",
    "stall_timeout": "seconds to wait for subscribers that don't keep up before the slowest is cut "
    "off; 0: they miss messages",
    "queue_limit": "messages that may wait in this process",
    "queue_bytes": "memory that these may hold",
    "max_topics": "topics whose numbers are kept",
    "last_values": "ask for the last message of each topic, of who keeps them",
    "last_values_bytes": "memory that last values may hold",
    "conflate": "of each topic only the latest message, while output is slow",
    "max_message_bytes": "largest message",
    "linger": "seconds that messages have to leave at the end",
    "io_threads": "I/O threads of libzmq",
}


def add_endpoints(parser: argparse.ArgumentParser, words: str) -> None:
    """Add ``--endpoint``."""
    parser.add_argument(
        "--endpoint", action="append", required=True, metavar="EP", help=words, dest="endpoints"
    )


def add_waiting(
    parser: argparse.ArgumentParser, option: str, who: str, default: float | None, more: str
) -> None:
    """Add ``--subscribers`` or ``--publishers``, and ``--timeout``."""
    parser.add_argument(
        option,
        type=whole,
        default=1,
        metavar="N",
        help=f"how many {who} of brigantine to wait for at first; 0: none (default 1)",
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=default,
        metavar="SECONDS",
        help=f"how long to wait {more}",
    )


def add_table(
    parser: argparse.ArgumentParser,
    table: type[PublisherConfig] | type[SubscriberConfig],
    **other: str,
) -> None:
    """Add an option for each field; ``other`` is help instead of that of HELP."""
    limits = parser.add_argument_group("limits")
    for field in fields(table):
        add_option(limits, field.name, field.default, other.get(field.name, HELP[field.name]))


def given_of(
    arguments: argparse.Namespace, table: type[PublisherConfig] | type[SubscriberConfig]
) -> dict[str, Any]:
    """The options that were given, by field."""
    names = [field.name for field in fields(table)]
    return {name: getattr(arguments, name) for name in names if hasattr(arguments, name)}
