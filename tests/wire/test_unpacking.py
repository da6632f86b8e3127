"""Whatever bytes stand where msgpack should, whoever reads them says so, and ends with nothing else."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

from brigantine import ConfigError, WorkerFailed
from brigantine.cli.ls import NotListed, _ask
from brigantine.demo.work import read_answer as read_digest
from brigantine.pubsub.message import Message
from brigantine.wire.msgpack_body import unpacked as unpacked_body
from brigantine.wire.pipeline import unpack
from brigantine.wire.pubsub import (
    ASK,
    TOKEN,
    read_answer,
    read_ask,
    read_beat,
    read_header,
)
from brigantine.wire.req import (
    BROKER_ERROR_MARK,
    ERROR_MARK,
    UNREADABLE,
    raise_if_error,
    read_broker_error,
)
from brigantine.wire.unpacking import Unreadable, unpacked

SOURCE = Path(__file__).parents[2] / "src" / "brigantine"

#: Not one of them is what anybody wants; Python can look up neither a list nor a map.
HOSTILE = {
    "a list as key": b"\x81\x90\x01",
    "a map as key": b"\x81\x80\x01",
    "a list as key, within": b"\x93\x81\x90\x01\x01\x01",
    "a list as key, of four": b"\x94\x90\xc0\xc0\x81\x90\x01",
    "too deep": b"\x91" * 100_000 + b"\x01",
    "no UTF-8": b"\xa1\xff",
    "too short": b"\xdd\xff\xff\xff\xff",
    "too long": b"\x01\x01",
    "no time": b"\xc7\x0c\xff" + b"\xff" * 12,
    "no msgpack": b"\xc1",
    "empty": b"",
}

hostile = pytest.mark.parametrize("frame", HOSTILE.values(), ids=HOSTILE.keys())


def question(frame: bytes) -> bytes:
    return ASK + b"0" * TOKEN + b".1." + frame


class Answering:
    """A client whose broker answers so."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def request(self, _service: str, _body: bytes) -> bytes:
        return self._answer


def test_nobody_unpacks_by_himself() -> None:
    """One place knows all that msgpack raises."""
    direct = re.compile(r"\bunpackb\b|\bUnpacker\b|\bmsgpack\.(unpack|load)s?\b")
    found = [
        path.relative_to(SOURCE).as_posix()
        for path in sorted(SOURCE.rglob("*.py*"))
        if path.suffix in (".py", ".pyx", ".pxd") and direct.search(path.read_text())
    ]
    assert found == ["wire/unpacking.py"], "use brigantine.wire.unpacking.unpacked()"


@hostile
@pytest.mark.parametrize("any_keys", [False, True])
def test_what_cannot_be_unpacked_is_unreadable(frame: bytes, any_keys: bool) -> None:
    with pytest.raises(Unreadable) as raised:
        unpacked(frame, any_keys=any_keys)
    assert str(raised.value).isidentifier()


def test_bytes_at_random_are_read_or_unreadable() -> None:
    draw = random.Random(7)
    starts = (
        b"\x81",
        b"\x81\x90",
        b"\x82\x80",
        b"\xde\0\1",
        b"\x93",
        b"\xc7\x0c\xff",
        b"\xd9\2",
        b"",
    )
    for _ in range(20_000):
        frame = b"".join(draw.choice(starts) for _ in range(3)) + draw.randbytes(draw.randrange(20))
        with contextlib.suppress(Unreadable):
            unpacked(frame, any_keys=bool(draw.randrange(2)))


@hostile
@pytest.mark.parametrize(
    "read",
    [read_header, read_beat, read_answer, lambda frame: read_ask(question(frame))],
    ids=["header", "beat", "answer", "ask"],
)
def test_publishers_and_subscribers_pass_over_what_is_none_of_theirs(
    read: Callable[[bytes], object], frame: bytes
) -> None:
    assert read(frame) is None


@hostile
def test_ventilators_and_sinks_read_nothing_in_it(frame: bytes) -> None:
    assert unpack(frame) == {}


@hostile
def test_clients_are_told_of_an_error_that_nobody_can_read(frame: bytes) -> None:
    answer = read_broker_error([BROKER_ERROR_MARK, frame])
    assert answer is not None
    assert answer.error == UNREADABLE
    with pytest.raises(WorkerFailed, match="unreadable error report"):
        raise_if_error([ERROR_MARK, frame])


@hostile
def test_a_reply_that_is_no_msgpack_is_a_workers_failure(frame: bytes) -> None:
    with pytest.raises(WorkerFailed, match=r"is no msgpack \(\w+\)"):
        unpacked_body(frame, None)


@hostile
def test_a_message_that_is_no_msgpack_says_so(frame: bytes) -> None:
    with pytest.raises(ConfigError, match=r"is no msgpack: .* \(\w+\); read message.body"):
        Message(b"topic", frame).object()


@hostile
def test_ls_says_that_it_is_no_list(frame: bytes) -> None:
    client: Any = Answering(frame)
    with pytest.raises(NotListed, match="which is no list"):
        _ask(client, "mmi.stats")


@hostile
def test_the_demo_says_that_it_is_no_digest(frame: bytes) -> None:
    with pytest.raises(ValueError, match="not a digest"):
        read_digest(frame)


def test_keys_of_any_kind_are_kept_where_they_are_wanted() -> None:
    value = {1: "a", b"b": [2.5, None], "c": {True: 1}}
    assert unpacked(msgpack.packb(value), any_keys=True) == value
