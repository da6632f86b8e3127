"""What has come in on a connection, as the system counts it: libzmq shows whole messages only."""

from __future__ import annotations

import socket
import struct
import sys

from ..system.forks import socket_number

__all__ = ["Traffic", "acknowledged_bytes", "received_bytes"]

#: Where ``tcpi_bytes_acked`` and ``tcpi_bytes_received`` are in ``struct tcp_info`` of Linux (4.1 and
#: later), see tcp(7).
_ACKED, _RECEIVED, _SIZE = 120, 128, 136
_NUMBER = struct.Struct("=Q")


def received_bytes(descriptor: int, number: int) -> int | None:
    """Bytes received on the TCP connection of a descriptor, if it is still that of ``socket_number()``.

    ``None`` where the system does not tell: over ipc, on other systems than Linux.
    """
    if not number or socket_number(descriptor) != number:
        return None
    return _counter(descriptor, _RECEIVED)


def acknowledged_bytes(descriptor: int) -> int | None:
    """Bytes that the other system has taken on a TCP connection; ``None`` as above."""
    return _counter(descriptor, _ACKED)


def _counter(descriptor: int, at: int) -> int | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        looked_at = socket.socket(fileno=descriptor)
    except OSError:
        return None
    try:
        info = looked_at.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    except OSError:  # no TCP
        return None
    finally:
        looked_at.detach()
    return int(_NUMBER.unpack_from(info, at)[0]) if len(info) >= _SIZE else None


class Traffic:
    """Whether anything comes in on a connection, though no message is whole yet."""

    def __init__(self) -> None:
        #: When was looked, and how many bytes had come by then.
        self._at: float | None = None
        self._bytes: int | None = None

    def looked(self, at: float | None) -> bool:
        """Whether :meth:`look` was called for that time."""
        return at == self._at

    def look(self, at: float, descriptor: tuple[int, int]) -> None:
        """See how many bytes have come, once for each time."""
        if not self.looked(at):
            self._at, self._bytes = at, received_bytes(*descriptor)

    def moves(self, descriptor: tuple[int, int]) -> bool:
        """Whether more have come since."""
        now = received_bytes(*descriptor)
        return now is not None and self._bytes is not None and now > self._bytes
