"""``brigantine ctl``: inspect and steer what has a control endpoint."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from typing import Any

from ..config import ClientConfig
from ..config.limits import LINGER
from ..control.client import ControlClient, ControlRefused
from ..counters import COUNTERS, DEVICE_COUNTERS, LEDGER, SERVER_COUNTERS
from ..errors import BrokerStopped
from ..validation.values import number
from .exit_codes import DONE
from .output import write
from .table import aligned, printable
from .values import reachable, seconds

__all__ = ["HELP", "NAME", "add_to"]

NAME = "ctl"
HELP = "Inspect, pause, drain or stop a broker, device or server through its control endpoint."

_EPILOG = """commands:
  stats      the counters: the ledger of requests, and all others that are not zero
  workers    each worker: service, identity, protocol, state, capacity, requests in flight, and its
             side if there are workers both at the backend and at the frontend
  services   each service: its workers, idle workers, waiting requests
  drain      make it shed new requests, finish accepted ones, and end
  stop       make it end at once
  pause      make a device pass nothing on
  resume     make it continue

A broker has all but the last two; a device has these, stats and stop; a server (AsyncServer,
ThreadedServer) has stats, drain and stop.
EP is the endpoint after control= in the ready line. drain says at once how long it may take; both
drain and stop wait for the end. The exit code is 1 when there is no answer, or when drain left
requests unfinished. A name that can't be printed is written as Python would, such as b'\\x00', in
JSON, too.
"""

#: Seconds to wait for an answer.
_TIMEOUT = 5.0

#: Columns of tables behind the names: title, key in the answer.
_SERVICE_COLUMNS = (("WORKERS", "workers"), ("IDLE", "idle"), ("QUEUED", "queued"))
_WORKER_COLUMNS = (
    ("PROTOCOL", "protocol"), ("STATE", "state"), ("CAPACITY", "capacity"),
    ("IN FLIGHT", "in_flight"),
)  # fmt: skip
#: The first of them where workers are at both sides.
_SIDE_COLUMN = ("SIDE", "side")
#: Columns that hold words: service, worker, protocol, state.
_WORDS = 4
#: Counters that are shown even when they are zero: of a broker, of a device.
_ALWAYS = ("accepted", *LEDGER)
_ALWAYS_OF_DEVICE = ("to_backend", "to_frontend", "held", "paused")


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add what ``brigantine ctl`` understands."""
    parser.epilog = _EPILOG
    parser.set_defaults(run=_run)
    parser.add_argument(
        "what", metavar="COMMAND", choices=(*_LOOKS, *_ENDS, *_STEERS), help="see below"
    )
    parser.add_argument("endpoint", metavar="EP", help="the control endpoint")
    parser.add_argument("--json", action="store_true", help="print the answer as one line of JSON")
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=_TIMEOUT,
        metavar="S",
        help="how many seconds to wait for an answer (default %(default)s); the end of a broker "
        "may take as much longer as it says",
    )


def _run(arguments: argparse.Namespace) -> int:
    [endpoint] = reachable([arguments.endpoint], "EP")
    number(
        "timeout", arguments.timeout, *ClientConfig.bounds("timeout")
    )  # before a broker is told to end
    with ControlClient(endpoint) as client:
        if arguments.what in _ENDS:
            return _end(client, arguments)
        client.send(arguments.what)
        answer = client.receive(arguments.timeout)
    if arguments.json:
        _say_json(answer)
        return DONE
    try:
        lines = {**_LOOKS, **_STEERS}[arguments.what](answer)
    except (AttributeError, KeyError, TypeError):
        raise ControlRefused(f"{endpoint} answers {arguments.what} with something else") from None
    write("\n".join([*lines, ""]).encode())
    return DONE


def _end(client: ControlClient, arguments: argparse.Namespace) -> int:
    """Drain or stop, and wait until that has happened."""
    client.send("wait")  # first, so that the end can't come before
    client.send(arguments.what)
    answer = client.receive(arguments.timeout)
    longest = LINGER
    if arguments.what == "drain":
        longest += float(answer.get("drain_timeout", 0.0))
        if not arguments.json:
            write(_draining(answer).encode())
    stats = client.receive(arguments.timeout + longest)
    if arguments.json:
        _say_json(stats)
    else:
        write(f"ended: {_ledger(stats)}\n".encode())
    left = stats.get("failed_stopped", 0)
    if left and arguments.what == "drain":
        raise BrokerStopped(f"it has ended, and {left} requests were not finished in time")
    return DONE


def _draining(answer: Mapping[str, Any]) -> str:
    return (
        f"draining: {answer.get('queued', '?')} queued and {answer.get('in_flight', '?')} requests "
        "in flight; it ends when they are done, "
        f"in {answer.get('drain_timeout', '?')} s at the latest\n"
    )


def _always(stats: Mapping[str, Any]) -> tuple[str, ...]:
    return _ALWAYS_OF_DEVICE if "to_backend" in stats else _ALWAYS


def _ledger(stats: Mapping[str, Any]) -> str:
    return ", ".join(f"{stats.get(name, '?')} {name.replace('_', ' ')}" for name in _always(stats))


def _stats(answer: Mapping[str, int]) -> list[str]:
    shown = [name for name in answer if answer[name] or name in _always(answer)]
    meanings = SERVER_COUNTERS if "sessions" in answer else {**COUNTERS, **DEVICE_COUNTERS}
    rows = [("COUNTER", "VALUE", "MEANING")]
    rows += [(name, str(answer[name]), meanings.get(name, "")) for name in shown]
    width = max(len(value) for _, value, _ in rows)
    return [
        line.rstrip()
        for line in aligned([(name, value.rjust(width), why) for name, value, why in rows], 3)
    ]


def _services(answer: Mapping[bytes, Mapping[str, int]]) -> list[str]:
    if not answer:
        return ["no services: no worker is registered and no request waits"]
    rows = [("SERVICE", *(title for title, _ in _SERVICE_COLUMNS))]
    for name, each in answer.items():
        rows.append((printable(name), *(str(each[key]) for _, key in _SERVICE_COLUMNS)))
    return aligned(rows)


def _workers(answer: Mapping[bytes, list[Mapping[str, Any]]]) -> list[str]:
    if not answer:
        return ["no workers: none is registered"]
    sides = {each["side"] for workers in answer.values() for each in workers}
    more = (_SIDE_COLUMN,) if len(sides) > 1 else ()
    columns = (*more, *_WORKER_COLUMNS)
    rows = [("SERVICE", "WORKER", *(title for title, _ in columns))]
    for name, workers in answer.items():
        for each in workers:
            cells = (str(each[key]) for _, key in columns)
            rows.append((printable(name), printable(each["identity"]), *cells))
    return aligned(rows, _WORDS + len(more))


def _say_json(answer: object) -> None:
    write(f"{json.dumps(_jsonable(answer))}\n".encode())


def _jsonable(value: Any) -> Any:
    """The same with names as text."""
    if isinstance(value, bytes):
        return printable(value)
    if isinstance(value, dict):
        return {_jsonable(key): _jsonable(each) for key, each in value.items()}
    return [_jsonable(each) for each in value] if isinstance(value, list) else value


#: Command -> what makes lines of its answer.
_LOOKS: dict[str, Callable[[Any], list[str]]] = {
    "stats": _stats,
    "workers": _workers,
    "services": _services,
}
#: The same for commands to a device.
_STEERS: dict[str, Callable[[Any], list[str]]] = {
    "pause": lambda stats: [f"paused: {_ledger(stats)}"],
    "resume": lambda stats: [f"resumed: {_ledger(stats)}"],
}
#: Commands after which the broker ends.
_ENDS = ("drain", "stop")
