"""``brigantine`` commands run by the tests, as processes that never outlive a test."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from harness import PATIENCE, wait_until

import brigantine

#: In the environment of every process that descends from a command; its value tells which one.
MARK = "BRIGANTINE_TEST_COMMAND"
SOURCE = str(Path(brigantine.__file__).parent.parent)


class Command:
    """A process that runs ``brigantine`` with ``arguments``, or a Python ``program`` or ``module``.

    ``session``: in a process group of its own, for ``os.killpg``.
    """

    def __init__(
        self,
        *arguments: str,
        program: str | None = None,
        module: str = "brigantine",
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        stdin: Any = subprocess.DEVNULL,
        stdout: Any = subprocess.PIPE,
        session: bool = False,
    ) -> None:
        start = ["-m", module] if program is None else ["-c", program]
        path = os.pathsep.join(filter(None, (SOURCE, os.environ.get("PYTHONPATH"))))
        self._mark = uuid.uuid4().hex
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self.process = subprocess.Popen(
            [sys.executable, *start, *arguments],
            env={**os.environ, "PYTHONPATH": path, MARK: self._mark, **(env or {})},
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=self._errors,
            start_new_session=session,
        )

    def line(self) -> str:
        """The next line on standard output; fails if there is none in time."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line: bytes = self.process.stdout.readline() if ready else b""
        assert line.endswith(b"\n"), f"no line on standard output; standard error: {self.errors()}"
        return line.decode().rstrip("\n")

    def ready(self) -> dict[str, str]:
        """The endpoints of a broker's ready line."""
        word, *endpoints = self.line().split(" ")
        assert word == "ready"
        return dict(endpoint.split("=", 1) for endpoint in endpoints)

    def errors(self) -> str:
        """Standard error up to now."""
        return os.pread(self._errors.fileno(), 1 << 20, 0).decode()

    def wait_for(self, words: str) -> None:
        """Wait until standard error contains ``words``."""
        wait_until(lambda: words in self.errors(), f"{words!r} on standard error")

    def finish(self, *, data: bytes | None = None, timeout: float = PATIENCE) -> tuple[int, bytes]:
        """Wait for the end: exit code and (the rest of) standard output, without workers' ready lines."""
        out, _ = self.process.communicate(data, timeout)
        lines = (out or b"").splitlines(keepends=True)
        out = b"".join(line for line in lines if not line.startswith(b"ready brokers="))
        return self.process.returncode, out

    def complaint(self) -> str:
        """The one line that a command that failed says; fails if it says more or less."""
        lines = self.errors().splitlines()
        assert len(lines) == 1, lines
        return lines[0]

    def descendants(self) -> dict[int, str]:
        """Processes started by this one, directly or not, that live: pid and command line."""
        found = {}
        mark = f"{MARK}={self._mark}".encode()
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and int(folder.name) != self.process.pid:
                with contextlib.suppress(OSError):
                    if mark in (folder / "environ").read_bytes().split(b"\0"):
                        words = (folder / "cmdline").read_bytes().split(b"\0")
                        found[int(folder.name)] = b" ".join(words).decode()
        return found

    def nothing_left(self) -> None:
        """Wait until no process that this one started is left."""
        wait_until(lambda: not self.descendants(), "the end of all child processes")

    def close(self) -> None:
        """End it and everything that it started."""
        self.process.kill()
        for pid in self.descendants():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def __enter__(self) -> Command:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Commands:
    """Starts commands and closes them all at the end."""

    def __init__(self) -> None:
        self._started: list[Command] = []

    def __call__(self, *arguments: str, **options: Any) -> Command:
        self._started.append(Command(*arguments, **options))
        return self._started[-1]

    def close(self) -> None:
        """Close all that were started."""
        for command in self._started:
            command.close()


def started() -> Iterator[Commands]:
    """The body of a fixture."""
    commands = Commands()
    try:
        yield commands
    finally:
        commands.close()
