"""The client of a control endpoint: see control/server.py and docs/control.md."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import zmq

from ..config.limits import MAX_SECONDS
from ..errors import BrigantineError, NoReply
from ..net.arguments import as_targets
from ..net.contexts import OwnContext
from ..net.endpoints import connect
from ..net.names import is_numeric
from ..net.reach import reach
from ..net.sockets import routing_id
from ..system.signals import longest_wait
from ..validation.values import number
from ..wire.unpacking import unpacked
from .server import OK

__all__ = ["ControlClient", "ControlRefused"]

if TYPE_CHECKING:
    from typing_extensions import Self

EMPTY = b""
#: How much of an answer that makes no sense is shown.
SHOWN = 40


class ControlRefused(BrigantineError):
    """The control endpoint answered with an error, or something else answered."""


class ControlClient:
    """Sends commands to one control endpoint and receives its answers, in the order they arrive.

    Raises :class:`~brigantine.errors.ConfigError` or :class:`~brigantine.errors.ConnectError` for an
    endpoint that can't be connected to.  A name is looked up when the first answer is waited for.
    For one thread.
    """

    def __init__(self, endpoint: str) -> None:
        [self.endpoint] = as_targets(endpoint, "EP", shared=False)
        self._connected = False
        #: What waits for the connection to be begun.
        self._unsent: list[str] = []
        self._context = OwnContext()
        try:
            self._socket = self._context.socket(zmq.DEALER)
            self._socket.linger = 0
            # Should the endpoint not be one of control: see routing_id().  libzmq's own tries go on, for
            # there may be nobody yet; what was asked on a connection that is cut has no answer anyway.
            self._socket.routing_id = routing_id()
            if is_numeric(self.endpoint):
                self._connect(self.endpoint)
        except BaseException:
            self.close()
            raise

    def send(self, command: str) -> None:
        """Send a command; receive its answer afterwards."""
        if self._connected:
            self._socket.send_multipart([EMPTY, command.encode()])
        else:
            self._unsent.append(command)

    def _connect(self, endpoint: str) -> None:
        connect(self._socket, endpoint)
        self._connected = True
        while self._unsent:
            self.send(self._unsent.pop(0))

    def receive(self, timeout: float) -> dict[Any, Any]:
        """The next answer.

        Raises :class:`~brigantine.errors.NoReply` when none came within ``timeout`` seconds,
        :class:`~brigantine.errors.ConnectError` when the name of the host can't be looked up, and
        :class:`ControlRefused` for an error.
        """
        number("timeout", timeout, 0.0, MAX_SECONDS)
        began = time.monotonic()
        if not self._connected:
            self._connect(reach(self.endpoint, timeout))
        while True:
            left = began + timeout - time.monotonic()
            bounds = [each for each in (max(left, 0.0), longest_wait()) if each is not None]
            if self._socket.poll(math.ceil(min(bounds) * 1000.0)):
                return self._parsed(self._socket.recv_multipart())
            if left <= 0:
                raise NoReply(
                    f"no answer from {self.endpoint} within {timeout:g} s; is it the control "
                    "endpoint of a broker or device that runs? (brigantine broker ... --control EP)",
                    [(self.endpoint, timeout)],
                )

    def _parsed(self, frames: list[bytes]) -> dict[Any, Any]:
        try:
            delimiter, status, body = frames
            answer = unpacked(body)
            if delimiter != EMPTY or not isinstance(answer, dict):
                raise ValueError("no map behind an empty frame")
            refused = str(answer["error"]) if status != OK else None
        except (ValueError, KeyError):
            shown = b" ".join(frames)[:SHOWN]
            raise ControlRefused(
                f"{self.endpoint} answers with {shown!r}, as no control endpoint does"
            ) from None
        if refused is not None:
            raise ControlRefused(f"{self.endpoint} answers: {refused}")
        return answer

    def close(self) -> None:
        """Disconnect."""
        self._context.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
