"""How a client is told that its request got no reply."""

from __future__ import annotations

from .req import BROKER_ERRORS, broker_error, error_reply

__all__ = ["answers_of"]

#: Counter -> the word of a broker's error answer, where a broker has no such counter.
_WORDS = {
    "shed_session_full": "busy",
    "shed_session_bytes": "busy",
    "shed_sessions": "busy",
}


class Unserved(Exception):
    """What a client that knows no error answers is told: the name stands in the report."""


def answers_of(counter: str, meaning: str) -> tuple[list[bytes], list[bytes]]:
    """The frames for clients that read a broker's error answers, and those for all others.

    ``meaning`` is that of the counter.  Both are empty for a counter of what no client is told.
    """
    if counter not in BROKER_ERRORS and counter not in _WORDS:
        return [], []
    foreign = error_reply(Unserved(f"{counter}: {meaning}"))
    return broker_error(counter, error=_WORDS.get(counter, "")), foreign
