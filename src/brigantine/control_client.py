"""The other side of a control endpoint: see control_server.py and docs/control.md."""

from __future__ import annotations

import math
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgpack
import zmq

from .arguments import as_targets
from .checks import number
from .config import MAX_SECONDS
from .contexts import OwnContext
from .control_server import OK
from .endpoints import connect
from .errors import BrigantineError, NoReply
from .signals import longest_wait

__all__ = ["ControlClient", "ControlRefused"]

if TYPE_CHECKING:
    from typing_extensions import Self

EMPTY = b""
#: How much of an answer that makes no sense is shown.
SHOWN = 40


class ControlRefused(BrigantineError):
    """The control endpoint answered with an error, or what answered was none."""


class ControlClient:
    """Sends commands to one control endpoint and takes its answers, in the order they come.

    Raises :class:`~brigantine.errors.ConfigError` or :class:`~brigantine.errors.ConnectError` for an
    endpoint that can't be connected to.  For one thread.
    """

    def __init__(self, endpoint: str) -> None:
        [self.endpoint] = as_targets(endpoint, "EP", shared=False)
        self._context = OwnContext()
        try:
            self._socket = self._context.socket(zmq.DEALER)
            self._socket.linger = 0
            connect(self._socket, self.endpoint)
        except BaseException:
            self.close()
            raise

    def send(self, command: str) -> None:
        """Send a command, whose answer is then to be received."""
        self._socket.send_multipart([EMPTY, command.encode()])

    def receive(self, timeout: float) -> dict[Any, Any]:
        """The next answer.

        Raises :class:`~brigantine.errors.NoReply` when none came within ``timeout`` seconds, and
        :class:`ControlRefused` for an error.
        """
        number("timeout", timeout, 0.0, MAX_SECONDS)
        began = time.monotonic()
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
            answer = msgpack.unpackb(body)
            if delimiter != EMPTY or not isinstance(answer, dict):
                raise ValueError("no map behind an empty frame")
            refused = str(answer["error"]) if status != OK else None
        except (ValueError, KeyError, TypeError, msgpack.UnpackException):
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
