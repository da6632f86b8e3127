"""What a worker announces in READY: msgpack unsigned integers.

A capacity, from 1 to MAX_CAPACITY, and behind it, for who wants one of its own, the heartbeat
interval in milliseconds.  MDP has a frame for each after the service, PPP both in READY's frame.
"""

from __future__ import annotations

from ..config.limits import ANNOUNCED_INTERVAL_MS, MAX_CAPACITY

__all__ = ["MAX_CAPACITY", "decode_both", "decode_capacity", "decode_interval"]

#: First byte of a msgpack unsigned integer -> bytes that follow (big end first).
_WIDTHS = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_FIXINT_MAX = 0x7F


def _decode(data: bytes, least: int, most: int) -> tuple[int, bytes]:
    """The number at the front, 0 when there is none within the bounds; and what follows it."""
    if not data:
        return 0, b""
    end = 1 + (0 if data[0] <= _FIXINT_MAX else _WIDTHS.get(data[0], len(data)))
    if end > len(data):
        return 0, b""
    value = int.from_bytes(data[1:end], "big") if end > 1 else data[0]
    return (value if least <= value <= most else 0), data[end:]


def decode_capacity(frame: bytes) -> int:
    """The capacity that a frame holds; 0 when the bytes say no such thing."""
    value, rest = _decode(frame, 1, MAX_CAPACITY)
    return 0 if rest else value


def decode_interval(frame: bytes) -> int:
    """The heartbeat interval that a frame holds, in milliseconds; 0 when the bytes say no such thing."""
    value, rest = _decode(frame, *ANNOUNCED_INTERVAL_MS)
    return 0 if rest else value


def decode_both(frame: bytes) -> tuple[int, int]:
    """One frame with a capacity, and an interval after it or none (0).  (0, 0) for anything else."""
    capacity, rest = _decode(frame, 1, MAX_CAPACITY)
    interval = decode_interval(rest) if rest else 0
    if not capacity or (rest and not interval):
        return 0, 0
    return capacity, interval
