"""The loop of a server: turn after turn what has come in, what handlers have answered, what is due."""

from __future__ import annotations

import math
import threading
import time

import zmq

from ...config.limits import BATCH, LAST_WORDS, LINGER, MAX_SLEEP, PAUSE
from ...config.servers import ServerConfig
from ...net.descriptors import DescriptorReserve
from ...net.monitor import monitor_event
from ...net.sockets import Handshakes
from ...notices.kinds import Notice
from ...wire.loop import DRAIN, SIDES, STOP
from ..loop.notice_queue import NoticeQueue
from ..sessions.keeping import STOPPED, TELLS_KNOWN
from .handoff import Handoff
from .serving import Serving

__all__ = ["ServerLoop"]


class ServerLoop(Serving):
    """Runs the sessions of a server on a ROUTER until told to stop.

    ``config`` is a ``brigantine.ServerConfig``, ``epoch`` eight random bytes, ``handoff`` the
    :class:`Handoff` from which ``workers`` handlers take tasks, ``tells`` that of :class:`Sessions`.  The
    socket is bound by the caller and used by :meth:`run` alone while it runs; ``control`` is a PAIR that
    receives STOP and DRAIN of ``brigantine.wire.loop``.  ``monitor`` is the ROUTER's for ACCEPTED and
    DISCONNECTED events.  ``notices`` is a :class:`NoticeQueue`, ``reserve`` closes connections for which
    there are no file descriptors.
    """

    def __init__(
        self,
        frontend: zmq.Socket[bytes],
        control: zmq.Socket[bytes],
        config: ServerConfig,
        epoch: bytes,
        handoff: Handoff,
        workers: int,
        tells: int = TELLS_KNOWN,
        monitor: zmq.Socket[bytes] | None = None,
        notices: NoticeQueue | None = None,
        reserve: DescriptorReserve | None = None,
    ) -> None:
        """Raises ``TypeError`` for any other socket than a ROUTER."""
        super().__init__(frontend, config, epoch, handoff, workers, tells, notices)
        self._control = control
        self._monitor = monitor
        self._reserve = reserve
        self._handshakes = Handshakes()
        # Reentrant: a signal handler may ask for the counters in a thread that is just asking.
        self._lock = threading.RLock()
        self._pause = min(PAUSE, config.session_timeout / 2)
        #: Connections that were closed, as nothing came by them.
        self.unheard = 0
        self._stopping = False
        self._drain_deadline: float | None = None
        self._drain_from: float | None = None
        #: Seconds that the process was stopped, in all: the sessions' time leaves them out.
        self._credit = 0.0
        self._last = time.monotonic()
        #: CPU time at the beginning of a turn of which there is much to do.
        self._worked: float | None = None
        #: Whether the ROUTER was found empty.
        self._quiet = False

    def stats(self) -> dict[str, int]:
        """All counters, see ``brigantine.SERVER_COUNTERS``; may be called from any thread."""
        with self._lock:
            self._accounts.settle_all()
            return {**self._sessions.stats(), "unsent_bytes": self._accounts.unsent}

    def run(self) -> None:
        """Serve until STOP, or until DRAIN is done.  Then every request and session has ended."""
        self._poller = zmq.Poller()
        for socket in (
            self._router,
            self._control,
            self._monitor,
            self._handoff._answered.fileno(),
        ):
            if socket is not None:
                self._poller.register(socket, zmq.POLLIN)
        try:
            count = self._sessions.count
            while not self._stopping:
                self._turn()
                if self._drain_deadline is not None and (
                    self._present >= self._drain_deadline
                    or (self._sessions.draining and not count["queued"] + count["in_flight"])
                ):
                    break
            self._wind_up()
        finally:
            self._handoff.finish()

    def _turn(self) -> None:
        sleep = self._sleep()
        ready = dict(self._poller.poll(math.ceil(sleep * 1000.0)))
        now = self._now(sleep)
        if ready.get(self._handoff._answered.fileno()):
            self._handoff._answered.clear()
        if ready.get(self._monitor):
            self._read_monitor()
        with self._lock:
            self._take_answers(now)
        more = self._read(now)
        self._worked = time.thread_time() if more else None
        if ready.get(self._control):
            self._read_control(now)
        with self._lock:
            self._keep_time(now)
            self._hand_out()
        self._hang_up_unheard(now)

    def _keep_time(self, now: float) -> None:
        if self._drain_from is not None and (self._quiet or now - self._drain_from >= LAST_WORDS):
            self._sessions.draining = True
            self._drain_from = None
        self._end_overdue(now)
        # What is unread may be of a session that seems silent.  One whose time is over by that much again
        # is closed all the same: of those that speak each has its turn by then.
        self._sessions.sweep(now if self._quiet else now - self._config.session_timeout)

    def _hang_up_unheard(self, now: float) -> None:
        """A client whose routing id is another's is connected, and never heard: it is to connect anew."""
        for descriptor in self._quiet_fds.sweep(now) if self._quiet else ():
            if self._reserve is not None and self._reserve.hang_up_unheard(descriptor):
                self.unheard += 1

    # -- time ---------------------------------------------------------------------------------

    def _sleep(self) -> float:
        """Seconds until something is due, at most MAX_SLEEP."""
        if not self._quiet:
            return 0.0
        due = [
            self._sessions.next_deadline(), self._drain_deadline, self._quiet_fds.next_deadline()
        ]  # fmt: skip
        now = self._last - self._credit
        waits = [max(0.0, each - now) for each in due if each is not None]
        return min([MAX_SLEEP, *waits])

    def _now(self, slept: float) -> float:
        """Seconds on the loop's own clock, which stops while the process is suspended."""
        clock = time.monotonic()
        excess = clock - self._last - slept
        if excess > self._pause and self._worked is not None:
            excess -= time.thread_time() - self._worked
        if excess > self._pause:
            self._credit += clock - self._last
            with self._lock:
                self._sessions.count["pauses"] += 1
        self._last = clock
        self._present = clock - self._credit
        return self._present

    # -- sockets ------------------------------------------------------------------------------

    def _read(self, now: float) -> bool:
        """Handle up to BATCH messages; whether there may be more."""
        for _ in range(BATCH):
            try:
                frames = self._router.recv_multipart(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                self._quiet = True
                return False
            self._quiet = False
            with self._lock:
                self._take_message(frames, now)
        return True

    def _look_at_connections(self) -> None:
        self._read_monitor()

    def _read_monitor(self) -> None:
        while self._monitor is not None:
            try:
                event, value = monitor_event(self._monitor.recv_multipart(zmq.DONTWAIT))
            except zmq.Again:
                return
            if self._handshakes.mismatched(event, value):
                self._put_notice(Notice("mismatched", peer=SIDES[0]))
            if event == zmq.EVENT_DISCONNECTED:
                with self._lock:
                    self._sessions.disconnected(value)
                self._quiet_fds.remove(value)
            elif event == zmq.EVENT_ACCEPTED:
                self._quiet_fds.refresh(value, self._present)
                self._serials[value] = self._serials.get(value, 0) + 1
                if self._reserve is not None and value >= self._reserve.begins():
                    self._reserve.reject(value)

    def _read_control(self, now: float) -> None:
        word = self._control.recv(zmq.DONTWAIT)
        if word == STOP:
            self._stopping = True
        elif word == DRAIN and self._drain_deadline is None:
            self._drain_deadline = now + self._config.drain_timeout
            self._drain_from = now  # what had come before is still accepted

    # -- the end ------------------------------------------------------------------------------

    def _wind_up(self) -> None:
        """No more requests: end what waits, let handlers finish for a moment, close all sessions."""
        sessions = self._sessions
        with self._lock:
            sessions.draining = True
            for job, work in list(self._works.items()):
                if sessions.waits(job):
                    self._tell(work, "failed_stopped")
                    sessions.end(job, "failed_stopped", self._present)
                    del self._works[job]
        # Requests that handlers are at find their clients' sessions open still.
        self._finish("in_flight")
        with self._lock:
            for job, work in list(self._works.items()):
                if not work.over:
                    self._tell(work, "failed_stopped")
                    sessions.end(job, "failed_stopped", self._present)
                    work.over = True
            sessions.close_all(STOPPED, self._present)
        self._finish("sessions")

    def _finish(self, gauge: str) -> None:
        """Hand out what is left and take what comes of it, until nothing is counted there."""
        until = time.monotonic() + LINGER
        poller = zmq.Poller()
        poller.register(self._handoff._answered.fileno(), zmq.POLLIN)
        while self._sessions.count[gauge]:
            left = until - time.monotonic()
            if left <= 0:
                return
            with self._lock:
                self._hand_out()
            poller.poll(math.ceil(left * 1000.0) if self._at_work else 0)
            self._handoff._answered.clear()
            with self._lock:
                self._take_answers(self._present)
