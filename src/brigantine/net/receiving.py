"""Receiving in the main thread, where signal handlers run, so that nothing which they raise is lost.

pyzmq runs them within its calls.  Where ``recv`` finds nothing, its releases from 27.1 on lose what a
handler has raised, Ctrl-C's KeyboardInterrupt too, on Python 3.12 and later.  Asking whether there is
something loses nothing, and ``recv`` is called only then.
"""

from __future__ import annotations

from typing import Any, cast

import zmq

__all__ = ["frame_if_there", "message_if_there"]


def frame_if_there(socket: zmq.Socket[bytes]) -> bytes | None:
    """The next frame; ``None`` when there is none yet."""
    return socket.recv(zmq.DONTWAIT) if _is_there(socket) else None


def message_if_there(socket: zmq.Socket[bytes]) -> list[bytes] | None:
    """The next message; ``None`` when there is none yet."""
    if not _is_there(socket):
        return None
    try:
        return socket.recv_multipart(zmq.DONTWAIT)
    except zmq.Again:
        return None  # a REQ socket has thrown away what was no reply


def _is_there(socket: zmq.Socket[Any]) -> bool:
    return bool(cast(int, socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)
