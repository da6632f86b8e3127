"""``brigantine demo``: real input through a broker, with figures."""

from __future__ import annotations

import argparse
import json
import os
import sys
import sysconfig
from functools import partial

from ..config import BrokerConfig
from ..errors import ConfigError
from .exit_codes import SIGNALLED, WRONG_USE
from .output import write, write_text
from .stopping import StopRequests
from .values import at_least_one, size

__all__ = ["HELP", "NAME", "add_to"]

NAME = "demo"
HELP = "Send the files of a folder through a broker and check every result."

_EPILOG = """\
Starts a broker, worker processes and clients. Each file goes to the workers in chunks; they compute
SHA-256 and count words, and each result is compared with one computed here. This is done with the
compiled core and then with the pure-Python implementation. Then small requests go through both
alternately, to show what one costs the broker in CPU time.
The exit code is 1 when a request was lost or a result was wrong.
"""

#: As much as a run takes some seconds for.
_DEFAULT_BYTES = 32 << 20
_DEFAULT_CHUNK = 64 << 10
#: Half of the message limit leaves room for the envelope, whatever it holds.
_MAX_CHUNK = BrokerConfig.max_message_bytes // 2
_CLIENTS_PER_WORKER = 2
_WORKERS = max(2, os.cpu_count() or 1)

_RICH_MISSING = 'brigantine demo needs rich: pip install "brigantine[demo]"'


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add what ``brigantine demo`` understands."""
    parser.epilog = _EPILOG
    parser.set_defaults(run=_run)
    parser.add_argument(
        "path",
        nargs="?",
        metavar="PATH",
        help="a file or folder (default: the standard library of this Python, "
        f"up to {_DEFAULT_BYTES >> 20} MiB of it)",
    )
    parser.add_argument(
        "--impl",
        choices=("core", "pure", "both"),
        default="both",
        help="what to run (default both)",
    )
    parser.add_argument(
        "--workers",
        type=at_least_one,
        default=_WORKERS,
        metavar="N",
        help="worker processes (default %(default)s)",
    )
    parser.add_argument(
        "--clients",
        type=at_least_one,
        metavar="N",
        help=f"requests in flight at once (default {_CLIENTS_PER_WORKER} for each worker)",
    )
    parser.add_argument(
        "--chunk-size",
        type=size,
        default=_DEFAULT_CHUNK,
        metavar="BYTES",
        help="largest chunk of a file (default 64KiB)",
    )
    parser.add_argument(
        "--max-bytes",
        type=size,
        metavar="BYTES",
        help="stop after this many bytes (default: no limit for a given PATH)",
    )
    parser.add_argument(
        "--kill-workers",
        action="store_true",
        help="kill -9 a worker every half second, start another, and count what was lost",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object instead of the table"
    )


def _run(arguments: argparse.Namespace) -> int:
    if not 1 <= arguments.chunk_size <= _MAX_CHUNK:
        raise ConfigError(
            f"--chunk-size must be from 1 to {_MAX_CHUNK} bytes, not {arguments.chunk_size}"
        )
    try:
        import rich  # noqa: F401
    except ImportError:
        print(_RICH_MISSING, file=sys.stderr)
        return WRONG_USE
    # Only here: every other command works without them, and starts faster.
    from ..demo.corpus import scan
    from ..demo.runner import Plan, run_demo
    from ..demo.screen import as_text, progress_bar

    max_bytes = arguments.max_bytes
    if arguments.path is None and max_bytes is None:
        max_bytes = _DEFAULT_BYTES
    corpus = scan(arguments.path or sysconfig.get_path("stdlib"), max_bytes)
    plan = Plan(
        corpus=corpus,
        impls=("core", "pure") if arguments.impl == "both" else (arguments.impl,),
        workers=arguments.workers,
        clients=arguments.clients or arguments.workers * _CLIENTS_PER_WORKER,
        chunk_size=arguments.chunk_size,
        kill_workers=arguments.kill_workers,
    )
    try:
        with StopRequests() as stops, progress_bar(corpus.size) as progress:
            report = run_demo(plan, progress, partial(_pause, stops))
    except _Stopped as stopped:
        return SIGNALLED + stopped.number
    if arguments.json:
        write(json.dumps(report.as_json(), indent=2).encode() + b"\n")
    else:
        write_text(as_text(report))
    return 0 if report.good else 1


class _Stopped(Exception):
    """A stop signal came."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _pause(stops: StopRequests, seconds: float) -> None:
    """Sleep, but not beyond a stop signal.

    A signal is noticed here alone: an exception out of the blue, in the middle of starting a
    process, would leave that one behind.
    """
    number = stops.wait(seconds)
    if number is not None:
        raise _Stopped(number)
