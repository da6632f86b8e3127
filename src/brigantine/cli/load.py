"""``brigantine load``: puts any broker of these protocols under load and reports the results."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import sys
import time
from typing import TYPE_CHECKING

from .._impl import implementation
from ..config.load import Plan
from ..errors import ConfigError, OptionName
from ..system.process_cpu import read_cpu_time
from .exit_codes import DONE, FAILED, SIGNALLED
from .options import add_rows
from .output import write
from .reasons import ENDED
from .stopping import StopRequests
from .values import reachable, whole

if TYPE_CHECKING:
    from ..load.generator import Generator

__all__ = ["HELP", "NAME", "PATTERNS"]

NAME = "load"
HELP = "Put a broker under load and measure it."
LRU = "Load for an LRU broker: REQ clients and REQ workers."
PPP = "Load for a Paranoid Pirate broker: REQ clients, and workers with heartbeats (PPP)."
MDP = "Load for a Majordomo broker: clients and workers of one service (MDP 0.1 or 0.2)."
PROXY = (
    "Load for a blind proxy (zmq_proxy of ROUTER and DEALER): REQ clients, and workers that echo."
)

_EPILOG = """\
Every client and worker is a separate peer with its own connection; workers reply with what they were
sent. Each reply is matched to its request: `lost` had none within --timeout, `late` came after that,
`duplicates` came again, `wrong` answer another client's request, none at all, or came back changed,
`errors` are error reports instead of a reply. A request whose only answer is wrong is also lost.

Without --rate a client sends when it has a reply (closed loop). With --rate requests are sent at fixed
times whatever becomes of the earlier ones (open loop), and latency counts from the time at which a
request was meant to be sent, so that a stall of the broker shows in full. `unsent` were never sent,
because their client's window was full until the end.

With --workers 0 or --clients 0 the other side runs elsewhere: in another process, or as workers that
return each body unchanged. Without clients it runs until SIGTERM or SIGINT, or for --duration.

The exit code is 0 when every request that was sent has its right reply, and 1 when not, or when the
broker can't be reached. After Ctrl-C (SIGINT) or SIGTERM the figures so far are printed, and the exit
code with clients is 128 + the signal's number. A second Ctrl-C ends the run at once, with 130.
"""

#: Seconds between two looks at the connections, and between two progress lines.
_LOOK = 0.1
_TELL = 1.0
#: Defaults that are not those of a Plan, and options of the patterns whose workers have a capacity.
_OWN = {"clients": 64, "workers": 64}
_OF_CAPACITY = ("capacity", "heartbeat_interval", "liveness")
#: Erases the rest of a terminal's line.
_ERASE = "\x1b[K"


def _add_lru(parser: argparse.ArgumentParser) -> None:
    _add(parser, "lru")


def _add_ppp(parser: argparse.ArgumentParser) -> None:
    _add(parser, "ppp")
    add_rows(parser, _OF_CAPACITY, Plan, _OWN)


def _add_mdp(parser: argparse.ArgumentParser) -> None:
    _add(parser, "mdp")
    add_rows(parser, _OF_CAPACITY, Plan, _OWN)
    parser.add_argument(
        "--service", default="echo", metavar="NAME", help="the service (default %(default)s)"
    )
    add_rows(parser, ("mdp_version",), Plan, _OWN)


def _add_proxy(parser: argparse.ArgumentParser) -> None:
    _add(parser, "proxy")


#: Name of the pattern -> what it is, and what adds its options.
PATTERNS = {
    "lru": (LRU, _add_lru),
    "ppp": (PPP, _add_ppp),
    "mdp": (MDP, _add_mdp),
    "proxy": (PROXY, _add_proxy),
}


def _add(parser: argparse.ArgumentParser, pattern: str) -> None:
    parser.epilog = _EPILOG
    parser.set_defaults(run=_run, pattern=pattern)
    parser.add_argument("--frontend", metavar="EP", help="endpoint of the broker for clients")
    parser.add_argument(
        "--backend",
        metavar="EP",
        help="endpoint of the broker for workers"
        + (" (default: the frontend)" if pattern == "mdp" else ""),
    )
    add_rows(parser, ("clients", "window", "workers", "size"), Plan, _OWN)
    group = parser.add_argument_group("how much")
    add_rows(group, ("requests", "duration", "rate", "warmup", "timeout"), Plan, _OWN)
    add_rows(parser, ("announce", "connect_timeout", "io_threads"), Plan, _OWN)
    _add_surroundings(parser)


def _add_surroundings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pin", type=whole, metavar="CPU", help="run on this CPU only, I/O threads included"
    )
    parser.add_argument(
        "--broker-pid", type=whole, metavar="PID", help="also report the CPU time of this process"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object, with the histogram"
    )


def _run(arguments: argparse.Namespace) -> int:
    implementation("core")  # says what to do if it is missing
    # Only here: every other command works without the core, and starts faster.
    from ..load.generator import Generator
    from ..load.report import report

    given = {
        field.name: getattr(arguments, field.name)
        for field in dataclasses.fields(Plan)
        if hasattr(arguments, field.name)
    }
    for option in ("frontend", "backend"):
        if given[option] is not None:
            (given[option],) = reachable((given[option],), option)
    plan = Plan(**{**_OWN, **given})
    _check_broker(arguments.broker_pid)
    # Before there are any threads: libzmq's are to stay on that CPU, too.
    _pin(arguments.pin)
    generator = Generator(plan)
    with generator, StopRequests() as stops:
        generator.start(broker_pid=arguments.broker_pid, on_end=stops.ended)
        try:
            signal = _watch(generator, stops)
            if signal != ENDED:
                stops.watch_for_second(signal)
        finally:
            figures = generator.finish()
    if arguments.json:
        write(json.dumps(figures.as_json(), indent=2).encode() + b"\n")
    else:
        write(report(figures).encode())
    if figures.interrupted and plan.clients:
        return SIGNALLED + signal
    return DONE if figures.good else FAILED


def _watch(generator: Generator, stops: StopRequests) -> int:
    """Wait for the end, telling how far it is; ENDED, or the signal that came before."""
    screen = sys.stderr if sys.stderr is not None and sys.stderr.isatty() else None
    start = told = time.monotonic()
    before = generator.look()
    while True:
        code = stops.wait(_LOOK)
        if code is not None:
            break
        counts, now = generator.look(), time.monotonic()
        if screen is not None and now - told >= _TELL:
            from ..load.report import progress_line

            line = progress_line(now - start, counts, before, now - told)
            with contextlib.suppress(OSError):
                print(f"\r{line}{_ERASE}", end="", file=screen, flush=True)
            told, before = now, counts
    if screen is not None:
        with contextlib.suppress(OSError):
            print(f"\r{_ERASE}", end="", file=screen, flush=True)
    return code


def _pin(cpu: int | None) -> None:
    """Keep this process on one CPU."""
    if cpu is None:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise ConfigError(OptionName("pin"), ": this system can't keep a process on a CPU")
    allowed = sorted(os.sched_getaffinity(0))
    try:
        os.sched_setaffinity(0, {cpu})
    except (OSError, OverflowError, ValueError):
        there = ", ".join(map(str, allowed))
        raise ConfigError(
            OptionName("pin"), f": this process can't run on CPU {cpu}; it may use {there}"
        ) from None


def _check_broker(pid: int | None) -> None:
    if pid is not None and read_cpu_time(pid) is None:
        raise ConfigError(
            OptionName("broker_pid"), f": the CPU time of process {pid} can't be read"
        )
