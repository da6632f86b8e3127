"""What a bound socket says of itself before anybody has sent it a message.

ZMTP's handshake begins with a greeting, and with READY, which names the type of the socket and whatever
properties it has.  A plain TCP or Unix connection that greets is answered so, and leaves again: to the
application of the other side nothing has happened.  Source: ZeroMQ RFC 23/ZMTP.
"""

from __future__ import annotations

import contextlib
import socket

__all__ = ["asked_for_ready", "read_ready"]

#: Signature, version 3.0, mechanism NULL, no server, filler.
GREETING = b"\xff" + b"\0" * 8 + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" * 32
_SIZE = 64
#: A command in a frame of up to 255 bytes, and in a longer one.
_SHORT, _LONG = 0x04, 0x06
_READY = b"\x05READY"
#: The longest READY that is read.
_MOST = 4096


def asked_for_ready(endpoint: str, timeout: float) -> dict[str, bytes] | None:
    """The properties in the READY of who is bound at an endpoint; ``None`` when that can't be known.

    ``endpoint`` is ``tcp://`` with a number for an address, or ``ipc://``.  Waits ``timeout`` seconds for
    each step.  A peer that wants CURVE or PLAIN tells nothing.
    """
    transport, _, address = endpoint.partition("://")
    with contextlib.suppress(OSError, ValueError):
        if transport == "tcp":
            host, _, port = address.rpartition(":")
            made = socket.create_connection((host.strip("[]"), int(port)), timeout)
        elif transport == "ipc":
            made = socket.socket(socket.AF_UNIX)
            made.settimeout(timeout)
        else:
            return None
        with made:
            if transport == "ipc":
                made.connect("\0" + address[1:] if address.startswith("@") else address)
            made.sendall(GREETING)
            return _answer(made)
    return None


def _answer(made: socket.socket) -> dict[str, bytes] | None:
    greeting = _read(made, _SIZE)
    if greeting[0] != 0xFF or greeting[12:16] != b"NULL":
        return None
    flags, size = _read(made, 2)
    if flags == _LONG:
        size = int.from_bytes(bytes((size,)) + _read(made, 7), "big")
    if flags not in (_SHORT, _LONG) or size > _MOST:
        return None
    return read_ready(_read(made, size))


def _read(made: socket.socket, size: int) -> bytes:
    """Just so many bytes.  Raises ``OSError`` where the connection ends before."""
    found = b""
    while len(found) < size:
        more = made.recv(size - len(found))
        if not more:
            raise ConnectionResetError
        found += more
    return found


def read_ready(body: bytes) -> dict[str, bytes] | None:
    """The properties of a READY; ``None`` where it is none."""
    if not body.startswith(_READY):
        return None
    found, at = {}, len(_READY)
    while at < len(body):
        name_end = at + 1 + body[at]
        value_at = name_end + 4
        size = int.from_bytes(body[name_end:value_at], "big")
        if value_at + size > len(body):
            return None
        found[body[at + 1 : name_end].decode("ascii", "replace")] = body[value_at : value_at + size]
        at = value_at + size
    return found
