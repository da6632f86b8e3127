"""Majordomo worker: serves "echo".

``--connect`` is a Majordomo broker in any language (MDP 0.1, as the guide's mdbroker); without, it starts a
broker and a client.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from brigantine import MajordomoBroker, MajordomoClient, MajordomoWorker
from brigantine.examples._stage import ANY, options, said, until


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "connect", count=5)
    with contextlib.ExitStack() as stack:
        endpoint = given.connect
        if endpoint is None:
            endpoint = stack.enter_context(MajordomoBroker(ANY)).frontend
        worker = stack.enter_context(
            MajordomoWorker(endpoint, "echo", lambda body: body, version="0.1")
        )
        said(f"Serving echo at {endpoint}")
        if given.connect is None:
            client = stack.enter_context(MajordomoClient(endpoint))
            for number in range(given.count):
                client.request("echo", b"%d" % number)
        until(lambda: worker.stats()["replies"] >= given.count, given.seconds)
        said(f"Replied to {worker.stats()['replies']} requests")


if __name__ == "__main__":
    main()
