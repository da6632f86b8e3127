"""The wire of the pipeline, byte by byte: docs/pipeline.md has the same as a table.

Workers and ventilators connect by DEALER, ventilators and sinks are bound as ROUTER.  The first frame of
each message is ``BPL1`` and one byte that says what it is; what follows is listed here after each of
them.  A *key* is 16 bytes: the batch's 8 and the task's number, 64 bits, big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import msgpack

from ..config.pipeline import MOST_PREFETCH, PipelineConfig
from .unpacking import Unreadable, unpacked

__all__ = [
    "ACK",
    "ASK",
    "BATCH_BYTES",
    "BEGIN",
    "BEGUN",
    "DONE",
    "END",
    "FORGET",
    "HELLO",
    "KEY_BYTES",
    "KILL",
    "LEAVING",
    "LEFT",
    "LOST",
    "PING",
    "PLAIN",
    "PLAIN_KILL",
    "PLAIN_START",
    "PONG",
    "REPORT",
    "RESULT",
    "TASK",
    "UNKNOWN",
    "WELCOME",
    "frame_bytes",
    "joined",
    "key_of",
    "keys_in",
    "pack",
    "parted",
    "says",
    "text_in",
    "unpack",
    "whole_in",
]

MARK = b"BPL1"
#: Bytes that a frame of many keys or bits may have beside them.
BESIDE = 4096


def _word(code: int) -> bytes:
    return MARK + bytes((code,))


# Either bound end, and who connects.
#: ``map``: who connects says who it is; the first message of a connection.
HELLO = _word(0x01)
#: ``map``: the answer, of the bound end.
WELCOME = _word(0x02)
#: Nothing: who connects has said nothing else for an interval; and the answer.
PING, PONG = _word(0x03), _word(0x04)
#: Nothing: who connects wants nothing more; the answer, after all that was on its way.
LEAVING, LEFT = _word(0x05), _word(0x06)
#: Nothing: end once everything that you hold is done.  From a bound end to a worker, from a
#: ventilator to its sink.
KILL = _word(0x07)
#: Nothing: the bound end does not know who is speaking; HELLO again.
UNKNOWN = _word(0x08)

# A ventilator and a worker.
#: ``key body...``: a task.
TASK = _word(0x10)
#: ``keys``: the sink has these results, the worker has room for as many tasks more.
DONE = _word(0x11)

# A worker and the sink.
#: ``key body...``: a result.
RESULT = _word(0x20)
#: ``keys``: the sink has taken these.
ACK = _word(0x21)

# A ventilator and the sink.
#: ``batch``: results of this batch will come.
BEGIN = _word(0x30)
#: ``batch reason``: it is known; with a reason that is not empty: it is refused.
BEGUN = _word(0x31)
#: ``batch map bitmap``: how many tasks it has, and which went to plain workers.
END = _word(0x32)
#: ``batch map``: worker -> numbers that it held when it was lost.
LOST = _word(0x33)
#: ``batch``: how is it?
ASK = _word(0x34)
#: ``batch map bitmap``: the answer; also sent when all results are there.  The bitmap has what is missing.
REPORT = _word(0x35)
#: ``batch map``: how many results of plain workers have come.
PLAIN = _word(0x37)
#: ``batch``: nobody waits for the rest.
FORGET = _word(0x38)

#: What the guide's programs say: the ventilator to the sink at the start, the sink to workers at the end.
PLAIN_START, PLAIN_KILL = b"0", b"KILL"

BATCH_BYTES = 8
_KEY = struct.Struct(">8sQ")
KEY_BYTES = _KEY.size
_WORD_BYTES = len(MARK) + 1


def says(frames: Sequence[bytes]) -> bytes:
    """The word that a message begins with; empty if it is none of this protocol."""
    if not frames or len(frames[0]) != _WORD_BYTES or not frames[0].startswith(MARK):
        return b""
    return frames[0]


def key_of(batch: bytes, number: int) -> bytes:
    """The key of a task."""
    return _KEY.pack(batch, number)


def parted(key: bytes) -> tuple[bytes, int]:
    """The batch and the number in a key.  Raises ``struct.error`` for what is none."""
    batch, number = _KEY.unpack(key)
    return batch, number


def keys_in(frame: bytes) -> Iterator[bytes]:
    """The keys in a frame; what is left at its end, if anything is, is no key and left out."""
    return (frame[at : at + KEY_BYTES] for at in range(0, len(frame) - KEY_BYTES + 1, KEY_BYTES))


def joined(keys: Iterable[bytes]) -> bytes:
    """One frame of several keys."""
    return b"".join(keys)


def pack(value: dict[str, Any]) -> bytes:
    """A map as it is sent."""
    return cast(bytes, msgpack.packb(value))


def unpack(frame: bytes) -> dict[str, Any]:
    """A map as it has come; an empty one for what is none."""
    try:
        value = unpacked(frame)
    except Unreadable:
        return {}
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        return {}
    return value


def whole_in(value: dict[str, Any], name: str, most: int, default: int = 0) -> int:
    """A number of a map, within 0 and ``most``; the default where there is none."""
    number = value.get(name, default)
    if isinstance(number, bool) or not isinstance(number, int):
        return default
    return min(max(0, number), most)


def text_in(value: dict[str, Any], name: str, most: int = 255) -> str:
    """Words of a map, printable and not too long."""
    text = value.get(name, "")
    if not isinstance(text, str):
        return ""
    text = text[:most]
    return text if text.isprintable() else ascii(text)


def frame_bytes(config: PipelineConfig) -> int:
    """The largest frame that one of ours may have to take from another, whatever tasks and results are.

    A worker tells of all tasks that it holds in one frame, a report of all of a batch, a bit for each.
    """
    keys, bits = KEY_BYTES * MOST_PREFETCH, config.max_batch_tasks // 8
    return max(config.max_message_bytes, max(keys, bits) + BESIDE)
