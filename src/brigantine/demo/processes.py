"""The demo's child processes: a broker and workers, run by the command line like anybody's."""

from __future__ import annotations

import contextlib
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import IO

from ..errors import BrigantineError

__all__ = ["Child", "DemoFailed", "Fleet"]

#: The workers' function as the command line names it.
_FUNCTION = "brigantine.demo.work:digest"
#: Seconds that the broker may take for requests that nobody waits for any more.
_DRAIN_TIMEOUT = 0.5
#: Seconds between two looks whether a child has printed its first line.
_LOOK = 0.01
#: Seconds that a child may take to end once told to.
_PATIENCE = 5.0


class DemoFailed(BrigantineError):
    """The demo could not be carried out: a process of its own ended."""


class Child:
    """A ``brigantine`` command in a process of its own.

    It ends when this process does, even by SIGKILL: nobody but us holds the other end of its
    standard input.  It has a session of its own, so that Ctrl-C on the terminal comes to us alone.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by _collect
        self.name = " ".join(arguments[:2])
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "brigantine",
                *arguments,
                "--stop-at-eof",
                "--log-level=warning",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def first_line(self, pause: Callable[[float], object]) -> str:
        """The first line that it prints.  Raises :class:`DemoFailed` if it ends before."""
        assert self.process.stdout is not None
        while not select.select([self.process.stdout], [], [], 0)[0]:
            pause(_LOOK)
        line = self.process.stdout.readline().decode()
        if not line:
            self.process.wait()
            self.must_run()
        return line

    def must_run(self) -> None:
        """Raise :class:`DemoFailed` with its last words if it has ended."""
        code = self.process.poll()
        if code is None:
            return
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        said = f": {lines[-1]}" if lines else ""
        raise DemoFailed(f"'brigantine {self.name}' ended by itself with {code}{said}")

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self._collect()

    def terminate(self) -> None:
        """Ask it to end."""
        self.process.terminate()

    def collect(self, deadline: float) -> None:
        """Wait until it has ended; at ``deadline`` (of ``time.monotonic``) make it end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, deadline - time.monotonic()))
        self.kill()

    def _collect(self) -> None:
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            if stream is not None:
                stream.close()


class Fleet:
    """A broker with its workers.  All have ended when the ``with`` block has.

    ``pause(seconds)`` is how to wait for the broker's start; what it raises ends that.
    """

    def __init__(self, impl: str, workers: int, pause: Callable[[float], object]) -> None:
        self._pause = pause
        self._impl = impl
        self._count = workers
        self.workers: list[Child] = []

    def __enter__(self) -> Fleet:
        options = ["--impl", self._impl, "--drain-timeout", str(_DRAIN_TIMEOUT)]
        for side in ("--frontend", "--backend"):
            options += [side, "tcp://127.0.0.1:*"]
        self.broker = Child(["broker", "lru", *options])
        try:
            ready = dict(
                word.split("=", 1) for word in self.broker.first_line(self._pause).split()[1:]
            )
            self.frontend, self.backend = ready["frontend"], ready["backend"]
            for _ in range(self._count):
                self.add_worker()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def add_worker(self) -> Child:
        """Start one more worker."""
        worker = Child(["worker", "lru", "--broker", self.backend, _FUNCTION])
        self.workers.append(worker)
        return worker

    def replace_worker(self, worker: Child) -> None:
        """kill -9 a worker and start another in its place."""
        self.workers.remove(worker)
        worker.kill()
        self.add_worker()

    def must_run(self) -> None:
        """Raise :class:`DemoFailed` if one of the processes has ended by itself."""
        for child in (self.broker, *self.workers):
            child.must_run()

    def _end(self) -> None:
        children = [*self.workers, self.broker]
        for child in children:
            child.terminate()
        deadline = time.monotonic() + _PATIENCE
        for child in children:
            child.collect(deadline)
