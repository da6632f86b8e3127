"""What a device does when it can do nothing: ``python -m bench.steering``.

The devices of brigantine beside those that libzmq has: CPU time while a
message has nobody to go to and while the device is paused, and how many of 100 messages a paused one
passes on.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import zmq

import brigantine

from .report import table

ANY = "tcp://127.0.0.1:*"
SECONDS = 1.0
MESSAGES = 100
#: Milliseconds that libzmq's proxy may take to pause.
ANSWER = 500
Socket = zmq.Socket[bytes]
#: Endpoints of both sides, and what pauses, if anything does.
Made = tuple[str, str, Callable[[], object] | None]


@contextmanager
def device(impl: str) -> Iterator[Made]:
    """One of ours."""
    with brigantine.StreamerDevice(ANY, ANY, impl=impl) as made:
        yield made.frontend, made.backend, made.pause


@contextmanager
def steerable() -> Iterator[Made]:
    """libzmq's own."""
    context: zmq.Context[Socket] = zmq.Context()
    kinds = (zmq.PULL, zmq.PUSH, zmq.PAIR, zmq.PAIR)
    front, back, control, steer = sockets = [context.socket(kind) for kind in kinds]
    for socket in sockets:
        socket.linger = 0
    for socket in (front, back):
        socket.bind(ANY)
    control.bind("inproc://control")
    steer.connect("inproc://control")
    thread = threading.Thread(target=zmq.proxy_steerable, args=(front, back, None, control))
    thread.start()
    ends = [socket.getsockopt_string(zmq.LAST_ENDPOINT) for socket in (front, back)]

    def pause() -> None:
        steer.send(b"PAUSE")
        steer.poll(ANSWER)  # libzmq 4.3.5 answers; others may not

    try:
        yield ends[0], ends[1], pause
    finally:
        steer.send(b"TERMINATE")
        thread.join()
        context.destroy(linger=0)


@contextmanager
def proxy() -> Iterator[Made]:
    """libzmq's own that can't be steered."""
    context: zmq.Context[Socket] = zmq.Context()
    sides = [context.socket(kind) for kind in (zmq.PULL, zmq.PUSH)]
    for socket in sides:
        socket.linger = 0
        socket.bind(ANY)
    ends = [socket.getsockopt_string(zmq.LAST_ENDPOINT) for socket in sides]

    def run() -> None:
        with suppress(zmq.ContextTerminated):
            zmq.proxy(*sides)
        for socket in sides:
            socket.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield ends[0], ends[1], None
    finally:
        context.term()
        thread.join()


def share() -> float:
    """The share of a CPU that this process takes while this thread sleeps."""
    before = os.times()
    time.sleep(SECONDS)
    after = os.times()
    return max(0.0, after.user + after.system - before.user - before.system) / SECONDS


def figures(made: Any) -> list[str]:
    """Shares of a CPU without a peer and paused, and messages that passed meanwhile."""
    with made as (frontend, backend, pause), zmq.Context() as context:
        source, sink = context.socket(zmq.PUSH), context.socket(zmq.PULL)
        source.linger = 0
        source.connect(frontend)
        source.send(b"first")
        waiting = share()
        sink.connect(backend)
        sink.recv()
        if pause is None:
            source.close()
            sink.close()
            return [f"{waiting:.0%}", "", ""]
        pause()
        for _ in range(MESSAGES):
            source.send(b"more")
        paused = share()
        passed = 0
        while sink.poll(0):
            sink.recv()
            passed += 1
        source.close()
        sink.close()
    return [f"{waiting:.0%}", f"{paused:.0%}", f"{passed} of {MESSAGES}"]


def main() -> None:
    contenders = {
        "core": device("core"), "pure": device("pure"), "zmq.proxy": proxy(),
        "zmq.proxy_steerable": steerable(),
    }  # fmt: skip
    rows = [[name, *figures(made)] for name, made in contenders.items()]
    print(table(["", "CPU, nobody there", "CPU, paused", "passed while paused"], rows))


if __name__ == "__main__":
    main()
