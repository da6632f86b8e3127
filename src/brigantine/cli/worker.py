"""``brigantine worker``: serve requests with a function named on the command line."""

from __future__ import annotations

import argparse
import logging
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from ..config import MDP_INTERVAL, PPP_INTERVAL, READY_TIMEOUT, BrokerConfig
from ..errors import ConfigError
from ..workers.kinds import is_async
from ..workers.lru import LRUWorker
from ..workers.majordomo import MajordomoWorker
from ..workers.paranoid_pirate import ParanoidPirateWorker
from ..workers.threads import ThreadWorker
from .as_typed import as_typed
from .descriptors import raise_file_limit
from .function import load_function
from .output import OutputFailed, abandon_stdout, log_to_stderr, write
from .process_options import add_log_level, add_stop_at_eof
from .restart import is_restart, restart
from .standard_input import leave_at_eof
from .stopping import (
    ECHO,
    RESTART_SIGNAL,
    StopRequests,
    reason,
)
from .supervisor import Supervisor, command_line
from .values import at_least_one, reachable, seconds, size, whole

if TYPE_CHECKING:
    from ..workers.tasks import TaskWorker

__all__ = ["HELP", "NAME", "PATTERNS"]

NAME = "worker"
HELP = "Run a worker."
LRU = "Serve the requests of an LRU broker with a Python function."
PPP = "Serve the requests of Paranoid Pirate brokers with a Python function."
MDP = "Serve the requests for one service of Majordomo brokers with a Python function."

_EPILOG = """\
The function takes the body of the request and returns the body of the reply: bytes for one frame, a
list of bytes for several. {more}
To try it out, use brigantine.handlers:echo or brigantine.handlers:upper.

Each process prints one line on standard output once a broker has confirmed it, or after
--ready-timeout:
  ready brokers=CONFIRMED/ALL

SIGTERM, however often it comes, and the first Ctrl-C (SIGINT) let the worker finish the requests that
it holds and exit with 0, whether they reach this process or its whole group. A second Ctrl-C exits at
once, in the middle of requests, with 130; SIGINTs within {echo} ms count as one. SIGHUP finishes the
requests and then restarts the worker with the current version of the module; if that can't be
imported any more, the exit code is 2.

A function that calls sys.exit() or raises KeyboardInterrupt ends the worker at once, with that exit
code or 130, and the log says so; any other error is reported to the client. With --processes, a
process that ends by itself is replaced; one that exits with 2 ends the others as well.
"""

_COROUTINES = "A coroutine function (async def) runs under asyncio."

_Worker: TypeAlias = "ThreadWorker[Any] | TaskWorker[Any]"
#: How a pattern makes its worker from the arguments and the function.
_Make: TypeAlias = "Callable[[argparse.Namespace, Callable[[Any], Any]], _Worker]"

_log = logging.getLogger("brigantine.worker")


def add_lru(parser: argparse.ArgumentParser) -> None:
    """Add what ``brigantine worker lru`` understands."""
    parser.add_argument(
        "--broker",
        action="append",
        required=True,
        metavar="EP",
        help="backend endpoint of the broker; this kind of worker has only one",
    )
    _add_common(parser, _lru, _COROUTINES)


def add_ppp(parser: argparse.ArgumentParser) -> None:
    """Add what ``brigantine worker ppp`` understands."""
    _add_heartbeating(parser, PPP_INTERVAL)
    _add_common(parser, _ppp, f"What a generator yields is joined. {_COROUTINES}")


def add_mdp(parser: argparse.ArgumentParser) -> None:
    """Add what ``brigantine worker mdp`` understands."""
    _add_heartbeating(parser, MDP_INTERVAL)
    parser.add_argument("--service", required=True, metavar="NAME", help="the service to serve")
    parser.add_argument(
        "--mdp-version",
        choices=("0.1", "0.2"),
        default="0.2",
        help="version of the protocol (default 0.2)",
    )
    _add_common(
        parser,
        _mdp,
        "It may be a generator, whose values are sent one by one, each at once.\n"
        "Coroutine functions and async generators (async def) run under asyncio.",
    )


#: Name of the pattern -> what it is, and what adds its options.
PATTERNS = {
    "lru": (LRU, add_lru),
    "ppp": (PPP, add_ppp),
    "mdp": (MDP, add_mdp),
}


def _add_heartbeating(parser: argparse.ArgumentParser, interval: float) -> None:
    parser.add_argument(
        "--broker",
        action="append",
        required=True,
        metavar="EP",
        help="workers' endpoint of a broker; if given several times, the worker serves all of them",
    )
    parser.add_argument(
        "--capacity",
        type=at_least_one,
        default=1,
        metavar="N",
        help="requests that one process handles at once, each in a thread or a task (default 1)",
    )
    parser.add_argument(
        "--heartbeat-interval",
        type=seconds,
        default=interval,
        metavar="S",
        help="seconds between heartbeats on a silent connection, as the broker has it "
        "(default %(default)g)",
    )
    parser.add_argument(
        "--announce-interval",
        action="store_true",
        help="make the broker use this interval, too; only brokers of brigantine understand this",
    )
    parser.add_argument(
        "--liveness",
        type=at_least_one,
        default=3,
        metavar="N",
        help="intervals of silence after which a broker counts as gone (default 3)",
    )


def _add_common(parser: argparse.ArgumentParser, make: _Make, more: str) -> None:
    parser.epilog = _EPILOG.format(more=more, echo=round(ECHO * 1000))
    parser.set_defaults(run=_run, make=make)
    parser.add_argument(
        "--processes",
        type=at_least_one,
        metavar="N",
        help="run this many processes, each with one worker, under a supervisor that replaces those "
        "that end; without this option the worker runs in this process",
    )
    parser.add_argument(
        "--max-reply-bytes",
        type=size,
        default=BrokerConfig.max_message_bytes,
        metavar="BYTES",
        help="largest reply, or part of one, in bytes (or 64KiB, 16MiB); a larger one is reported to "
        "the client as an error. The same as the broker's --max-message-bytes (default %(default)s)",
    )
    parser.add_argument(
        "--max-reply-frames",
        type=whole,
        default=BrokerConfig.max_frames,
        metavar="N",
        help="most frames of a reply, the same as the broker's --max-frames (default %(default)s)",
    )
    parser.add_argument(
        "--ready-timeout",
        type=seconds,
        default=READY_TIMEOUT,
        metavar="S",
        help="seconds that the ready line waits for a broker at most (default %(default)g)",
    )
    add_log_level(parser, "info")
    add_stop_at_eof(parser)
    parser.add_argument(
        "function",
        metavar="MODULE:FUNCTION",
        help="the function; modules are also searched for in the current folder",
    )


# -- what a pattern runs --------------------------------------------------------------------------


@as_typed()
def _lru(arguments: argparse.Namespace, handler: Callable[[Any], Any]) -> _Worker:
    brokers = reachable(arguments.broker, "--broker")
    if len(brokers) > 1:
        raise ConfigError(
            f"--broker: an LRU worker has one broker, not {len(brokers)} ({', '.join(brokers)}); "
            "run a worker for each"
        )
    (broker,) = brokers
    return _kind(LRUWorker, handler)(broker, handler, **_limits(arguments))


@as_typed()
def _ppp(arguments: argparse.Namespace, handler: Callable[[Any], Any]) -> _Worker:
    return _kind(ParanoidPirateWorker, handler)(
        reachable(arguments.broker, "--broker"),
        handler,
        capacity=arguments.capacity,
        heartbeat_interval=arguments.heartbeat_interval,
        announce_interval=arguments.announce_interval,
        liveness=arguments.liveness,
        **_limits(arguments),
    )


@as_typed()
def _mdp(arguments: argparse.Namespace, handler: Callable[[Any], Any]) -> _Worker:
    return _kind(MajordomoWorker, handler)(
        reachable(arguments.broker, "--broker"),
        os.fsencode(arguments.service),
        handler,
        capacity=arguments.capacity,
        heartbeat_interval=arguments.heartbeat_interval,
        announce_interval=arguments.announce_interval,
        liveness=arguments.liveness,
        version=arguments.mdp_version,
        **_limits(arguments),
    )


def _limits(arguments: argparse.Namespace) -> dict[str, Any]:
    """What all workers are told."""
    names = ("max_reply_bytes", "max_reply_frames", "ready_timeout")
    return {name: getattr(arguments, name) for name in names}


def _kind(kind: type[ThreadWorker[Any]], handler: Callable[[Any], Any]) -> Callable[..., _Worker]:
    """The worker of that name that takes this handler; asyncio is only loaded where it is needed."""
    if not is_async(handler):
        return kind
    from ..workers import aio

    made: Callable[..., _Worker] = getattr(aio, kind.__name__)
    return made


def _words(arguments: argparse.Namespace) -> list[str]:
    """The command line of one worker process that does the same, beginning with the pattern."""
    words: list[str] = [arguments.pattern]
    words += [f"--broker={broker}" for broker in arguments.broker]
    for name in (
        "service", "mdp_version", "capacity", "heartbeat_interval", "liveness",
        "max_reply_bytes", "max_reply_frames", "ready_timeout",
    ):  # fmt: skip
        if hasattr(arguments, name):
            words.append(f"--{name.replace('_', '-')}={getattr(arguments, name)}")
    words += ["--announce-interval"] if getattr(arguments, "announce_interval", False) else []
    return [*words, "--log-level", arguments.log_level, "--", arguments.function]


# -- running it -----------------------------------------------------------------------------------


def _run(arguments: argparse.Namespace) -> int:
    make: _Make = arguments.make
    make(arguments, _no_handler)  # the endpoints are told first, before the module does anything
    log_to_stderr(arguments.log_level)
    raise_file_limit()
    if arguments.stop_at_eof:
        leave_at_eof()  # importing may take as long as it likes
    # With several processes, too: a mistake is told here once, not by each of them.
    try:
        worker = make(arguments, load_function(arguments.function))
    except TypeError as error:  # an async generator function where there are no parts
        raise ConfigError(f"{arguments.function!r}: {error}") from error
    if arguments.processes is None:
        return _serve(worker, arguments)
    return Supervisor(_words(arguments), arguments.processes).run(arguments.stop_at_eof)


def _no_handler(_: Any) -> bytes:
    raise AssertionError("a worker that was made to check its options was run")


def _serve(worker: _Worker, arguments: argparse.Namespace) -> int:
    """Run the worker in the main thread; another one waits for the reasons to stop."""
    # Never closed: a second Ctrl-C is to work for as long as there is a process.
    stops = StopRequests(at_eof=arguments.stop_at_eof, also=(RESTART_SIGNAL,)).open()
    restarting = threading.Event()
    watcher = threading.Thread(
        target=_stop_when_told,
        args=(worker, stops, restarting),
        name="brigantine-stop",
        daemon=True,
    )
    watcher.start()
    _log.info("started: %r", worker)
    threading.Thread(
        target=worker._tell_ready, args=(_say_ready,), name="brigantine-ready", daemon=True
    ).start()
    try:
        _run_worker(worker)
    except (KeyboardInterrupt, SystemExit) as error:
        # Signals raise nothing here, so this is from the function.  It is obeyed, but not in silence.
        _log.critical("ended by %r in handler %s", error, arguments.function)
        raise
    _log.info("stopped: %s", ", ".join(f"{name} {n}" for name, n in worker.stats().items() if n))
    if restarting.is_set():
        restart(command_line(_words(arguments), stop_at_eof=arguments.stop_at_eof))
    return 0


def _say_ready(confirmed: int, brokers: int) -> None:
    """Print the ready line."""
    _log.info("ready: confirmed by %d of %d brokers", confirmed, brokers)
    try:
        write(b"ready brokers=%d/%d\n" % (confirmed, brokers))
    except (BrokenPipeError, OutputFailed) as error:
        _log.warning("the ready line can't be written to standard output: %s", error)
        abandon_stdout()


def _run_worker(worker: _Worker) -> None:
    if isinstance(worker, ThreadWorker):
        worker.run()
    else:
        import asyncio  # as in _kind()

        asyncio.run(worker.run())


def _stop_when_told(worker: _Worker, stops: StopRequests, restarting: threading.Event) -> None:
    """Stop at the first reason, exit at the second Ctrl-C.

    Done here and not in a signal handler, which would have to wait until the function comes back
    from whatever C code it is in.
    """
    why = stops.wait_first()
    while is_restart(why):
        if not restarting.is_set():
            restarting.set()
            _log.info("%s: finishing the requests in hand, then restarting", reason(why))
            worker.stop()
        why = stops.wait_first()
    restarting.clear()
    _log.info("%s: stopping", reason(why))
    worker.stop()
    stops.debounce(why)
    _log.info("finishing the request in hand%s", stops.hint("exits"))
    stops.exit_at_second(
        lambda code: _log.info(
            "%s: still finishing the request in hand%s", reason(code), stops.hint("exits")
        )
    )
