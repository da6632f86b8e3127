"""The keeper of last values in a publisher or a forwarder: answers subscribers that ask, and nobody else.

A question is a subscription to a topic that only the asker uses, and the answer is published under it.
The answer is in the asker's queue among the live messages: whatever follows it is newer.

Subscribers to everything would get the answer, too.  Therefore the XPUB socket is told by hand who has
subscribed to what, and sends the answer only to the one that has asked.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Protocol

import zmq

from .._impl import implementation
from ..config.pubsub import PAGE, PAGE_BYTES
from ..wire.pubsub import (
    ASK,
    KEEPER,
    MOST_ANSWER_FRAMES,
    MOST_FRAMES,
    SUBSCRIBE,
    UNSUBSCRIBE,
    Answer,
    Ask,
    packed_answer,
    read_ask,
)

__all__ = ["Keeper", "Values", "made_keeper", "subscribe_to_all"]

#: A draft of libzmq's, which the libraries in pyzmq's wheels know all the same: what is sent goes to the
#: one alone whose subscription was read last.  Source: zmq.h, ZMQ_XPUB_MANUAL_LAST_VALUE.
LAST_PIPE_ONLY = 98


class Values(Protocol):
    """What ``LastValues`` of both implementations can do."""

    topic_count: int
    held_bytes: int
    evicted: int

    def keep(self, frames: Sequence[bytes]) -> None:
        """A message has passed."""

    def page(
        self, prefix: bytes, after: bytes | None, most: int, most_bytes: int
    ) -> tuple[list[list[bytes]], bool]:
        """Messages under topics that begin so, and whether there are more."""


class Keeper:
    """Used by the thread that has the socket, an XPUB: what that receives is for :meth:`hear`."""

    def __init__(
        self, values: Values, socket: zmq.Socket[bytes], publisher: str | None = None
    ) -> None:
        self.values = values
        self._socket, self._publisher = socket, publisher
        self._id = os.urandom(KEEPER)
        #: Questions that were answered, and last values sent.
        self.asked = self.sent = 0
        try:
            self._only_last(on=True)
            self._only_last(on=False)
            self._manual = True
        except zmq.ZMQError:  # a library without drafts: who takes everything gets the answers, too
            self._manual = False
            socket.setsockopt(zmq.XPUB_MANUAL, 0)

    def stats(self) -> dict[str, int]:
        """Counters of a device or a publisher that are its own."""
        values = self.values
        return {
            "last_values": values.topic_count,
            "last_values_bytes": values.held_bytes,
            "last_values_evicted": values.evicted,
            "last_values_asked": self.asked,
            "last_values_sent": self.sent,
        }

    def hear(self, frame: bytes) -> bool:
        """What a subscriber has said, right after it was read; whether it was a question for this one."""
        action, topic = frame[:1], frame[1:]
        if self._manual and action in (SUBSCRIBE, UNSUBSCRIBE):
            wanted = action == SUBSCRIBE
            self._socket.setsockopt(zmq.SUBSCRIBE if wanted else zmq.UNSUBSCRIBE, topic)
        if not topic.startswith(ASK):
            return False
        ask = read_ask(topic)
        if ask is None or ask.keeper not in (None, self._id, self._publisher):
            return False
        if action == SUBSCRIBE:
            self._answer(topic, ask)
        return True

    def _answer(self, topic: bytes, ask: Ask) -> None:
        values, more = self._page(ask)
        last = values[-1][0] if more and values else None
        answer = Answer(self._id, self._publisher, last, [len(each) for each in values])
        frames = [topic, packed_answer(answer), *(frame for each in values for frame in each)]
        self.asked += 1
        self.sent += len(values)
        if self._manual:
            self._only_last(on=True)
        try:
            self._socket.send_multipart(frames, zmq.DONTWAIT)
        except zmq.Again:  # no room where nothing is dropped: it will be asked again
            pass
        finally:
            if self._manual:
                self._only_last(on=False)

    def _only_last(self, *, on: bool) -> None:
        self._socket.setsockopt(LAST_PIPE_ONLY, int(on))
        self._socket.setsockopt(zmq.XPUB_MANUAL, 1)

    def _page(self, ask: Ask) -> tuple[list[list[bytes]], bool]:
        """Last values that one answer has room for, and whether there are more."""
        found: list[list[bytes]] = []
        room, room_bytes, frames = min(ask.most, PAGE), PAGE_BYTES, 2
        for prefix in ask.prefixes:
            if not room or room_bytes <= 0:
                return found, True
            page, more = self.values.page(prefix, ask.after, room, room_bytes)
            for each in page:
                if len(each) > MOST_FRAMES:  # nobody would take it
                    continue
                if frames + len(each) > MOST_ANSWER_FRAMES:
                    return found, True
                found.append(each)
                frames += len(each)
                room_bytes -= sum(map(len, each))
            room -= len(page)
            if more:
                return found, True
        return found, False


def made_keeper(
    impl: str | None,
    most: int,
    most_bytes: int,
    socket: zmq.Socket[Any],
    publisher: str | None = None,
) -> Keeper | None:
    """What keeps last values, if any are to be kept; ``socket`` is the XPUB."""
    if not most:
        return None
    return Keeper(implementation(impl).LastValues(most, most_bytes), socket, publisher)


def subscribe_to_all(frontend: zmq.Socket[Any]) -> None:
    """What nobody wants now is to be kept, too: ``frontend`` is the XSUB of a device."""
    frontend.send(SUBSCRIBE)
