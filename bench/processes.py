"""Brokers and blind proxies in processes of their own, and the CPU time of their threads.

``python -m bench.processes KIND`` is the other side of :class:`Contender`: it prints both endpoints
and serves until standard input ends.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import zmq

#: How libzmq names its I/O threads and its reaper.
LIBZMQ_THREADS = "ZMQbg"
#: How a broker names its loop's thread (Python 3.14 and later tell the system).
TASKS = "/proc/{pid}/task"
#: CPU of the contenders, and of the load.
CONTENDER_CPU, LOAD_CPU = 0, 1
#: Seconds that a contender may take to start, and to end.
PATIENCE = 30.0
#: Brokers, and devices.
PATTERNS = ("lru", "ppp", "mdp", "queue", "forwarder", "streamer")
#: What a blind proxy is made of, that does as a device.
PROXIED = {"forwarder": (zmq.XSUB, zmq.XPUB), "streamer": (zmq.PULL, zmq.PUSH)}
TRANSPORTS = ("tcp", "ipc")


def thread_times(pid: int) -> dict[int, tuple[str, float]]:
    """Thread id -> name and seconds of CPU time (user and system) of all threads of a process."""
    times = {}
    for task in Path(TASKS.format(pid=pid)).iterdir():
        with contextlib.suppress(OSError):  # that thread has ended meanwhile
            name = (task / "comm").read_text().strip()
            spent = int((task / "schedstat").read_text().split()[0]) / 1e9
            times[int(task.name)] = (name, spent)
    return times


def broker_threads() -> list[int]:
    """Ids of the threads of this process that are neither libzmq's nor the main one."""
    return [
        tid
        for tid, (name, _) in thread_times(os.getpid()).items()
        if not name.startswith(LIBZMQ_THREADS) and tid != os.getpid()
    ]


def cpu_of(threads: list[int]) -> float:
    """Seconds of CPU time of threads of this process together."""
    times = thread_times(os.getpid())
    return sum(times[tid][1] for tid in threads if tid in times)


def pin(cpu: int) -> None:
    """Keep this thread, and the threads and processes that it starts, on one CPU, where there are two."""
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {cpu})


@contextlib.contextmanager
def pinned(cpu: int) -> Iterator[None]:
    """As :func:`pin`, until the end of the block: for starting a process."""
    before = os.sched_getaffinity(0)
    pin(cpu)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def allow_files() -> None:
    """Each peer is an open file: as many as this system lets a process have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Contender:
    """A broker or device (``core`` or ``pure``) or a blind ``proxy`` in a process of its own on its CPU.

    ``options`` are a broker's.  ``under`` is a command that runs it, such as a profiler's.  ``source``
    is another source tree, built, from which brigantine is to come.
    """

    def __init__(
        self,
        kind: str,
        under: Sequence[str] = (),
        *,
        pattern: str = "lru",
        transport: str = "tcp",
        options: dict[str, float] | None = None,
        source: Path | None = None,
    ) -> None:
        self.kind = kind
        environment = dict(os.environ)
        if source is not None:
            environment["PYTHONPATH"] = str(source / "src")
        named = [f"--option={name}={value}" for name, value in (options or {}).items()]
        self.process = subprocess.Popen(
            [*under, sys.executable, "-m", "bench.processes", kind,
             "--pattern", pattern, "--transport", transport, *named],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        assert self.process.stdout is not None
        ready = self.process.stdout.readline().split()
        if len(ready) != 2:
            self.process.communicate(timeout=PATIENCE)
            raise SystemExit(f"{kind} ({pattern} over {transport}) did not start")
        self.frontend, self.backend = ready

    @property
    def pid(self) -> int:
        return self.process.pid

    def stats(self) -> dict[str, int]:
        """Counters of a broker."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print("stats", file=self.process.stdin, flush=True)
        pairs = (each.split("=") for each in self.process.stdout.readline().split())
        return {name: int(value) for name, value in pairs}

    def __enter__(self) -> Contender:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise


def run_proxy(
    context: zmq.Context[zmq.Socket[bytes]], ends: tuple[str, str], pattern: str = "queue"
) -> tuple[str, str]:
    """``zmq_proxy`` of two sockets in a thread that ends with its context; real endpoints."""
    kinds = PROXIED.get(pattern, (zmq.ROUTER, zmq.DEALER))
    front, back = (context.socket(kind) for kind in kinds)
    for socket, end in zip((front, back), ends, strict=True):
        socket.linger = 0
        socket.bind(end)
    real = tuple(socket.getsockopt_string(zmq.LAST_ENDPOINT) for socket in (front, back))

    def serve() -> None:
        with contextlib.suppress(zmq.ContextTerminated):
            zmq.proxy(front, back)
        front.close()
        back.close()

    threading.Thread(target=serve, name="proxy", daemon=True).start()
    return real[0], real[1]


def _serve_proxy(ends: tuple[str, str], pattern: str) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    print(*run_proxy(context, ends, pattern), flush=True)
    sys.stdin.read()
    context.term()


def _serve_broker(
    kind: str, pattern: str, ends: tuple[str, str], options: dict[str, float]
) -> None:
    import brigantine

    cls = {
        "lru": brigantine.LRUBroker,
        "ppp": brigantine.ParanoidPirateBroker,
        "mdp": brigantine.MajordomoBroker,
    }[pattern]
    # Nobody waits for what a load has left behind.
    with cls(*ends, impl=kind, **{"drain_timeout": 0.0, **options}) as broker:
        print(broker.frontend, broker.backend, flush=True)
        for _ in sys.stdin:
            print(*(f"{name}={value}" for name, value in broker.stats().items()), flush=True)


def _serve_device(kind: str, pattern: str, ends: tuple[str, str]) -> None:
    import brigantine

    cls = {
        "queue": brigantine.QueueDevice,
        "forwarder": brigantine.ForwarderDevice,
        "streamer": brigantine.StreamerDevice,
    }[pattern]
    with cls(*ends, impl=kind) as device:
        print(device.frontend, device.backend, flush=True)
        sys.stdin.read()


def _option(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, int(value) if value.isdigit() else float(value)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.processes", description=__doc__)
    parser.add_argument("kind", choices=("core", "pure", "proxy"))
    parser.add_argument("--pattern", choices=PATTERNS, default="lru")
    parser.add_argument("--transport", choices=TRANSPORTS, default="tcp")
    parser.add_argument(
        "--option", action="append", type=_option, default=[], metavar="NAME=VALUE", dest="options"
    )
    given = parser.parse_args()
    pin(CONTENDER_CPU)
    allow_files()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        ends = ("tcp://127.0.0.1:*", "tcp://127.0.0.1:*")
        if given.transport == "ipc":
            ends = (f"ipc://{folder}/front", f"ipc://{folder}/back")
        if given.kind == "proxy":
            _serve_proxy(ends, given.pattern)
        elif given.pattern in ("queue", *PROXIED):
            _serve_device(given.kind, given.pattern, ends)
        else:
            _serve_broker(given.kind, given.pattern, ends, dict(given.options))


if __name__ == "__main__":
    main()
