"""Bytes at random as a broker's life, for a moment; ``ci/fuzz`` does it for as long as you like."""

from __future__ import annotations

import random
import time
from pathlib import Path
from types import ModuleType

import pytest
from fuzz_target import CORPUS, LONGEST_INPUT, one_input, same_input

import brigantine.core
import brigantine.pure

#: Seconds for one implementation.
BRIEF, LENGTHY = 1.0, 120.0


def mutated(rng: random.Random, data: bytes) -> bytes:
    """A few bytes changed, moved, taken out, put in or put twice."""
    made = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(made) + 1)
        end = min(len(made), at + rng.choice([1, 1, 2, 8, 30]))
        kind = rng.randrange(5)
        if kind == 0:
            made[at:end] = rng.randbytes(end - at)
        elif kind == 1:
            del made[at:end]
        elif kind == 2:
            made[at:at] = rng.randbytes(rng.choice([1, 2, 8]))
        elif kind == 3:
            made[at:at] = made[rng.randrange(len(made) + 1) :][:30]
        elif at < len(made):
            made[at] ^= 1 << rng.randrange(8)
    return bytes(made[:LONGEST_INPUT])


def fuzz(rooms: ModuleType, seconds: float) -> int:
    """Mutations of the corpus and of their mutations; returns how many."""
    rng, tried = random.Random(1), 0
    pool = [path.read_bytes() for path in CORPUS]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        data = mutated(rng, rng.choice(pool))
        try:
            one_input(rooms, data)
        except Exception as error:
            raise AssertionError(f"put this into tests/corpus: {data.hex()}") from error
        tried += 1
        if len(pool) < 500:
            pool.append(data)
        else:
            pool[rng.randrange(len(CORPUS), len(pool))] = data
    return tried


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_the_corpus_does_no_harm(rooms: ModuleType, path: Path) -> None:
    assert sum(one_input(rooms, path.read_bytes()).values()) > 0


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_the_corpus_does_the_same_to_both(path: Path) -> None:
    same_input(brigantine.core, brigantine.pure, path.read_bytes())


def test_the_corpus_knows_the_protocols(rooms: ModuleType) -> None:
    """A change of how bytes are read must not turn it into noise."""
    seen = {
        name
        for path in CORPUS
        for name, count in one_input(rooms, path.read_bytes()).items()
        if count
    }
    assert seen >= {
        "replied", "partials", "mmi", "heartbeats", "disconnects", "redispatched", "ready_again",
        "workers_expired", "workers_disconnected", "drop_reply_late", "drop_unexpected",
        "shed_client_full", "failed_client_gone", "worker_full",
    }  # fmt: skip


def test_mutations_of_the_corpus_do_no_harm(rooms: ModuleType) -> None:
    assert fuzz(rooms, BRIEF) > 0


@pytest.mark.long
@pytest.mark.timeout(300)
def test_more_mutations_of_the_corpus_do_no_harm(rooms: ModuleType) -> None:
    assert fuzz(rooms, LENGTHY) > 0
