"""The command ``brigantine``, from its first moment on: what can't be imported is told in one line.

A wrong BRIGANTINE_IMPL, no compiled core, Ctrl-C.  This stands beside the package and not in it, for
it is importing the package that fails.
"""

from __future__ import annotations

import contextlib
import sys

__all__ = ["main"]

#: As in brigantine.cli.codes.
_WRONG_USE = 2
_INTERRUPTED = 130


def main() -> int:
    """Run one command line, ``sys.argv[1:]``, and return its exit code."""
    try:
        from brigantine.cli import main as run
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:
        if type(error).__module__ != "brigantine.errors":  # which can't be imported to be asked for
            raise
        with contextlib.suppress(OSError):
            line = " ".join(str(error).split())
            print(f"brigantine: {line}", file=sys.stderr, flush=True)
        return _WRONG_USE
    return run()
