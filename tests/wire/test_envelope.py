"""Envelopes: an address stack, an empty delimiter, a body; anything else is refused by name."""

from __future__ import annotations

import gc
import os
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import MEGABYTE, QUICK, identities, memory, needs_plain_memory

from brigantine import BadEnvelope, BrokerConfig

frames = st.one_of(
    st.just(b""),
    st.sampled_from([b"\0", b"READY", b"\x01", b"a\0b"]),
    # Below and above what libzmq keeps inside of a message record (33 bytes).
    st.integers(30, 36).map(lambda size: b"f" * size),
    st.binary(max_size=12),
)
addresses = st.lists(identities, min_size=1, max_size=16)
bodies = st.lists(frames, min_size=1, max_size=12)


def refusal(rooms: ModuleType, message: list[bytes], **limits: int) -> str:
    """Why ``message`` is refused."""
    with pytest.raises(BadEnvelope) as caught:
        rooms.Envelope.parse(message, **limits)
    return caught.value.reason


@QUICK
@given(address=addresses, body=bodies)
def test_what_is_parsed_is_what_goes_out_again(
    rooms: ModuleType, address: list[bytes], body: list[bytes]
) -> None:
    message = [*address, b"", *body]
    envelope = rooms.Envelope.parse(message)
    assert envelope.address == address
    assert envelope.body == body
    assert envelope.frames() == message
    assert envelope.size == sum(map(len, message))


@QUICK
@given(address=addresses, body=bodies)
def test_an_envelope_made_from_its_parts_is_the_one_that_is_parsed(
    rooms: ModuleType, address: list[bytes], body: list[bytes]
) -> None:
    envelope = rooms.Envelope(address, body)
    assert (envelope.address, envelope.body) == (address, body)
    assert envelope.frames() == rooms.Envelope.parse(envelope.frames()).frames()


@QUICK
@given(stacks=st.lists(addresses, min_size=2, max_size=5), body=bodies)
def test_rewrapping_changes_the_address_and_nothing_else(
    rooms: ModuleType, stacks: list[list[bytes]], body: list[bytes]
) -> None:
    envelope = rooms.Envelope(stacks[0], body)
    for stack in stacks[1:]:
        envelope.rewrap(stack)
        assert envelope.frames() == [*stack, b"", *body]
        assert (envelope.address, envelope.body) == (stack, body)
        assert envelope.size == sum(map(len, stack)) + sum(map(len, body))


@QUICK
@given(message=st.lists(frames, max_size=12))
def test_any_frames_are_an_envelope_or_are_refused(rooms: ModuleType, message: list[bytes]) -> None:
    limits = {"max_frames": 10, "max_depth": 3}
    delimiter = message.index(b"") if b"" in message else len(message)
    if len(message) > 10:
        assert refusal(rooms, message, **limits) == "too_many_frames"
    elif delimiter > 3:
        assert refusal(rooms, message, **limits) == "too_deep"
    elif delimiter == 0 or delimiter >= len(message) - 1:
        assert refusal(rooms, message, **limits) == "malformed"
    else:
        envelope = rooms.Envelope.parse(message, **limits)
        assert envelope.address == message[:delimiter]
        assert envelope.body == message[delimiter + 1 :]


@pytest.mark.parametrize(
    "message",
    [
        [],
        [b"client"],
        [b"client", b"body"],
        [b"client", b""],
        [b"client", b"hop", b""],
        [b""],
        [b"", b"body"],
        [b"", b"", b"body"],
        [b"", b"client", b"", b"body"],
    ],
    ids=repr,
)
def test_no_address_no_delimiter_or_no_body_is_malformed(
    rooms: ModuleType, message: list[bytes]
) -> None:
    assert refusal(rooms, message) == "malformed"


def test_the_body_begins_behind_the_first_empty_frame(rooms: ModuleType) -> None:
    envelope = rooms.Envelope.parse([b"client", b"", b"", b"", b"x", b""])
    assert envelope.address == [b"client"]
    assert envelope.body == [b"", b"", b"x", b""]


@pytest.mark.parametrize("most", [4, 5, BrokerConfig.max_frames])
def test_max_frames_is_the_greatest_count_that_passes(rooms: ModuleType, most: int) -> None:
    message = [b"client", b"", *[b"x"] * (most - 2)]
    assert rooms.Envelope.parse(message, max_frames=most).frames() == message
    assert refusal(rooms, [*message, b"x"], max_frames=most) == "too_many_frames"


@pytest.mark.parametrize("most", [1, 2, BrokerConfig.max_depth])
def test_max_depth_is_the_deepest_stack_that_passes(rooms: ModuleType, most: int) -> None:
    stack = [b"hop"] * most
    assert rooms.Envelope.parse([*stack, b"", b"x"], max_depth=most).address == stack
    assert refusal(rooms, [*stack, b"hop", b"", b"x"], max_depth=most) == "too_deep"
    # The end of the stack is not looked for any further.
    assert refusal(rooms, [*stack, b"hop"], max_depth=most) == "too_deep"


def test_the_limits_are_those_of_the_broker(rooms: ModuleType) -> None:
    most, deepest = BrokerConfig.max_frames, BrokerConfig.max_depth
    assert refusal(rooms, [b"c", b"", *[b"x"] * (most - 1)]) == "too_many_frames"
    assert refusal(rooms, [*[b"c"] * (deepest + 1), b"", b"x"]) == "too_deep"


@pytest.mark.parametrize("address", [[], [b""], [b"a", b""], [b"", b"a"]], ids=repr)
def test_an_address_with_nothing_in_it_is_refused(rooms: ModuleType, address: list[bytes]) -> None:
    with pytest.raises(ValueError, match="address"):
        rooms.Envelope(address, [b"x"])
    envelope = rooms.Envelope([b"client"], [b"x"])
    with pytest.raises(ValueError, match="address"):
        envelope.rewrap(address)
    assert envelope.frames() == [b"client", b"", b"x"], "a refused rewrap leaves it as it was"


def test_a_body_without_a_frame_is_refused(rooms: ModuleType) -> None:
    with pytest.raises(ValueError, match="body"):
        rooms.Envelope([b"client"], [])


@pytest.mark.parametrize("size", [0, 1, 29, 33, 34, 255, 8192, 8193, MEGABYTE])
def test_a_frame_of_any_size_stays_what_it_is(rooms: ModuleType, size: int) -> None:
    frame = os.urandom(size)
    envelope = rooms.Envelope.parse([b"client", b"", frame, frame])
    envelope.rewrap([b"other"])
    assert envelope.frames() == [b"other", b"", frame, frame]
    assert envelope.size == len(b"other") + 2 * size


def test_an_envelope_does_not_see_what_the_caller_does_to_its_lists(rooms: ModuleType) -> None:
    message, address, body = [b"client", b"", b"x"], [b"a"], [b"y"]
    parsed, made = rooms.Envelope.parse(message), rooms.Envelope(address, body)
    for each in (message, address, body):
        each[0] = b"changed"
        each.append(b"more")
    assert parsed.frames() == [b"client", b"", b"x"]
    assert made.frames() == [b"a", b"", b"y"]
    made.frames().append(b"more")
    assert made.frames() == [b"a", b"", b"y"]


def test_envelopes_keep_their_frames_when_others_come_and_go(rooms: ModuleType) -> None:
    kept = {}
    for number in range(5000):
        frame = b"%d" % number * (1 + number % 20)
        message = [b"c%d" % number, b"", frame, b"", frame]
        envelope = rooms.Envelope.parse(message)
        if number % 3 == 0:
            envelope.rewrap([b"r%d" % number, b"hop"])
            message[:1] = [b"r%d" % number, b"hop"]
        if number % 7 == 0:
            kept[number] = (envelope, message)
        del envelope
    gc.collect()
    assert all(envelope.frames() == message for envelope, message in kept.values())


@needs_plain_memory
def test_an_envelope_gives_its_memory_back(rooms: ModuleType) -> None:
    frame = bytes(MEGABYTE)

    def use() -> None:
        envelope = rooms.Envelope.parse([b"client", b"", frame])
        envelope.rewrap([b"other"])
        assert envelope.frames()[-1] == frame
        with pytest.raises(BadEnvelope):
            rooms.Envelope.parse([frame, frame])

    use()
    before = memory()
    for _ in range(100):
        use()
    assert memory() - before < 20 * MEGABYTE, "300 MiB went through it"
