"""How the command ``brigantine`` begins: what keeps its modules from being imported, in one line.

A wrong BRIGANTINE_IMPL, no compiled core, Ctrl-C.  This stands beside the package and not in it, for
it is importing the package that fails.
"""

from __future__ import annotations

import contextlib
import sys
from types import TracebackType

__all__ = ["Beginning", "imported_to_be_run", "main"]

#: As in brigantine.cli.codes.
_WRONG_USE = 2
_INTERRUPTED = 130


def main() -> int:
    """Run one command line, ``sys.argv[1:]``, and return its exit code."""
    with Beginning():
        from brigantine.cli import main as run

        return run()


def imported_to_be_run() -> bool:
    """Whether ``python -m brigantine`` is importing the package, whose ``__main__`` comes next."""
    # While it does so, "-m" stands in argv for the script, and the arguments behind it are all there.
    words = getattr(sys, "argv", [])
    name = sys.orig_argv[-len(words)] if words[:1] == ["-m"] else ""
    return name == "brigantine" or (name.startswith("-") and name.endswith("mbrigantine"))


class Beginning:
    """Within it, what the package says when it can't be imported ends the process, with one line.

    Unless ``active``, all is as without it.
    """

    def __init__(self, active: bool = True) -> None:
        self._active = active

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._active or kind is None:
            return
        if issubclass(kind, KeyboardInterrupt):
            raise SystemExit(_INTERRUPTED) from None
        if kind.__module__ == "brigantine.errors":  # which can't be asked for: it is not imported
            with contextlib.suppress(OSError):
                line = " ".join(str(error).split())
                print(f"brigantine: {line}", file=sys.stderr, flush=True)
            raise SystemExit(_WRONG_USE) from None
