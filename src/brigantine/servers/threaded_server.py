"""The multithreaded server: a plain function, called in threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import zmq

from ..config.given import config_of
from ..config.servers import ServerConfig
from ..validation.calls import called_rightly
from .server import TELLS_NONE, count_of
from .threads import ThreadServer

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..config.servers import ServerOptions

__all__ = ["ThreadedServer"]


class ThreadedServer(ThreadServer):
    """Calls ``function(body)`` in one of ``threads`` threads for each request::

        with ThreadedServer("tcp://127.0.0.1:5555", bytes.upper, threads=4) as server:
            server.join()

    Clients are REQ and DEALER sockets in any language, :class:`~brigantine.LazyPirateClient` and
    :class:`~brigantine.AsyncClient`.

    ``function`` gets ``bytes`` when the body is one frame, else ``list[bytes]``, and returns either.
    What it raises goes to the log ``brigantine.server``, and to the client as
    :func:`~brigantine.wire.req.error_reply`.  Several requests of one client may run at the same time.
    A generator function gives several replies, and ``None`` gives none; a REQ client gets one in any
    case.

    Endpoints, the other arguments and errors are those of :class:`~brigantine.AsyncServer`, which is the
    right choice if the server is to know its clients.
    Source: ZeroMQ guide, chapter 2 "Multithreading with ZeroMQ".
    """

    _takes = (1, "one argument, the request's body")

    @called_rightly
    def __init__(
        self,
        frontend: str | Sequence[str],
        function: Callable[[Any], Any],
        *,
        threads: int = 4,
        impl: str | None = None,
        context: zmq.Context[Any] | None = None,
        control: str | Sequence[str] | None = None,
        config: ServerConfig | None = None,
        **options: Unpack[ServerOptions],
    ) -> None:
        count = count_of("threads", threads)
        super().__init__(
            frontend, function, count, TELLS_NONE, impl, context, control,
            config_of(type(self), ServerConfig, config, options, {"session_concurrency": count}),
        )  # fmt: skip
        self._start()

    def _call(self, task: Any) -> Any:
        return self._handler(task.body)
