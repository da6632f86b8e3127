"""Brokers: a loop in a thread of its own, and the handle that the rest of the program holds."""

from __future__ import annotations

import contextlib
import os
import select
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
from .config import ANSWER_CHECK, EVENTS_WAITING, LINGER, BrokerConfig
from .control import DRAIN, IGNORE, SERVICES, STOP, TAG_BYTES, WATCH, WORKERS
from .control_server import Answer, ControlServer, pack
from .endpoints import as_control_endpoints, as_endpoints, bind
from .errors import BrokerStopped, ConfigError
from .event_hub import END, EventHub, events_pair
from .events import Events
from .inproc import pipes_end, witnesses
from .protocols import Protocol
from .scheduling import let_others_finish
from .signals import leave_signals_to_main_thread, longest_wait
from .sockets import backend_router, frontend_router, watch_connections

__all__ = ["AnyBroker", "Broker", "LRUBroker", "MajordomoBroker", "ParanoidPirateBroker"]

if TYPE_CHECKING:
    from typing_extensions import Self

#: Where the backend stands among a broker's sockets.
_BACKEND = 1
#: The longest list of events that a reader can ask for.
_MOST_EVENTS = 10_000_000


class Broker:
    """What all brokers have in common; :class:`LRUBroker` and its like say which protocols they speak.

    ``frontend`` (clients) and ``backend`` (workers) are an endpoint or several each: ``tcp://``,
    ``ipc://`` or ``inproc://``; ``tcp://HOST:*`` takes a free port.  ``impl`` is ``"core"``
    (compiled, the default) or ``"pure"``.  With ``context`` the broker lives in that
    ``zmq.Context`` and shares its inproc endpoints; otherwise it has one of its own.  ``control``,
    an endpoint or several that only this machine can reach, answers what docs/control.md says.  ``options``
    are the fields of :class:`~brigantine.config.BrokerConfig`.

    It runs from construction until :meth:`stop` or :meth:`drain`, or the end of a ``with`` block.

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
        self.config = BrokerConfig(**{**self._defaults, **options}) if config is None else config
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
        self._own_context = context is None
        self._context: zmq.Context[Any] = context or zmq.Context(io_threads=self.config.io_threads)
        #: Real endpoints, in the order they were given.
        self.frontends: tuple[str, ...] = ()
        self.backends: tuple[str, ...] = ()
        self.controls: tuple[str, ...] = ()
        self._loop: Any = None
        self._error: BaseException | None = None
        self._pid = os.getpid()
        #: Guards the control PAIR, which any thread may use, and what follows.
        self._lock = threading.Lock()
        self._told_to_end = False
        self._loop_ended = False
        self._hub: EventHub | None = None
        self._server: ControlServer | None = None
        #: Held by who has asked the loop something; the tag of its question.
        self._asking = threading.Lock()
        self._tag = 0
        self._control = self._context.socket(zmq.PAIR)
        self._control.linger = 0
        name = f"{os.getpid()}-{id(self):x}"
        self._control_endpoint = f"inproc://brigantine-control-{name}"
        self._events_endpoint = f"inproc://brigantine-events-{name}"
        self._control.bind(self._control_endpoint)
        started = threading.Event()
        # A daemon: the interpreter must not wait for it before the finalizer below has run.
        self._thread = threading.Thread(
            target=self._serve, args=(started,), name="brigantine-broker", daemon=True
        )
        self._finalizer = weakref.finalize(
            self, _shut_down, self._pid, self._lock, self._control, self._thread
        )
        self._thread.start()
        started.wait()
        if self._error is not None:
            self.stop()
            raise self._error

    # -- what it is ---------------------------------------------------------------------------

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
        self._refuse_in_child()
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
        workers: dict[bytes, list[dict[str, Any]]] = msgpack.unpackb(self._ask(WORKERS))
        return workers

    def services(self) -> dict[bytes, dict[str, int]]:
        """The known services: ``workers``, those that are ``idle``, and requests ``queued``.

        Asks the loop.  Raises :class:`~brigantine.errors.BrokerStopped` when the broker has ended.
        """
        services: dict[bytes, dict[str, int]] = msgpack.unpackb(self._ask(SERVICES))
        return services

    def events(self, limit: int = EVENTS_WAITING) -> Events:
        """What happens from now on: an iterator of :class:`~brigantine.events.Event`.

        ``limit`` is how many events may wait for this reader; see :class:`~brigantine.events.Events`.
        There may be several readers.  Where the broker has ended the iterator is empty.
        Raises :class:`~brigantine.errors.ConfigError` for a limit below 1 and
        :class:`~brigantine.errors.BrokerStopped` in a forked child.
        """
        whole("limit", limit, 1, _MOST_EVENTS)
        self._refuse_in_child()
        with self._lock:
            if self._loop_ended:
                reader = Events(limit)
                reader.end()
                return reader
            if self._hub is None:
                self._hub = EventHub(
                    self._context, self._events_endpoint, lambda: self._command(IGNORE)
                )
        reader = Events(limit, self._hub.remove)
        self._hub.add(reader)
        # Once the loop has answered, nothing that happens is missed.  If it ends before, so does
        # the reader.
        with contextlib.suppress(BrokerStopped):
            self._ask(WATCH)
        return reader

    # -- how it ends --------------------------------------------------------------------------

    def drain(self, timeout: float | None = None) -> bool:
        """Shed new requests, finish those accepted, stop.  Returns whether that was done in time.

        ``timeout`` is how many seconds to wait here; the broker itself stops after
        ``config.drain_timeout``, done or not (what was not done is counted as failed_stopped).
        Raises :class:`~brigantine.errors.BrokerStopped` in a forked child.
        """
        self._refuse_in_child()
        self._end_with(DRAIN)
        if timeout is None:
            timeout = self.config.drain_timeout + LINGER + 1.0
        return self._join(timeout) and self.stats()["failed_stopped"] == 0

    def stop(self) -> None:
        """Stop now.  Requests that are waiting or in flight count as failed_stopped.

        In a forked child it does nothing: the broker is the parent's.
        """
        self._end_with(STOP)
        self._join(None)

    def join(self, timeout: float | None = None) -> bool:
        """Wait until the broker has ended, at most ``timeout`` seconds; returns whether it has.

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

    def _refuse_in_child(self) -> None:
        if os.getpid() != self._pid:
            raise BrokerStopped(
                f"this broker runs in process {self._pid}, of which this one was forked; "
                "a child needs a broker of its own"
            )

    def _command(self, command: bytes) -> None:
        if os.getpid() != self._pid:
            return  # a forked child has neither the loop nor the right to its sockets
        with self._lock:
            if not self._control.closed and self._thread.is_alive():
                self._control.send(command)

    def _end_with(self, command: bytes) -> None:
        self._told_to_end = True
        self._command(command)

    def _ask(self, word: bytes) -> bytes:
        """The loop's answer to a question of :mod:`brigantine.control`."""
        self._refuse_in_child()
        with self._asking:
            self._tag += 1
            question = word + self._tag.to_bytes(TAG_BYTES, "big")
            poller = select.poll()
            with self._lock:
                if not self._loop_ended:
                    self._control.send(question)
                    poller.register(int(self._control.fd), select.POLLIN)
            while True:
                with self._lock:
                    if self._loop_ended:
                        raise BrokerStopped("the broker has ended")
                    with contextlib.suppress(zmq.Again):
                        while True:  # what an interrupted question has left comes first
                            asked, answer = self._control.recv_multipart(zmq.DONTWAIT)
                            if asked == question:
                                return answer
                # Readable when something has come, unless another thread's use of the socket has
                # noticed before: then the next look finds it.
                poller.poll(ANSWER_CHECK * 1000.0)

    def _join(self, timeout: float | None) -> bool:
        if os.getpid() != self._pid:
            return True
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._thread.is_alive():
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            self._thread.join(min((each for each in (left, longest_wait()) if each), default=None))
        self._finalizer()
        return True

    def _close(self, sockets: list[zmq.Socket[bytes]]) -> None:
        """Close the frontend, the backend and what came after them, as far as they were made.

        Where the caller has terminated the context, closing is all that still works.
        """
        # Who asks over inproc after this must not be able to ask a socket that is no longer read.
        watching = witnesses(self._context, (*self.frontends, *self.backends))
        for socket, endpoints in zip(sockets, (self.frontends, self.backends), strict=False):
            # The endpoints are free for the next broker as soon as this one has ended.
            for endpoint in endpoints:
                with contextlib.suppress(zmq.ZMQError):
                    socket.unbind(endpoint)
        with contextlib.suppress(zmq.ZMQError, IndexError):
            sockets[0 if self._single else _BACKEND].disable_monitor()
        for socket in reversed(sockets):
            socket.close()
        pipes_end(watching, LINGER)

    def _serve(self, started: threading.Event) -> None:
        """The broker's thread: makes the sockets, runs the loop, closes the sockets."""
        leave_signals_to_main_thread()
        sockets: list[zmq.Socket[bytes]] = []
        try:
            make_frontend = backend_router if self._single else frontend_router
            frontend = make_frontend(self._context, self.config)
            sockets.append(frontend)
            backend = None if self._single else backend_router(self._context, self.config)
            if backend is not None:
                sockets.append(backend)
            control = self._context.socket(zmq.PAIR)
            sockets.append(control)
            control.connect(self._control_endpoint)
            monitor = watch_connections(backend or frontend)
            sockets.append(monitor)
            events = events_pair(self._context)
            sockets.append(events)
            events.connect(self._events_endpoint)
            self.frontends = tuple(bind(frontend, endpoint) for endpoint in self._wanted[0])
            if backend is not None:
                self.backends = tuple(bind(backend, endpoint) for endpoint in self._wanted[1])
            if self._wanted[2]:
                self._server = self._control_server()
                self.controls = self._server.endpoints
            self._loop = self._loop_class(
                frontend, backend, control, self.config, monitor, int(self._protocols),
                self._default_service, events,
            )  # fmt: skip
            if self._server is not None:
                self._server.start()
            started.set()
            let_others_finish()
            self._loop.run()
        except BaseException as error:
            self._error = error
        finally:
            with self._lock:
                self._loop_ended = True
            if self._hub is not None:
                with contextlib.suppress(zmq.ZMQError):  # its context is terminated: it has ended
                    events.send(END)
                self._hub.join()
            self._close(sockets)
            if self._server is not None:
                self._server.end(pack(self.stats() if self._loop is not None else {}))
            with self._lock:
                self._control.close()
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
                b"workers": lambda: Answer(self._ask(WORKERS)),
                b"services": lambda: Answer(self._ask(SERVICES)),
                b"drain": lambda: ends(DRAIN),
                b"stop": lambda: ends(STOP),
            },
        )  # fmt: skip


class LRUBroker(Broker):
    """Load-balancing broker: REQ clients, REQ workers, the least recently used worker first.

    The guide's lbbroker and Simple Pirate queue.  Endpoints, options and errors:
    :class:`~brigantine.broker.Broker`::

        with LRUBroker("tcp://127.0.0.1:*", "tcp://127.0.0.1:*") as broker:
            print(broker.frontend, broker.backend, broker.stats())

    Source: ZeroMQ guide, chapter 3 "The Load Balancing Pattern", chapter 4 "Simple Pirate Pattern".
    """


class ParanoidPirateBroker(Broker):
    """Load-balancing broker with heartbeats: REQ clients, and workers of PPP.

    A worker that was silent for ``heartbeat_interval * liveness`` is expired, wherever it stands.
    One that announces a capacity holds that many requests at once.  Endpoints, options and errors:
    :class:`~brigantine.broker.Broker`.  Source: ZeroMQ RFC 6/PPP.
    """

    _protocols = Protocol.PPP


class MajordomoBroker(Broker):
    """Service-oriented broker: clients name a service, workers of MDP 0.1 and 0.2 serve it.

    Either version of client is served by either version of worker.  Without ``backend`` one socket
    serves both sides.  ``default_service`` is where clients without an MDP header go; by default
    they are refused.  ``retries`` is 1 by default, as RFC 7 takes workers to be idempotent.
    Endpoints, options and errors: :class:`~brigantine.broker.Broker`.
    Source: ZeroMQ RFC 7/MDP, 18/MDP and 8/MMI.
    """

    _protocols = Protocol.MDP01 | Protocol.MDP02
    _defaults: ClassVar[dict[str, Any]] = {"retries": 1}

    def __init__(
        self,
        frontend: str | Sequence[str],
        backend: str | Sequence[str] | None = None,
        *,
        default_service: bytes | None = None,
        impl: str | None = None,
        context: zmq.Context[Any] | None = None,
        control: str | Sequence[str] | None = None,
        config: BrokerConfig | None = None,
        **options: Any,
    ) -> None:
        self._default_service = default_service
        super().__init__(
            frontend, backend, impl=impl, context=context, control=control, config=config, **options
        )


class AnyBroker(Broker):
    """Serves workers of every protocol at once: REQ, PPP, MDP 0.1 and 0.2, told apart peer by peer.

    Peers that name no service meet in the service ``b""``.  Endpoints, options and errors:
    :class:`~brigantine.broker.Broker`.
    """

    _protocols = Protocol.REQ | Protocol.PPP | Protocol.MDP01 | Protocol.MDP02


def _shut_down(
    pid: int, lock: threading.Lock, control: zmq.Socket[bytes], thread: threading.Thread
) -> None:
    """Stop a broker that was forgotten: run by the garbage collector, or when Python exits."""
    if os.getpid() != pid:
        return
    with lock:
        if not control.closed and thread.is_alive():
            control.send(STOP)
    thread.join()
