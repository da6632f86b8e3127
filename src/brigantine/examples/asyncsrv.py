"""Asynchronous server: clients with many requests in flight, and a state for each that ends with it.

``--bind`` serves DEALER and REQ clients of any language there; without, it starts three clients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from brigantine import AsyncClient, AsyncServer, Session
from brigantine.examples._stage import ANY, options, said, until


def handler(session: Session, body: Any) -> Any:
    """Count the requests of each client."""
    session.state["asked"] = session.state.get("asked", 0) + 1
    return body


def closed(session: Session) -> None:
    """A client has left, or was silent for two seconds."""
    said(f"Session closed after {session.state.get('asked', 0)} requests")


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "bind", count=30)
    with AsyncServer(
        given.bind or ANY, handler, workers=5, on_close=closed, session_timeout=2.0
    ) as server:
        said(f"Serving at {server.frontend}")
        if given.bind is None:
            clients = [AsyncClient(server.frontend) for _ in range(3)]
            asked = [
                clients[number % 3].submit(b"request #%d" % number) for number in range(given.count)
            ]
            replies = [each.result(given.seconds) for each in asked]
            said(f"{len(replies)} replies, all in flight at once")
            for each in clients:
                each.close()
        until(lambda: server.stats()["replied"] >= given.count, given.seconds)
        until(lambda: server.stats()["sessions"] == 0, given.seconds)
        said(f"Answered {server.stats()['replied']} requests")


if __name__ == "__main__":
    main()
