"""The bound end of the pipeline's connections: a ROUTER, and who is connected to it."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import zmq

from ..config.pipeline import BATCH, LOOK_EVERY, MOST_PREFETCH, PipelineConfig
from ..wire.pipeline import (
    HELLO,
    LEAVING,
    LEFT,
    PING,
    PONG,
    UNKNOWN,
    WELCOME,
    frame_bytes,
    pack,
    says,
    text_in,
    unpack,
)
from .caller import Caller
from .peers import Peer, PeerWatch
from .thread import BoundThread

__all__ = ["Hub", "Peer"]

#: Bytes of the id by which a peer is the same one on another connection.
ID_BYTES = 8
#: Frames around a body: who sent it, the word, and the key.
AROUND = 3
#: Messages for one peer that libzmq holds: tasks and acknowledgements are bounded by prefetch.
PEER_MESSAGES = MOST_PREFETCH + 1000

_log = logging.getLogger("brigantine.pipeline")


class Hub(BoundThread):
    """Reads, heartbeats, knows its peers; subclasses decide what is said."""

    #: Who may connect.
    roles: tuple[str, ...] = ()

    def __init__(
        self,
        endpoints: Sequence[str],
        config: PipelineConfig,
        context: zmq.Context[Any] | None,
        counters: Mapping[str, str],
    ) -> None:
        super().__init__(config, context, counters)
        self._wanted = endpoints
        self.peers: dict[bytes, Peer] = {}
        #: Tells this one from the next that is bound here.
        self.id = os.urandom(ID_BYTES)
        self._watch: PeerWatch
        self._callers: list[Caller] = []
        #: When the next peer may be silent for too long.
        self._look_at = 0.0
        self._told: set[tuple[str, str]] = set()

    # -- its turns ----------------------------------------------------------------------------

    def _open(self) -> None:
        router = self._router = self._socket(zmq.ROUTER)
        router.router_mandatory = 1
        router.handshake_ivl = max(1, round(self.config.handshake_timeout * 1000))
        router.sndhwm = PEER_MESSAGES
        router.maxmsgsize = frame_bytes(self.config)
        self._watch = self._watched(PeerWatch(router, self.reserve, at=lambda: self.endpoints))
        self.endpoints = tuple(self._bind(router, each) for each in self._wanted)

    def _close(self) -> None:
        for caller in self._callers:
            caller.close(self.config.linger)
        super()._close()

    def _turn(self) -> None:
        for caller in self._callers:
            caller.open(self._context, time.monotonic())
        self._wait()
        for watch in self._watches:
            watch.read()
        more = behind = self._read_router()
        for caller in self._callers:
            caller.advance(self._now)
            more = caller.read(BATCH) or more
        more = self._work(self._now) or more
        self._look_at_peers(behind=behind)
        if more:
            self._wakeup.set()

    def _wait(self) -> None:
        poller = zmq.Poller()
        poller.register(self._wakeup.fileno(), zmq.POLLIN)
        for watch in self._watches:
            poller.register(watch.monitor, zmq.POLLIN)
        poller.register(self._router, zmq.POLLIN)
        due = [self._look_at]
        for caller in self._callers:
            caller.register(poller)
            if (at := caller.due()) is not None:
                due.append(at)
        self._register(poller, due)
        if self._watch.look_until > self._now:
            due.append(self._now + LOOK_EVERY)
        sleep = max(0.0, min(due) - time.monotonic())
        before, _ = self._now, poller.poll(math.ceil(sleep * 1000))
        self._now = time.monotonic()
        gap = self._now - before - sleep
        if gap > self.config.heartbeat_interval:  # the process was stopped: so were its ears
            for peer in self.peers.values():
                peer.heard_at += gap
            for caller in self._callers:
                caller.excuse(gap)
        self._wakeup.clear()

    # -- who is connected ---------------------------------------------------------------------

    def _read_router(self) -> bool:
        """Read a batch of messages; whether there may be more."""
        for _ in range(BATCH):
            frames = self._receive(self._router)
            if frames is None:
                return False
            if frames:
                self._hear(frames)
        return True

    def _receive(self, socket: Any) -> list[bytes] | None:
        """A message; ``None`` for none, and an empty one instead of one that has too many frames."""
        most = self.config.max_frames + AROUND
        try:
            frames = [socket.recv(zmq.DONTWAIT)]
        except zmq.Again:
            return None
        while socket.getsockopt(zmq.RCVMORE):
            frame = socket.recv(zmq.DONTWAIT)
            if len(frames) <= most:
                frames.append(frame)
        if len(frames) > most:
            self.count["drop_malformed"] += 1
            return []
        return frames

    def _hear(self, frames: list[bytes]) -> None:
        route, word = frames[0], says(frames[1:])
        peer = self.peers.get(route)
        if word == HELLO and len(frames) >= 3:
            self._greet(route, unpack(frames[2]))
        elif not word:
            self._malformed(route, "a message that is not of the pipeline's protocol")
        elif peer is None:
            self._reply(route, (UNKNOWN,))
        else:
            peer.heard_at = self._now
            if word == PING:
                self.send(peer, (PONG,))
            elif word == LEAVING:
                self._leaving(peer)
                self.send(peer, (LEFT,))
            elif not self._said(peer, word, frames[2:]):
                self._malformed(peer.name, "a message that it can't mean here")

    def _malformed(self, who: bytes | str, what: str) -> None:
        self.count["drop_malformed"] += 1
        name = who if isinstance(who, str) else who.hex()
        self.log_once(name, f"{name} sent {what}; is it the {self.what}'s endpoint that it wants?")

    def log_once(self, who: str, words: str) -> None:
        """A line of the log, once a peer and cause, and for so many of them at most."""
        if (who, words) not in self._told and len(self._told) < 1000:
            self._told.add((who, words))
            _log.warning("%s: %s", self.what, words)

    def _greet(self, route: bytes, hello: Mapping[str, Any]) -> None:
        said = dict(hello)
        role, ident, name = text_in(said, "role"), said.get("id"), text_in(said, "name")
        if role not in self.roles or not isinstance(ident, bytes) or len(ident) != ID_BYTES:
            self._malformed(route, f"a HELLO of {role or 'nobody'}")
            return
        if role == "worker" and ("prefetch" in said) != (self.what == "ventilator"):
            self._reply(route, (WELCOME, pack(self._welcome())))  # it finds out by that
            self._malformed(route, "a HELLO that is not for this")
            return
        if route not in self.peers and len(self.peers) >= self.config.max_peers:
            self.count["refused_peers"] += 1
            self.log_once("", f"{name} is refused: max_peers={self.config.max_peers} are connected")
            return
        peer = Peer(route, role, ident, name or ident.hex(), self._now, self._now)
        if route in self.peers:
            self._gone(self.peers[route], "")
        self.peers[route] = peer
        self.send(peer, (WELCOME, pack(self._welcome())))
        if route in self.peers:
            self._joined(peer, said)
            self.changes.ring()

    def _welcome(self) -> dict[str, Any]:
        """What it tells who has said HELLO."""
        return {"role": self.what, "id": self.id, "interval": self._interval_ms}

    @property
    def _interval_ms(self) -> int:
        return round(self.config.heartbeat_interval * 1000)

    def _look_at_peers(self, *, behind: bool) -> None:
        """Find those that have gone: silent for too long, or whose connection has ended.

        While not all was read, nobody is silent.
        """
        limit = self.config.heartbeat_interval * self.config.liveness
        ended, look = self._watch.take(self._now)
        if not (ended or look) and self._now < self._look_at:
            return
        self._look_at = self._now + limit
        for peer in list(self.peers.values()):
            silent = self._now - peer.heard_at
            if silent >= limit and not behind:
                self.count["expired"] += 1
                self._gone(peer, f"was silent for {silent:.3g} s")
                continue
            self._look_at = min(self._look_at, peer.heard_at + limit)
            if (ended or look) and self._now - peer.said_at >= LOOK_EVERY:
                self.send(peer, (PONG,))  # libzmq knows whether there is anybody

    def send(self, peer: Peer, frames: Sequence[bytes]) -> bool:
        """Send to a peer; whether libzmq took it.  One that has gone is found by that."""
        try:
            self._router.send_multipart((peer.route, *frames), zmq.DONTWAIT)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._gone(peer, "has gone: its connection has ended")
            return False
        peer.said_at = self._now
        return True

    def _reply(self, route: bytes, frames: Sequence[bytes]) -> None:
        """Answer somebody who is not known."""
        with contextlib.suppress(zmq.ZMQError):
            self._router.send_multipart((route, *frames), zmq.DONTWAIT)

    def _gone(self, peer: Peer, why: str) -> None:
        if self.peers.get(peer.route) is peer:
            del self.peers[peer.route]
            self._lost(peer, why)
            self.changes.ring()

    # -- what a subclass is to say ------------------------------------------------------------

    @abstractmethod
    def _work(self, now: float) -> bool:
        """Do what is due; whether there is more to do at once."""

    @abstractmethod
    def _register(self, poller: zmq.Poller, due: list[float]) -> None:
        """What else is to be waited for."""

    @abstractmethod
    def _joined(self, peer: Peer, hello: dict[str, Any]) -> None:
        """A peer has said HELLO, and is known."""

    @abstractmethod
    def _leaving(self, peer: Peer) -> None:
        """A peer wants nothing more."""

    @abstractmethod
    def _lost(self, peer: Peer, why: str) -> None:
        """A peer is not known any more; without a reason: it says HELLO again."""

    @abstractmethod
    def _said(self, peer: Peer, word: bytes, frames: list[bytes]) -> bool:
        """A peer has said something else; whether it was understood."""
