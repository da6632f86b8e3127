"""ROUTER to REQ: workers ask for work, and the ROUTER answers the one that has asked.

``--bind`` serves REQ workers of any language there ("Hi Boss" each time, "Fired!" at the end); without, it
starts three.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence

import zmq

from brigantine import Router
from brigantine.examples._stage import ANY, beside, options, said


def worker(endpoint: str, seconds: float) -> None:
    """Ask for work until fired, or until no answer came for so long."""
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.linger, socket.rcvtimeo = 0, round(seconds * 1000)
        socket.connect(endpoint)
        done = 0
        with contextlib.suppress(zmq.Again):
            while True:
                socket.send(b"Hi Boss")
                if socket.recv() == b"Fired!":
                    break
                done += 1
        said(f"Completed: {done} tasks")


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "bind", count=30)
    with Router(given.bind or ANY) as router:
        workers = [] if given.bind else [lambda: worker(router.endpoint, given.seconds)] * 3
        said(f"Workers connect to {router.endpoint}")
        with beside(*workers):
            tasks: Counter[bytes] = Counter()
            fired: set[bytes] = set()
            while len(fired) < max(1, len(workers)) or fired != set(tasks):
                envelope = router.receive(given.seconds)
                if envelope is None:
                    break
                [who] = envelope.address
                tasks[who] += 1
                over = sum(tasks.values()) > given.count
                router.send(envelope.reply(b"Fired!" if over else b"Work harder"))
                fired |= {who} if over else set()
        said(f"{len(fired)} workers fired after {given.count} tasks")


if __name__ == "__main__":
    main()
