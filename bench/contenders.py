"""Every contender under the same load, each in a process of its own: one call, one measurement."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import servers
from .machine import Others, nats_server
from .processes import CONTENDER_CPU, LOAD_CPU, PROXIED, Contender, pinned

#: Seconds that a load may take beyond what it was told to.
PATIENCE = 60.0
#: Seconds that nats-server may take to start.
START = 10.0
HERE = Path(__file__).resolve().parent
#: What README and the tables call them.
KINDS = ("core", "pure", "proxy", "nats", "other", "server")


class Missing(Exception):
    """A contender that can't take part here; the message says why."""


@dataclass(frozen=True)
class Shape:
    """A load: how many peers, how much each has out, what is sent how fast."""

    clients: int = 64
    window: int = 1
    workers: int = 64
    capacity: int = 1
    size: int = 64
    transport: str = "tcp"
    #: Requests a second (open loop); ``None``: closed loop.
    rate: float | None = None
    #: Workers of other services, with nothing to do.
    idle_services: int = 0
    #: Sessions of a server, each request by the next; 0: one a client.
    sessions: int = 0
    #: Options of a broker, which others don't have.
    options: dict[str, float] = field(default_factory=dict)

    def arguments(self) -> list[str]:
        """For a load generator's command line."""
        names = ("clients", "window", "workers", "size")
        given = [word for name in names for word in (f"--{name}", str(getattr(self, name)))]
        return given if self.rate is None else [*given, "--rate", str(self.rate)]


@dataclass(frozen=True)
class Entry:
    """Who takes part, and which protocol the peers speak (a proxy and NATS have their own)."""

    kind: str
    pattern: str = "lru"
    #: For ``other``: the source tree.
    source: Path | None = None

    @property
    def name(self) -> str:
        if self.kind == "server":
            return self.pattern
        return self.kind if self.kind in ("proxy", "nats") else f"{self.kind} {self.pattern}"


def measure(entry: Entry, shape: Shape, duration: float) -> dict[str, float]:
    """What came out of one run of ``duration`` seconds, of a contender that was started for it.

    Times of CPU are microseconds a request: ``loop`` of the broker's loop, ``io`` of libzmq's threads,
    ``cpu`` of both; ``others`` are the CPUs that everybody else kept busy.  Raises :class:`Missing`.
    """
    others = Others()
    ways = {"nats": _nats, "server": _server}
    way = _one_way if entry.pattern in PROXIED else ways.get(entry.kind, _ours)
    found = way(entry, shape, duration)
    latency, broker = found["latency_ms"], found["broker_cpu"]
    bad = {name: found[name] for name in ("lost", "duplicates", "wrong", "errors") if found[name]}
    if bad and shape.rate is None:
        raise SystemExit(f"{entry.name}, {shape}: {bad}")
    return {
        "rate": found["requests_per_second"],
        "p50": latency["p50"],
        "p99": latency["p99"],
        "p99.9": latency["p99.9"],
        "loop": broker["loop_us_per_request"],
        "io": broker["io_us_per_request"],
        "cpu": broker["loop_us_per_request"] + broker["io_us_per_request"],
        "share": (broker["loop"] + broker["io"]) / found["generator_cpu"].get("elapsed", found["seconds"]),
        "generator": found["generator_cpu"]["share"],
        "lost": sum(bad.values()),
        "unsent": found["unsent"],
        "others": others.cpus(),
    }  # fmt: skip


def _ours(entry: Entry, shape: Shape, duration: float) -> Any:
    """A broker or a proxy, under ``brigantine load``."""
    if shape.transport == "inproc":
        return _in_one_process(entry, shape, duration)
    kind = "core" if entry.kind == "other" else entry.kind
    pattern = "lru" if entry.kind == "proxy" else entry.pattern
    blind = entry.kind == "proxy" or pattern == "queue"
    options = {} if blind else shape.options
    load = "proxy" if blind else entry.pattern
    with (
        Contender(
            kind, pattern=pattern, transport=shape.transport, options=options, source=entry.source
        ) as contender,
        _idle(contender, shape),
    ):
        command = [
            sys.executable, "-m", "brigantine", "load", load, "--json",
            "--frontend", contender.frontend, "--backend", contender.backend,
            "--broker-pid", str(contender.pid), "--duration", str(duration),
            "--connect-timeout", str(PATIENCE), *shape.arguments(), *_pin(),
        ]  # fmt: skip
        if load in ("ppp", "mdp"):
            interval = shape.options.get("heartbeat_interval", 1.0)
            command += [
                "--capacity", str(shape.capacity), "--heartbeat-interval", str(interval),
            ]  # fmt: skip
        return _run(command, duration)


@contextmanager
def _idle(contender: Contender, shape: Shape) -> Iterator[None]:
    """Workers that are there and get nothing, connected from a process of their own."""
    if not shape.idle_services:
        yield
        return
    from .registered import IdleWorkers

    with IdleWorkers(contender, shape.idle_services):
        yield


def _in_one_process(entry: Entry, shape: Shape, duration: float) -> Any:
    """inproc is within a process: contender and load are threads of one, kept on their CPUs."""
    given = {
        "kind": entry.kind, "pattern": entry.pattern, "duration": duration,
        "clients": shape.clients, "window": shape.window, "workers": shape.workers,
        "capacity": shape.capacity, "size": shape.size,
    }  # fmt: skip
    return _run([sys.executable, "-m", "bench.inproc", json.dumps(given)], duration)


def _server(entry: Entry, shape: Shape, duration: float) -> Any:
    """A server with sessions, of ours or by hand, under DEALER clients."""
    with servers.running(entry.pattern, shape.sessions) as (pid, frontend):
        return _zmtp("dealer", pid, [frontend], shape, duration)


def _one_way(entry: Entry, shape: Shape, duration: float) -> Any:
    """A device, or a blind proxy, between those who publish or push and those who subscribe or pull."""
    senders = "pub" if entry.pattern == "forwarder" else "push"
    kind = "core" if entry.kind == "other" else entry.kind
    with Contender(kind, pattern=entry.pattern, source=entry.source) as made:
        return _zmtp(senders, made.pid, [made.frontend, made.backend], shape, duration)


def _zmtp(kind: str, pid: int, endpoints: list[str], shape: Shape, duration: float) -> Any:
    """The load of ZMTP peers."""
    ends = [
        word
        for name, endpoint in zip(("--port", "--backend"), endpoints, strict=False)
        for word in (name, endpoint.rpartition(":")[2])
    ]
    command = [compiled_load("zmtp_load"), "--kind", kind, *ends, "--broker-pid", str(pid),
               "--duration", str(duration), "--sessions", str(shape.sessions)]  # fmt: skip
    return _run([*command, *shape.arguments(), *_pin()], duration)


def _nats(_: Entry, shape: Shape, duration: float) -> Any:
    """nats-server, under a load of the same shape that speaks its protocol."""
    if shape.transport != "tcp":
        raise Missing(f"nats-server has no {shape.transport}")
    server, load = _nats_server(), compiled_load("nats_load")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        with pinned(CONTENDER_CPU):
            process = subprocess.Popen(
                [server, "--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", folder],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        try:
            command = [load, "--port", str(_nats_port(process, Path(folder))),
                       "--broker-pid", str(process.pid), "--duration", str(duration)]  # fmt: skip
            return _run([*command, *shape.arguments(), *_pin()], duration)
        finally:
            process.terminate()
            process.wait(START)


def _nats_port(process: subprocess.Popen[bytes], folder: Path) -> int:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and process.poll() is None:
        for file in folder.glob("*.ports"):
            text = file.read_text()
            if text:
                return int(json.loads(text)["nats"][0].rpartition(":")[2])
        time.sleep(0.01)
    raise Missing("nats-server did not start")


def _nats_server() -> str:
    server = nats_server()
    if server is None:
        raise Missing("nats-server is not installed")
    return server


@functools.cache
def compiled_load(name: str) -> str:
    """A load in C++ of this folder, compiled now; what is compiled goes with this process."""
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        raise Missing(f"no C++ compiler (c++) for {name}.cpp")
    program = f"{_folder()}/{name}"
    command = [compiler, "-std=c++17", "-O2", "-o", program, str(HERE / f"{name}.cpp")]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        raise Missing(f"{name}.cpp does not compile:\n{made.stderr}")
    return program


@functools.cache
def _folder() -> str:
    made = tempfile.mkdtemp(prefix="bench-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def _pin() -> list[str]:
    return ["--pin", str(LOAD_CPU)] if (os.cpu_count() or 1) > 1 else []


def _run(command: list[str], duration: float) -> Any:
    """What a load printed; it exits 1 when replies were lost or wrong, and prints that, too."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=duration + PATIENCE, check=False
    )
    if done.returncode not in (0, 1) or not done.stdout:
        raise SystemExit(f"{' '.join(command)}\nexit code {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)
