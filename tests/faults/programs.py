"""Brokers and workers as processes of their own, and what /proc tells of them."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from harness import PATIENCE, wait_until

import brigantine

__all__ = ["BrokerProcess", "Process", "WorkerProcess", "command_line_broker", "environment"]

CHILD = Path(__file__).with_name("child.py")


def environment(impl: str | None = None) -> dict[str, str]:
    """The environment in which a child finds this very brigantine and imports ``impl``."""
    paths = [str(Path(brigantine.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    made = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    if impl is not None:
        made["BRIGANTINE_IMPL"] = impl
    return made


class Process:
    """A process that is talked to in lines, signalled, looked at, and killed at the end."""

    def __init__(
        self, *command: str, env: dict[str, str] | None = None, stderr: Any = None
    ) -> None:
        self._process = subprocess.Popen(
            command,
            env=env or environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        self.pid = self._process.pid
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def expect(self, word: str, timeout: float = PATIENCE) -> str:
        """What stands behind ``word`` on the next line that begins with it."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no line {word!r} within {timeout} s") from None
            if line is None:
                self._lines.put(None)
                raise AssertionError(f"the process ended before it said {word!r}")
            first, _, rest = line.partition(" ")
            if first == word:
                return rest

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def signal(self, number: int) -> None:
        """Send a signal; SIGSTOP returns when the process stands still."""
        self._process.send_signal(number)
        if number == signal.SIGSTOP:
            wait_until(lambda: self._state() == "T", f"process {self.pid} stopped")

    def running(self) -> bool:
        return self._process.poll() is None

    def wait(self, timeout: float = PATIENCE) -> int:
        """The exit code (negative: the signal that killed it), as soon as there is one."""
        if self._process.poll() is None:
            # Popen.wait with a timeout looks at ever longer intervals; this is for measuring.
            ended = os.pidfd_open(self.pid)
            try:
                assert select.select([ended], [], [], timeout)[0], f"still runs after {timeout} s"
            finally:
                os.close(ended)
        return self._process.wait()

    def memory(self) -> float:
        """Resident set in MiB."""
        return self._status("VmRSS") / 1024

    def peak_memory(self) -> float:
        """Largest resident set so far in MiB."""
        return self._status("VmHWM") / 1024

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self) -> list[int]:
        return [int(name) for name in os.listdir(f"/proc/{self.pid}/task")]

    def close(self) -> None:
        """Kill it, whatever state it is in, and leave nothing open."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):  # killed before it read all
                    stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _state(self) -> str:
        stat = Path(f"/proc/{self.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0]

    def _status(self, field: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        raise AssertionError(f"/proc has no {field} for process {self.pid}")


class BrokerProcess(Process):
    """An LRUBroker alone in a process."""

    def __init__(
        self,
        impl: str,
        frontend: str = "tcp://127.0.0.1:*",
        backend: str = "tcp://127.0.0.1:*",
        **options: Any,
    ) -> None:
        super().__init__(
            sys.executable, str(CHILD), "broker", impl, frontend, backend, json.dumps(options),
            env=environment(impl),
        )  # fmt: skip
        self.frontend = self.backend = ""

    def ready(self) -> BrokerProcess:
        self.frontend, self.backend = self.expect("ready").split()
        return self

    def stats(self) -> dict[str, int]:
        self.tell("stats")
        stats: dict[str, int] = json.loads(self.expect("stats"))
        return stats

    def drain(self) -> bool:
        self.tell("drain")
        return self.expect("drained") == "True"


class WorkerProcess(Process):
    """A bare REQ worker; ``name`` is the first frame of its replies (see ``child``)."""

    def __init__(self, endpoint: str, name: str, identity: str = "") -> None:
        super().__init__(sys.executable, str(CHILD), "worker", endpoint, name, identity)
        self.name = name


def command_line_broker(impl: str, log: Path) -> tuple[Process, str, str]:
    """``brigantine broker lru`` on free ports, logging to a file: it, and both endpoints."""
    command = [sys.executable, "-m", "brigantine", "broker", "lru", "--impl", impl]
    for side in ("--frontend", "--backend"):
        command += [side, "tcp://127.0.0.1:*"]
    with log.open("w") as stderr:
        process = Process(*command, env=environment(impl), stderr=stderr)
    try:
        endpoints = re.fullmatch(r"frontend=(\S+) backend=(\S+)", process.expect("ready"))
        assert endpoints
    except BaseException:
        process.close()
        raise
    return process, endpoints[1], endpoints[2]
