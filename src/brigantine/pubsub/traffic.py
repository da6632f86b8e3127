"""What has come in on a connection, as the system counts it: libzmq shows whole messages only."""

from __future__ import annotations

import socket
import struct
import sys

from ..system.forks import socket_number

__all__ = ["received_bytes"]

#: Where ``tcpi_bytes_received`` is in ``struct tcp_info`` of Linux (4.1 and later), see tcp(7).
_AT, _SIZE = 128, 136
_NUMBER = struct.Struct("=Q")


def received_bytes(descriptor: int, number: int) -> int | None:
    """Bytes received on the TCP connection of a descriptor, if it is still that of ``socket_number()``.

    ``None`` where the system does not tell: over ipc, on other systems than Linux.
    """
    if not sys.platform.startswith("linux") or not number or socket_number(descriptor) != number:
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
    return int(_NUMBER.unpack_from(info, _AT)[0]) if len(info) >= _SIZE else None
