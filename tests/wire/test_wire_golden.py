"""The wire of the REQ-worker protocol, frame by frame, written by hand from its description.

    client -> broker   id [] body...             worker -> broker   id [] "READY"   or   id [] 0x01
    broker -> worker   id [] ticket [] body...   worker -> broker   id [] ticket [] body...
    broker -> client   id [] body...

``id`` may be a stack of several frames on the client's side.
"""

from __future__ import annotations

from itertools import product
from types import ModuleType
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import BACKEND, FRONTEND, OK, QUICK, Rig

#: Stands in a vector for the ticket that the broker chose.
TICKET = b"<ticket>"
NUL = b"\x00\x80\x00\x41\xa7"  # a routing id as libzmq makes them
NOUN = b"\x00\x80\x00\x41\xa8"


class Vector(NamedTuple):
    """One request and its reply, as the two ROUTER sockets of a broker see them."""

    request: list[bytes]
    job: list[bytes]
    reply: list[bytes]
    answer: list[bytes]


VECTORS = {
    "one frame": Vector(
        [NUL, b"", b"Hello"],
        [NOUN, b"", TICKET, b"", b"Hello"],
        [NOUN, b"", TICKET, b"", b"World"],
        [NUL, b"", b"World"],
    ),
    "many frames": Vector(
        [NUL, b"", b"one", b"two", b"three"],
        [NOUN, b"", TICKET, b"", b"one", b"two", b"three"],
        [NOUN, b"", TICKET, b"", b"1", b"2"],
        [NUL, b"", b"1", b"2"],
    ),
    "an empty body": Vector(
        [NUL, b"", b""],
        [NOUN, b"", TICKET, b"", b""],
        [NOUN, b"", TICKET, b"", b""],
        [NUL, b"", b""],
    ),
    "empty frames in the body": Vector(
        [NUL, b"", b"", b"x", b"", b""],
        [NOUN, b"", TICKET, b"", b"", b"x", b"", b""],
        [NOUN, b"", TICKET, b"", b"", b"", b"y", b""],
        [NUL, b"", b"", b"", b"y", b""],
    ),
    "NUL bytes everywhere": Vector(
        [b"\0", b"", b"\0", b"\0\0", b"a\0b"],
        [b"\0\0", b"", TICKET, b"", b"\0", b"\0\0", b"a\0b"],
        [b"\0\0", b"", TICKET, b"", b"\0b\0"],
        [b"\0", b"", b"\0b\0"],
    ),
    "a body that looks like READY": Vector(
        [NUL, b"", b"READY", b""],
        [NOUN, b"", TICKET, b"", b"READY", b""],
        [NOUN, b"", TICKET, b"", b"\x01"],
        [NUL, b"", b"\x01"],
    ),
    "a body that looks like a job": Vector(
        [NUL, b"", b"", b"0000000000000000", b"", b"x"],
        [NOUN, b"", TICKET, b"", b"", b"0000000000000000", b"", b"x"],
        [NOUN, b"", TICKET, b"", b"", b"0000000000000000", b"", b"x"],
        [NUL, b"", b"", b"0000000000000000", b"", b"x"],
    ),
    "two hops": Vector(
        [b"proxy", NUL, b"", b"Hello"],
        [NOUN, b"", TICKET, b"", b"Hello"],
        [NOUN, b"", TICKET, b"", b"World", b"!"],
        [b"proxy", NUL, b"", b"World", b"!"],
    ),
    "the same id in the stack three times": Vector(
        [NUL, NUL, NUL, b"", b"Hello"],
        [NOUN, b"", TICKET, b"", b"Hello"],
        [NOUN, b"", TICKET, b"", b"World"],
        [NUL, NUL, NUL, b"", b"World"],
    ),
    "ids of 255 bytes": Vector(
        [b"c" * 255, b"", b"Hello"],
        [b"w" * 255, b"", TICKET, b"", b"Hello"],
        [b"w" * 255, b"", TICKET, b"", b"World"],
        [b"c" * 255, b"", b"World"],
    ),
    "a client with the id of its worker": Vector(
        [NUL, b"", b"Hello"],
        [NUL, b"", TICKET, b"", b"Hello"],
        [NUL, b"", TICKET, b"", b"World"],
        [NUL, b"", b"World"],
    ),
}


def with_ticket(frames: list[bytes], ticket: bytes) -> list[bytes]:
    return [ticket if frame == TICKET else frame for frame in frames]


def run(rig: Rig, vector: Vector, word: bytes = b"READY") -> None:
    assert rig.receive(BACKEND, [vector.job[0], b"", word]) == []
    [job] = rig.receive(FRONTEND, vector.request)
    assert job == (BACKEND, with_ticket(vector.job, job.ticket), OK)
    answer = rig.receive(BACKEND, with_ticket(vector.reply, job.ticket))
    assert answer == [(FRONTEND, vector.answer, OK)]


@pytest.mark.parametrize("word", [b"READY", b"\x01"])
@pytest.mark.parametrize("name", VECTORS)
def test_frames_are_those_of_the_protocol(rooms: ModuleType, name: str, word: bytes) -> None:
    run(Rig(rooms), VECTORS[name], word)


@pytest.mark.parametrize("depth", range(1, 17))
def test_a_stack_of_up_to_16_frames_comes_back_as_it_was(rooms: ModuleType, depth: int) -> None:
    stack = [b"hop %d" % number for number in range(depth)]
    job, reply = [NUL, b"", TICKET, b"", b"x"], [NUL, b"", TICKET, b"", b"y"]
    run(Rig(rooms), Vector([*stack, b"", b"x"], job, reply, [*stack, b"", b"y"]))


def test_a_stack_of_17_frames_is_dropped(rooms: ModuleType) -> None:
    rig = Rig(rooms)
    rig.ready(NOUN)
    assert rig.receive(FRONTEND, [*[b"hop"] * 17, b"", b"x"]) == []
    assert (rig["drop_too_deep"], rig["accepted"]) == (1, 0)


@pytest.mark.parametrize(
    "frames",
    [
        [b""],
        [b"READY"],
        [b"\x01"],
        [b"", b""],
        [b"", b"READY", b""],
        [b"", b"READY\0"],
        [b"", b"ready"],
        [b"", b"\x02"],
        [b"", b"\x01\x01"],
        [b"x", b"READY"],
        [b"", b"", b"READY"],
        [b"", b"", b"", b"x"],
        [b"", b"x", b"x", b"x"],
    ],
    ids=repr,
)
def test_what_is_not_quite_of_the_protocol_makes_no_worker(
    rooms: ModuleType, frames: list[bytes]
) -> None:
    rig = Rig(rooms)
    assert rig.receive(BACKEND, [NOUN, *frames]) == []
    assert rig.nonzero() == {"drop_malformed_worker": 1}


# -- every envelope, to both sides ------------------------------------------------------------

HOLDER, STRANGER, CLIENT, IDLE = b"holder", b"stranger", b"client", b"idle"
VALID, STALE = b"<valid>", b"<stale>"
KINDS = (b"", b"READY", b"\x01", VALID, STALE, b"garbage", b"long" * 2000)
ALL_UP_TO = 4  # frames; longer ones are sampled
LONGEST = 8


def check_envelope(rooms: ModuleType, port: int, identity: bytes, kinds: tuple[bytes, ...]) -> None:
    """Send ``identity`` and ``kinds`` to a broker with a job under way and another worker idle."""
    rig = Rig(rooms)
    rig.ready(HOLDER)
    stale = rig.job(CLIENT, HOLDER, b"1")
    rig.reply(HOLDER, stale, b"done")
    valid = rig.job(CLIENT, HOLDER, b"2")
    rig.ready(IDLE)
    tickets = {VALID: valid, STALE: stale}
    frames = [tickets.get(kind, kind) for kind in kinds]
    before = rig.nonzero()
    calls = rig.receive(port, [identity, *frames])
    allowed: list[tuple[int, list[bytes]]] = []
    if port == FRONTEND and b"" in frames[:-1]:
        body = frames[frames.index(b"") + 1 :]
        token = calls[0].ticket if calls else b""
        assert token not in (valid, stale)
        if body not in ([b"READY"], [b"\x01"]):  # what a REQ worker says
            allowed = [(BACKEND, [IDLE, b"", token, b"", *body])]
    elif port == BACKEND and identity == HOLDER and frames[:3] == [b"", valid, b""] and frames[3:]:
        allowed = [(FRONTEND, [CLIENT, b"", *frames[3:]])]
    assert [call[:2] for call in calls] == allowed
    after = rig.nonzero()
    if not allowed:
        assert after != before, "neither used nor counted"
        assert (after["accepted"], after["replied"]) == (before["accepted"], before["replied"])


PEERS = [(FRONTEND, STRANGER), (BACKEND, HOLDER), (BACKEND, STRANGER)]


@pytest.mark.parametrize(("port", "identity"), PEERS)
def test_every_short_envelope_is_used_or_dropped(
    rooms: ModuleType, port: int, identity: bytes
) -> None:
    for length in range(ALL_UP_TO + 1):
        for kinds in product(KINDS, repeat=length):
            check_envelope(rooms, port, identity, kinds)


@QUICK
@given(
    peer=st.sampled_from(PEERS),
    head=st.sampled_from([(), (b"",), (b"", VALID, b""), (b"", STALE, b"")]),
    tail=st.lists(st.sampled_from(KINDS), min_size=ALL_UP_TO + 1, max_size=LONGEST),
)
def test_every_longer_envelope_is_used_or_dropped(
    rooms: ModuleType, peer: tuple[int, bytes], head: tuple[bytes, ...], tail: list[bytes]
) -> None:
    check_envelope(rooms, *peer, (*head, *tail)[:LONGEST])
