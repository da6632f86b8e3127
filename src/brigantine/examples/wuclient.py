"""Weather update client: the average temperature of a zip code, and how many updates it missed.

``--connect`` listens to a publisher there: messages of topic and "temperature humidity", or the guide's,
which are one string of all three.  Without, it starts one.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence

from brigantine import Publisher, Subscriber
from brigantine.examples._stage import ANY, beside, options, said


def publish(publisher: Publisher, ended: threading.Event) -> None:
    """21 degrees at 10001, until the client has enough."""
    while not ended.is_set():
        publisher.publish("10001", b"21 40")
        time.sleep(0.001)


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "connect", count=100)
    ended = threading.Event()
    with contextlib.ExitStack() as stack:
        endpoint = given.connect
        if endpoint is None:
            publisher = stack.enter_context(Publisher(ANY, name="wuserver"))
            endpoint = publisher.endpoint
            stack.enter_context(beside(lambda: publish(publisher, ended)))
        stack.callback(ended.set)
        subscriber = stack.enter_context(Subscriber(endpoint, "10001"))
        temperatures: list[int] = []
        missed = 0
        while len(temperatures) < given.count:
            message = subscriber.recv(timeout=given.seconds)
            if message is None:
                raise SystemExit(f"nothing was published for {given.seconds:g} s")
            _zip_code, temperature, *_ = b" ".join([message.topic, message.body]).split()
            temperatures.append(int(temperature))
            missed += message.missed or 0
        average = sum(temperatures) / len(temperatures)
        said(f"Average temperature for zip code 10001 was {average:.0f}, {missed} updates missed")


if __name__ == "__main__":
    main()
