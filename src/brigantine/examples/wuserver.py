"""Weather update server: publishes temperature and humidity by zip code.

``--bind`` publishes there for SUB sockets of any language: topic, then "temperature humidity"; ``--plain``
one string of all three, as the guide's wuclient takes it.  Without, a subscriber of its own listens.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

import zmq

from brigantine import Publisher, Subscriber
from brigantine.examples._stage import ANY, options, said


def weather() -> tuple[bytes, bytes]:
    """A zip code near 10001, and its weather."""
    temperature, humidity = random.randrange(-80, 135), random.randrange(10, 60)
    return b"%d" % random.randrange(10000, 10003), b"%d %d" % (temperature, humidity)


def plainly(endpoint: str, deadline: float) -> None:
    """Publish as the guide's wuserver does."""
    with zmq.Context() as context, context.socket(zmq.PUB) as socket:
        socket.bind(endpoint)
        while time.monotonic() < deadline:
            socket.send(b" ".join(weather()))
            time.sleep(0.001)


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "bind", "plain", count=20)
    deadline = time.monotonic() + given.seconds
    if given.plain is not None:
        plainly(given.plain, deadline)
        return
    with Publisher(given.bind or ANY, name="wuserver") as publisher:
        said(f"Publishing at {publisher.endpoint}")
        if given.bind is not None:
            while time.monotonic() < deadline:
                publisher.publish(*weather())
                time.sleep(0.001)
            return
        with Subscriber(publisher.endpoint, "10001") as subscriber:
            publisher.wait_ready(given.seconds)
            seen = 0
            while seen < given.count and time.monotonic() < deadline:
                publisher.publish(*weather())
                if (message := subscriber.recv(0.0)) is not None:
                    seen += 1
                    missed = "unknown" if message.missed is None else message.missed
                    said(f"{message.topic!r}: {message.body!r}, missed: {missed}")


if __name__ == "__main__":
    main()
