"""The test's ends: raw workers in threads and processes, counting clients, brokers in processes."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import zmq
from clients import CountingClient
from harness import PATIENCE, Peers, wait_until
from pirate import Pirate
from programs import BrokerProcess, Process, environment
from protocol_frames import SERVICE, Dialect, Heard

__all__ = ["BareWorker", "DialectClient", "DialectProcess", "Hand", "Nursery", "broker_options"]

HERE = Path(__file__).parent
_CHUNK = 65536


class Hand:
    """A worker (see ``pirate``), in a thread or, given a nursery, in a process of its own."""

    def __init__(self, nursery: Nursery | None, **options: Any) -> None:
        self.name = options.get("name", "worker")
        self._line, theirs = socket.socketpair()
        self._lines: list[str] = []
        self._rest = b""
        self.pid = 0
        self._thread: threading.Thread | None = None
        if nursery is None:
            self._thread = threading.Thread(target=Pirate(theirs, **options).run, daemon=True)
            self._thread.start()
        else:
            self.pid = nursery.fork(theirs, options)
            theirs.close()

    def tell(self, line: str) -> None:
        self._line.sendall(line.encode() + b"\n")

    def expect(self, word: str, timeout: float = PATIENCE) -> str:
        """What stands behind ``word`` in the next line that begins with it."""
        deadline = time.monotonic() + timeout
        while True:
            for index, line in enumerate(self._lines):
                first, _, rest = line.partition(" ")
                if first == word:
                    del self._lines[: index + 1]
                    return rest
            self._read(deadline, word)

    def has_said(self, word: str) -> bool:
        """Whether a line that begins with ``word`` has come and was not yet taken."""
        while select.select([self._line], [], [], 0)[0]:
            self._read(time.monotonic(), word)
        return any(line.partition(" ")[0] == word for line in self._lines)

    def stats(self) -> Counter[str]:
        self.tell("stats")
        return Counter(json.loads(self.expect("stats")))

    def signal(self, number: int) -> None:
        """Signal the process of its own; SIGSTOP returns when it stands still."""
        assert self.pid
        os.kill(self.pid, number)
        if number == signal.SIGSTOP:
            stat = Path(f"/proc/{self.pid}/stat")
            wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "it stops")

    def close(self) -> None:
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self._line.close()
        if self._thread is not None:
            self._thread.join()

    def _read(self, deadline: float, word: str) -> None:
        left = max(0.0, deadline - time.monotonic())
        if not select.select([self._line], [], [], left)[0]:
            raise AssertionError(f"{self.name} did not say {word!r} in time")
        data = self._line.recv(_CHUNK)
        if not data:
            raise AssertionError(f"{self.name} ended before it said {word!r}")
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._lines += [line.decode() for line in lines]


class Nursery:
    """The process that forks workers (see ``nursery``)."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "nursery.py"), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=environment(),
        )
        theirs.close()

    def fork(self, control: socket.socket, options: dict[str, Any]) -> int:
        """Start a worker with the options of ``Pirate``; its process id."""
        socket.send_fds(self._line, [json.dumps(options).encode()], [control.fileno()])
        return int(self._line.recv(_CHUNK))

    def close(self) -> None:
        self._line.close()
        self._process.kill()
        self._process.wait()


class BareWorker:
    """A worker on a DEALER that says what the test tells it to, and nothing by itself."""

    def __init__(self, peers: Peers, endpoint: str, dialect: Dialect, **options: Any) -> None:
        self.dialect = dialect
        self.socket: zmq.Socket[bytes] = peers.dealer(endpoint, **options)

    def send(self, frames: list[bytes]) -> None:
        self.socket.send_multipart(frames)

    def ready(self, capacity: int = 1, times: int = 1) -> None:
        for _ in range(times):
            self.send(self.dialect.ready(capacity))

    def hear(self) -> Heard:
        """The next message that is no heartbeat."""
        while True:
            heard = self.dialect.hear(self.socket.recv_multipart())
            if heard.kind != "HEARTBEAT":
                return heard

    def take(self) -> tuple[bytes, bytes]:
        """The ticket and the last frame of the next job."""
        heard = self.hear()
        assert heard.kind == "REQUEST", heard
        return heard.ticket, heard.body[-1]

    def reply(self, ticket: bytes, *body: bytes) -> None:
        self.send(self.dialect.reply(ticket, *body))

    def has_mail(self) -> bool:
        """Whether anything but heartbeats has come; those are thrown away."""
        while self.socket.poll(0):
            frames = self.socket.recv_multipart()
            if frames != self.dialect.heartbeat():
                return True
        return False


class DialectClient(CountingClient):
    """A CountingClient that speaks the client's side of a protocol."""

    def __init__(
        self, peers: Peers, endpoint: str, dialect: Dialect, service: bytes = SERVICE,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(peers, endpoint, **options)
        self._dialect, self._service = dialect, service
        #: Bodies of PARTIALs, as they came.
        self.partials: list[tuple[bytes, ...]] = []

    @property
    def socket(self) -> zmq.Socket[bytes]:
        return self._socket

    def ask(self, body: bytes) -> None:
        self._socket.send_multipart(self._dialect.ask(body, service=self._service))

    def answer(self) -> list[bytes]:
        """The body of the next final reply."""
        while True:
            heard = self._dialect.answer(self._socket.recv_multipart(), self._service)
            if heard.kind == "FINAL":
                self.replies[heard.body[-1]] += 1
                return list(heard.body)
            self.partials.append(heard.body)

    def delivered_twice_by(self, worker: BareWorker) -> int:
        """``delivered_twice``, with ``worker`` doing the request that is asked for it."""
        last = b"the last"
        self.ask(last)
        worker.reply(*worker.take())
        while self.answer()[-1] != last:
            pass
        return sum(count - 1 for count in self.replies.values())


def broker_options(dialect: Dialect, options: dict[str, Any]) -> dict[str, Any]:
    """``options``, and for Majordomo a default service, so that plain clients are served as well."""
    return {"default_service": SERVICE, **options} if dialect.mdp else options


class DialectProcess(BrokerProcess):
    """The dialect's broker alone in a process."""

    def __init__(
        self,
        impl: str,
        dialect: Dialect,
        frontend: str = "tcp://127.0.0.1:*",
        backend: str = "tcp://127.0.0.1:*",
        **options: Any,
    ) -> None:
        options = broker_options(dialect, options)
        plain = {
            key: each.decode() if isinstance(each, bytes) else each for key, each in options.items()
        }
        Process.__init__(
            self, sys.executable, str(HERE / "dialect_child.py"), dialect.broker, impl, frontend,
            "" if dialect.one_socket else backend, json.dumps(plain), env=environment(impl),
        )  # fmt: skip
        self.frontend = self.backend = ""
        #: Told to drain: it is asked for nothing more, says ``ended`` and exits.
        self.ending = False

    def signal(self, number: int) -> None:
        self.ending |= number == signal.SIGTERM
        super().signal(number)
