"""Who meets whom under which load: the scenarios of ``bench.compare``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from .contenders import Entry, Shape

__all__ = ["OPEN", "QUICK", "SCENARIOS", "SEARCHED", "Case", "Run", "with_other"]

PROXY, NATS = Entry("proxy"), Entry("nats")
LRU, PPP, MDP = (Entry("core", pattern) for pattern in ("lru", "ppp", "mdp"))
QUEUE, PURE_QUEUE = Entry("core", "queue"), Entry("pure", "queue")
PURE_LRU, PURE_PPP, PURE_MDP = (Entry("pure", pattern) for pattern in ("lru", "ppp", "mdp"))
WORKERS = (1, 16, 64, 1000)
#: What a worker with capacity takes at once.
CAPACITY = 16
SIZES = {64: "64 B", 1024: "1 KB", 65536: "64 KB"}
#: No worker is silent for so long: the cost of heartbeats is not the cost of a request.  (That of ZMTP's
#: own grows with the square of the connections of an I/O thread: docs/performance.md.)
QUIET = {"heartbeat_interval": 3600.0}
FEW, MANY = 10, 10_000
#: Open loop: a thousand clients, each of ten requests a second.
OPEN = Shape(clients=1000, window=4, workers=300, size=1024, rate=10_000.0)
#: Whose highest rate is searched.
SEARCHED = (LRU, MDP, PROXY, NATS)


@dataclass(frozen=True)
class Run:
    """A contender under a load; its label is unique in its case."""

    label: str
    entry: Entry
    shape: Shape


@dataclass(frozen=True)
class Case:
    """Runs that are compared with each other, hence measured in alternation."""

    name: str
    title: str
    runs: tuple[Run, ...]


def _case(name: str, title: str, entries: tuple[Entry, ...], shape: Shape) -> Case:
    """All under the same load."""
    return Case(name, title, tuple(Run(entry.name, entry, shape) for entry in entries))


def _one_each(workers: int) -> Shape:
    return Shape(clients=workers, workers=workers)


def _full(workers: int) -> Shape:
    return Shape(clients=workers, workers=workers, window=CAPACITY, capacity=CAPACITY)


def one_in_flight() -> list[Case]:
    every = (LRU, PPP, MDP, PROXY, NATS, PURE_LRU, PURE_PPP, PURE_MDP)
    few = (LRU, PROXY, NATS, PURE_LRU)
    return [
        _case(
            f"one-{workers}",
            f"One request in flight a worker, {workers:,} worker{'s' * (workers > 1)}, tcp, 64 B",
            every if workers == 64 else few,
            _one_each(workers),
        )
        for workers in WORKERS
    ]


def capacity() -> list[Case]:
    every = (PPP, MDP, PROXY, NATS, PURE_PPP, PURE_MDP)
    few = (MDP, PROXY, NATS, PURE_MDP)
    return [
        _case(
            f"capacity-{workers}",
            f"Capacity {CAPACITY}, {workers:,} worker{'s' * (workers > 1)}, tcp, 64 B",
            every if workers in (16, 64) else few,
            _full(workers),
        )
        for workers in WORKERS
    ]


def sizes() -> list[Case]:
    return [
        _case(
            f"{kind}-{size}",
            f"Bodies of {name}, 64 workers, {what}, tcp",
            entries,
            replace(shape, size=size),
        )
        for size, name in SIZES.items()
        for kind, what, entries, shape in (
            ("size-one", "one in flight", (LRU, PROXY, NATS, PURE_LRU), _one_each(64)),
            ("size-capacity", f"capacity {CAPACITY}", (MDP, PROXY, NATS, PURE_MDP), _full(64)),
        )
        if size > 64  # that of the scenarios before
    ]


def transports() -> list[Case]:
    return [
        _case(
            f"{kind}-{transport}",
            f"{transport}, 64 workers, {what}, 64 B",
            entries,
            replace(shape, transport=transport),
        )
        for transport in ("ipc", "inproc")
        for kind, what, entries, shape in (
            ("one", "one in flight", (LRU, PROXY, PURE_LRU), _one_each(64)),
            ("capacity", f"capacity {CAPACITY}", (MDP, PROXY, PURE_MDP), _full(64)),
        )
    ]


def scale() -> list[Case]:
    """As many in flight, hence as many messages that share a system call: only what is there grows."""
    runs = [
        Run(
            f"{entry.name}, {workers:,} workers",
            entry,
            Shape(clients=FEW, workers=workers, options=QUIET),
        )
        for entry in (LRU, PROXY)
        for workers in (FEW, MANY)
    ]
    runs += [
        Run(
            f"{MDP.name}, {services:,} services",
            MDP,
            Shape(
                clients=FEW, workers=FEW, idle_services=services - 1,
                options={**QUIET, "max_services": 2 * MANY},
            ),
        )
        for services in (FEW, MANY)
    ]  # fmt: skip
    title = f"{FEW} and {MANY:,} workers and services, {FEW} requests in flight, tcp, 64 B"
    return [Case("scale", title, tuple(runs))]


def open_loop() -> list[Case]:
    entries = (LRU, MDP, PROXY, NATS, PURE_LRU)
    title = "Open loop: 10,000 requests/s, 1,000 clients, 300 workers, 1 KB, tcp"
    return [_case("open", title, entries, OPEN)]


def devices() -> list[Case]:
    """The device beside libzmq's own proxy, which does the same."""
    entries = (QUEUE, PROXY, PURE_QUEUE)
    return [
        _case(f"device-{name}", f"A queue device, 64 workers, {what}, tcp, 64 B", entries, shape)
        for name, what, shape in (
            ("one", "one in flight", _one_each(64)),
            ("many", "16 in flight a client", _full(64)),
        )
    ]


def one_way() -> list[Case]:
    """Messages that nobody answers: publishers and pushers through a device, beside libzmq's own proxy."""
    subscribed = [(f"{many} subscriber{'s' * (many > 1)}", "forwarder", many) for many in (1, 16)]
    return [
        _case(
            f"{pattern}-{receivers}-{size}",
            f"A {pattern} device, 4 senders, {what}, 400 messages in flight, tcp, {name}",
            tuple(Entry(kind, pattern) for kind in ("core", "proxy", "pure")),
            # libzmq learns of what was read half a queue at a time: only 500 of 1,000 surely have room.
            Shape(clients=4, window=100, workers=receivers, size=size),
        )
        for what, pattern, receivers in (*subscribed, ("16 receivers", "streamer", 16))
        for size, name in SIZES.items()
        if size < 65536
    ]


def async_server() -> list[Case]:
    """AsyncServer beside the same server written by hand on pyzmq and on zmq.asyncio."""
    kinds = ("core threads", "threads", "core tasks", "tasks", "pure threads", "pure tasks")
    entries = tuple(Entry("server", kind) for kind in kinds)
    return [
        _case(
            f"async-server-{window}-{size}",
            f"A server with sessions, 64 clients, {window} in flight each, tcp, {name}",
            entries,
            Shape(clients=64, window=window, size=size),
        )
        for window in (1, 16)
        for size, name in SIZES.items()
        if size < 65536
    ]


def sessions() -> list[Case]:
    """A server with few and with many sessions: what they share is a loop and its sweep."""
    runs = tuple(
        Run(
            f"{impl}, {many:,} sessions", Entry("server", f"{impl} threads"),
            Shape(clients=FEW, window=8, sessions=many),
        )
        for impl in ("core", "pure")
        for many in (FEW, 10 * MANY)
    )  # fmt: skip
    title = f"A server of {FEW} and {10 * MANY:,} sessions, 80 requests in flight, tcp, 64 B"
    return [Case("sessions", title, runs)]


SCENARIOS = {
    "one-in-flight": one_in_flight,
    "capacity": capacity,
    "sizes": sizes,
    "transports": transports,
    "scale": scale,
    "open-loop": open_loop,
    "devices": devices,
    "one-way": one_way,
    "async-server": async_server,
    "sessions": sessions,
}

#: What shows in a few seconds that all of it works.
QUICK = [
    _case("quick-one", "One in flight, 16 workers", (LRU, PROXY, NATS, PURE_LRU), _one_each(16)),
    _case("quick-capacity", "Capacity 16, 4 workers", (MDP, PPP), _full(4)),
    _case("quick-inproc", "inproc, 4 workers", (MDP, PROXY), replace(_full(4), transport="inproc")),
    _case("quick-device", "A queue device, 4 workers", (QUEUE, PROXY), _one_each(4)),
    _case(
        "quick-forwarder",
        "A forwarder device",
        (Entry("core", "forwarder"), Entry("proxy", "forwarder")),
        Shape(clients=1, window=16, workers=2),
    ),
    _case(
        "quick-streamer",
        "A streamer device",
        (Entry("core", "streamer"),),
        Shape(clients=1, window=16, workers=2),
    ),
    _case(
        "quick-server",
        "A server with sessions",
        (Entry("server", "core threads"), Entry("server", "threads")),
        Shape(clients=4),
    ),
    _case("quick-open", "Open loop", (MDP,), replace(_one_each(16), rate=500.0)),
]  # fmt: skip


def with_other(case: Case, source: Path) -> Case:
    """Beside every run of the core one of the core of another source tree."""
    runs = []
    for run in case.runs:
        runs.append(run)
        if run.entry.kind == "core" and run.shape.transport != "inproc":
            entry = replace(run.entry, kind="other", source=source)
            runs.append(Run(run.label.replace("core", "other", 1), entry, run.shape))
    return replace(case, runs=tuple(runs))
