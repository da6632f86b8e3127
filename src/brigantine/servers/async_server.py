"""The asynchronous server: clients that ask and are answered in any order, a session for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import zmq

from ..config.given import config_of
from ..config.servers import ServerConfig
from ..validation.calls import called_rightly
from .server import TELLS_ALL, TELLS_KNOWN, check_callback, check_plain, count_of
from .session import Session
from .threads import ThreadServer

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..config.servers import ServerOptions

__all__ = ["AsyncServer"]


class AsyncServer(ThreadServer):
    """Calls ``handler(session, body)`` in one of ``workers`` threads for each request of a client::

        def handler(session, body):
            session.state["asked"] = session.state.get("asked", 0) + 1
            return b"%d: %s" % (session.state["asked"], body)

        with AsyncServer("tcp://127.0.0.1:5570", handler, workers=4) as server:
            print(server.frontend, server.stats())

    Clients are :class:`~brigantine.AsyncClient`, and DEALER or REQ sockets in any language, with or without
    the empty frame before the body: each is answered in its own framing.

    The handler gets ``bytes`` when the body is one frame, else ``list[bytes]``, and returns either, or
    ``None`` for no reply; a generator function yields any number of replies.  What it raises goes to
    the log ``brigantine.server``, and to the client as :func:`~brigantine.wire.req.error_reply`.
    Replies are sent in the order in which handlers finish.

    A client has one :class:`~brigantine.Session`, identified by its whole address.  One handler at a
    time runs for it, unless ``session_concurrency`` says otherwise.  Any message keeps it open.  When
    nothing was heard for ``session_timeout`` seconds and no handler runs for it, it is closed.

    - ``frontend``: one or several endpoints: ``tcp://``, ``ipc://`` or ``inproc://``; ``tcp://HOST:*``
      takes a free port.
    - ``on_open``, ``on_close``: called with the session, once each, before its first request and after its
      last.
    - ``impl``, ``context``, ``control``: as for a :class:`~brigantine.broker.Broker`.
    - ``options``: the fields of :class:`~brigantine.ServerConfig`.

    It runs from construction until :meth:`stop` or :meth:`drain`, or the end of a ``with`` block.

    Raises :class:`~brigantine.errors.ConfigError` for an option or endpoint that can't work and
    :class:`~brigantine.errors.BindError` for one that can't be bound.
    Source: ZeroMQ guide, chapter 3 "The Asynchronous Client/Server Pattern".
    """

    _takes = (2, "two arguments, the session and the request's body")

    @called_rightly
    def __init__(
        self,
        frontend: str | Sequence[str],
        handler: Callable[[Session, Any], Any],
        *,
        workers: int = 4,
        on_open: Callable[[Session], object] | None = None,
        on_close: Callable[[Session], object] | None = None,
        impl: str | None = None,
        context: zmq.Context[Any] | None = None,
        control: str | Sequence[str] | None = None,
        config: ServerConfig | None = None,
        **options: Unpack[ServerOptions],
    ) -> None:
        for name, callback in (("on_open", on_open), ("on_close", on_close)):
            check_callback(name, callback)
            check_plain(type(self), callback)
        self._on_open, self._on_close = on_open, on_close
        tells = TELLS_KNOWN if on_open is None and on_close is None else TELLS_ALL
        super().__init__(
            frontend, handler, count_of("workers", workers), tells, impl, context, control,
            config_of(type(self), ServerConfig, config, options, {"session_concurrency": 1}),
        )  # fmt: skip
        self._start()

    def _call(self, task: Any) -> Any:
        return self._handler(self._handling.session_of(task), task.body)
