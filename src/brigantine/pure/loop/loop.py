"""The poll loop: the only room that sends, receives and polls.  It owns the clock."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time

import zmq

from ...config import BrokerConfig
from ...config.limits import (
    BATCH,
    DISCARD_BATCH,
    FULL_RETRY,
    LAST_WORDS,
    LIGHT,
    MAX_SLEEP,
    PAUSE,
    REPLY_FRAMES,
)
from ...events import pack_event
from ...net.descriptors import DescriptorReserve, peer_address
from ...net.monitor import monitor_event
from ...net.sockets import Handshakes
from ...notices.kinds import level, pack_notice
from ...wire.loop import DRAIN, IGNORE, SERVICES, SIDES, STOP, TAG_BYTES, WATCH, WORKERS
from ..switchboard.outbox import Sent, Side
from ..switchboard.records import NO_CONNECTION
from ..switchboard.switchboard import Switchboard
from ..wire.messages import REQ
from .accounts import Accounts, weigh
from .notice_queue import NoticeQueue

__all__ = ["Loop"]

_DONTWAIT = zmq.DONTWAIT
_RCVMORE = zmq.RCVMORE


class Loop:
    """Runs one switchboard on a frontend and a backend ROUTER until told to stop.

    With ``backend`` None the frontend is for workers, too, which only Majordomo can tell apart.
    The sockets are bound by the caller and used by :meth:`run` alone while it runs.  ``control`` is
    a PAIR that receives a word of ``brigantine.wire.loop``.  ``monitor``, where given, is the
    monitor socket of the workers' side for ACCEPTED and DISCONNECTED events, set up before that was
    bound; without it a lost worker is noticed when the next request is sent to it.  ``client_monitor`` is
    the same of the clients' side, where that is another.  ``protocols``
    and ``default_service`` are those of :class:`~brigantine.pure.Switchboard`.  ``events`` is a PAIR on
    which events leave after WATCH, as ``brigantine.events`` reads them.  ``notices`` is a
    :class:`NoticeQueue` for what a person should know.  ``reserve`` closes connections for which there
    are no file descriptors.
    """

    def __init__(
        self,
        frontend: zmq.Socket[bytes],
        backend: zmq.Socket[bytes] | None,
        control: zmq.Socket[bytes],
        config: BrokerConfig,
        monitor: zmq.Socket[bytes] | None = None,
        protocols: int = REQ,
        default_service: bytes | None = b"",
        events: zmq.Socket[bytes] | None = None,
        notices: NoticeQueue | None = None,
        client_monitor: zmq.Socket[bytes] | None = None,
        reserve: DescriptorReserve | None = None,
    ) -> None:
        """Raises ``TypeError`` unless both sides are ROUTER sockets."""
        for name, socket in (("frontend", frontend), ("backend", backend)):
            if socket is None:
                continue
            if socket.type != zmq.ROUTER:
                raise TypeError(f"{name} must be a ROUTER socket, not {socket.type!r}")
            socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        #: Side -> its socket.
        self._sockets: dict[int, zmq.Socket[bytes]] = {Side.BOTH: frontend}
        if backend is not None:
            self._sockets = {Side.BACKEND: backend, Side.FRONTEND: frontend}
        self._control = control
        self._monitor = monitor
        self._client_monitor = client_monitor
        self._worker_handshakes, self._client_handshakes = Handshakes(), Handshakes()
        self._events = events
        self._reserve = reserve
        self._watched = False
        #: Events since the last one that was sent.
        self._missed = 0
        self._config = config
        #: Of the peers of both sides.
        self._accounts = Accounts(config.peer_bytes)
        # Reentrant: a signal handler may ask for the counters in a thread that is just asking.
        self._lock = threading.RLock()
        self._switchboard = Switchboard(
            config, self._send, int.from_bytes(os.urandom(4), "little"), protocols,
            default_service,
        )  # fmt: skip
        #: The beginning of the message that is being handled, where it can tell whom it is from.
        self._first: zmq.Frame | None = None
        if notices is not None:
            self._switchboard.notice_with(
                lambda notice: notices.put(pack_notice(notice), level(notice)),
                notices.leave_out,
                self._address,
                peer_address,
            )
        #: Sides on which the rest of a message with too many frames is still to be thrown away.
        self._discarding = dict.fromkeys(self._sockets, False)
        #: Seconds: if so much is missing the process was stopped.
        self._pause = min(config.heartbeat_interval or PAUSE, PAUSE)
        self._stopping = False
        self._drain_deadline: float | None = None
        #: Drain what comes later than this.
        self._drain_from: float | None = None
        #: Where workers are, and where clients are.
        self._workers_side = Side.BOTH if backend is None else Side.BACKEND
        self._clients_side = Side.BOTH if backend is None else Side.FRONTEND
        #: Nanoseconds that the process was stopped, in all: the switchboard's time leaves them out.
        self._credit = 0
        self._last = time.monotonic_ns()
        #: CPU time of the loop's thread when it last began to work on what had come.
        self._worked = time.thread_time_ns()

    def stats(self) -> dict[str, int]:
        """All counters; may be called from any thread, and always finds the ledger balanced."""
        with self._lock:
            self._accounts.settle_all()
            self._switchboard.note_unsent(self._accounts.unsent)
            return self._switchboard.counters()

    def run(self) -> None:
        """Route until STOP, or until DRAIN is done.  Then every request has ended."""
        poller = zmq.Poller()
        poller.register(self._control, zmq.POLLIN)
        for socket in (*self._sockets.values(), self._monitor, self._client_monitor):
            if socket is not None:
                poller.register(socket, zmq.POLLIN)
        well = False
        try:
            self._route(poller)
            well = True
        finally:
            with (
                self._lock
            ):  # no goodbyes where the sockets failed: the caller terminated the context
                self._switchboard.abort(well)
        self._publish("stopped", None)

    def _route(self, poller: zmq.Poller) -> None:
        self._last, self._worked = time.monotonic_ns(), time.thread_time_ns()
        more = False
        while not self._stopping:
            sleep = 0.0 if more or self._must_look() else self._sleep()
            # zmq_poll counts whole milliseconds: round up, or it would spin until the deadline.
            ready = dict(poller.poll(math.ceil(sleep * 1000.0)))
            now = self._now(sleep)
            self._worked = time.thread_time_ns()
            more = False
            # Before what workers sent: a close counts when they were found to have no more to say.
            if self._monitor in ready or self._client_monitor in ready or self._must_look():
                with self._lock:
                    self._read_monitor(now)
                    self._read_client_monitor(now)
                    self._switchboard.clients_caught_up()
            for side, socket in self._sockets.items():  # workers first: a free one may be needed
                if socket in ready or self._must_look():
                    left = self._read(side, now)
                    more = more or left
                    if side == self._clients_side:
                        self._drain_if_asked(left, now)
            if self._control in ready:
                self._read_control(now)
            with self._lock:
                self._accounts.settle()
                self._switchboard.note_unsent(self._accounts.unsent)
                self._switchboard.tick(now)
            if self._drain_deadline is not None and (
                now >= self._drain_deadline
                or (self._drain_from is None and self._switchboard.drained())
            ):
                break
        self._read_last_words()

    def _must_look(self) -> bool:
        """Whether something waits for a socket to be found empty."""
        return (
            self._drain_from is not None
            or self._switchboard.has_leaving()
            or self._switchboard.has_departures()
        )

    def _drain_if_asked(self, left: bool, now: float) -> None:
        """What had come before the broker was told to drain is still accepted."""
        if self._drain_from is not None and (not left or now - self._drain_from >= LAST_WORDS):
            self._drain_from = None
            with self._lock:
                self._switchboard.drain()

    def _read_last_words(self) -> None:
        """Read what workers had said before the end was asked for."""
        now = (self._last - self._credit) / 1e9
        began = time.monotonic()
        with self._lock:
            self._switchboard.drain()  # where clients are on the same socket
        while self._read(self._workers_side, now):
            if time.monotonic() - began > LAST_WORDS:
                break
        # Of workers where clients are, too.
        while self._switchboard.has_fronted() and self._read(self._clients_side, now):
            if time.monotonic() - began > LAST_WORDS:
                break

    # -- time ---------------------------------------------------------------------------------

    def _sleep(self) -> float:
        """Seconds until something is due, at most MAX_SLEEP."""
        longest = FULL_RETRY if self._switchboard.has_blocked() else MAX_SLEEP
        deadlines = (self._switchboard.next_deadline(), self._drain_deadline)
        due = min((at for at in deadlines if at is not None), default=None)
        if due is None:
            return longest
        now = (self._last - self._credit) / 1e9
        return min(longest, max(0.0, due - now))

    def _now(self, slept: float) -> float:
        """Seconds on the loop's own clock, which stops while the process is suspended.

        When a whole heartbeat interval, or PAUSE, went by that the loop neither asked to sleep nor was
        at work, the process was stopped (SIGSTOP, a suspended machine): what its peers sent meanwhile
        is still unread, so the gap counts for no deadline, nor does the sleep in it.
        """
        clock = time.monotonic_ns()
        excess = clock - self._last - int(slept * 1e9)
        excess -= time.thread_time_ns() - self._worked
        if excess > self._pause * 1e9:
            self._credit += clock - self._last
            self._last = clock
            with self._lock:
                self._switchboard.count_pause()
                self._publish("pause", "pauses")
        self._last = clock
        return (clock - self._credit) / 1e9

    # -- sockets ------------------------------------------------------------------------------

    def _read(self, side: int, now: float) -> bool:
        """Handle up to BATCH messages of one side; whether there may be more."""
        socket = self._sockets[side]
        # One more than any message may have: by that the switchboard sees that it is too many.
        most_frames = self._config.max_frames + REPLY_FRAMES + 1
        take = self._switchboard.take
        # Only a worker's connection matters, and only an uncopied frame can tell it.
        workers = side == self._workers_side
        watched = workers and self._monitor is not None
        connection = NO_CONNECTION
        for _ in range(BATCH):
            if self._discarding[side] and not self._discard(side):
                return True
            try:
                if watched:
                    first = self._first = socket.recv(_DONTWAIT, copy=False)
                    connection = _connection(first)
                    frames = [first.bytes]
                else:
                    self._first = None
                    connection, frames = self._receive_first(socket)
            except zmq.Again:
                if self._must_look():
                    self._catch_up(side, now)
                return False
            while socket.getsockopt(_RCVMORE):
                if len(frames) == most_frames:
                    self._discarding[side] = True
                    break
                frames.append(socket.recv(_DONTWAIT))
            with self._lock:
                if not take(side, frames, now, connection):
                    if side == Side.FRONTEND:
                        self._read_client_monitor(now)
                    else:
                        self._read_monitor(now)
                    take(side, frames, now, connection, synced=True)
            if self._discarding[side]:
                return True  # it takes as long as many messages, and others want a turn meanwhile
        return True

    def _discard(self, side: int) -> bool:
        """Throw away frames of an oversized message; whether its end was reached."""
        socket = self._sockets[side]
        for _ in range(DISCARD_BATCH):
            if not socket.getsockopt(_RCVMORE):
                self._discarding[side] = False
                return True
            socket.recv(_DONTWAIT)
        return False

    def _address(self) -> str | None:
        with contextlib.suppress(zmq.ZMQError):  # over inproc
            if self._first is not None:
                return str(self._first.get("Peer-Address"))
        return None

    def _send(self, side: int, frames: list[bytes]) -> Sent:
        weight = weigh(frames)
        if weight >= LIGHT and not self._accounts.admits(side, frames[0], weight):
            return Sent.BEHIND
        socket = self._sockets[side]
        try:
            if weight < LIGHT:
                socket.send_multipart(frames, _DONTWAIT)
            else:
                *others, last = frames
                for frame in others:
                    socket.send(frame, _DONTWAIT | zmq.SNDMORE)
                tracked = zmq.Frame(last, track=True, copy=False)
                tracker = socket.send(tracked, _DONTWAIT, copy=False, track=True)
                self._accounts.charge(side, frames[0], weight, tracker)
        except zmq.Again:
            return Sent.FULL
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                return Sent.GONE
            raise
        return Sent.OK

    def _read_monitor(self, now: float) -> None:
        """Tell which connections were opened and closed up to now, in that order."""
        monitor = self._monitor
        if monitor is None:
            return
        while True:
            try:
                event, connection = monitor_event(monitor.recv_multipart(_DONTWAIT))
            except zmq.Again:
                return
            rejected = self._reject_if_crowded(event, connection)
            if self._worker_handshakes.mismatched(event, connection):
                self._switchboard.mismatched(SIDES[1], now)
            if event == zmq.EVENT_ACCEPTED:
                # Where clients are, too, nobody need say anything.
                expected = self._workers_side != Side.BOTH and not rejected
                self._switchboard.connection_opened(connection, now if expected else None)
            elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._switchboard.handshake_done()
            elif event == zmq.EVENT_DISCONNECTED:
                self._switchboard.connection_closed(connection, now)
            if self._workers_side == Side.BOTH:
                self._tell_client_connection(event, connection, now)

    def _read_client_monitor(self, now: float) -> None:
        """The same of the clients' side, where that is another."""
        monitor = self._client_monitor
        if monitor is None:
            return
        with contextlib.suppress(zmq.Again):
            while True:
                event, connection = monitor_event(monitor.recv_multipart(_DONTWAIT))
                self._reject_if_crowded(event, connection)
                if self._client_handshakes.mismatched(event, connection):
                    self._switchboard.mismatched(SIDES[0], now)
                self._tell_client_connection(event, connection, now)

    def _reject_if_crowded(self, event: int, connection: int) -> bool:
        """Close a connection for which there is no descriptor; that it was there is told all the same."""
        reserve = self._reserve if event == zmq.EVENT_ACCEPTED else None
        if reserve is None or connection < reserve.begins():
            return False
        reserve.reject(connection)
        return True

    def _tell_client_connection(self, event: int, connection: int, now: float) -> None:
        if event == zmq.EVENT_ACCEPTED:
            self._switchboard.client_connected(connection)
        elif event == zmq.EVENT_DISCONNECTED:
            self._switchboard.client_left(connection, now)

    def _catch_up(self, side: int, now: float) -> None:
        """On one side nothing was left, when all that is known of connections was known."""
        with self._lock:
            self._switchboard.caught_up(now, side)
            if side == self._clients_side:
                self._switchboard.clients_read()

    def _receive_first(self, socket: zmq.Socket[bytes]) -> tuple[int, list[bytes]]:
        """A peer's routing id where clients are, and its connection where that matters."""
        if self._client_monitor is None:
            return NO_CONNECTION, [socket.recv(_DONTWAIT)]
        first = self._first = socket.recv(_DONTWAIT, copy=False)
        return _connection(first), [first.bytes]

    def _read_control(self, now: float) -> None:
        command = self._control.recv(_DONTWAIT)
        word = command[:-TAG_BYTES]
        if command == STOP:
            self._stopping = True
        elif command == DRAIN and self._drain_deadline is None:
            self._drain_deadline = now + self._config.drain_timeout
            self._drain_from = now
            with self._lock:
                self._publish("draining", None)
        elif command == IGNORE:
            self._watch(False)
            self._missed = 0
        elif word == WATCH:
            self._watch(True)
            self._reply_control(command, b"")
        elif word == WORKERS:
            self._reply_control(command, self._switchboard.packed_workers())
        elif word == SERVICES:
            self._reply_control(command, self._switchboard.packed_services())

    def _reply_control(self, question: bytes, answer: bytes) -> None:
        with contextlib.suppress(zmq.Again):  # nobody takes the answers
            self._control.send(question + answer, _DONTWAIT)

    # -- for readers of events -----------------------------------------------------------------

    def _watch(self, watched: bool) -> None:
        self._watched = watched and self._events is not None
        self._switchboard.watch_with(self._publish if self._watched else None)

    def _publish(
        self, kind: str, reason: str | None, worker: bytes | None = None,
        service: bytes | None = None,
    ) -> None:  # fmt: skip
        """Never waits, but with the last event, when nothing is routed any more."""
        if not self._watched or self._events is None:
            return
        event = pack_event(self._last, kind, worker, service, reason, self._missed)
        try:
            self._events.send(event, 0 if kind == "stopped" else _DONTWAIT)
        except zmq.Again:
            self._missed += 1
            self._switchboard.count_event_missed()
        except zmq.ZMQError:  # the caller has terminated the context: nobody watches
            self._watch(False)
        else:
            self._missed = 0


def _connection(first: zmq.Frame) -> int:
    """The descriptor of the connection that a frame came on; inproc peers have none."""
    try:
        return int(first.get(zmq.SRCFD))
    except zmq.ZMQError:
        return NO_CONNECTION
