"""What the tests of the pipeline share: a whole one, and processes of it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from harness import PATIENCE, wait_until

import brigantine
from brigantine import PipelineWorker, ReceivedBatch, Report, Result, Sink, Ventilator

__all__ = ["ANY", "Child", "Line", "Reader", "bodies"]

ANY = "tcp://127.0.0.1:*"
CHILD = Path(__file__).with_name("pipeline_child.py")


def bodies(count: int) -> list[bytes]:
    """Tasks that can be told apart."""
    return [b"task-%d" % number for number in range(count)]


class Line:
    """A sink and a ventilator on free ports, and workers."""

    def __init__(
        self,
        *,
        endpoint: str = ANY,
        sink: dict[str, Any] | None = None,
        ventilator: dict[str, Any] | None = None,
        **both: Any,
    ) -> None:
        self.shared = {"context": both["context"]} if "context" in both else {}
        self.workers: list[PipelineWorker] = []
        self.sink = Sink(endpoint, **both, **(sink or {}))
        try:
            where = endpoint.replace("SINK", "VENTILATOR")
            self.ventilator = Ventilator(where, self.sink.endpoint, **both, **(ventilator or {}))
        except BaseException:
            self.sink.close()
            raise

    def worker(self, handler: Any = bytes.upper, **options: Any) -> PipelineWorker:
        """A worker that is ready."""
        before = self.ventilator.stats()["workers_joined"]
        made = PipelineWorker(
            self.ventilator.endpoint, self.sink.endpoint, handler, **self.shared, **options
        )
        self.workers.append(made)
        made.start()
        wait_until(lambda: self.ventilator.stats()["workers_joined"] > before, "a ready worker")
        return made

    def reader(self) -> Reader:
        """A thread that reads the next batch to its end."""
        return Reader(self.sink)

    def close(self) -> None:
        """All of it."""
        for worker in self.workers:
            worker.stop()
        self.ventilator.close()
        self.sink.close()


class Reader:
    """Reads a batch in a thread."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.batch: ReceivedBatch | None = None
        self.results: list[Result] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        self.batch = self._sink.next_batch(PATIENCE)
        for result in self.batch:
            self.results.append(result)

    def report(self) -> Report:
        """Once it has come to the end."""
        self._thread.join(3 * PATIENCE)
        assert not self._thread.is_alive(), f"{len(self.results)} results, and no end"
        assert self.batch is not None
        return self.batch.report()

    def numbers(self) -> list[int]:
        """What came, in order of numbers."""
        return sorted(result.number for result in self.results)


class Child:
    """A process, talked to in lines."""

    def __init__(self, *arguments: str) -> None:
        paths = [str(Path(brigantine.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        self.process = subprocess.Popen(
            [sys.executable, str(CHILD), *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line.rstrip("\n"))

    def expect(self, word: str, timeout: float = 2 * PATIENCE) -> str:
        """What stands behind ``word`` on the first line that begins with it and was not asked for."""

        def found() -> str | None:
            for line in self._lines:
                if line.partition(" ")[0] == word:
                    return line
            assert self.process.poll() is None or self._reader.is_alive(), self._lines
            return None

        line: str = wait_until(found, f"a line {word!r}", timeout)
        self._lines.remove(line)
        return line.partition(" ")[2]

    def tell(self, line: str) -> None:
        """Say a line to it."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self, timeout: float = 2 * PATIENCE) -> int:
        """Its exit code."""
        return self.process.wait(timeout)

    def close(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
