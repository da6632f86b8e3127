"""Asynchronous Majordomo client: sends all requests first, then takes the replies.

``--connect`` is a Majordomo broker in any language (MDP 0.1, as the guide's mdbroker); without, it starts a
broker and a worker.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from brigantine import MajordomoBroker, MajordomoWorker, aio
from brigantine.examples._stage import ANY, giving_up, options, said


async def ask(endpoint: str, count: int, seconds: float) -> int:
    """All at once; how many replies came."""
    async with aio.MajordomoClient(endpoint, version="0.1", timeout=seconds) as client:
        asked = (client.request("echo", b"Hello world") for _ in range(count))
        return len(await asyncio.gather(*asked))


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "connect", count=20)
    with giving_up(), contextlib.ExitStack() as stack:
        endpoint = given.connect
        if endpoint is None:
            endpoint = stack.enter_context(MajordomoBroker(ANY)).frontend
            stack.enter_context(MajordomoWorker(endpoint, "echo", lambda body: body, capacity=10))
        replies = asyncio.run(ask(endpoint, given.count, given.seconds))
        said(f"{replies} replies received")


if __name__ == "__main__":
    main()
