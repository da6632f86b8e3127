"""The wire of publish-subscribe, a frame at a time; docs/pubsub.md has it byte by byte.

A message is ``topic  body  [msgpack: publisher, epoch, number]``.  Whatever else ours say to each other
goes under topics that begin with a NUL, to which only ours subscribe.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

import msgpack

from .unpacking import Unreadable, unpacked

__all__ = [
    "ASK",
    "BEAT",
    "LIFE_BITS",
    "MARK",
    "MOST_ANSWER_FRAMES",
    "MOST_FRAMES",
    "NUL",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "WELCOME",
    "Answer",
    "Ask",
    "Beat",
    "Header",
    "Origin",
    "life_of",
    "packed_answer",
    "packed_ask",
    "packed_beat",
    "read_answer",
    "read_ask",
    "read_beat",
    "read_header",
    "welcome_topic",
    "welcomed",
]

#: First byte of what a subscriber says upstream; the topic follows (ZMTP, ZMQ RFC 29/PUBSUB).
SUBSCRIBE, UNSUBSCRIBE = b"\x01", b"\x00"
#: How all topics begin that are between ours, and no message of a program.
NUL = b"\0"
MARK = NUL + b"brigantine."
#: The topic of heartbeats.
BEAT = MARK + b"beat"
#: A publisher that reads a subscription to a topic that begins so publishes a welcome under it.
WELCOME = MARK + b"welcome."
#: A subscription to a topic that begins so asks for last values; they are published under it.
ASK = MARK + b"last."
#: Bytes that tell apart who keeps last values.
KEEPER = 8
#: What separates a subscriber's token from the number of its welcome.
DOT = b"."
#: Characters of a token: random, in hexadecimal digits.
TOKEN = 16
#: Most frames of a message that are kept; ours have three.  And of an answer with many last values.
MOST_FRAMES, MOST_ANSWER_FRAMES = 64, 1024
#: Bits of an epoch that tell one numbering of a publisher from its others; those above tell its lives.
LIFE_BITS = 32
#: The longest name of a publisher, in characters.
LONGEST_NAME = 255
#: The longest time between heartbeats that is believed, in milliseconds.
LONGEST_INTERVAL_MS = 3_600_000
_MOST = 1 << 64


class Header(NamedTuple):
    """The third frame of a message: whose it is, and which of the topic."""

    publisher: str
    epoch: int
    number: int


class Origin:
    """Writes the third frame: of one publisher, in one of its lives."""

    def __init__(self, publisher: str) -> None:
        self._start = b"\x93" + cast(bytes, msgpack.packb(publisher))
        self._packer = msgpack.Packer()

    def header(self, epoch: int, number: int) -> bytes:
        """The frame."""
        pack = self._packer.pack
        return self._start + cast(bytes, pack(epoch)) + cast(bytes, pack(number))


def read_header(frame: bytes) -> Header | None:
    """What the third frame says; ``None`` for one that is not ours."""
    found = _read(frame, 3)
    if found is None:
        return None
    publisher, epoch, number = found
    if not isinstance(publisher, str) or not 0 < len(publisher) <= LONGEST_NAME:
        return None
    if not (_is_number(epoch) and _is_number(number) and number):
        return None
    return Header(publisher, epoch, number)


def life_of(epoch: int) -> int:
    """Which life of a publisher an epoch belongs to."""
    return epoch >> LIFE_BITS


class Beat(NamedTuple):
    """The second frame of a heartbeat or a welcome."""

    #: Milliseconds to the next heartbeat.
    interval_ms: int
    #: Topic, epoch and number of the last messages under topics that have had some lately.
    tails: Sequence[tuple[bytes, int, int]]


def packed_beat(interval_ms: int, tails: Iterable[tuple[bytes, int, int]] = ()) -> bytes:
    """The frame that :func:`read_beat` reads."""
    return cast(bytes, msgpack.packb([interval_ms, [list(each) for each in tails]]))


def read_beat(frame: bytes) -> Beat | None:
    """What it says; ``None`` for what is no heartbeat of ours."""
    found = _read(frame, 2)
    if found is None:
        return None
    interval_ms, tails = found
    if not _is_number(interval_ms) or not 0 < interval_ms <= LONGEST_INTERVAL_MS:
        return None
    if not isinstance(tails, list):
        return None
    if not all(_is_tail(each) for each in tails):
        return None
    return Beat(interval_ms, [(each[0], each[1], each[2]) for each in tails])


def _is_tail(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and isinstance(value[0], bytes)
        and _is_number(value[1])
        and _is_number(value[2])
    )


def welcome_topic(token: bytes, turn: int) -> bytes:
    """Where the subscriber of this token waits for welcomes, each time its subscriptions change."""
    return WELCOME + token + DOT + b"%x" % turn


def welcomed(topic: bytes) -> bytes | None:
    """The token in a topic of :func:`welcome_topic`; ``None`` if it is none."""
    token, dot, turn = topic[len(WELCOME) :].partition(DOT)
    wanted = topic.startswith(WELCOME) and len(token) == TOKEN and dot
    return token if wanted and 0 < len(turn) <= TOKEN else None


class Ask(NamedTuple):
    """A question for last values."""

    #: How topics begin, none of them the beginning of another, sorted.
    prefixes: list[bytes]
    #: Those after this topic; ``None``: all.
    after: bytes | None
    #: Name of the publisher, or what tells apart who keeps last values; ``None``: whoever comes first.
    keeper: str | bytes | None
    #: So many at most.
    most: int


def packed_ask(token: bytes, turn: int, ask: Ask) -> bytes:
    """The topic to subscribe to."""
    return ASK + token + DOT + b"%x" % turn + DOT + cast(bytes, msgpack.packb(list(ask)))


def read_ask(topic: bytes) -> Ask | None:
    """The question that a subscription is; ``None`` if it is none."""
    token, _, rest = topic[len(ASK) :].partition(DOT)
    turn, dot, packed = rest.partition(DOT)
    if not topic.startswith(ASK) or len(token) != TOKEN or not dot or not 0 < len(turn) <= TOKEN:
        return None
    found = _read(packed, 4)
    if found is None:
        return None
    prefixes, after, keeper, most = found
    if not isinstance(prefixes, list) or not all(isinstance(each, bytes) for each in prefixes):
        return None
    if not (after is None or isinstance(after, bytes)) or not _is_number(most) or not most:
        return None
    if not (keeper is None or isinstance(keeper, (str, bytes))):
        return None
    return Ask(sorted(prefixes), after, keeper, most)


class Answer(NamedTuple):
    """The second frame of an answer; the frames of the last values follow, one value after the other."""

    #: What tells apart who keeps them.
    keeper: bytes
    #: The publisher that it is; ``None``: a forwarder.
    publisher: str | None
    #: The topic of the last one, if more follow.
    last: bytes | None
    #: How many frames each value has.
    lengths: list[int]


def packed_answer(answer: Answer) -> bytes:
    """The frame that :func:`read_answer` reads."""
    return cast(bytes, msgpack.packb(list(answer)))


def read_answer(frame: bytes) -> Answer | None:
    """What it says; ``None`` if it can't be read."""
    found = _read(frame, 4)
    if found is None:
        return None
    keeper, publisher, last, lengths = found
    if not isinstance(keeper, bytes) or not (publisher is None or isinstance(publisher, str)):
        return None
    if not (last is None or isinstance(last, bytes)) or not isinstance(lengths, list):
        return None
    if not all(_is_number(each) and each for each in lengths):
        return None
    return Answer(keeper, publisher, last, lengths)


def _read(frame: bytes, length: int) -> list[Any] | None:
    try:
        found = unpacked(frame)
    except Unreadable:
        return None
    return found if isinstance(found, list) and len(found) == length else None


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST
