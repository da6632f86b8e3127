"""The worker of the Majordomo Protocol, versions 0.1 and 0.2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic

import zmq

from ..config import WorkerConfig, WorkerOptions
from ..config.protocols import Protocol
from ..config.worker import WORKER_INTERVALS
from ..errors import ConfigError, OptionName
from ..handlers import Handler, StreamHandler
from ..net.arguments import service_name
from ..validation.calls import called_rightly
from ..wire.mdp import MMI_PREFIX
from .base import HandlerT
from .codec import MDP01Codec, MDP02Codec
from .heartbeat import HeartbeatWorker
from .streams import StreamingThreads

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["MajordomoBase", "MajordomoWorker", "worker_service"]

_CODECS: dict[str, type[MDP02Codec]] = {"0.1": MDP01Codec, "0.2": MDP02Codec}


class MajordomoBase(HeartbeatWorker, Generic[HandlerT]):
    """What a worker of Majordomo serves, whatever calls its handler."""

    _takes = WorkerOptions

    @called_rightly
    def __init__(
        self,
        brokers: str | Sequence[str],
        service: bytes | str,
        handler: HandlerT,
        *,
        context: zmq.Context[Any] | None = None,
        config: WorkerConfig | None = None,
        **options: Unpack[WorkerOptions],
    ) -> None:
        self._service = worker_service(service)
        super().__init__(brokers, handler, self._configured(WorkerConfig, config, options), context)

    @classmethod
    def options(cls, **options: Unpack[WorkerOptions]) -> WorkerConfig:
        """The limits of such a worker with these options, and its own defaults for all others."""
        return cls._configured(WorkerConfig, None, options)

    @classmethod
    def _own(cls) -> Mapping[str, Any]:
        return {"heartbeat_interval": WORKER_INTERVALS[Protocol.MDP02]}

    def _codec(self) -> MDP02Codec:
        return _CODECS[self.config.version](self._service, self._capacity, self.config.announced_ms)

    def _words(self) -> str:
        return f"service={self._service!r} {super()._words()}"


class MajordomoWorker(MajordomoBase[StreamHandler | Handler], StreamingThreads):
    """Serves ``service`` at brokers that speak MDP, such as :class:`~brigantine.MajordomoBroker`:
    calls ``handler(body)`` for each request::

        MajordomoWorker("tcp://127.0.0.1:5555", "upper", bytes.upper).run()

    The handler gets ``bytes`` when the body is one frame, else ``list[bytes]``, and returns either.  It
    may be a generator function: each value that it yields goes to the client at once, as a part of the
    reply (PARTIAL).  What it returns ends the reply (FINAL); if it returns nothing, the FINAL is one
    empty frame, which brigantine's clients don't pass to their callers.  With ``version="0.1"``
    everything that it yields and returns is joined into one reply.  For 0.1 clients the broker joins
    PARTIALs and FINAL, including the empty frame.  What a handler raises goes to the log
    ``brigantine.worker`` and to the client, as :func:`~brigantine.wire.req.error_reply`, after the
    parts that came before.

    - ``service``: bytes or a str (sent as UTF-8).
    - ``brokers``: the workers' endpoints of one broker or of several.  The worker registers with all of
      them at once.
    - ``context``: the ``zmq.Context`` of the sockets, which inproc endpoints need.
    - ``options``: the fields of :class:`~brigantine.WorkerConfig`, listed below.

    At most ``capacity`` requests are handled at once, over all brokers, each in a thread.  Others wait in
    the worker in the order they came, as do requests of a new connection while handlers are still busy
    with those of one that has ended.  Brokers of other programs may refuse a READY with a capacity above
    1, or with an interval (``announce_interval``).  Use the broker's ``heartbeat_interval``, or each side
    will declare the other dead.  A reply above the limits is an error as if the handler had raised it,
    since the broker would drop it, or cut the worker off.

    A separate thread holds the connections, and sends a heartbeat whenever nothing else was sent for
    ``heartbeat_interval`` seconds, so a handler may compute for as long as it likes.  The thread can't
    do so while a handler runs C code that keeps the GIL.  To the broker such a worker is silent, but
    its connection stays open, since libzmq needs no GIL: give the broker a ``busy_liveness`` that
    outlasts the longest such call.  A worker that has died is still noticed at once, by its connection.
    Time spent in such a call does not count as silence of the broker.

    The worker also leaves a broker that says DISCONNECT or whose connection broke, and reconnects.  It
    sends DISCONNECT to a broker that was silent.  A reply to a request of a connection that has ended
    is discarded: its ticket is void.

    A worker runs once.  When it stops, it sends DISCONNECT to each broker as soon as that broker's requests
    are done; the broker gives requests that were still on the way to another worker.

    Raises :class:`~brigantine.errors.ConfigError` for an endpoint, service or number that can't work and
    ``TypeError`` for a handler that can't be called.
    Source: ZeroMQ RFC 7/MDP and RFC 18/MDP; the guide, chapter 4 "Majordomo Pattern".
    """


def worker_service(service: bytes | str) -> bytes:
    """The name of a service as it is sent.

    Raises :class:`~brigantine.errors.ConfigError` for one that no worker can have.
    """
    name = service_name(service)
    if not name:
        raise ConfigError(
            OptionName("service"), ": a worker needs the name of its service, such as 'echo'"
        )
    if name.startswith(MMI_PREFIX):
        raise ConfigError(
            OptionName("service"),
            f": {name!r} begins with {MMI_PREFIX!r}; the broker serves these itself",
        )
    return name
