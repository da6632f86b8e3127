"""A broker: its options, what it reports, and how it ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import zmq

from .._impl import chosen, implementation
from ..config import BrokerConfig, BrokerOptions
from ..config.given import TakesOptions
from ..config.limits import EVENTS_WAITING, LINGER
from ..config.protocols import INTERVALS, Protocol
from ..control.server import Answer, before_the_end, pack
from ..errors import BrokerStopped, ConfigError, OptionName
from ..net.arguments import patience
from ..net.endpoints import as_endpoints, is_private
from ..net.overlap import check_distinct
from ..notices.lookalikes import Here
from ..runtime.handle import LoopHandle
from ..validation.calls import called_rightly
from ..validation.values import whole
from ..wire.loop import DRAIN, IGNORE, SERVICES, STOP, WATCH, WORKERS
from ..wire.unpacking import unpacked
from .event_hub import EventHub
from .event_reader import Events
from .sockets import BrokerSockets

if TYPE_CHECKING:
    from typing_extensions import Unpack


__all__ = ["Broker"]

#: The longest list of events that a reader can ask for.
_MOST_EVENTS = 10_000_000


#: Protocols of which workers can be told from clients on one socket.
_TOLD_APART = Protocol.MDP01 | Protocol.MDP02


class Broker(LoopHandle, TakesOptions):
    """Base class of all brokers; subclasses such as :class:`~brigantine.LRUBroker` select the protocols.

    - ``frontend``, ``backend``: the endpoints of clients and of workers, one or several each: ``tcp://``,
      ``ipc://`` or ``inproc://``; ``tcp://HOST:*`` takes a free port.
    - ``impl``: ``"core"`` (compiled, the default) or ``"pure"``.
    - ``context``: the ``zmq.Context`` in which the broker lives, sharing its inproc endpoints; by
      default the broker has its own.
    - ``control``: one or several endpoints, reachable only from this machine, for commands
      (docs/control.md).
    - ``options``: the fields of :class:`~brigantine.BrokerConfig`.

    It runs from construction until :meth:`stop` or :meth:`drain`, or the end of a ``with`` block.  Any
    thread may call every method, and a signal handler may call :meth:`stats`, :meth:`drain` and
    :meth:`stop`.

    Raises :class:`~brigantine.errors.ConfigError` for an option or endpoint that can't work and
    :class:`~brigantine.errors.BindError` for one that can't be bound.
    """

    what = "broker"
    _table = BrokerConfig
    _takes = BrokerOptions
    #: Protocols that workers may speak, and the service of peers that name none (None: refused).
    _protocols: ClassVar[Protocol] = Protocol.REQ
    _default_service: bytes | None = b""
    #: What it has for ``retries`` where nobody says otherwise.
    _retries: ClassVar[int] = 0

    @called_rightly
    def __init__(
        self,
        frontend: str | Sequence[str],
        backend: str | Sequence[str] | None,
        *,
        impl: str | None = None,
        context: zmq.Context[Any] | None = None,
        control: str | Sequence[str] | None = None,
        config: BrokerConfig | None = None,
        **options: Unpack[BrokerOptions],
    ) -> None:
        self.config = self._configured(BrokerConfig, config, options)
        super().__init__(chosen(impl), context, self.config.io_threads, control)
        self._loop_class = implementation(self.impl).Loop
        self._single = backend is None
        if backend is None and not self._protocols & _TOLD_APART:
            raise ConfigError(
                OptionName("backend"),
                f": {type(self).__name__} needs an endpoint for workers; only Majordomo can "
                "tell workers from clients on one socket",
            )
        self._wanted = (
            as_endpoints(frontend, "frontend"),
            () if backend is None else as_endpoints(backend, "backend"),
        )
        self._fronted = self._decide_on_workers_at_frontend()
        check_distinct(
            frontend=self._wanted[0], backend=self._wanted[1], control=self._controls_wanted
        )
        self._sockets: BrokerSockets
        self._events_endpoint: str
        self._hub: EventHub | None = None
        self._start()

    # -- what it is ---------------------------------------------------------------------------

    @classmethod
    def options(cls, **options: Unpack[BrokerOptions]) -> BrokerConfig:
        """The limits of such a broker with these options, and its own defaults for all others."""
        return cls._configured(BrokerConfig, None, options)

    @classmethod
    def _own(cls) -> Mapping[str, Any]:
        """What it has for options that are left to it: an interval, where its protocols have the same."""
        intervals = {seconds for each, seconds in INTERVALS.items() if each in cls._protocols}
        return {
            "heartbeat_interval": intervals.pop() if len(intervals) == 1 else None,
            "retries": cls._retries,
        }

    @property
    def workers_at_frontend(self) -> bool:
        """Whether MDP workers are served at the frontend: see ``BrokerConfig.workers_at_frontend``."""
        return self._fronted

    def stats(self) -> dict[str, int]:
        """All counters by name (see :data:`brigantine.COUNTERS`), also after the broker has stopped.

        Raises :class:`~brigantine.errors.BrokerStopped` in a forked child, where no broker runs.
        Never waits for the loop, and the ledger always holds:
        ``accepted == replied + queued + in_flight + shed + failed``.
        """
        stats = super().stats()
        if self._hub is not None:
            stats["events_missed"] += self._hub.missed
        return stats

    def workers(self) -> dict[bytes, list[dict[str, Any]]]:
        """The registered workers by service.

        Each is a map of:

        - ``identity``
        - ``protocol``: ``"REQ"``, ``"PPP"``, ``"MDP01"`` or ``"MDP02"``
        - ``capacity``
        - ``in_flight``: the number of requests it holds
        - ``state``: ``"idle"`` when it could take a request now, else ``"busy"``
        - ``side``: ``"backend"`` or ``"frontend"``

        Asks the loop.
        Raises :class:`~brigantine.errors.BrokerStopped` when the broker has ended.
        """
        workers: dict[bytes, list[dict[str, Any]]] = unpacked(self._line.ask(WORKERS))
        return workers

    def services(self) -> dict[bytes, dict[str, int]]:
        """The known services, each with ``workers``, how many are ``idle``, and requests ``queued``.

        Asks the loop.  Raises :class:`~brigantine.errors.BrokerStopped` when the broker has ended.
        """
        services: dict[bytes, dict[str, int]] = unpacked(self._line.ask(SERVICES))
        return services

    def events(self, limit: int = EVENTS_WAITING) -> Events:
        """The events from now on: an iterator of :class:`~brigantine.events.Event`.

        ``limit`` is how many events may wait for this reader; see :class:`~brigantine.Events`.
        There may be several readers.  If the broker has ended, the iterator is empty.
        Raises :class:`~brigantine.errors.ConfigError` for a limit below 1 and
        :class:`~brigantine.errors.BrokerStopped` in a forked child.
        """
        whole("limit", limit, 1, _MOST_EVENTS)
        self._line.refuse_in_child()
        reader = self._new_reader(limit)
        # Once the loop has answered, nothing that happens is missed.  If it ends before, so does
        # the reader.
        with contextlib.suppress(BrokerStopped):
            self._line.ask(WATCH)
        return reader

    def _new_reader(self, limit: int) -> Events:
        guard = self._line.guard
        with guard.inside():
            with self._line.lock:
                if self._line.ended:
                    reader = Events(limit, guard)
                    reader.end()
                    return reader
                if self._hub is None:
                    self._hub = EventHub(
                        self._context, self._events_endpoint, lambda: self._line.tell(IGNORE)
                    )
                self._hub.begin()
            # Not under the line's lock, which the hub takes under its own.
            reader = Events(limit, guard, self._hub.remove)
            self._hub.add(reader)
        return reader

    # -- how it ends --------------------------------------------------------------------------

    def drain(self, timeout: float | None = None) -> bool:
        """Shed new requests, finish accepted ones, then stop.  Returns whether all were finished in time.

        ``timeout`` is how many seconds to wait here.  The broker itself stops after
        ``config.drain_timeout`` at the latest; unfinished requests are counted as failed_stopped.
        A signal handler may call it, see :meth:`stop`.
        Raises :class:`~brigantine.errors.BrokerStopped` in a forked child.
        """
        patience(timeout)
        self._line.refuse_in_child()
        self._end_with(DRAIN)
        if timeout is None:
            timeout = self.config.drain_timeout + LINGER + 1.0
        return self._join(timeout) and self.stats()["failed_stopped"] == 0

    def stop(self) -> None:
        """Stop now.  Requests that are waiting or in flight count as failed_stopped.

        Replies that were handed to libzmq have up to a second to leave.

        May be called from any thread and from a signal handler.  If the handler has interrupted another
        method of the same broker, which continues only when the handler returns, the broker is told to
        stop but not waited for.  In a forked child this does nothing: the broker belongs to the parent.
        """
        super().stop()

    # -- inside -------------------------------------------------------------------------------

    def _open(self) -> Any:
        self._sockets = BrokerSockets(self._context)
        self._events_endpoint = f"inproc://brigantine-events-{self._name}"
        self._sockets.make(
            self.config, self._line.endpoint, self._events_endpoint,
            single=self._single, pings=bool(self._protocols & Protocol.REQ) and not self._single,
        )  # fmt: skip
        self._line.begin()
        self._sockets.bind(*self._wanted)
        self.frontends, self.backends = self._sockets.frontends, self._sockets.backends
        self._bind_control(self.config)
        config = replace(self.config, workers_at_frontend=self._fronted and not self._single)
        return self._loop_class(
            self._sockets.frontend, self._sockets.backend, self._sockets.control, config,
            self._sockets.monitor, int(self._spoken), self._default_service, self._sockets.events,
            self._notices.queue, self._sockets.client_monitor, self._reserve,
        )  # fmt: skip

    def _decide_on_workers_at_frontend(self) -> bool:
        """Where that was left open, serve them where only this machine can reach the frontend."""
        wanted, name = self.config.workers_at_frontend, type(self).__name__
        if not self._protocols & _TOLD_APART:
            if wanted:
                raise ConfigError(
                    OptionName("workers_at_frontend"),
                    f"=True: {name} can't tell workers from clients, as only the "
                    "Majordomo Protocol can; leave it out, or use AnyBroker",
                )
            return False
        if self._single:
            if wanted is False:
                raise ConfigError(
                    OptionName("workers_at_frontend"),
                    f"=False: without a backend, {name} has no other endpoint for "
                    "workers; give it one",
                )
            return True
        return all(map(is_private, self._wanted[0])) if wanted is None else wanted

    @property
    def _spoken(self) -> Protocol:
        """Protocols of workers: on one socket those that can be told from clients."""
        return self._protocols & _TOLD_APART if self._single else self._protocols

    def _here(self) -> Here:
        return Here(self.frontends, self.backends or self.frontends, self._spoken)

    def _close(self) -> None:
        if self._hub is not None:
            self._hub.end(self._sockets.events)
        self._sockets.close(shared=not self._own_context)

    def _commands(self) -> Mapping[bytes, Callable[[], Answer]]:
        def ends(command: bytes) -> Answer:
            return before_the_end(
                self.stats(), self.config.drain_timeout, lambda: self._end_with(command)
            )

        return {
            b"stats": lambda: Answer(pack(self.stats())),
            b"workers": lambda: Answer(self._line.ask(WORKERS)),
            b"services": lambda: Answer(self._line.ask(SERVICES)),
            b"drain": lambda: ends(DRAIN),
            b"stop": lambda: ends(STOP),
        }
