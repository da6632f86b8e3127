"""``brigantine ls``: the services of a Majordomo broker, its workers and its queues, as a table."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from ..clients.majordomo import MajordomoClient
from ..errors import BrigantineError
from ..wire.unpacking import Unreadable, unpacked
from .client_options import add_client_options, made_client
from .output import write
from .table import aligned, printable

__all__ = ["HELP", "NAME", "add_to"]

NAME = "ls"
HELP = "List the services, workers and queues of a Majordomo broker."

_EPILOG = """\
Asks for mmi.services, mmi.workers and mmi.stats, which Majordomo brokers of brigantine answer
themselves. A name that can't be printed is written as Python would, such as b'\\x00'. The exit code
is 1 when no broker answers, or when the broker has no such services.
"""

_SERVICES = "mmi.services"
_WORKERS = "mmi.workers"
_STATS = "mmi.stats"

#: Columns of the table behind the name: title, key in the answer to mmi.services.
_COLUMNS = (("WORKERS", "workers"), ("IDLE", "idle"), ("QUEUED", "queued"))
#: Counters of mmi.workers and mmi.stats to be shown, in this order.
_WORKER_COUNTERS = ("known", "idle", "busy", "joined", "lost")
_REQUEST_COUNTERS = ("accepted", "replied", "queued", "in_flight", "shed", "failed")
#: How much of an answer that makes no sense is shown.
_SHOWN = 40


class NotListed(BrigantineError):
    """The broker answered, but not with what its services are."""


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add what ``brigantine ls`` understands."""
    parser.epilog = _EPILOG
    parser.set_defaults(run=_run)
    add_client_options(parser, MajordomoClient)


def _run(arguments: argparse.Namespace) -> int:
    with made_client(MajordomoClient, arguments) as client:
        services, workers, stats = (_ask(client, each) for each in (_SERVICES, _WORKERS, _STATS))
    lines = [
        *_table(services),
        "",
        "workers:  " + _told(workers, _WORKER_COUNTERS),
        "requests: " + _told(stats, _REQUEST_COUNTERS),
    ]
    write("\n".join([*lines, ""]).encode())
    return 0


def _ask(client: MajordomoClient, service: str) -> dict[Any, Any]:
    """The map that a service of the broker answers with."""
    answer = client.request(service, b"")
    try:
        value = unpacked(answer) if isinstance(answer, bytes) else None
    except Unreadable:
        value = None
    if not isinstance(value, dict):
        raise _not_listed(service, answer)
    if service == _SERVICES and not all(
        isinstance(name, bytes) and isinstance(each, dict) for name, each in value.items()
    ):
        raise _not_listed(service, answer)
    return value


def _not_listed(service: str, answer: bytes | list[bytes]) -> NotListed:
    return NotListed(
        f"the broker answers {service} with {answer[:_SHOWN]!r}, which is no list. Whether it has "
        "a certain service is told by: brigantine request mdp --broker EP mmi.service NAME"
    )


def _table(services: Mapping[bytes, Mapping[str, int]]) -> list[str]:
    """The services by name, numbers flush right; a sentence if there are none."""
    if not services:
        return ["no services: no worker is registered and no request waits"]
    rows = [("SERVICE", *(title for title, _ in _COLUMNS))]
    for name in sorted(services):
        numbers = (str(services[name].get(key, "?")) for _, key in _COLUMNS)
        rows.append((printable(name), *numbers))
    return aligned(rows)


def _told(counters: Mapping[str, int], names: Sequence[str]) -> str:
    return ", ".join(f"{counters.get(name, '?')} {name.replace('_', ' ')}" for name in names)
