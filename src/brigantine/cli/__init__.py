"""The command ``brigantine``: brokers, devices, workers, requests, load and the demo.

Exit codes: 0 done; 1 it could not be done (no reply, a worker's error, a broker that ended by
itself or left accepted requests unfinished); 2 it was asked for in the wrong way (an option, an
endpoint, a module).  Codes 1 and 2 come with one line on standard error.  130 after Ctrl-C where
nothing else is said.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import BindError, BrigantineError, ConfigError, ConnectError, CoreMissing
from .exit_codes import DONE, FAILED, INTERRUPTED, WRONG_USE
from .output import abandon_stdout, complain, flush_stdout, warnings_told
from .parser import build_parser
from .taken_signals import signals_given_back

__all__ = ["command", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (``sys.argv[1:]`` by default) and return its exit code.

    Signals are afterwards as they were before.
    """
    with signals_given_back():
        return command(argv)


def command(argv: Sequence[str] | None = None) -> int:
    """The same for a process that ends with it: no signal is to disturb its way out."""
    try:
        code = _run(argv)
        flush_stdout()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has had enough: nothing to tell them
        abandon_stdout()
        return FAILED
    except (ConfigError, BindError, ConnectError, CoreMissing) as error:
        complain(_words(error))
        return WRONG_USE
    except BrigantineError as error:
        complain(_words(error))
        return FAILED


def _run(argv: Sequence[str] | None) -> int:
    parser = build_parser()
    try:
        arguments, unknown = parser.parse_known_args(argv)
        if unknown:
            # The parser of the command itself knows better than the outermost where to look.
            arguments.parser.error(f"unknown argument {unknown[0]!r}")
    except SystemExit as end:  # --help, --version, or a usage error that was told
        return DONE if end.code is None else int(end.code)
    typed = arguments.parser.typed
    try:
        with warnings_told(typed):
            code: int = arguments.run(arguments)
    except ConfigError as error:
        complain(error.spelled(typed))
        return WRONG_USE
    return code


def _words(error: BrigantineError) -> str:
    """The message of an error, without the ``[Errno 98]`` that OSError puts in front."""
    return str(getattr(error, "strerror", None) or error)
