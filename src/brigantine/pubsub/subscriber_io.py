"""The thread of a subscriber: reads all that comes, whatever its reader does, and keeps a feed."""

from __future__ import annotations

import logging
import math
import os
import time
from typing import Any

import zmq

from ..config.limits import PAUSE
from ..config.pubsub import BATCH, MOVE_PAUSE, MOVE_PAUSE_MAX, SubscriberConfig
from ..errors import ConnectError, NoPublisher
from ..net.backoff import Backoff
from ..net.dialing import MISMATCHED, Dialing
from ..system.background import Background
from ..system.signals import leave_signals_to_main_thread
from ..system.wakeup import Wakeup
from .feeds import Feeds
from .hearing import Hearing
from .inbox import Inbox, Outage, closed
from .receiving import received
from .sockets import subscriber_socket
from .traffic import Traffic
from .upstream import Upstream

__all__ = ["SubscriberIO"]

_log = logging.getLogger("brigantine.subscriber")

#: Seconds that connecting, and the handshake after it, may take at the least.
CONNECT = 1.0
#: Why a feed was left, where there is no connection to it any more.
LOST, SILENT = "the connection was lost", "silent"
NO_ZMTP = (
    "it ends the connection before it can be used; is it a publisher, or a forwarder's backend?"
)
UNANSWERED = "connecting is not answered"
UNTOLD = "connected; a PUB socket of others never says that it has read"


class SubscriberIO:
    """Owns the sockets.  Any thread and a signal handler may call the methods above the line."""

    def __init__(
        self,
        endpoints: tuple[str, ...],
        topics: tuple[bytes, ...],
        config: SubscriberConfig,
        context: zmq.Context[Any] | None,
        stats: dict[str, int],
        inbox: Inbox,
    ) -> None:
        self._config, self._given_context = config, context
        self._stats, self.inbox = stats, inbox
        self.upstream = Upstream(topics, last_values=config.last_values)
        self._wakeup = Wakeup()
        self._stopping = False
        self._process = os.getpid()
        # What follows belongs to the thread.
        backoff = Backoff(MOVE_PAUSE, MOVE_PAUSE_MAX)
        self._feeds = Feeds(
            endpoints, config.heartbeat_interval, config.liveness, backoff, time.monotonic()
        )
        self._dialing: Dialing[zmq.Socket[bytes]] | None = None
        #: When the try that goes on is given up.
        self._give_up_at = 0.0
        self._connected = False
        self._traffic = Traffic()
        self._outage: Outage | None = None
        self._told: set[str] = set()
        up = self.upstream
        self.hearing = Hearing(config.max_topics, up.interest, up.welcomes, up.asking, stats, inbox)
        self._thread = Background(self._run, "brigantine-subscriber")

    # -- any thread ---------------------------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def change(self, topic: bytes, *, wanted: bool) -> None:
        """Subscribe, or unsubscribe."""
        self.upstream.change(topic, wanted=wanted)
        self._wakeup.set()

    def words(self) -> str:
        """What is known of the feed, for a message."""
        feeds, dialing = self._feeds, self._dialing
        if met := feeds.words():
            return met
        if self._connected:
            return f"{feeds.endpoint} ({UNTOLD})"
        trouble = "" if dialing is None else dialing.unresolved() or dialing.trouble
        return f"{feeds.endpoint} ({trouble or 'not connected'})"

    def stop(self) -> None:
        """End, without waiting for that."""
        self._stopping = True
        self.inbox.end(closed())
        self._wakeup.set()

    def cut(self) -> None:
        """:meth:`stop`, and wait until all sockets are closed.  May be called again."""
        if os.getpid() != self._process:
            return  # a forked child has neither the thread nor a right to its sockets
        self.stop()
        self._thread.wait()
        self._wakeup.close()

    # -- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        leave_signals_to_main_thread()
        context = self._given_context
        end: BaseException = closed()
        try:
            if context is None:
                context = zmq.Context(self._config.io_threads)
            while not self._stopping:
                self._turn(context)
        except zmq.ContextTerminated:
            end = closed("the subscriber's context was terminated")
        except BaseException as error:
            _log.critical("a subscriber has ended", exc_info=True)
            end = error
        finally:
            if self._dialing is not None:
                self._dialing.close()
            if context is not None and self._given_context is None:
                context.term()
            self.inbox.end(end)

    def _turn(self, context: zmq.Context[Any]) -> None:
        self.upstream.apply(self._socket)
        now = time.monotonic()
        if self._dialing is None and now >= self._feeds.open_at:
            self._open(context, now)
        wake_at = self._poll()
        self._wakeup.clear()
        now = time.monotonic()
        if wake_at is not None and now - wake_at > PAUSE:
            # The process was stopped: what came meanwhile is still to be read.
            self._feeds.alive(now)
        self._follow(now)
        self._look_at_outage(now)

    @property
    def _socket(self) -> zmq.Socket[bytes] | None:
        """Of the connection, or of this try to get one; ``None`` between two tries."""
        return None if self._dialing is None else self._dialing.socket

    def _poll(self) -> float | None:
        """Wait for something to happen; returns until when, at the latest: what was overdue is due now."""
        poller = zmq.Poller()
        poller.register(self._wakeup.fileno(), zmq.POLLIN)
        sample_at = self._feeds.sample_at()
        if self._traffic.looked(sample_at):
            sample_at = self._feeds.due()
        dues = [sample_at, self._feeds.outage_at()]
        dialing = self._dialing
        if dialing is None:
            dues.append(self._feeds.open_at)
        else:
            for socket in (dialing.monitor, dialing.socket):
                if socket is not None:
                    poller.register(socket, zmq.POLLIN)
            dues += [dialing.due(), self.upstream.due() if self._connected else self._give_up_at]
        now = time.monotonic()
        wake_at = min((due for due in dues if due is not None), default=None)
        if wake_at is not None:
            wake_at = max(now, wake_at)
        poller.poll(None if wake_at is None else math.ceil((wake_at - now) * 1000))
        return wake_at

    # -- the feed -----------------------------------------------------------------------------

    def _make(self) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes] | None]:
        assert self._dialing is not None
        socket = subscriber_socket(self._context, self._config)
        try:
            self.upstream.say_all(socket)
            return socket, None if self._dialing.silent else self._context.socket(zmq.PAIR)
        except BaseException:
            socket.close()
            raise

    def _open(self, context: zmq.Context[Any], now: float) -> None:
        self._context = context
        patience = max(CONNECT, self._feeds.patience)
        self._give_up_at = now + patience * 2
        self._dialing = Dialing(
            self._feeds.endpoint, self._make, self._wakeup.set, patience=patience
        )

    def _follow(self, now: float) -> None:
        """Read what has come, and see whether the feed is still there."""
        dialing = self._dialing
        if dialing is None:
            return
        try:
            dialing.advance(now)
        except ConnectError as error:
            self._leave(now, str(error.strerror or error))
            return
        if dialing.connected and not self._connected:
            self._connected = True
            self._stats["connects"] += not dialing.silent
            self._feeds.connected(now)
            self.upstream.connected(now)
            self._told.clear()
            _log.info("connected to %s", dialing.endpoint)
        if dialing.over:
            while self._read(dialing, now):
                pass  # what it had said before counts
            if self._connected:
                self._stats["disconnects"] += 1
            mismatch = dialing.trouble if dialing.met == MISMATCHED else ""
            self._leave(now, LOST if self._connected else mismatch or NO_ZMTP)
        elif not self._read(dialing, now):
            self._look_at_silence(dialing, now)
        self._well()
        self.upstream.ask(self._socket, now, self.inbox.bells.ring)

    def _look_at_silence(self, dialing: Dialing[Any], now: float) -> None:
        """Everything that had come was read."""
        feeds = self._feeds
        if not self._connected:
            if dialing.exhausted:
                self._leave(now, dialing.trouble)
            elif now >= self._give_up_at:
                self._leave(now, dialing.unresolved() or dialing.trouble or UNANSWERED)
            return
        sample_at = feeds.sample_at()
        if sample_at is not None and now >= sample_at:
            self._traffic.look(sample_at, dialing.descriptor)
        if not feeds.silent(now):
            return
        if self._traffic.moves(dialing.descriptor):
            # A message so large that it takes longer: libzmq shows it when it is whole.
            feeds.moving(now)
            return
        self._stats["silences"] += 1
        self._leave(now, f"{SILENT} for {feeds.patience:g} s")

    def _leave(self, now: float, why: str) -> None:
        """The feed is not there: the next one, or the same again."""
        endpoint, dialing = self._feeds.endpoint, self._dialing
        assert dialing is not None
        moves = self._feeds.failed(now, why)
        self.upstream.disconnected()
        self.inbox.bells.ring()
        words = f"{endpoint}: {why}"
        if words not in self._told:
            self._told.add(words)
            follows = f"moving to {self._feeds.endpoint}" if moves else "trying again"
            _log.warning("%s; %s", words, follows)
        if moves:
            self._stats["failovers"] += 1
            self.hearing.gaps.moved()
        self._dialing, self._connected = None, False
        dialing.close()

    def _well(self) -> None:
        if self._outage is not None and self._feeds.well:
            self._outage.over = True
            self._outage = None

    def _look_at_outage(self, now: float) -> None:
        lost = self._feeds.outage(now)
        if lost is None:
            return
        words = self._feeds.words()
        error = NoPublisher(
            f"nothing is heard for {lost:.3g} s of any publisher or forwarder: {words}; "
            "the subscriber goes on trying",
            dict(self._feeds.met),
        )
        self._outage = Outage(error)
        self.inbox.tell(self._outage)
        _log.error("%s", error)

    # -- reading ------------------------------------------------------------------------------

    def _read(self, dialing: Dialing[zmq.Socket[bytes]], now: float) -> bool:
        """Read up to BATCH messages; whether there may be more."""
        socket = dialing.socket
        if socket is None:
            return False
        for _ in range(BATCH):
            try:
                frames = received(socket)
            except zmq.Again:
                return False
            if frames is None:
                self._stats["drop_malformed"] += 1
                self._feeds.heard(now)
                continue
            beat = self.hearing.hear(frames, now)
            if beat is None:
                self._feeds.heard(now)
            else:
                self._feeds.beat(now, beat.interval_ms / 1000)
            if self._outage is not None:
                self._well()  # before anybody is told of what has come
        return True
