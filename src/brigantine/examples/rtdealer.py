"""ROUTER to DEALER: tasks for workers that are known by name, and one for a name that nobody has.

``--bind`` is where DEALER workers of any language connect, with the routing ids A and B: they say that they
are there, get tasks, and END at last.  Without, it starts them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial

import zmq

from brigantine import Envelope, Router, Unroutable
from brigantine.examples._stage import ANY, beside, options, said


def worker(endpoint: str, name: bytes, seconds: float) -> None:
    """Take tasks until END, or until nothing came for so long."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.routing_id = name
        socket.linger, socket.rcvtimeo = 0, round(seconds * 1000)
        socket.connect(endpoint)
        socket.send(b"here")
        done = 0
        with contextlib.suppress(zmq.Again):
            while socket.recv() != b"END":
                done += 1
        said(f"{name.decode()} received: {done}")


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "bind", count=10)
    names = (b"A", b"B")
    with Router(given.bind or ANY, delimiter=False) as router:
        said(f"Workers connect to {router.endpoint}")
        workers = [] if given.bind else names
        with beside(*(partial(worker, router.endpoint, each, given.seconds) for each in workers)):
            there: set[bytes] = set()
            while there != set(names):
                envelope = router.receive(given.seconds)
                if envelope is None:
                    raise SystemExit(f"waited {given.seconds:g} s for A and B; there are {there}")
                there.update(envelope.address)
            for number in range(given.count):  # two of three to A
                name = names[number % 3 == 2]
                router.send(Envelope(name, b"This is the workload", delimiter=False))
            try:
                router.send(Envelope(b"C", b"This is the workload", delimiter=False))
            except Unroutable as error:
                said(f"Unroutable: {error.address.decode()}")
            for name in names:
                router.send(Envelope(name, b"END", delimiter=False))
        said(f"Sent {given.count} tasks")


if __name__ == "__main__":
    main()
