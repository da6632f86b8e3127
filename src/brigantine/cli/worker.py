"""``brigantine worker``: serve requests with a function named on the command line."""

from __future__ import annotations

import argparse
import logging
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import ConfigError, OptionName, WrongUse
from ..workers.kinds import is_async
from ..workers.lru import LRUWorker
from ..workers.majordomo import MajordomoWorker
from ..workers.paranoid_pirate import ParanoidPirateWorker
from ..workers.threads import ThreadWorker
from .descriptors import raise_file_limit
from .function import load_function
from .options import add_config_options, options_from, words_for
from .output import OutputFailed, abandon_stdout, log_to_stderr, write
from .process_options import add_log_level, add_stop_at_eof
from .reasons import ENDED, reason
from .restart import is_restart, restart
from .standard_input import leave_at_eof
from .stopping import ECHO, StopRequests
from .supervisor import Supervisor, command_line
from .taken_signals import RESTART_SIGNAL
from .values import at_least_one, reachable

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

_SEVERAL = "workers' endpoint of a broker; if given several times, the worker serves all of them"
_COROUTINES = "A coroutine function (async def) runs under asyncio."

_Worker: TypeAlias = "ThreadWorker[Any] | TaskWorker[Any]"
_Kind: TypeAlias = "type[LRUWorker | ParanoidPirateWorker | MajordomoWorker]"
#: What is not for the processes that ``--processes`` starts: the supervisor sees to it.
_OWN = ("processes", "stop_at_eof")

_log = logging.getLogger("brigantine.worker")


def add_lru(parser: argparse.ArgumentParser) -> None:
    """Add what ``brigantine worker lru`` understands."""
    _add_broker(
        parser, "broker", "backend endpoint of the broker; this kind of worker has only one"
    )
    _add_common(parser, LRUWorker, _COROUTINES)


def add_ppp(parser: argparse.ArgumentParser) -> None:
    """Add what ``brigantine worker ppp`` understands."""
    _add_broker(parser, "brokers", _SEVERAL)
    _add_common(parser, ParanoidPirateWorker, f"What a generator yields is joined. {_COROUTINES}")


def add_mdp(parser: argparse.ArgumentParser) -> None:
    """Add what ``brigantine worker mdp`` understands."""
    _add_broker(parser, "brokers", _SEVERAL)
    parser.add_argument("--service", required=True, metavar="NAME", help="the service to serve")
    _add_common(
        parser,
        MajordomoWorker,
        "It may be a generator, whose values are sent one by one, each at once.\n"
        "Coroutine functions and async generators (async def) run under asyncio.",
    )


#: Name of the pattern -> what it is, and what adds its options.
PATTERNS = {
    "lru": (LRU, add_lru),
    "ppp": (PPP, add_ppp),
    "mdp": (MDP, add_mdp),
}


def _add_broker(parser: argparse.ArgumentParser, name: str, words: str) -> None:
    parser.add_argument(
        "--broker", dest=name, action="append", required=True, metavar="EP", help=words
    )


def _add_common(parser: argparse.ArgumentParser, kind: _Kind, more: str) -> None:
    parser.epilog = _EPILOG.format(more=more, echo=round(ECHO * 1000))
    parser.set_defaults(run=_run, kind=kind)
    parser.add_argument(
        "--processes",
        type=at_least_one,
        metavar="N",
        help="run this many processes, each with one worker, under a supervisor that replaces those "
        "that end; without this option the worker runs in this process",
    )
    add_log_level(parser, "info")
    add_stop_at_eof(parser)
    parser.add_argument(
        "handler",
        metavar="MODULE:FUNCTION",
        help="the function; modules are also searched for in the current folder",
    )
    add_config_options(parser, kind.options(), kind.option_names())


# -- the worker that the arguments ask for --------------------------------------------------------


def _made(arguments: argparse.Namespace, handler: Callable[[Any], Any]) -> _Worker:
    kind: _Kind = arguments.kind
    words: list[Any] = [_brokers(arguments), handler]
    if kind is MajordomoWorker:
        words.insert(1, os.fsencode(arguments.service))
    made: Callable[..., _Worker] = kind
    if is_async(handler):
        from ..workers import aio  # only here: asyncio is loaded where it is needed

        made = getattr(aio, kind.__name__)
    return made(*words, **options_from(arguments, kind.option_names()))


def _brokers(arguments: argparse.Namespace) -> str | tuple[str, ...]:
    if arguments.kind is not LRUWorker:
        return reachable(arguments.brokers, "brokers")
    brokers = reachable(arguments.broker, "broker")
    if len(brokers) > 1:
        raise ConfigError(
            OptionName("broker"),
            f": an LRU worker has one broker, not {len(brokers)} ({', '.join(brokers)}); "
            "run a worker for each",
        )
    return brokers[0]


def _words(arguments: argparse.Namespace) -> list[str]:
    """The command line of one worker process that does the same, beginning with the pattern."""
    return [arguments.pattern, *words_for(arguments.parser, arguments, without=_OWN)]


# -- running it -----------------------------------------------------------------------------------


def _run(arguments: argparse.Namespace) -> int:
    _made(arguments, _no_handler)  # the endpoints are told first, before the module does anything
    log_to_stderr(arguments.log_level)
    raise_file_limit()
    if arguments.stop_at_eof:
        leave_at_eof()  # importing may take as long as it likes
    # With several processes, too: a mistake is told here once, not by each of them.
    try:
        worker = _made(arguments, load_function(arguments.handler))
    except WrongUse as error:  # an async generator function where there are no parts
        raise ConfigError(
            f"{arguments.handler!r}: {error.spelled(arguments.parser.typed)}"
        ) from error
    if arguments.processes is None:
        return _serve(worker, arguments)
    return Supervisor(_words(arguments), arguments.processes).run(arguments.stop_at_eof)


def _no_handler(_: Any) -> bytes:
    raise AssertionError("a worker that was made to check its options was run")


def _serve(worker: _Worker, arguments: argparse.Namespace) -> int:
    """Run the worker in the main thread; another one waits for the reasons to stop."""
    # Never closed: a second Ctrl-C is to work until the process ends, or signals are given back.
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
        _log.critical("ended by %r in handler %s", error, arguments.handler)
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
        import asyncio  # as in _made()

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
    if why == ENDED:  # the worker, too
        return
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
