"""Servers with a session for each client, in a process of their own, under one load.

``python -m bench.servers KIND`` serves until standard input ends; ``python -m bench.servers load ...`` is
the load: DEALER clients that keep some requests in flight each.  The kinds are AsyncServer (threads) and
aio.AsyncServer (tasks), core and pure, and the same server as one writes it by hand: ``threads`` with pyzmq
as the guide's asyncsrv has it, ROUTER, ``zmq.proxy``, DEALER workers over inproc; ``tasks`` with
zmq.asyncio.  Each of them counts the requests of each client, and closes the session of one that is silent
for two seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from typing import Any

import zmq
import zmq.asyncio

from .processes import CONTENDER_CPU, LIBZMQ_THREADS, LOAD_CPU, PATIENCE, pin, thread_times

KINDS = ("core threads", "pure threads", "core tasks", "pure tasks", "threads", "tasks")
WORKERS = 4
#: Seconds of silence after which a session is closed.
TIMEOUT = 2.0


# -- ours -------------------------------------------------------------------------------------


def counted(session: Any, body: Any) -> Any:
    """The handler: it counts, and answers with what was asked."""
    state = session.state
    state["asked"] = state.get("asked", 0) + 1
    return body


async def counted_task(session: Any, body: Any) -> Any:
    """The same as a coroutine."""
    return counted(session, body)


def closed(_: object) -> None:
    """A session has closed."""


def serve_ours(kind: str) -> None:
    """AsyncServer."""
    impl, _, what = kind.partition(" ")
    if what == "tasks":
        asyncio.run(serve_our_tasks(impl))
        return
    import brigantine

    with brigantine.AsyncServer(
        "tcp://127.0.0.1:*", counted, workers=WORKERS, on_close=closed, impl=impl
    ) as server:
        print(server.frontend, flush=True)
        sys.stdin.read()


async def serve_our_tasks(impl: str) -> None:
    """aio.AsyncServer."""
    from brigantine.aio import AsyncServer

    async with AsyncServer("tcp://127.0.0.1:*", counted_task, on_close=closed, impl=impl) as server:
        print(server.frontend, flush=True)
        await asyncio.to_thread(sys.stdin.read)


# -- by hand ----------------------------------------------------------------------------------


class Sessions:
    """What the servers by hand keep: by routing id, how often it has asked and when it was last heard."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: dict[bytes, list[float]] = {}

    def hear(self, name: bytes) -> None:
        """Another request."""
        with self.lock:
            state = self.known.setdefault(name, [0, 0.0])
            state[0] += 1
            state[1] = time.monotonic()

    def sweep(self) -> None:
        """Close those that were silent."""
        late = time.monotonic() - TIMEOUT
        with self.lock:
            for name in [name for name, state in self.known.items() if state[1] < late]:
                del self.known[name]


def serve_by_hand() -> None:
    """With pyzmq and threads, as the guide's asyncsrv."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    sessions = Sessions()
    front, back = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
    port = front.bind_to_random_port("tcp://127.0.0.1")
    back.bind("inproc://workers")

    def work() -> None:
        socket = context.socket(zmq.DEALER)
        socket.connect("inproc://workers")
        while True:
            name, *body = socket.recv_multipart()
            sessions.hear(name)
            socket.send_multipart([name, *body])

    def sweep() -> None:
        while True:
            time.sleep(1.0)
            sessions.sweep()

    for run in (*[work] * WORKERS, sweep, lambda: zmq.proxy(front, back)):
        threading.Thread(target=run, daemon=True).start()
    print(f"tcp://127.0.0.1:{port}", flush=True)
    sys.stdin.read()
    os._exit(0)


async def serve_tasks_by_hand() -> None:
    """With zmq.asyncio, a task for each request."""
    context = zmq.asyncio.Context()
    sessions = Sessions()
    socket = context.socket(zmq.ROUTER)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    tasks: set[asyncio.Task[None]] = set()

    async def handle(name: bytes, body: list[bytes]) -> None:
        sessions.hear(name)
        await socket.send_multipart([name, *body])

    async def serve() -> None:
        while True:
            name, *body = await socket.recv_multipart()
            task = asyncio.create_task(handle(name, body))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def sweep() -> None:
        while True:
            await asyncio.sleep(1.0)
            sessions.sweep()

    running = [asyncio.create_task(serve()), asyncio.create_task(sweep())]
    print(f"tcp://127.0.0.1:{port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    del running
    os._exit(0)


# -- the load ---------------------------------------------------------------------------------


def cpu(pid: int) -> tuple[float, float]:
    """Seconds of CPU time of a server: of its own threads, and of libzmq's."""
    own = others = 0.0
    for name, spent in thread_times(pid).values():
        if name.startswith(LIBZMQ_THREADS):
            others += spent
        else:
            own += spent
    return own, others


def run_load(given: argparse.Namespace) -> dict[str, Any]:
    """Keep ``window`` requests of each client in flight for ``duration`` seconds."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    poller, sockets = zmq.Poller(), []
    for _ in range(given.clients):
        socket = context.socket(zmq.DEALER)
        socket.linger = 0
        socket.connect(given.frontend)
        poller.register(socket, zmq.POLLIN)
        sockets.append(socket)
    body = b"x" * given.size
    for socket in sockets:  # until everybody is served
        socket.send(body)
        socket.recv()
    sent_at = {socket: [time.perf_counter()] * given.window for socket in sockets}
    for socket in sockets:
        for _ in range(given.window):
            socket.send(body)
    before, began, mine = cpu(given.pid), time.perf_counter(), time.process_time()
    times: list[float] = []
    while (now := time.perf_counter()) - began < given.duration:
        for socket, _ in poller.poll(1000):
            queue = sent_at[socket]
            while True:
                try:
                    socket.recv(zmq.DONTWAIT)
                except zmq.Again:
                    break
                now = time.perf_counter()
                times.append(now - queue.pop(0))
                queue.append(now)
                socket.send(body)
    seconds = time.perf_counter() - began
    own, others = (after - earlier for after, earlier in zip(cpu(given.pid), before, strict=True))
    mine = time.process_time() - mine
    times.sort()
    context.destroy(0)
    count = max(1, len(times))

    def at(share: float) -> float:
        return times[min(count - 1, int(share * count))] * 1000 if times else 0.0

    return {
        "requests_per_second": len(times) / seconds,
        "seconds": seconds,
        "latency_ms": {"p50": at(0.5), "p99": at(0.99), "p99.9": at(0.999)},
        "broker_cpu": {
            "loop": own, "io": others,
            "loop_us_per_request": own / count * 1e6, "io_us_per_request": others / count * 1e6,
        },
        "generator_cpu": {"share": mine / seconds, "elapsed": seconds},
        "lost": 0, "duplicates": 0, "wrong": 0, "errors": 0, "unsent": 0,
    }  # fmt: skip


def measure(kind: str, arguments: list[str], duration: float) -> Any:
    """A server that is started for it, under the load."""
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.servers", kind], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        frontend = server.stdout.readline().strip()
        done = subprocess.run(
            [sys.executable, "-m", "bench.servers", "load", "--frontend", frontend,
             "--pid", str(server.pid), "--duration", str(duration), *arguments],
            capture_output=True, text=True, timeout=duration + PATIENCE, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"the load of a server failed: {done.stderr.strip()}")
        return json.loads(done.stdout)
    finally:
        server.communicate(timeout=PATIENCE)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.servers", description=__doc__)
    parser.add_argument("kind", choices=(*KINDS, "load"))
    parser.add_argument("--frontend")
    parser.add_argument("--pid", type=int)
    for name, default in (("clients", 64), ("window", 1), ("size", 64)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--duration", type=float, default=1.5)
    given = parser.parse_args()
    pin(LOAD_CPU if given.kind == "load" else CONTENDER_CPU)
    if given.kind == "load":
        print(json.dumps(run_load(given)))
    elif given.kind == "threads":
        serve_by_hand()
    elif given.kind == "tasks":
        asyncio.run(serve_tasks_by_hand())
    else:
        serve_ours(given.kind)


if __name__ == "__main__":
    main()
