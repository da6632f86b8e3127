"""Weather proxy: a forwarder between an inner and an outer network of publishers and subscribers.

``--frontend`` is where publishers connect, or with ">" in front where the proxy connects to one;
``--backend`` is where subscribers connect.  Without both, it starts a publisher and a subscriber.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from brigantine import ForwarderDevice, Publisher, Subscriber
from brigantine.examples._stage import ANY, options, said, until


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "frontend", "backend", count=10)
    with ForwarderDevice(given.frontend or ANY, given.backend or ANY) as proxy:
        said(f"Publishers connect to {proxy.frontend}, subscribers to {proxy.backend}")
        if given.frontend or given.backend:
            until(lambda: proxy.stats()["to_backend"] >= given.count, given.seconds)
        else:
            with (
                Publisher(f">{proxy.frontend}", name="station") as publisher,
                Subscriber(proxy.backend, "weather.") as subscriber,
            ):
                publisher.wait_ready(given.seconds)
                deadline = time.monotonic() + given.seconds
                for number in range(given.count):
                    publisher.publish("weather.berlin", b"%d C" % number)
                    message = subscriber.recv(timeout=deadline - time.monotonic())
                    if message is None:
                        raise SystemExit(f"nothing was heard for {given.seconds:g} s")
                    said(f"{message.topic!r}: {message.body!r}")
        until(lambda: proxy.stats()["to_backend"] >= given.count, given.seconds)
        said(f"Passed on {proxy.stats()['to_backend']} messages, heartbeats among them")


if __name__ == "__main__":
    main()
