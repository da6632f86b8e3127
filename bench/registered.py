"""Majordomo workers that are registered and get nothing to do, each with a service of its own."""

from __future__ import annotations

import time

import zmq

from brigantine.core.load.line import peer_name
from brigantine.load.connections import Connections

from .processes import Contender, allow_files

#: Seconds that connecting and registering them all may take.
PATIENCE = 120.0
#: Seconds between two looks at the broker's counters.
TICK = 0.05
#: READY of MDP 0.2, behind the name of the connection.
READY = (b"MDPW02", b"\x01")


class IdleWorkers:
    """``count`` workers of as many services; on a broker whose heartbeats are far apart."""

    def __init__(self, contender: Contender, count: int) -> None:
        allow_files()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._connections = Connections(self._context, contender.backend, count)
        self._connections.wait(PATIENCE, "workers")
        for number in range(count):
            message = (peer_name(number), *READY, b"idle-%d" % number)
            self._connections.socket.send_multipart(message)
        deadline = time.monotonic() + PATIENCE
        while contender.stats()["workers"] < count:
            if time.monotonic() > deadline:
                raise SystemExit(f"not all of {count} workers are registered after {PATIENCE:g} s")
            time.sleep(TICK)

    def __enter__(self) -> IdleWorkers:
        return self

    def __exit__(self, *_: object) -> None:
        self._connections.close()
        self._context.term()
