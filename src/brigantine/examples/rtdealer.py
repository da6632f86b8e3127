"""ROUTER to DEALER: tasks for workers that are known by name, and one for a name that nobody has.

``--bind`` is where DEALER workers of any language connect, with the routing ids A and B: they say nothing,
get tasks, and END at last.  Without, it starts them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial

import zmq

from brigantine import Envelope, Router, Unroutable
from brigantine.examples._stage import ANY, beside, options, said, until

NAMES, WORK = (b"A", b"B"), b"This is the workload"


def worker(endpoint: str, name: bytes, seconds: float) -> None:
    """Take tasks until END, or until nothing came for so long."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.routing_id = name
        socket.linger, socket.rcvtimeo = 0, round(seconds * 1000)
        socket.connect(endpoint)
        done = 0
        with contextlib.suppress(zmq.Again):
            while socket.recv() != b"END":
                done += 1
        said(f"{name.decode()} received: {done}")


def sent(router: Router, name: bytes, body: bytes) -> bool:
    """Send to the worker of that name; whether it is there."""
    try:
        return router.send(Envelope(name, body, delimiter=False))
    except Unroutable:
        return False


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "bind", count=10)
    with Router(given.bind or ANY, delimiter=False) as router:
        said(f"Workers connect to {router.endpoint}")
        workers = [] if given.bind else NAMES
        with beside(*(partial(worker, router.endpoint, each, given.seconds) for each in workers)):
            for number in range(given.count):  # two of three to A
                if not until(partial(sent, router, NAMES[number % 3 == 2], WORK), given.seconds):
                    raise SystemExit(f"waited {given.seconds:g} s for A and B")
            if not sent(router, b"C", WORK):
                said("Unroutable: C")
            for name in NAMES:
                sent(router, name, b"END")
        said(f"Sent {given.count} tasks")


if __name__ == "__main__":
    main()
