"""The thread that holds an AsyncClient's connection."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import zmq

from ..config.limits import LINGER
from ..errors import ClientClosed
from ..net.dialing import Dialing
from ..net.greeting import asked_for_ready
from ..net.sockets import keep_alive, one_connection
from ..system.background import Background
from ..system.bell import Bell
from ..system.signals import leave_signals_to_main_thread
from ..system.wakeup import Wakeup
from ..wire.req import ANNOUNCEMENT
from ..wire.server import PROPERTY
from .calls import STATS, Call
from .conversation import ASK_AGAIN, Conversation
from .inproc import is_ours

__all__ = ["ClientThread"]

#: Seconds that connecting, and each step of asking whose server it is, may take.
CONNECT_PATIENCE = 10.0
ASK_PATIENCE = 2.0
#: What keeps requests from a server that can't be asked whose it is.
UNKNOWN = (
    "it does not answer when it is asked whose server it is (foreign=True or False spares asking)"
)
#: Messages read in one go.
BATCH = 256

_log = logging.getLogger("brigantine.client")


class ClientThread:
    """``foreign``: whether the server is another program than ours; ``None``: it is asked."""

    def __init__(
        self,
        endpoint: str,
        context: zmq.Context[Any] | None,
        told: Callable[[bool, int, str], object] | None,
        *,
        foreign: bool | None,
        delimiter: bool,
    ) -> None:
        self.endpoint = endpoint
        self._given_context = context
        self._foreign = foreign
        self._callback = told
        self.stats = dict.fromkeys(STATS, 0)
        self.talk = Conversation(endpoint, self.stats, self._tell, delimiter=delimiter)
        #: What threads want done here.
        self._orders: deque[Callable[[float], object]] = deque()
        self.wakeup = Wakeup()
        #: Rung when a message has come that belongs to no request, and at the end.
        self.came = Bell()
        #: Called where ``came`` is rung.
        self.listeners: list[Callable[[], object]] = []
        self.closing = False
        self.error: BaseException | None = None
        self._dialing: Dialing[zmq.Socket[bytes]] | None = None
        #: By the number of the connection: whether the server is ours, or why that is not known.
        self._found: deque[tuple[int, bool | str]] = deque()
        #: When to ask again, and what keeps requests waiting meanwhile.
        self._ask_at: float | None = None
        self._unknown = ""
        self._connection = 0
        self._known = False
        #: It has ended: orders are not obeyed any more.
        self._over = False
        self._thread = Background(self._run, "brigantine-async-client")

    # -- any thread ---------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def order(self, what: Callable[[float], object]) -> None:
        """Have ``what(now)`` called in the thread.

        Raises :class:`~brigantine.errors.ClientClosed` once it has ended, or is to.
        """
        if self.closing or self.error is not None:
            raise self._closed()
        self._orders.append(what)
        self.wakeup.set()
        if self._over or not self._thread.running:  # perhaps after it has looked for the last time
            raise self._closed()

    def ask(self, call: Call) -> None:
        """Make a request."""
        self.order(partial(self.talk.ask, call))

    def close(self) -> None:
        """End, and wait for it.  May be called again."""
        self.closing = True
        self.wakeup.set()
        self._thread.wait()
        self.wakeup.close()
        self.ring()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._thread.running

    def _closed(self) -> ClientClosed:
        error = ClientClosed(f"the client of {self.endpoint} is closed")
        error.__cause__ = self.error
        return error

    # -- the thread ---------------------------------------------------------------------------

    def _tell(self, opened: bool, number: int, why: str) -> None:
        if not opened:
            _log.info("session %d at %s has ended: %s", number, self.endpoint, why)
        if self._callback is not None:
            try:
                self._callback(opened, number, why)
            except Exception:
                _log.error("a callback of an AsyncClient has failed", exc_info=True)

    def _run(self) -> None:
        leave_signals_to_main_thread()
        context = self._given_context
        try:
            if context is None:
                context = zmq.Context()
            while not self.closing:
                self._turn(context)
            self._leave()
        except BaseException as error:
            self.error = error
            _log.error("the client of %s has ended", self.endpoint, exc_info=True)
        finally:
            with contextlib.suppress(Exception):
                if self._dialing is not None:
                    self._dialing.close(round(LINGER * 1000))
            self._over = True
            self._obey(time.monotonic())
            self.talk.end_all(self._closed())
            if context is not None and self._given_context is None:
                context.term()
            self.ring()

    def ring(self) -> None:
        """Something has come, or all has ended."""
        self.came.ring()
        for listener in list(self.listeners):
            listener()

    def _turn(self, context: zmq.Context[Any]) -> None:
        now = time.monotonic()
        dialing = self._dial(context, now)
        self._poll(dialing, now)
        now = time.monotonic()
        self._obey(now)
        if dialing.monitor is not None or not dialing.connected:
            dialing.advance(now)
        self._look(dialing, now)
        self._receive(dialing, now)
        self.talk.tick(now, dialing.trouble or self._unknown)
        self._send(dialing)
        if dialing.over or self.talk.spoilt:
            self._hang_up(dialing, now)

    def _dial(self, context: zmq.Context[Any], now: float) -> Dialing[zmq.Socket[bytes]]:
        if self._dialing is None:
            self._connection += 1
            self._known, self._ask_at, self._unknown = False, None, ""
            self._dialing = Dialing(
                self.endpoint, partial(_make, context), self.wakeup.set, patience=CONNECT_PATIENCE,
                again=True, tried=self._connection > 1,
            )  # fmt: skip
            self._dialing.advance(now)
        return self._dialing

    def _poll(self, dialing: Dialing[zmq.Socket[bytes]], now: float) -> None:
        poller = zmq.Poller()
        for source in (dialing.socket, dialing.monitor, self.wakeup.fileno()):
            if source is not None:
                poller.register(source, zmq.POLLIN)
        due = [each for each in (self.talk.due(), dialing.due(), self._ask_at) if each is not None]
        if dialing.silent:
            due.append(now + 0.25)  # over inproc nobody tells of the end
        wait = None if not due else max(0, math.ceil((min(due) - now) * 1000))
        poller.poll(0 if self._orders or self._found else wait)
        self.wakeup.clear()

    def _obey(self, now: float) -> None:
        while self._orders:
            self._orders.popleft()(now)

    def _look(self, dialing: Dialing[zmq.Socket[bytes]], now: float) -> None:
        """Find out whose server it is, once the connection is established."""
        if not dialing.connected or dialing.over:
            return
        if not self._known:
            self._known = True
            self.stats["connects"] += 1
            if self._foreign is not None:
                self._found.append((self._connection, not self._foreign))
            elif dialing.silent:
                self._found.append((self._connection, is_ours(dialing.socket, self.endpoint)))
            else:
                self._ask_at = now
        while self._found:
            connection, ours = self._found.popleft()
            if connection != self._connection:
                continue
            if isinstance(ours, str):  # what serves there may be ours
                self._ask_at, self._unknown = now + ASK_AGAIN, ours
            else:
                self._unknown = ""
                self.talk.connected(now, ours=ours)
        if self._ask_at is not None and now >= self._ask_at:
            self._ask_at = None
            self._ask(dialing)

    def _ask(self, dialing: Dialing[zmq.Socket[bytes]]) -> None:
        assert dialing.socket is not None
        where = cast(bytes, dialing.socket.getsockopt(zmq.LAST_ENDPOINT)).rstrip(b"\0").decode()
        asking = partial(self._ask_whose, where, self._connection)
        try:
            Background(asking, "brigantine-async-client-asks").start()
        except RuntimeError as error:  # the system has no more threads
            self._found.append((self._connection, f"can't ask whose server it is: {error}"))

    def _ask_whose(self, endpoint: str, connection: int) -> None:
        try:
            found = asked_for_ready(endpoint, ASK_PATIENCE)
            ours: bool | str = UNKNOWN if found is None else PROPERTY in found
        except OSError as error:
            ours = f"can't ask whose server it is: {error}"
        self._found.append((connection, ours))
        self.wakeup.set()

    def _receive(self, dialing: Dialing[zmq.Socket[bytes]], now: float) -> None:
        if dialing.socket is None:
            return
        before = len(self.talk.pushed)
        for _ in range(BATCH):
            try:
                message = dialing.socket.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                break
            self.talk.heard(message, now)
        else:
            self.wakeup.set()
        if len(self.talk.pushed) > before:
            self.ring()

    def _send(self, dialing: Dialing[zmq.Socket[bytes]]) -> None:
        socket = dialing.socket
        # Room first: what waits for it may be given up meanwhile.
        while socket is not None and cast(int, socket.getsockopt(zmq.EVENTS)) & zmq.POLLOUT:
            if (message := self.talk.to_send()) is None:
                return
            socket.send_multipart(message, zmq.DONTWAIT)

    def _hang_up(self, dialing: Dialing[zmq.Socket[bytes]], now: float) -> None:
        self._receive(dialing, now)
        if self._known:
            self.stats["disconnects"] += 1
        self.talk.disconnected(now)
        self.talk.spoilt = False
        dialing.close()
        self._dialing = None

    def _leave(self) -> None:
        self._obey(time.monotonic())
        self.talk.goodbye(time.monotonic())
        if self._dialing is not None and self._dialing.connected:
            self._send(self._dialing)


def _make(context: zmq.Context[Any]) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
    socket: zmq.Socket[bytes] = context.socket(zmq.DEALER)
    try:
        one_connection(socket, ANNOUNCEMENT)
        socket.linger = 0
        keep_alive(socket)
        watch: zmq.Socket[bytes] = context.socket(zmq.PAIR)
    except BaseException:
        socket.close()
        raise
    return socket, watch
