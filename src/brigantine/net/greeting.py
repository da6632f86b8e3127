"""Who is bound at an endpoint: asked by the greeting of ZMTP, over a plain connection.

A ZeroMQ socket that is asked so answers with its security mechanism and, where that is NULL, with its
type.  It does not take the one who asks for a peer.  Source: ZMTP 3.1 (RFC 37), "greeting", "READY".
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from typing import NamedTuple

from .names import name_in, port_in

__all__ = ["ASK_LIMIT", "Bound", "ask_bound", "asked_for_ready", "read_ready"]

_IPC = "ipc://"
#: Seconds that asking takes at most.
ASK_LIMIT = 1.0
#: The greeting: signature, version 3.0, mechanism NULL, not as a server, filler.
_SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
_MECHANISM = slice(12, 32)
_GREETING = _SIGNATURE + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)
#: Flags of a command whose size is one byte, and of one whose size is eight.
_SHORT, _LONG = 0x04, 0x06
_READY = b"\x05READY"
_TYPE = "socket-type"
#: No READY is longer; nor is it of interest how something else goes on.
_MOST_BYTES = 4096
#: Bytes of a banner that are kept.
_SHOWN = 40


class Bound(NamedTuple):
    """What listens somewhere."""

    #: The type of the socket, such as ``"REP"``; empty where it does not tell.
    socket_type: str = ""
    #: ``"NULL"``, ``"CURVE"`` and so on; empty for what does not speak ZMTP, or an old version of it.
    mechanism: str = ""
    #: How something begins that does not speak ZMTP.
    banner: bytes = b""
    #: The body of its READY, see :func:`read_ready`; empty where there is none.
    ready: bytes = b""


def ask_bound(endpoint: str, limit: float = ASK_LIMIT) -> Bound | None:
    """Who is bound at a tcp endpoint of numbers, or an ipc one; ``None`` if nobody answers in time."""
    try:
        return _ask(endpoint, limit)
    except (OSError, ValueError, struct.error):
        return None


def asked_for_ready(endpoint: str, limit: float = ASK_LIMIT) -> dict[str, bytes] | None:
    """The properties in the READY of who is bound there; ``None`` if nobody answers in time.

    Who wants CURVE or PLAIN tells of none.  Raises ``OSError`` when there are no file descriptors.
    """
    try:
        bound = _ask(endpoint, limit)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        return None
    except (ValueError, struct.error):
        return None
    return None if bound is None else read_ready(bound.ready) or {}


def _ask(endpoint: str, limit: float) -> Bound | None:
    deadline = time.monotonic() + limit
    with _connected(endpoint, limit) as connection:
        connection.sendall(_GREETING[: _MECHANISM.start])
        return _read(connection, deadline)


def _connected(endpoint: str, limit: float) -> socket.socket:
    family, address = _address(endpoint)
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.settimeout(limit)
        made.connect(address)
    except BaseException:
        made.close()
        raise
    return made


def _address(endpoint: str) -> tuple[socket.AddressFamily, str | tuple[str, int]]:
    if endpoint.startswith(_IPC):
        path = endpoint.removeprefix(_IPC)
        return socket.AF_UNIX, "\0" + path[1:] if path.startswith("@") else path
    host = name_in(endpoint).strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return family, (host, int(port_in(endpoint)))


def _read(connection: socket.socket, deadline: float) -> Bound | None:
    """The answer as far as it comes in time.

    One with other security hangs up at our mechanism, and tells its own before, if it is waited for.
    """
    got, rest = b"", _GREETING[_MECHANISM.start :]
    while len(got) < _MOST_BYTES:
        if rest and len(got) >= _MECHANISM.stop and _mechanism(got) == "NULL":
            connection.sendall(rest)
            rest = b""
        if (known := _parsed(got)) is not None:
            return known
        left = deadline - time.monotonic()
        if left <= 0:
            break
        connection.settimeout(left)
        try:
            more = connection.recv(_MOST_BYTES)
        except OSError:
            break
        if not more:
            break
        got += more
    return _as_far_as(got)


def _parsed(got: bytes) -> Bound | None:
    """What is told by the bytes up to now; ``None`` if more may tell more."""
    if not _may_be_zmtp(got):
        return Bound(banner=got[:_SHOWN])
    if len(got) < _MECHANISM.stop:
        return None
    mechanism = _mechanism(got)
    if mechanism != "NULL":
        return Bound(mechanism=mechanism)
    if len(got) < len(_GREETING):
        return None
    command = got[len(_GREETING) :]
    if not command:
        return None
    if command[0] == _SHORT:
        begin, size = 2, command[1] if len(command) > 1 else _MOST_BYTES
    elif command[0] == _LONG:
        begin = 9
        size = struct.unpack_from(">Q", command, 1)[0] if len(command) >= begin else _MOST_BYTES
    else:
        return Bound(mechanism=mechanism)
    body = command[begin : begin + size]
    if len(body) < size:
        return None
    found = {name.lower(): value for name, value in (read_ready(body) or {}).items()}
    return Bound(found.get(_TYPE, b"").decode("ascii", "replace"), mechanism, ready=body)


def _as_far_as(got: bytes) -> Bound | None:
    """The same where nothing more comes."""
    if not got:
        return None
    if len(got) >= _MECHANISM.stop:
        return Bound(mechanism=_mechanism(got))
    return Bound() if _may_be_zmtp(got) else Bound(banner=got[:_SHOWN])


def _may_be_zmtp(got: bytes) -> bool:
    return got[:1] in (b"", b"\xff") and (len(got) < len(_SIGNATURE) or got[9] & 1 == 1)


def _mechanism(got: bytes) -> str:
    return got[_MECHANISM].rstrip(b"\0").decode("ascii", "replace")


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
