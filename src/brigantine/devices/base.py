"""Devices pass messages between two sides unchanged, and can be watched and paused."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import zmq

from .._impl import chosen, implementation
from ..config import BrokerConfig, DeviceConfig, DeviceOptions
from ..config.device import ForwarderOptions, QueueOptions, StreamerOptions
from ..config.given import TakesOptions
from ..config.protocols import Protocol
from ..control.server import Answer, pack
from ..errors import ConfigError, ConnectError, OptionName
from ..net.closing import closing
from ..net.descriptors import ConnectionWatch
from ..net.endpoints import bind, connect, disconnect
from ..net.named_end import PATIENCE, WATCHED
from ..net.names import is_numeric
from ..net.overlap import check_distinct, leads_to
from ..net.sockets import ONE_CONNECTION_EACH, capture_socket, device_socket, one_connection
from ..notices.lookalikes import Here
from ..runtime.handle import LoopHandle
from ..validation.calls import called_rightly
from ..validation.values import one_of
from ..wire.loop import MOVE, PAUSE, RESUME, STOP
from .ends import CONNECT, End, as_ends, check_loop
from .keeper import Keeper, made_keeper, subscribe_to_all
from .names import BUSY, LATER, Followed, Move, NameFollower

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Device", "ForwarderDevice", "QueueDevice", "StreamerDevice"]

#: What copies go to -> the type of its socket.
CAPTURE_KINDS = {"pub": int(zmq.PUB), "push": int(zmq.PUSH)}
#: Its side: after the frontend's and the backend's.
CAPTURE = 2


class Device(LoopHandle, TakesOptions):
    """Base class of all devices; subclasses such as :class:`~brigantine.QueueDevice` say what they pass on.

    - ``frontend``, ``backend``: one or several endpoints each.  Each is bound, or connected to if it begins
      with ``>`` (``@`` means bind): a bridge between two networks connects on one side.
    - ``impl``, ``context``, ``control``: as for a :class:`~brigantine.broker.Broker`.
    - ``capture``: one or several endpoints for copies of all that passes, as a PUB socket, or as a PUSH
      socket with ``capture_as="push"`` (docs/devices.md).
    - ``options``: the fields of :class:`~brigantine.DeviceConfig`.

    It runs from construction until :meth:`stop`, or the end of a ``with`` block.  Any thread may call every
    method, and a signal handler may call :meth:`stats` and :meth:`stop`.

    Raises :class:`~brigantine.errors.ConfigError` for an option or endpoint that can't work,
    :class:`~brigantine.errors.BindError` for one that can't be bound and
    :class:`~brigantine.errors.ConnectError` for one that can't be connected to.
    """

    what = "device"
    #: Socket types of frontend and backend.
    _sides: ClassVar[tuple[int, int]]
    _table = DeviceConfig
    _takes: ClassVar[type] = DeviceOptions

    @called_rightly
    def __init__(
        self,
        frontend: str | Sequence[str],
        backend: str | Sequence[str],
        *,
        impl: str | None = None,
        context: zmq.Context[Any] | None = None,
        control: str | Sequence[str] | None = None,
        capture: str | Sequence[str] | None = None,
        capture_as: Literal["pub", "push"] = "pub",
        config: DeviceConfig | None = None,
        **options: Unpack[DeviceOptions],
    ) -> None:
        self.config = self._configured(DeviceConfig, config, options)
        super().__init__(chosen(impl), context, self.config.io_threads, control)
        self._relay_class = implementation(self.impl).Relay
        shared = context is not None
        sides = (
            as_ends(frontend, "frontend", shared=shared),
            as_ends(backend, "backend", shared=shared),
        )
        front, back = ([end.endpoint for end in ends if not end.connects] for ends in sides)
        one_of("capture_as", capture_as, tuple(CAPTURE_KINDS))
        copies = () if capture is None else as_ends(capture, "capture", shared=shared)
        captures = [end.endpoint for end in copies if not end.connects]
        check_distinct(
            frontend=front, backend=back, control=self._controls_wanted, capture=captures
        )
        check_loop("capture", copies, [*front, *back])
        #: Ends by side, and the types of their sockets.
        self._wanted = (*sides, copies)
        self._kinds = (*self._sides, CAPTURE_KINDS[capture_as])
        #: Real endpoints of copies, in the order they were given.
        self.captures: tuple[str, ...] = ()
        check_loop("frontend", sides[0], [*front, *back])
        check_loop("backend", sides[1], [*front, *back])
        self._keeper: Keeper | None = None
        #: In the order they were made, and where they are bound.
        self._made: list[zmq.Socket[bytes]] = []
        self._capture: zmq.Socket[bytes] | None = None
        self._bound: list[tuple[zmq.Socket[bytes], str]] = []
        #: Who follows what it connects to, what tells of the connections of each side, and how
        #: often each address of a side is wanted: two names may lead there.
        self._follower: NameFollower | None = None
        self._watches: list[ConnectionWatch] = []
        self._wanted_at: Counter[tuple[int, str]] = Counter()
        self._start()

    @classmethod
    def options(cls, **options: Unpack[DeviceOptions]) -> DeviceConfig:
        """The limits of such a device with these options, and its own defaults for all others."""
        return cls._configured(DeviceConfig, None, options)

    @property
    def paused(self) -> bool:
        """Whether the device is paused; see :meth:`pause`."""
        return self.stats()["paused"] == 1

    def stats(self) -> dict[str, int]:
        """All counters by name (see :data:`brigantine.DEVICE_COUNTERS`), also after the device has stopped.

        Raises :class:`~brigantine.errors.BrokerStopped` in a forked child, where no device runs.
        Never waits for the loop.
        """
        stats = super().stats()
        return stats if self._keeper is None else {**stats, **self._keeper.stats()}

    def pause(self) -> None:
        """Pass nothing on until :meth:`resume`; once this returns, nothing more is passed on.

        Messages that arrive meanwhile wait in libzmq's queues, and then in their senders' queues, up to
        the high-water marks.  Beyond these PUB sockets drop messages; all others wait.
        Raises :class:`~brigantine.errors.BrokerStopped` when the device has ended.
        """
        self._line.ask(PAUSE)

    def resume(self) -> None:
        """Continue after :meth:`pause`.

        Raises :class:`~brigantine.errors.BrokerStopped` when the device has ended.
        """
        self._line.ask(RESUME)

    # -- inside -------------------------------------------------------------------------------

    @classmethod
    def _not_mine(cls, option: str) -> ConfigError:
        if option in QueueOptions.__annotations__:
            owner, why = "QueueDevice", ", whose peers are bounded by high_water_mark"
        else:
            owner, why = "ForwarderDevice", ""
        return ConfigError(
            OptionName(option), f" is an option of a {owner}, not of a {cls.__name__}{why}"
        )

    def _open(self) -> Any:
        for kind in self._sides:
            self._made.append(
                device_socket(
                    self._context,
                    kind,
                    high_water_mark=self.config.high_water_mark,
                    max_message_bytes=self.config.max_message_bytes,
                )
            )
        control = self._context.socket(zmq.PAIR)
        self._made.append(control)
        control.rcvhwm = 0  # see LoopLine
        control.connect(self._line.endpoint)
        self._line.begin()
        if self._wanted[CAPTURE]:
            self._capture = capture_socket(
                self._context, self._kinds[CAPTURE], high_water_mark=self.config.high_water_mark
            )
            self._made.append(self._capture)
        followed = self._followed()
        for side, ends in enumerate(self._wanted):
            if ends and (followed or not all(end.connects for end in ends)):
                at = partial(self._bound_at, side)
                watch = ConnectionWatch(self._socket(side), self._reserve, more=WATCHED, at=at)
                self._watches.append(watch)
        self.frontends, self.backends, self.captures = (
            tuple(self._attach(side, end) for end in ends) for side, ends in enumerate(self._wanted)
        )
        self._bind_control(BrokerConfig())
        if followed:
            self._follower = NameFollower(
                followed, self._watches, lambda move: self._line.ask(MOVE + move)
            )
        # One thread reads a monitor: where ends are followed, it is the one that does so.
        watches = () if followed else self._watches
        frontend, backend = self._made[:2]
        self._keeper = made_keeper(
            self.impl, self.config.last_values, self.config.last_values_bytes, backend
        )
        if self._keeper is not None:
            subscribe_to_all(frontend)
        return self._relay_class(
            *self._made[:3],
            self.config.peer_bytes,
            self._move,
            watches,
            self._keeper,
            self._capture,
        )

    def _socket(self, side: int) -> zmq.Socket[bytes]:
        if side != CAPTURE:
            return self._made[side]
        assert self._capture is not None
        return self._capture

    def _bound_at(self, side: int) -> list[str]:
        ends = (self.frontends, self.backends, self.captures)[side]
        return [each for each in ends if not each.startswith(CONNECT)]

    def _endpoints(self) -> tuple[str, ...]:
        return (*super()._endpoints(), *self.captures)

    def _here(self) -> Here:
        return Here(self.frontends, self.backends, Protocol(0))

    def _attach(self, side: int, end: End) -> str:
        """Bind or connect; returns the real endpoint.  Names are looked up later."""
        socket = self._socket(side)
        if end.connects:
            if is_numeric(end.endpoint):
                self._connect(side, end.endpoint)
            return CONNECT + end.endpoint
        real = bind(socket, end.endpoint)
        self._bound.append((socket, real))
        return real

    def _followed(self) -> list[Followed]:
        """All that it connects to, but over inproc: libzmq does not always try again by itself."""
        found = []
        for side, ends in enumerate(self._wanted):
            kind = self._kinds[side]
            for end in ends:
                numeric = is_numeric(end.endpoint)
                if end.connects and not end.endpoint.startswith("inproc://"):
                    address = end.endpoint if numeric else ""
                    once = kind in ONE_CONNECTION_EACH
                    found.append(Followed(side, kind, end.endpoint, once, address))
        return found

    def _connect(self, side: int, address: str) -> None:
        """Raises :class:`~brigantine.errors.ConnectError`."""
        socket = self._socket(side)
        if not self._wanted_at[side, address]:
            if self._kinds[side] in ONE_CONNECTION_EACH:
                one_connection(socket)
                socket.connect_timeout = socket.handshake_ivl = round(PATIENCE * 1000)
            connect(socket, address)
        self._wanted_at[side, address] += 1

    def _move(self, frame: bytes) -> bytes:
        """Have a socket leave one address for another, in the loop's thread; the follower's answer."""
        move = Move.unpacked(frame)
        socket = self._socket(move.side)
        if any(leads_to(move.new, real) for _, real in self._bound):
            return f"{move.new} is where this device itself is bound".encode()
        if not move.sure and int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            # What has come from the old address would be thrown away with its connection.
            stats = self._loop.stats()
            return LATER if stats["paused"] or stats["held"] else BUSY
        again = move.old == move.new
        wanted = max(1, self._wanted_at[move.side, move.old]) if again else 1
        if move.old:
            self._leave(socket, move.side, move.old, wanted)
        try:
            self._connect(move.side, move.new)
        except ConnectError as error:
            return str(error.strerror or error).encode()
        self._wanted_at[move.side, move.new] += wanted - 1
        return b""

    def _leave(self, socket: zmq.Socket[bytes], side: int, address: str, wanted: int) -> None:
        self._wanted_at[side, address] -= wanted
        if not self._wanted_at[side, address]:
            with contextlib.suppress(zmq.ZMQError):  # libzmq has given it up
                disconnect(socket, address)

    def _close(self) -> None:
        if self._follower is not None:
            self._follower.end()
        with closing(self._context, self._bound, shared=not self._own_context):
            for watch in self._watches:
                watch.close()
            for socket in reversed(self._made):
                socket.close()

    def _commands(self) -> Mapping[bytes, Callable[[], Answer]]:
        def ask(question: bytes) -> Answer:
            self._line.ask(question)
            return Answer(pack(self.stats()))

        return {
            b"stats": lambda: Answer(pack(self.stats())),
            b"pause": lambda: ask(PAUSE),
            b"resume": lambda: ask(RESUME),
            b"stop": lambda: Answer(pack(self.stats()), lambda: self._end_with(STOP)),
        }


class QueueDevice(Device):
    """Shared queue: passes requests of REQ or DEALER clients to REP or ROUTER servers, and replies back.

    Its frontend is a ROUTER, its backend a DEALER, which uses the servers in turn: a broker that knows
    nothing of its workers.  If a worker may hang, be slow or be lost, an :class:`~brigantine.LRUBroker`
    is the better choice.  Endpoints, options and errors:  :class:`~brigantine.devices.Device`::

        with QueueDevice("tcp://127.0.0.1:5559", "tcp://127.0.0.1:5560") as queue:
            queue.pause()

    Source: ZeroMQ guide, chapter 2 "Shared Queue (DEALER and ROUTER sockets)".
    """

    _sides: ClassVar[tuple[int, int]] = (zmq.ROUTER, zmq.DEALER)
    _takes = QueueOptions


class ForwarderDevice(Device):
    """Publish-subscribe proxy: passes messages of PUB sockets to SUB sockets, and subscriptions back.

    Its frontend is an XSUB, its backend an XPUB: publishers and subscribers know the device and need not
    know each other.  A subscriber that does not read loses messages beyond its high-water mark, as with any
    PUB socket; libzmq does not tell how many.
    Endpoints, options and errors: :class:`~brigantine.devices.Device`.  A bridge into another network::

        ForwarderDevice(">tcp://192.168.55.210:5556", "tcp://10.1.1.0:8100")

    Source: ZeroMQ guide, chapter 2 "The Dynamic Discovery Problem" and "Transport Bridging".
    """

    _sides: ClassVar[tuple[int, int]] = (zmq.XSUB, zmq.XPUB)
    _takes = ForwarderOptions


class StreamerDevice(Device):
    """Pipeline proxy: passes messages of PUSH sockets to PULL sockets with room, in turn.

    Its frontend is a PULL, its backend a PUSH.  Endpoints, options and errors:
    :class:`~brigantine.devices.Device`.  Source:  ZeroMQ guide, chapter 2 "Divide and Conquer";
    ``ZMQ_STREAMER`` of zmq_device(3).
    """

    _sides: ClassVar[tuple[int, int]] = (zmq.PULL, zmq.PUSH)
    _takes = StreamerOptions
