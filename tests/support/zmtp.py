"""A peer that speaks ZMTP 3.1 by hand, to say what libzmq would never send.

Source: ZeroMQ RFC 37/ZMTP, "Full grammar": greeting, NULL mechanism, short and long frames, PING.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Sequence
from types import TracebackType

from harness import PATIENCE

__all__ = ["LONG", "MORE", "QUIET", "RawPeer", "frame_header", "message", "opening"]

#: Bits of a frame's first byte.
MORE = 0x01
LONG = 0x02
COMMAND = 0x04
#: The longest frame whose size fits the one byte of a short frame.
SHORT_MAX = 255

SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
VERSION = b"\x03\x01"
MECHANISM = b"NULL".ljust(20, b"\0")
AS_CLIENT = b"\0"
#: Signature, version, mechanism, as-server and a filler make 64 bytes.
GREETING = (SIGNATURE + VERSION + MECHANISM + AS_CLIENT).ljust(64, b"\0")

#: A heartbeat interval with which no PING comes while a test lasts: a raw peer answers one only
#: while it receives, and may say nothing for long.
QUIET = 60.0

_READY = b"\x05READY"
_PING = b"\x04PING"
_PONG = b"\x04PONG"
#: A PING carries its time to live (2 bytes) before the context that a PONG repeats.
_PING_CONTEXT_AT = len(_PING) + 2
_CHUNK = 65536


def frame_header(flags: int, size: int) -> bytes:
    """What stands before a frame's bytes; ``size`` may be a lie."""
    if size > SHORT_MAX:
        return bytes((flags | LONG,)) + size.to_bytes(8, "big")
    return bytes((flags, size))


def message(frames: Sequence[bytes]) -> bytes:
    """One message as it goes over the wire."""
    last = len(frames) - 1
    return b"".join(
        frame_header(MORE if index < last else 0, len(frame)) + frame
        for index, frame in enumerate(frames)
    )


def opening(kind: bytes = b"DEALER", identity: bytes = b"") -> bytes:
    """Greeting and READY command.  The NULL mechanism lets a peer send both at once; what is sent
    before the other's READY has come libzmq takes for a fault of the handshake.
    """
    properties = b"".join(
        bytes((len(name),)) + name + len(value).to_bytes(4, "big") + value
        for name, value in ((b"Socket-Type", kind), (b"Identity", identity))
    )
    command = _READY + properties
    return GREETING + frame_header(COMMAND, len(command)) + command


class RawPeer:
    """A connection to a ``tcp://`` or ``ipc://`` endpoint; ``send_bytes`` takes anything at all."""

    def __init__(
        self,
        endpoint: str,
        *,
        identity: bytes = b"",
        kind: bytes = b"DEALER",
        shake_hands: bool = True,
    ) -> None:
        transport, _, address = endpoint.partition("://")
        if transport == "ipc":
            self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.connection.connect(address)
        else:
            host, _, port = address.rpartition(":")
            self.connection = socket.create_connection((host, int(port)), PATIENCE)
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.settimeout(PATIENCE)
        self._buffer = bytearray()
        if shake_hands:
            self.send_bytes(opening(kind, identity))
            self._take(len(GREETING))
            flags, command = self._frame()
            assert flags & COMMAND, "a READY command ends the handshake"
            assert command.startswith(_READY), command

    def send_bytes(self, data: bytes) -> None:
        self.connection.sendall(data)

    def send(self, frames: Sequence[bytes]) -> None:
        self.send_bytes(message(frames))

    def recv(self) -> list[bytes]:
        """The frames of the next message; answers PINGs on the way.

        Raises ``ConnectionError`` when the peer hung up and ``TimeoutError`` after PATIENCE.
        """
        frames: list[bytes] = []
        while True:
            flags, body = self._frame()
            if flags & COMMAND:
                if body.startswith(_PING):
                    pong = _PONG + body[_PING_CONTEXT_AT:]
                    self.send_bytes(frame_header(COMMAND, len(pong)) + pong)
                continue
            frames.append(body)
            if not flags & MORE:
                return frames

    def has_mail(self) -> bool:
        """Whether anything has come, be it a PING, that was not received yet."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(self._buffer or readable)

    def hung_up(self) -> bool:
        """Read until the peer closes the connection.  ``False`` when it has not within PATIENCE."""
        try:
            while self.connection.recv(_CHUNK):
                pass
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        return True

    def finish_sending(self) -> None:
        """Tell the peer that nothing more will come."""
        self.connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.connection.close()

    def _frame(self) -> tuple[int, bytes]:
        flags = self._take(1)[0]
        size = int.from_bytes(self._take(8 if flags & LONG else 1), "big")
        return flags, self._take(size)

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            data = self.connection.recv(_CHUNK)
            if not data:
                raise ConnectionError("the broker hung up")
            self._buffer += data
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
