"""Publishers that are processes, and a slow link."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from harness import wait_until

import brigantine

SOURCE = str(Path(brigantine.__file__).parents[1])


class PublisherProcess:
    """``publisher_child.py`` in a process, killed at the end of a ``with``."""

    def __init__(self, endpoint: str, name: str, interval: float = 0.1) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("publisher_child.py")),
             endpoint, name, str(interval)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": SOURCE},
        )  # fmt: skip
        self.endpoint = self._line().split()[1]

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process ended before it answered"
        return line

    def begin(self, *words: object) -> None:
        """Tell it something."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()

    def tell(self, *words: object) -> None:
        """Tell it something, and wait until it is done."""
        self.begin(*words)
        self._line()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def stop_still(self, number: int) -> None:
        """SIGSTOP, and wait until it stands still."""
        self.signal(number)
        stat = Path(f"/proc/{self._process.pid}/stat")
        wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")

    def wait(self) -> int:
        return self._process.wait(30)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> PublisherProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()


class SlowLink:
    """Passes one connection at a time on to ``target``, so many bytes a second to its client."""

    def __init__(self, target: str, rate: int) -> None:
        host, _, port = target.removeprefix("tcp://").rpartition(":")
        self._target, self.rate = (host, int(port)), rate
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
                far = socket.create_connection(self._target)
                self.connections += 1
                self._open += [near, far]
                for source, sink, rate in ((near, far, 0), (far, near, self.rate)):
                    threading.Thread(
                        target=self._pump, args=(source, sink, rate), daemon=True
                    ).start()

    def _pump(self, source: socket.socket, sink: socket.socket, rate: int) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(2048):
                sink.sendall(data)
                if rate:
                    time.sleep(len(data) / rate)

    def close(self) -> None:
        for each in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
