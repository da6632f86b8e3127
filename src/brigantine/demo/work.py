"""What the workers compute, and how the demo checks it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import cast

import msgpack

from ..wire.unpacking import unpacked

__all__ = ["Digest", "digest", "local_digest", "read_answer"]


@dataclass(frozen=True)
class Digest:
    """SHA-256 (32 bytes) and number of whitespace-separated words of a chunk."""

    sha256: bytes
    words: int


def local_digest(chunk: bytes) -> Digest:
    """Compute it here."""
    return Digest(hashlib.sha256(chunk).digest(), len(chunk.split()))


def digest(chunk: bytes | list[bytes]) -> bytes:
    """The workers' function: one chunk in, a msgpack map ``{sha256, words, pid}`` out.

    Raises ``TypeError`` for a body of several frames.
    """
    if not isinstance(chunk, bytes):
        raise TypeError(f"a chunk is one frame, not {len(chunk)}")
    done = local_digest(chunk)
    answer = {"sha256": done.sha256, "words": done.words, "pid": os.getpid()}
    return cast(bytes, msgpack.packb(answer))


def read_answer(reply: bytes | list[bytes]) -> tuple[Digest, int]:
    """The digest in a worker's reply, and the pid of the worker.

    Raises ``ValueError`` for a reply that can't be one.
    """
    if not isinstance(reply, bytes):
        raise ValueError(f"a digest is one frame, not {len(reply)}")
    try:
        answer = unpacked(reply)
        return Digest(answer["sha256"], answer["words"]), answer["pid"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a digest: {reply[:64]!r}") from error
