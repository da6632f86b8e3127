"""The sockets of a broker: made, bound and closed by its thread."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import zmq

from ..config import BrokerConfig
from ..net.closing import closing
from ..net.endpoints import bind
from ..net.sockets import HANDSHAKES, backend_router, frontend_router, watch_connections
from .event_hub import events_pair

__all__ = ["BrokerSockets"]


class BrokerSockets:
    """Nothing at first; :meth:`close` closes what was made, however far that came."""

    frontend: zmq.Socket[bytes]
    #: None where the frontend is for workers, too.
    backend: zmq.Socket[bytes] | None
    #: The loop's ends of the PAIRs, and the monitors of the workers' side, and of the clients' if that is
    #: another.
    control: zmq.Socket[bytes]
    monitor: zmq.Socket[bytes]
    client_monitor: zmq.Socket[bytes] | None
    events: zmq.Socket[bytes]

    def __init__(self, context: zmq.Context[Any]) -> None:
        self._context = context
        #: In the order they were made.
        self._made: list[zmq.Socket[bytes]] = []
        #: The sockets that have a monitor.
        self._watched: list[zmq.Socket[bytes]] = []
        #: Real endpoints.
        self.frontends: tuple[str, ...] = ()
        self.backends: tuple[str, ...] = ()

    def make(
        self, config: BrokerConfig, control: str, events: str, *, single: bool, pings: bool
    ) -> None:
        """Make all.  The loop's end of one PAIR is connected to ``control``, the other bound to ``events``.

        Bound, for nobody may ever come to read events, and a socket that was connected to an inproc
        endpoint which nobody binds stays as long as its context.

        ``single``: one socket for both sides.  ``pings``: see
        :func:`~brigantine.net.sockets.backend_router`.
        """
        if single:
            self.frontend = self._keep(backend_router(self._context, config, pings=pings))
            self.backend = None
        else:
            self.frontend = self._keep(frontend_router(self._context, config))
            self.backend = self._keep(backend_router(self._context, config, pings=pings))
        self.control = self._keep(self._context.socket(zmq.PAIR))
        self.control.rcvhwm = 0  # see LoopLine
        self.control.connect(control)
        self.monitor = self._watch(self.backend or self.frontend)
        self.client_monitor = None if single else self._watch(self.frontend)
        self.events = self._keep(events_pair(self._context))
        self.events.bind(events)

    def _watch(self, router: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
        monitor = self._keep(watch_connections(router, HANDSHAKES))
        self._watched.append(router)
        return monitor

    def _keep(self, socket: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
        self._made.append(socket)
        return socket

    def bind(self, frontends: Sequence[str], backends: Sequence[str]) -> None:
        """Bind both sides.  Raises :class:`~brigantine.errors.BindError`."""
        self.frontends = tuple(bind(self.frontend, endpoint) for endpoint in frontends)
        if self.backend is not None:
            self.backends = tuple(bind(self.backend, endpoint) for endpoint in backends)

    def close(self, *, shared: bool) -> None:
        """Close what was made; ``shared`` tells that the context goes on.

        Where the caller has terminated the context, closing is all that still works.
        """
        sides = zip(self._made, (self.frontends, self.backends), strict=False)
        bound = [(socket, each) for socket, endpoints in sides for each in endpoints]
        with closing(self._context, bound, shared=shared):
            for watched in self._watched:
                with contextlib.suppress(zmq.ZMQError):
                    watched.disable_monitor()
            for socket in reversed(self._made):
                socket.close()
