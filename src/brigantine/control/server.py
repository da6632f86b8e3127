"""The control endpoint: counters, workers, services, drain and stop, for programs on this machine.

    peer -> broker   id [] command        or   id command
    broker -> peer   id [] status map     or   id status map

``[]`` is the empty frame that a REQ socket writes; the reply has it if the request had it.  ``status``
is one of the codes below.  ``map`` is one msgpack map, with the key "error" unless the status is OK.
See docs/control.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgpack
import zmq

from ..config import BrokerConfig
from ..config.limits import DISCARD_BATCH
from ..errors import BrokerStopped
from ..net.descriptors import ConnectionWatch, DescriptorReserve, control_share
from ..net.endpoints import bind_private
from ..net.sockets import control_router
from ..system.background import Background
from ..system.wakeup import Wakeup

__all__ = [
    "BAD_REQUEST",
    "NOT_NOW",
    "OK",
    "UNKNOWN",
    "WAIT",
    "Answer",
    "ControlServer",
    "before_the_end",
    "pack",
]

OK = b"200"
#: Not one frame, beside the empty one.
BAD_REQUEST = b"400"
#: No such command.
UNKNOWN = b"501"
#: The broker has ended, or too many wait for its end.
NOT_NOW = b"503"

#: Answered when the broker has ended.
WAIT = b"wait"

EMPTY = b""
#: Frames of the longest request: id, empty frame, command.
MAX_FRAMES = 3
#: Messages handled before the thread looks whether the broker has ended.
BATCH = 64
#: Peers that may wait for the end at once.
MAX_WAITING = 64
#: How much of an unknown command is told to its sender.
SHOWN = 40

_log = logging.getLogger("brigantine.control")


class Answer(NamedTuple):
    """The answer to a command: a packed map, and what to do once it is sent."""

    body: bytes
    then: Callable[[], object] | None = None


class ControlServer:
    """Answers ``commands`` on its own ROUTER, in its own thread, until :meth:`end`.

    Must be made, started and ended by one thread; the sockets are bound when it is made.
    Raises :class:`~brigantine.errors.BindError`.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        config: BrokerConfig,
        endpoints: Sequence[str],
        commands: Mapping[bytes, Callable[[], Answer]],
        reserve: DescriptorReserve,
    ) -> None:
        self._commands = commands
        #: Well-formed requests, and messages that were none or whose answer could not be sent.
        self.requests = self.dropped = 0
        #: The frames by which the answer reaches those that wait for the end, oldest first.
        self._waiting: dict[tuple[bytes, ...], None] = {}
        self._discarding = False
        self._farewell: bytes | None = None
        self._thread: Background | None = None
        self._wakeup = Wakeup()
        self._socket = control_router(context, config)
        self._watch: ConnectionWatch | None = None
        try:
            self._watch = ConnectionWatch(
                self._socket, reserve, kept=control_share(), at=lambda: self.endpoints
            )
            #: Real endpoints, in the order they were given.
            self.endpoints = tuple(bind_private(self._socket, each) for each in endpoints)
        except BaseException:
            self.end(EMPTY)
            raise

    def start(self) -> None:
        """Answer from now on."""
        self._thread = Background(self._run, "brigantine-control")
        self._thread.start()

    def end(self, farewell: bytes) -> None:
        """Answer the peers that wait for the end with a packed map, and close."""
        self._farewell = farewell
        if self._thread is not None:
            self._wakeup.set()
            self._thread.wait()
        if self._watch is not None:
            self._watch.close()
        self._socket.close()  # what was sent goes out within its linger
        self._wakeup.close()

    def _run(self) -> None:
        try:
            self._serve()
        except zmq.ZMQError as error:
            # The program has terminated the context, and with it the broker.
            if error.errno != zmq.ETERM:
                _log.exception("the control endpoint has failed")

    def _serve(self) -> None:
        assert self._watch is not None
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._watch.monitor, zmq.POLLIN)
        poller.register(self._wakeup.fileno(), zmq.POLLIN)
        while self._farewell is None:
            poller.poll()
            self._watch.read()
            for _ in range(BATCH):
                if self._discarding and not self._discard():
                    break
                frames = self._receive()
                if frames is None:
                    break
                self._handle(frames)
        for peer in self._waiting:
            self._send(list(peer), OK, self._farewell)

    def _receive(self) -> list[bytes] | None:
        """The first frames of the next message; ``None`` when there is none."""
        try:
            frames = [self._socket.recv(zmq.DONTWAIT)]
        except zmq.Again:
            return None
        while self._socket.rcvmore:
            if len(frames) > MAX_FRAMES:
                self._discarding = True
                break
            frames.append(self._socket.recv(zmq.DONTWAIT))
        return frames

    def _discard(self) -> bool:
        """Throw away frames of a message that is too long; whether its end was reached."""
        for _ in range(DISCARD_BATCH):
            if not self._socket.rcvmore:
                self._discarding = False
                return True
            self._socket.recv(zmq.DONTWAIT)
        return False

    def _handle(self, frames: list[bytes]) -> None:
        enveloped = len(frames) > 1 and frames[1] == EMPTY
        peer = frames[: 1 + enveloped]
        words = frames[1 + enveloped :]
        if len(words) != 1:
            self._refuse(peer, BAD_REQUEST, "a request is one frame: the command")
            return
        command = words[0]
        if command == WAIT:
            self._wait(peer)
            return
        make = self._commands.get(command)
        if make is None:
            known = ", ".join(sorted(each.decode() for each in (*self._commands, WAIT)))
            self._refuse(peer, UNKNOWN, f"no such command: {command[:SHOWN]!r}; there are {known}")
            return
        self.requests += 1
        try:
            body, then = make()
        except BrokerStopped as error:
            self._send(peer, NOT_NOW, pack({"error": str(error)}))
            return
        self._send(peer, OK, body)
        if then is not None:
            _log.info("control: %s", command.decode())
            then()

    def _wait(self, peer: list[bytes]) -> None:
        self.requests += 1
        self._waiting[tuple(peer)] = None
        if len(self._waiting) > MAX_WAITING:  # those that have gone can't be told from the others
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            reason = f"more than {MAX_WAITING} peers wait for the end"
            self._send(list(oldest), NOT_NOW, pack({"error": reason}))

    def _refuse(self, peer: list[bytes], status: bytes, reason: str) -> None:
        self.dropped += 1
        self._send(peer, status, pack({"error": reason}))

    def _send(self, peer: list[bytes], status: bytes, body: bytes) -> None:
        try:
            self._socket.send_multipart([*peer, status, body], zmq.DONTWAIT)
        except zmq.ZMQError as error:
            # It does not read, or has gone.
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            self.dropped += 1


def before_the_end(
    stats: Mapping[str, int], drain_timeout: float, end: Callable[[], object]
) -> Answer:
    """The answer to drain and stop: what is unfinished, and how long that may take; then ``end``."""
    told = {
        "queued": stats["queued"],
        "in_flight": stats["in_flight"],
        "drain_timeout": drain_timeout,
    }
    return Answer(pack(told), end)


def pack(value: Mapping[str, object]) -> bytes:
    """A map as it is sent."""
    return cast(bytes, msgpack.packb(value))
