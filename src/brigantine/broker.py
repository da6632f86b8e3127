"""A broker: a loop in a thread of its own, and the handle that the rest of the program holds."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
import weakref
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

import msgpack
import zmq

from ._impl import chosen, implementation
from .arguments import whole
from .broker_sockets import BrokerSockets
from .config import EVENTS_WAITING, LINGER, BrokerConfig
from .control import DRAIN, IGNORE, SERVICES, STOP, WATCH, WORKERS
from .control_server import Answer, ControlServer, pack
from .endpoints import as_control_endpoints, as_endpoints, check_distinct
from .errors import BrokerStopped, ConfigError
from .event_hub import END, EventHub
from .events import Events
from .loop_line import LoopLine
from .protocols import Protocol
from .scheduling import let_others_finish
from .signals import leave_signals_to_main_thread, longest_wait

__all__ = ["Broker"]

if TYPE_CHECKING:
    from typing_extensions import Self

#: Tells brokers apart for as long as their context may remember their endpoints, as id() would not.
_numbers = itertools.count()
#: The longest list of events that a reader can ask for.
_MOST_EVENTS = 10_000_000


class Broker:
    """What all brokers have in common; :class:`~brigantine.LRUBroker` and its like say what they speak.

    ``frontend`` (clients) and ``backend`` (workers) are an endpoint or several each: ``tcp://``,
    ``ipc://`` or ``inproc://``; ``tcp://HOST:*`` takes a free port.  ``impl`` is ``"core"``
    (compiled, the default) or ``"pure"``.  With ``context`` the broker lives in that
    ``zmq.Context`` and shares its inproc endpoints; otherwise it has one of its own.  ``control``,
    an endpoint or several that only this machine can reach, answers what docs/control.md says.  ``options``
    are the fields of :class:`~brigantine.config.BrokerConfig`.

    It runs from construction until :meth:`stop` or :meth:`drain`, or the end of a ``with`` block.  Any
    thread may call every method, and a signal handler :meth:`stats`, :meth:`drain` and :meth:`stop`.

    Raises :class:`~brigantine.errors.ConfigError` for an option or endpoint that can't work and
    :class:`~brigantine.errors.BindError` for one that can't be bound.
    """

    #: Protocols that workers may speak, and the service of peers that name none (None: refused).
    _protocols: ClassVar[Protocol] = Protocol.REQ
    _default_service: bytes | None = b""
    #: Options whose default differs from that of BrokerConfig.
    _defaults: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        frontend: str | Sequence[str],
        backend: str | Sequence[str] | None,
        *,
        impl: str | None = None,
        context: zmq.Context[Any] | None = None,
        control: str | Sequence[str] | None = None,
        config: BrokerConfig | None = None,
        **options: Any,
    ) -> None:
        if config is not None and options:
            raise TypeError(f"give a config or single options, not both: {', '.join(options)}")
        self.config = self.options(**options) if config is None else config
        self.impl = chosen(impl)
        self._loop_class = implementation(self.impl).Loop
        self._single = backend is None
        if backend is None and self._protocols & (Protocol.REQ | Protocol.PPP):
            raise ConfigError(
                f"backend: {type(self).__name__} needs an endpoint for workers; only Majordomo can "
                "tell workers from clients on one socket"
            )
        self._wanted = (
            as_endpoints(frontend, "frontend"),
            () if backend is None else as_endpoints(backend, "backend"),
            () if control is None else as_control_endpoints(control, "control"),
        )
        check_distinct(**dict(zip(("frontend", "backend", "control"), self._wanted, strict=True)))
        self._own_context = context is None
        self._context: zmq.Context[Any] = context or zmq.Context(io_threads=self.config.io_threads)
        #: Real endpoints, in the order they were given.
        self.frontends: tuple[str, ...] = ()
        self.backends: tuple[str, ...] = ()
        self.controls: tuple[str, ...] = ()
        self._loop: Any = None
        self._error: BaseException | None = None
        self._told_to_end = False
        self._hub: EventHub | None = None
        self._server: ControlServer | None = None
        started = threading.Event()
        # A daemon: the interpreter must not wait for it before the finalizer below has run.
        self._thread = threading.Thread(
            target=self._serve, args=(started,), name="brigantine-broker", daemon=True
        )
        name = f"{os.getpid()}-{next(_numbers)}"
        self._events_endpoint = f"inproc://brigantine-events-{name}"
        self._line = LoopLine(self._context, f"inproc://brigantine-control-{name}", self._thread)
        self._finalizer = weakref.finalize(self, _shut_down, self._line, self._thread)
        self._thread.start()
        started.wait()
        if self._error is not None:
            self.stop()
            raise self._error

    # -- what it is ---------------------------------------------------------------------------

    @classmethod
    def options(cls, **options: Any) -> BrokerConfig:
        """The limits of such a broker with these options, and its own defaults for all others."""
        return BrokerConfig(**{**cls._defaults, **options})

    @property
    def frontend(self) -> str:
        """The real endpoint for clients (the first, when there are several)."""
        return self.frontends[0]

    @property
    def backend(self) -> str:
        """The real endpoint for workers (the first, when there are several)."""
        return self.backends[0] if self.backends else self.frontend

    @property
    def control(self) -> str | None:
        """The real endpoint for control (the first, when there are several); ``None`` without one."""
        return self.controls[0] if self.controls else None

    @property
    def running(self) -> bool:
        """Whether the loop runs."""
        return self._thread.is_alive()

    @property
    def told_to_end(self) -> bool:
        """Whether somebody asked for drain or stop, here or on the control endpoint."""
        return self._told_to_end

    def stats(self) -> dict[str, int]:
        """All counters by name (see :data:`brigantine.COUNTERS`), also after the broker has stopped.

        Raises :class:`~brigantine.errors.BrokerStopped` in a forked child, where no broker runs.
        Never waits for the loop, and the ledger always holds:
        ``accepted == replied + queued + in_flight + shed + failed``.
        """
        self._line.refuse_in_child()
        with self._line.visits.inside():
            stats: dict[str, int] = self._loop.stats()
        if self._hub is not None:
            stats["events_missed"] += self._hub.missed
        if self._server is not None:
            stats["control_requests"] = self._server.requests
            stats["drop_control"] = self._server.dropped
        return stats

    def workers(self) -> dict[bytes, list[dict[str, Any]]]:
        """The registered workers by service.

        Each has its ``identity``, ``protocol`` (``"REQ"``, ``"PPP"``, ``"MDP01"`` or ``"MDP02"``),
        ``capacity``, requests ``in_flight`` and ``state``: ``"idle"`` when it could take a request
        now, else ``"busy"``.  Asks the loop.
        Raises :class:`~brigantine.errors.BrokerStopped` when the broker has ended.
        """
        workers: dict[bytes, list[dict[str, Any]]] = msgpack.unpackb(self._line.ask(WORKERS))
        return workers

    def services(self) -> dict[bytes, dict[str, int]]:
        """The known services: ``workers``, those that are ``idle``, and requests ``queued``.

        Asks the loop.  Raises :class:`~brigantine.errors.BrokerStopped` when the broker has ended.
        """
        services: dict[bytes, dict[str, int]] = msgpack.unpackb(self._line.ask(SERVICES))
        return services

    def events(self, limit: int = EVENTS_WAITING) -> Events:
        """What happens from now on: an iterator of :class:`~brigantine.events.Event`.

        ``limit`` is how many events may wait for this reader; see :class:`~brigantine.events.Events`.
        There may be several readers.  Where the broker has ended the iterator is empty.
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
        visits = self._line.visits
        with visits.inside():
            with self._line.lock:
                if self._line.ended:
                    reader = Events(limit, visits)
                    reader.end()
                    return reader
                if self._hub is None:
                    self._hub = EventHub(
                        self._context, self._events_endpoint, lambda: self._line.tell(IGNORE)
                    )
            # Not under the line's lock, which the hub takes under its own.
            reader = Events(limit, visits, self._hub.remove)
            self._hub.add(reader)
        return reader

    # -- how it ends --------------------------------------------------------------------------

    def drain(self, timeout: float | None = None) -> bool:
        """Shed new requests, finish those accepted, stop.  Returns whether that was done in time.

        ``timeout`` is how many seconds to wait here; the broker itself stops after
        ``config.drain_timeout``, done or not (what was not done is counted as failed_stopped).
        A signal handler may call it, see :meth:`stop`.
        Raises :class:`~brigantine.errors.BrokerStopped` in a forked child.
        """
        self._line.refuse_in_child()
        self._end_with(DRAIN)
        if timeout is None:
            timeout = self.config.drain_timeout + LINGER + 1.0
        return self._join(timeout) and self.stats()["failed_stopped"] == 0

    def stop(self) -> None:
        """Stop now.  Requests that are waiting or in flight count as failed_stopped.

        From any thread, and from a signal handler.  Where this has interrupted another method of the
        same broker, which goes on only when the handler returns, the broker is told and not waited for.
        In a forked child it does nothing: the broker is the parent's.
        """
        self._end_with(STOP)
        self._join(None)

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the broker has ended, at most ``timeout`` seconds; returns whether it has.

        In a signal handler that has interrupted another method of the same broker it does not wait.
        Raises :class:`~brigantine.errors.BrokerStopped` when its loop ended with an error.
        """
        ended = self._join(timeout)
        if ended and self._error is not None:
            raise BrokerStopped(f"the broker ended with {self._error!r}") from self._error
        return ended

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        return (
            f"<{type(self).__name__} {self.impl} {state} "
            f"frontend={','.join(self.frontends)} backend={','.join(self.backends)}>"
        )

    # -- inside -------------------------------------------------------------------------------

    def _end_with(self, command: bytes) -> None:
        self._told_to_end = True
        self._line.tell(command)

    def _join(self, timeout: float | None) -> bool:
        if self._line.in_child:
            return True
        if self._line.visits.mine:
            return False
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._line.visits.inside():  # joining a thread takes a lock, too
            while self._thread.is_alive():
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                bounds = (each for each in (left, longest_wait()) if each)
                self._thread.join(min(bounds, default=None))
            self._finalizer()
        return True

    def _serve(self, started: threading.Event) -> None:
        """The broker's thread: makes the sockets, runs the loop, closes the sockets."""
        leave_signals_to_main_thread()
        sockets = BrokerSockets(self._context)
        try:
            sockets.make(
                self.config, self._line.endpoint, self._events_endpoint,
                single=self._single, pings=bool(self._protocols & Protocol.REQ),
            )  # fmt: skip
            self._line.begin()
            sockets.bind(*self._wanted[:2])
            self.frontends, self.backends = sockets.frontends, sockets.backends
            if self._wanted[2]:
                self._server = self._control_server()
                self.controls = self._server.endpoints
            self._loop = self._loop_class(
                sockets.frontend, sockets.backend, sockets.control, self.config, sockets.monitor,
                int(self._protocols), self._default_service, sockets.events,
            )  # fmt: skip
            if self._server is not None:
                self._server.start()
            started.set()
            let_others_finish()
            self._loop.run()
        except BaseException as error:
            self._error = error
        finally:
            self._line.end()
            if self._hub is not None:
                with contextlib.suppress(zmq.ZMQError):  # its context is terminated: it has ended
                    sockets.events.send(END)
                self._hub.join()
            sockets.close()
            if self._server is not None:
                self._server.end(pack(self.stats() if self._loop is not None else {}))
            self._line.close()
            if self._own_context:
                self._context.term()
            started.set()

    def _control_server(self) -> ControlServer:
        """Bound, not started.  Its thread must not wait for the broker's, which waits for it."""

        def ends(command: bytes) -> Answer:
            stats = self.stats()
            told = {
                "queued": stats["queued"],
                "in_flight": stats["in_flight"],
                "drain_timeout": self.config.drain_timeout,
            }
            return Answer(pack(told), lambda: self._end_with(command))

        return ControlServer(
            self._context, self.config, self._wanted[2],
            {
                b"stats": lambda: Answer(pack(self.stats())),
                b"workers": lambda: Answer(self._line.ask(WORKERS)),
                b"services": lambda: Answer(self._line.ask(SERVICES)),
                b"drain": lambda: ends(DRAIN),
                b"stop": lambda: ends(STOP),
            },
        )  # fmt: skip


def _shut_down(line: LoopLine, thread: threading.Thread) -> None:
    """Stop a broker that was forgotten: run by the garbage collector, or when Python exits."""
    if not line.in_child:
        line.tell(STOP)
        thread.join()
