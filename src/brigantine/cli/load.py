"""``brigantine load``: puts any broker of these protocols under load and reports the results."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import re
import sys
import time
from typing import TYPE_CHECKING

from .._impl import implementation
from ..config import MDP_INTERVAL, PPP_INTERVAL
from ..errors import ConfigError
from ..system.process_cpu import read_cpu_time
from .client_options import add_mdp_version
from .codes import DONE, FAILED, SIGNALLED
from .output import write
from .stopping import ENDED, StopRequests
from .values import at_least_one, reachable, seconds, size, whole

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
#: How messages name an option.
_OPTION = re.compile(r"`(\w+)`")
#: Erases the rest of a terminal's line.
_ERASE = "\x1b[K"


def _add_lru(parser: argparse.ArgumentParser) -> None:
    _add(parser, "lru")


def _add_ppp(parser: argparse.ArgumentParser) -> None:
    _add(parser, "ppp")
    _add_capacity(parser)


def _add_mdp(parser: argparse.ArgumentParser) -> None:
    _add(parser, "mdp")
    _add_capacity(parser)
    parser.add_argument(
        "--service", default="echo", metavar="NAME", help="the service (default %(default)s)"
    )
    add_mdp_version(parser)


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
    for option, default, what in (
        ("--clients", 64, "clients, each a peer of its own; 0: none here"),
        ("--window", 1, "requests that a client has out at once"),
        ("--workers", 64, "workers, each a peer of its own; 0: none here"),
    ):
        parser.add_argument(
            option, type=whole, default=default, metavar="N", help=f"{what} (default {default})"
        )
    parser.add_argument(
        "--size", type=size, default=64, metavar="BYTES", help="bytes of a body (default 64)"
    )
    _add_length(parser)
    _add_surroundings(parser)


def _add_length(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how much")
    group.add_argument(
        "--requests", type=at_least_one, metavar="N", help="end after this many requests in total"
    )
    group.add_argument(
        "--duration",
        type=seconds,
        metavar="S",
        help="send for this many seconds (default 10, if there are clients and no --requests)",
    )
    group.add_argument(
        "--rate",
        type=_rate,
        metavar="R",
        help="open loop: requests a second over all clients (default: closed loop)",
    )
    group.add_argument(
        "--warmup",
        type=seconds,
        default=0.0,
        metavar="S",
        help="seconds before that, which are not counted (default 0)",
    )
    group.add_argument(
        "--timeout",
        type=seconds,
        default=10.0,
        metavar="S",
        help="seconds after which a request without a reply counts as lost (default 10)",
    )


def _add_surroundings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--announce",
        action="store_true",
        help="clients announce by their routing id that they understand error answers",
    )
    parser.add_argument(
        "--connect-timeout",
        type=seconds,
        default=10.0,
        metavar="S",
        help="seconds that connecting may take (default 10)",
    )
    parser.add_argument(
        "--io-threads", type=whole, default=1, metavar="N", help="I/O threads (default 1)"
    )
    parser.add_argument(
        "--pin", type=whole, metavar="CPU", help="run on this CPU only, I/O threads included"
    )
    parser.add_argument(
        "--broker-pid", type=whole, metavar="PID", help="also report the CPU time of this process"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object, with the histogram"
    )


def _add_capacity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--capacity",
        type=whole,
        default=1,
        metavar="C",
        help="requests that a worker takes at once; announced if above 1 (default 1)",
    )
    parser.add_argument(
        "--heartbeat-interval",
        type=seconds,
        metavar="S",
        help="seconds between heartbeats of a worker, as the broker has it (default: the protocol's own, "
        f"PPP {PPP_INTERVAL:g}, MDP {MDP_INTERVAL:g})",
    )
    parser.add_argument(
        "--liveness",
        type=at_least_one,
        default=3,
        metavar="N",
        help="intervals of silence after which workers say READY again (default 3)",
    )


def _rate(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of requests a second") from None


def _run(arguments: argparse.Namespace) -> int:
    implementation("core")  # says what to do if it is missing
    # Only here: every other command works without the core, and starts faster.
    from ..load.generator import Generator
    from ..load.plan import Plan
    from ..load.report import report

    given = {
        field.name: getattr(arguments, field.name)
        for field in dataclasses.fields(Plan)
        if hasattr(arguments, field.name)
    }
    for option in ("frontend", "backend"):
        if given[option] is not None:
            (given[option],) = reachable((given[option],), f"--{option}")
    try:
        plan = Plan(**given)
        _check_broker(arguments.broker_pid)
        # Before there are any threads: libzmq's are to stay on that CPU, too.
        _pin(arguments.pin)
        generator = Generator(plan)
    except ConfigError as error:
        raise ConfigError(_OPTION.sub(_as_typed, str(error))) from None
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


def _as_typed(option: re.Match[str]) -> str:
    return "--" + option[1].replace("_", "-")


def _pin(cpu: int | None) -> None:
    """Keep this process on one CPU."""
    if cpu is None:
        return
    if not hasattr(os, "sched_setaffinity"):
        raise ConfigError("`pin`: this system can't keep a process on a CPU")
    allowed = sorted(os.sched_getaffinity(0))
    try:
        os.sched_setaffinity(0, {cpu})
    except (OSError, OverflowError, ValueError):
        there = ", ".join(map(str, allowed))
        raise ConfigError(
            f"`pin`: this process can't run on CPU {cpu}; it may use {there}"
        ) from None


def _check_broker(pid: int | None) -> None:
    if pid is not None and read_cpu_time(pid) is None:
        raise ConfigError(f"`broker_pid`: the CPU time of process {pid} can't be read")
