"""The loop of a device: frames from one side to the other, with back-pressure, counters and pause."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import zmq

from ...config import BrokerConfig
from ...config.limits import BATCH, BATCH_FRAMES, LAST_WORDS, LIGHT, MAX_SLEEP
from ...counters import DEVICE_COUNTERS
from ...net.descriptors import ConnectionWatch
from ...net.sockets import check_sides
from ...wire.loop import MOVE, PAUSE, RESUME, STOP, TAG_BYTES
from .accounts import Accounts, weigh
from .capture import Capture

__all__ = ["Relay"]

_DONTWAIT = zmq.DONTWAIT


class _Way:
    """From one side to the other."""

    def __init__(self, source: zmq.Socket[bytes], target: zmq.Socket[bytes], counter: str) -> None:
        self.source = source
        self.target = target
        #: Whether messages can go that way.
        self.leads = source.type != zmq.PUSH
        #: Whether a ROUTER is at its end.
        self.routes = target.type == zmq.ROUTER
        self.counter = counter
        #: A message that has found no room.
        self.held: list[bytes] | None = None


class Relay:
    """Passes messages between two sides until told to stop.

    ROUTER and DEALER (both ways), XSUB and XPUB (messages one way, subscriptions the other), or PULL
    and PUSH (one way).  The sockets are the caller's and used by :meth:`run` alone while it runs.
    ``control`` is a PAIR that receives words of ``brigantine.wire.loop``: STOP, and the questions PAUSE,
    RESUME and MOVE.  What follows the last is given to ``move``, which answers it: it may use
    the sockets, too.

    A message for which the other side has no room waits, and nothing after it is read meanwhile; what a
    ROUTER can't take, for one peer of many, is dropped and counted, and so is what comes for one that
    has yet to take more than ``peer_bytes``.  ``watches``, one for each side at most, are
    ``ConnectionWatch`` of ``brigantine.net.descriptors``, and read here.  ``keeper``, for XSUB and XPUB, is
    a ``brigantine.devices.keeper.Keeper``: its values keep what passes, and it answers who asks for them.
    ``capture`` is a PUB with XPUB_NODROP, or a PUSH, that gets a copy of what is passed on, as far as it
    has room.
    """

    def __init__(
        self,
        frontend: zmq.Socket[bytes],
        backend: zmq.Socket[bytes],
        control: zmq.Socket[bytes],
        peer_bytes: int = BrokerConfig.peer_bytes,
        move: Callable[[bytes], bytes] | None = None,
        watches: Sequence[ConnectionWatch] = (),
        keeper: Any = None,
        capture: zmq.Socket[bytes] | None = None,
    ) -> None:
        """Raises ``TypeError`` for any other pair of sockets."""
        check_sides(frontend, backend)
        self._ways = (
            _Way(frontend, backend, "to_backend"), _Way(backend, frontend, "to_frontend")
        )  # fmt: skip
        self._control = control
        self._move = move
        self._watches = watches
        self._keeper = keeper
        self._capture = None if capture is None else Capture(capture)
        #: Of the peers of a ROUTER.
        self._accounts = Accounts(peer_bytes)
        self._count = dict.fromkeys(DEVICE_COUNTERS, 0)
        # Reentrant: a signal handler may ask for the counters in a thread that is just asking.
        self._lock = threading.RLock()
        self._stopping = False

    def stats(self) -> dict[str, int]:
        """All counters, see ``brigantine.counters.DEVICE_COUNTERS``; may be called from any thread."""
        with self._lock:
            self._accounts.settle_all()
            return {**self._count, "unsent_bytes": self._accounts.unsent}

    def run(self) -> None:
        """Pass messages on until STOP."""
        try:
            while not self._stopping:
                self._turn()
            self._read_last_words()
        finally:
            self._let_go()

    def _turn(self) -> None:
        ready = self._wait()
        for watch in self._watches:
            if watch.monitor in ready:
                watch.read()
        if self._control in ready:
            self._read_control()
            return
        for way in self._ways:
            if way.held is not None:
                if ready.get(way.target, 0) & zmq.POLLOUT and self._pass_on(way, way.held):
                    self._forward(way)
            elif ready.get(way.source, 0) & zmq.POLLIN:
                self._forward(way)

    def _read_last_words(self) -> None:
        """Pass on what had come before the end was asked for, and whose sender counts on it.

        Replies, tasks and what is published; not requests, whose replies would find nobody.
        """
        to_backend, to_frontend = self._ways
        way = to_frontend if to_frontend.routes else to_backend
        began = time.monotonic()
        while not (self._count["paused"] or way.held) and self._forward(way):
            if time.monotonic() - began > LAST_WORDS:
                break

    def _let_go(self) -> None:
        """What is held when the end comes goes nowhere."""
        with self._lock:
            for way in self._ways:
                if way.held is not None:
                    way.held = None
                    self._count["held"] -= 1
                    self._count["drop_stopped"] += 1

    def _wait(self) -> dict[zmq.Socket[bytes], int]:
        """What is ready of that which there is something to do about, so that no poll returns for nothing.

        A side that has no room is not asked for messages to it.
        """
        poller = zmq.Poller()
        poller.register(self._control, zmq.POLLIN)
        for watch in self._watches:
            poller.register(watch.monitor, zmq.POLLIN)
        wanted: dict[zmq.Socket[bytes], int] = {}
        if not self._count["paused"]:
            for way in self._ways:
                if way.held is not None:
                    wanted[way.target] = wanted.get(way.target, 0) | zmq.POLLOUT
                elif way.leads:
                    wanted[way.source] = wanted.get(way.source, 0) | zmq.POLLIN
        for socket, events in wanted.items():
            poller.register(socket, events)
        ready = dict(poller.poll(math.ceil(MAX_SLEEP * 1000.0)))
        # A side that is not asked for anything is looked at now and then all the same: libzmq frees what
        # peers that have gone leave when its socket is used.
        for way in self._ways:
            if way.source not in wanted:
                way.source.getsockopt(zmq.EVENTS)
        return ready

    def _forward(self, way: _Way) -> bool:
        """Pass on up to BATCH messages; whether there may be more."""
        passed = 0
        for _ in range(BATCH):
            try:
                frames = way.source.recv_multipart(_DONTWAIT)
            except zmq.Again:
                return False
            passed += len(frames) - 1
            if not self._pass_on(way, frames):
                return False
            if passed > BATCH_FRAMES:  # many frames take as long as many messages
                break
        return True

    def _pass_on(self, way: _Way, frames: list[bytes]) -> bool:
        """Pass on a message, or what becomes of it otherwise; false when it is held."""
        dropped = ""
        if self._keeper is not None and way is self._ways[1] and self._keeper.hear(frames[0]):
            return True
        if way.routes and len(frames) == 1:
            dropped = "drop_malformed"
        elif way.routes and not self._admits(frames[0]):
            dropped = "drop_peer_behind"
        else:
            try:
                if _sent(way.target, frames, 0):
                    dropped = self._send_rest(way, frames)
                elif way.routes:
                    dropped = "drop_peer_full"
                else:
                    self._hold(way, frames)
                    return False
            except zmq.ZMQError as error:
                if error.errno != zmq.EHOSTUNREACH:
                    raise
                dropped = "drop_unroutable"
        with self._lock:
            if way.held is not None:
                way.held = None
                self._count["held"] -= 1
            if self._keeper is not None and way is self._ways[0]:
                self._keeper.values.keep(frames)
            if dropped:
                self._count[dropped] += 1
            else:
                self._count[way.counter] += 1
                self._count[f"{way.counter}_bytes"] += sum(map(len, frames))
        if self._capture is not None and not dropped:
            captured, missed = self._capture.copy(frames)
            with self._lock:
                self._count["captured"] += captured
                self._count["drop_capture"] += missed
        return True

    def _send_rest(self, way: _Way, frames: list[bytes]) -> str:
        """The frames after the first; returns why the message is dropped, if it is."""
        # The peer may go in the middle: then libzmq takes what is left, and throws it away.
        last = len(frames) - 1
        sent = [_sent(way.target, frames, index) for index in range(1, last)]
        weight = weigh(frames)
        if way.routes and weight >= LIGHT:
            sent.append(self._sent_tracked(way.target, frames, weight))
        elif last:
            sent.append(_sent(way.target, frames, last))
        return "" if all(sent) else "drop_unroutable"

    def _admits(self, peer: bytes) -> bool:
        """What a message weighs shows at its end only: the last one goes beyond the limit."""
        with self._lock:
            return self._accounts.admits(zmq.ROUTER, peer, 0)

    def _sent_tracked(self, socket: zmq.Socket[bytes], frames: list[bytes], weight: int) -> bool:
        """The same with the last frame of a heavy message."""
        try:
            tracked = zmq.Frame(frames[-1], track=True, copy=False)
            tracker = socket.send(tracked, _DONTWAIT, copy=False, track=True)
        except zmq.Again:
            return False
        with self._lock:
            self._accounts.charge(zmq.ROUTER, frames[0], weight, tracker)
        return True

    def _hold(self, way: _Way, frames: list[bytes]) -> None:
        if way.held is None:
            way.held = frames
            with self._lock:
                self._count["held"] += 1
                self._count["waits"] += 1

    def _read_control(self) -> None:
        word = self._control.recv(_DONTWAIT)
        if word == STOP:
            self._stopping = True
        elif word[:-TAG_BYTES] in (PAUSE, RESUME):
            with self._lock:
                self._count["paused"] = int(word[:-TAG_BYTES] == PAUSE)
            self._answer(word, b"")
        elif word.startswith(MOVE) and self._move is not None:
            self._answer(word, self._move(word[len(MOVE) : -TAG_BYTES]))

    def _answer(self, question: bytes, answer: bytes) -> None:
        with contextlib.suppress(zmq.Again):  # nobody takes the answers
            self._control.send(question + answer, _DONTWAIT)


def _sent(socket: zmq.Socket[bytes], frames: list[bytes], index: int) -> bool:
    """Send one frame of a message; False where there is no room."""
    more = zmq.SNDMORE if index + 1 < len(frames) else 0
    try:
        socket.send(frames[index], _DONTWAIT | more)
    except zmq.Again:
        return False
    return True
