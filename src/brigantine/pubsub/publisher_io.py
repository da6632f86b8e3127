"""The thread of a publisher: sends what it is given, reads who subscribes, and beats."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import deque
from typing import Any

import zmq

from ..config.pubsub import BATCH, LEFT_CHECK, MESSAGE_OVERHEAD, PublisherConfig
from ..devices.ends import End
from ..devices.keeper import Keeper, made_keeper
from ..errors import PublisherClosed
from ..net.closing import closing
from ..system.background import Background
from ..system.bells import Bells
from ..system.forks import close_bound, leave_to_parent
from ..system.signals import leave_signals_to_main_thread
from ..system.wakeup import Wakeup
from ..wire.pubsub import BEAT, packed_beat
from .departures import Departures
from .numbering import Numbering
from .publisher_ends import PublisherEnds
from .sockets import publisher_socket
from .stalls import Stalls
from .subscribers import Subscribers

__all__ = ["PublisherIO"]

_log = logging.getLogger("brigantine.publisher")


class PublisherIO:
    """Owns the socket.  Every method before the line below may be called from any thread.

    Whatever is published is one item of a queue: messages of several threads are never mixed, and an
    exception out of the blue leaves none half sent.
    """

    def __init__(
        self,
        ends: tuple[End, ...],
        name: str,
        config: PublisherConfig,
        context: zmq.Context[Any] | None,
        stats: dict[str, int],
    ) -> None:
        self._config, self._given_context, self._stats = config, context, stats
        self._queue: deque[tuple[bytes, bytes]] = deque()
        self._bytes = 0
        # Reentrant: a signal handler may publish in a thread that is just doing so.
        self._lock = threading.RLock()
        self._sealed = self._stopping = False
        self._asleep = False
        self._linger = config.linger
        #: When what was published has had its time to leave.
        self._give_up_at = math.inf
        self.bells = Bells()
        self._wakeup = Wakeup()
        self._process = os.getpid()
        #: Bound or not, and why not.
        self._up = False
        self._error: BaseException | None = None
        # What follows belongs to the thread.
        self.numbering = Numbering(name, config.max_topics)
        self._name = name
        self.keeper: Keeper | None = None
        self.subscribers = Subscribers(stats)
        self.ends = PublisherEnds(ends, self._wakeup.set)
        self._departures = Departures()
        self._stalls: Stalls | None = None
        self._interval = config.heartbeat_interval
        self._interval_ms = max(1, round(self._interval * 1000))
        self._beat_at = 0.0
        self._thread = Background(self._run, "brigantine-publisher")

    def start(self) -> None:
        """Begin, and wait until all is bound.  Raises what that raises."""
        self._thread.start()
        leave_to_parent(self._in_child)
        self.bells.wait(lambda: self._up, None)
        if self._error is not None:
            raise self._error

    @property
    def waiting(self) -> int:
        """Messages that wait for the thread."""
        return len(self._queue)

    @property
    def ended(self) -> bool:
        """Whether nothing can be published any more."""
        return self._sealed or self._stopping

    def put(self, topic: bytes, body: bytes) -> bool:
        """Publish a message; false when there is no room now.  Raises PublisherClosed."""
        size = _size(topic, body)
        with self._lock:
            if self._sealed or self._stopping:
                raise self._closed()
            if self._queue and not self._has_room(size):
                return False
            self._bytes += size
            self._queue.append((topic, body))
        if self._asleep:
            self._wakeup.set()
        return True

    def room(self, topic: bytes, body: bytes) -> bool:
        """Whether :meth:`put` is worth another try."""
        return self.ended or not self._queue or self._has_room(_size(topic, body))

    def _has_room(self, size: int) -> bool:
        config = self._config
        return len(self._queue) < config.queue_limit and self._bytes + size <= config.queue_bytes

    def _closed(self) -> PublisherClosed:
        if self._error is not None:
            return PublisherClosed(f"the publisher has ended: {self._error}")
        return PublisherClosed("the publisher is closed; make a new one")

    def stop(self, linger: float | None = None) -> None:
        """End, without waiting for that: what was published has ``linger`` seconds to leave."""
        if not self._stopping:
            self._linger = self._config.linger if linger is None else linger
            self._give_up_at = time.monotonic() + self._linger
        self._stopping = True
        self.bells.ring()
        self._wakeup.set()

    def cut(self, linger: float | None = None) -> None:
        """:meth:`stop`, and wait until the socket is closed.  May be called again."""
        if os.getpid() != self._process:
            return  # a forked child has neither the thread nor a right to its socket
        self.stop(linger)
        self._thread.wait()
        self._wakeup.close()

    def _in_child(self) -> None:
        """Close what is bound in a forked child: the port is free when the parent's publisher has ended."""
        if not self._sealed:
            close_bound(self.ends.bound)

    # -- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        leave_signals_to_main_thread()
        context = self._given_context
        try:
            if context is None:
                context = zmq.Context(self._config.io_threads)
            socket = publisher_socket(context, self._config)
            try:
                self._serve(socket)
            finally:
                self._end(context, socket)
        except BaseException as error:
            if self._up and not isinstance(error, zmq.ContextTerminated):
                _log.critical("a publisher has ended", exc_info=True)
            self._error = error
        finally:
            if context is not None and self._given_context is None:
                context.term()
            self._sealed = self._up = True
            self.bells.ring()

    def _serve(self, socket: zmq.Socket[bytes]) -> None:
        config = self._config
        self.keeper = made_keeper(
            None, config.last_values, config.last_values_bytes, socket, self._name
        )
        if config.stall_timeout:
            self._stalls = Stalls(
                socket, config.stall_timeout, self.ends.places, self._stats,
                lambda: self._give_up_at,
            )  # fmt: skip
        self.ends.open(socket)
        self._up = True
        self.bells.ring()
        poller = zmq.Poller()
        poller.register(self._wakeup.fileno(), zmq.POLLIN)
        poller.register(socket, zmq.POLLIN)
        if self.ends.monitor is not None:
            poller.register(self.ends.monitor, zmq.POLLIN)
        self._beat_at = time.monotonic() + self._interval
        while not self._sealed:
            self._wait(poller)
            self.ends.advance(socket)
            self._read(socket)
            self._beat(socket)
            if not self._send_some(socket) and self._stopping:
                self._seal()

    @property
    def _late(self) -> bool:
        """Whether the time to leave is over; without waiting for room all is sent at once."""
        return self._stalls is not None and time.monotonic() >= self._give_up_at

    def _wait(self, poller: zmq.Poller) -> None:
        """Sleep until there is something to do."""
        self._asleep = True  # before the look at the queue: who comes later wakes us
        busy = self._queue or self._stopping
        wait = 0.0 if busy else max(0.0, self._beat_at - time.monotonic())
        poller.poll(math.ceil(wait * 1000))
        self._asleep = False
        self._wakeup.clear()

    def _seal(self) -> None:
        with self._lock:
            self._sealed = not self._queue or self._late

    def _read(self, socket: zmq.Socket[bytes]) -> None:
        """Read subscriptions, and welcome our subscribers: their earlier subscriptions were read, too."""
        for _ in range(BATCH):
            try:
                frames = socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            if self.keeper is not None and self.keeper.hear(frames[0]):
                continue
            beats = self.subscribers.beats_wanted
            for topic in self.subscribers.hear(frames):
                self._stats["welcomes"] += 1
                welcome = packed_beat(self._interval_ms, self.numbering.recent())
                self._say(socket, topic, welcome, self.numbering.beat())
            if self.subscribers.beats_wanted and not beats:
                self._beat_at = time.monotonic()
        if self.subscribers.changed:
            self.subscribers.changed = False
            self.bells.ring()

    def _beat(self, socket: zmq.Socket[bytes]) -> None:
        now = time.monotonic()
        if now < self._beat_at:
            return
        self._beat_at = now + self._interval
        if self.subscribers.beats_wanted:
            self._say_beat(socket)

    def _say_beat(self, socket: zmq.Socket[bytes]) -> None:
        beat = packed_beat(self._interval_ms, self.numbering.tails())
        self._stats["heartbeats"] += 1  # counted first: whoever has it finds it in the stats
        self._say(socket, BEAT, beat, self.numbering.beat(), mark=True)

    def _send_some(self, socket: zmq.Socket[bytes]) -> bool:
        """Send up to BATCH messages; whether there were any."""
        queue, numbering = self._queue, self.numbering
        count = weight = 0
        while count < BATCH and queue and not (self._stopping and self._late):
            topic, body = queue.popleft()
            count += 1
            weight += len(topic) + len(body)
            header = numbering.header(topic)
            self._stats["published"] += 1
            self._stats["published_bytes"] += len(topic) + len(body)
            mark = self._departures.due or not queue
            if not self._say(socket, topic, body, header, mark=mark):
                self._take_back(topic, body)
                break
            if self.keeper is not None:
                self.keeper.values.keep([topic, body, header])
        if count:
            with self._lock:
                self._bytes -= weight + count * MESSAGE_OVERHEAD
            self.bells.ring()
        return count > 0

    def _take_back(self, topic: bytes, body: bytes) -> None:
        """It has not been sent, and never will be."""
        with self._lock:
            self._bytes += _size(topic, body)
            self._queue.appendleft((topic, body))
        self._stats["published"] -= 1
        self._stats["published_bytes"] -= len(topic) + len(body)

    def _say(
        self,
        socket: zmq.Socket[bytes],
        topic: bytes,
        body: bytes,
        header: bytes,
        *,
        mark: bool = False,
    ) -> bool:
        """Send one message whole: a socket of this kind always takes it, and drops it for full peers.

        False where it was waited for room in vain, and there is no time left.
        """
        if self._stalls is None:
            socket.send(topic, zmq.SNDMORE)
        elif not self._stalls.send(topic):
            return False
        socket.send(body, zmq.SNDMORE)
        self._departures.send(socket, header, mark=mark)
        if self._stalls is not None:
            self._stalls.sent()
        return True

    # -- the end ------------------------------------------------------------------------------

    def _read_until_left(self, socket: zmq.Socket[bytes], deadline: float) -> None:
        while not self._departures.all_left() and time.monotonic() < deadline:
            socket.poll(round(LEFT_CHECK * 1000))
            self._read(socket)

    def _end(self, context: zmq.Context[Any], socket: zmq.Socket[bytes]) -> None:
        """Give what was published its time to leave, and say of how much it is not known."""
        deadline = min(self._give_up_at, time.monotonic() + self._linger)
        self.ends.end()
        try:
            self._read_until_left(socket, deadline)
            if self._sealed and self.subscribers.beats_wanted:
                self._say_beat(socket)  # there is room now: who has missed the last ones is to know
                self._read_until_left(socket, deadline)
        except zmq.ContextTerminated:
            pass
        waiting = len(self._queue)
        self._stats["unsent"] = waiting + self._departures.missing(cut_short=waiting > 0)
        left = max(0.0, deadline - time.monotonic())
        bound = [(socket, endpoint) for endpoint in self.ends.bound]
        with closing(context, bound, shared=self._given_context is not None):
            self.ends.close()
            socket.close(round(left * 1000))
        if self._stats["unsent"]:
            _log.warning(
                "%d messages had not left for all subscribers within %g s of closing",
                self._stats["unsent"],
                self._linger,
            )


def _size(topic: bytes, body: bytes) -> int:
    return len(topic) + len(body) + MESSAGE_OVERHEAD
