"""Receiving a message of a bounded number of frames."""

from __future__ import annotations

from typing import cast

import zmq

from ..wire.pubsub import ASK, MOST_ANSWER_FRAMES, MOST_FRAMES

__all__ = ["received"]


def received(socket: zmq.Socket[bytes]) -> list[bytes] | None:
    """One message; ``None`` for one of too many frames.  Raises ``zmq.Again`` when there is none."""
    frames = [socket.recv(zmq.DONTWAIT)]
    most = MOST_ANSWER_FRAMES if frames[0].startswith(ASK) else MOST_FRAMES
    more = cast(int, socket.getsockopt(zmq.RCVMORE))
    while more and len(frames) < most:
        frames.append(socket.recv(zmq.DONTWAIT))
        more = cast(int, socket.getsockopt(zmq.RCVMORE))
    if not more:
        return frames
    while more:
        socket.recv(zmq.DONTWAIT)
        more = cast(int, socket.getsockopt(zmq.RCVMORE))
    return None
