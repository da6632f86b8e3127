"""Majordomo broker: services by name, over MDP 0.1 and 0.2.

``--bind`` is where clients and workers of any language connect, as in the guide; without, it starts a
worker and a client.
"""

from __future__ import annotations

from collections.abc import Sequence

from brigantine import MajordomoBroker, MajordomoClient, MajordomoWorker
from brigantine.examples._stage import ANY, options, said, until


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "bind", count=5)
    with MajordomoBroker(given.bind or ANY) as broker:
        said(f"Clients and workers connect to {broker.frontend}")
        if given.bind is None:
            with (
                MajordomoWorker(broker.frontend, "echo", lambda body: body),
                MajordomoClient(broker.frontend) as client,
            ):
                for number in range(given.count):
                    said(f"echo: {client.request('echo', b'%d' % number)!r}")
                said(f"Services: {sorted(broker.services())}")
        until(lambda: broker.stats()["replied"] >= given.count, given.seconds)
        said(f"Brought {broker.stats()['replied']} replies")


if __name__ == "__main__":
    main()
