"""The command line in children of a process that has it loaded already: many short calls, quickly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["ForkedCLI", "Outcome"]


class Outcome(NamedTuple):
    """How a call of ``brigantine`` ended."""

    code: int
    out: bytes
    errors: str


class ForkedCLI:
    """Runs ``brigantine WORDS...`` as a process of its own, without starting Python anew."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def run(self, words: Sequence[str], cwd: Path) -> Outcome:
        """``cwd`` is where the call runs, and where what it prints is kept."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps([list(words), str(cwd)]).encode() + b"\n")
        self._server.stdin.flush()
        code = int(self._server.stdout.readline())
        return Outcome(code, (cwd / "out").read_bytes(), (cwd / "errors").read_text())

    def close(self) -> None:
        self._server.communicate(timeout=60)


def _child(words: list[str], cwd: str) -> int:
    os.chdir(cwd)
    for descriptor, name in ((1, "out"), (2, "errors")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), descriptor)
    from brigantine.cli import main

    sys.argv = ["brigantine", *words]
    try:
        return main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _serve() -> None:
    import brigantine.cli.parser  # noqa: F401  (what takes the time)

    for line in sys.stdin:
        words, cwd = json.loads(line)
        process = os.fork()
        if process == 0:
            code = 70
            try:
                code = _child(words, cwd)
            finally:
                os._exit(code)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _serve()
