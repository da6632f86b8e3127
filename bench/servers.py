"""Servers with a session for each client, in a process of their own.

``python -m bench.servers KIND`` serves until standard input ends.  The kinds are AsyncServer (threads) and
aio.AsyncServer (tasks), core and pure, and the same server as one writes it by hand: ``threads`` with pyzmq
as the guide's asyncsrv has it, ROUTER, ``zmq.proxy``, DEALER workers over inproc; ``tasks`` with
zmq.asyncio.  Each of them counts the requests of each client, and closes the session of one that is silent
for two seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import zmq
import zmq.asyncio

from .processes import CONTENDER_CPU, PATIENCE, pin

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


def serve_ours(kind: str, sessions: int) -> None:
    """AsyncServer; with so many sessions none of them falls silent."""
    impl, _, what = kind.partition(" ")
    if what == "tasks":
        asyncio.run(serve_our_tasks(impl))
        return
    import brigantine

    many = {"max_sessions": sessions, "session_timeout": 3600.0} if sessions else {}
    with brigantine.AsyncServer(
        "tcp://127.0.0.1:*", counted, workers=WORKERS, on_close=closed, impl=impl, **many
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


@contextlib.contextmanager
def running(kind: str, sessions: int = 0) -> Iterator[tuple[int, str]]:
    """A server in a process of its own, on its CPU: process id and endpoint."""
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.servers", kind, "--sessions", str(sessions)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        yield server.pid, server.stdout.readline().strip()
    finally:
        server.communicate(timeout=PATIENCE)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.servers", description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--sessions", type=int, default=0)
    given = parser.parse_args()
    pin(CONTENDER_CPU)
    if given.kind == "threads":
        serve_by_hand()
    elif given.kind == "tasks":
        asyncio.run(serve_tasks_by_hand())
    else:
        serve_ours(given.kind, given.sessions)


if __name__ == "__main__":
    main()
