"""Envelopes as programs use them: with and without a delimiter, nested, answered, shown."""

from __future__ import annotations

import copy
import pickle
import random
import subprocess
import sys
from types import ModuleType

import pytest
import zmq
from harness import Peers
from hypothesis import given
from hypothesis import strategies as st
from models import QUICK, identities

import brigantine
import brigantine.core
import brigantine.pure
from brigantine import BadEnvelope, BrokerConfig, ConfigError, WrongUse

#: A frame of a repr, with a space in front.
QUOTED = ' "x"'
addresses = st.lists(identities, min_size=1, max_size=4)
bodies = st.lists(st.one_of(st.just(b""), st.binary(max_size=40)), min_size=1, max_size=6)


def test_the_public_one_is_the_compiled_one() -> None:
    assert brigantine.Envelope is brigantine.core.Envelope


def test_the_public_one_is_the_readable_one_where_that_was_asked_for() -> None:
    program = "import brigantine, brigantine.pure as p; assert brigantine.Envelope is p.Envelope"
    subprocess.run(
        [sys.executable, "-c", program], check=True, env={"BRIGANTINE_IMPL": "pure"}, timeout=60
    )


# -- golden: the frames of the patterns ---------------------------------------------------------


def test_a_request_of_a_req_socket_is_taken_apart(rooms: ModuleType) -> None:
    envelope = rooms.Envelope.parse([b"client", b"", b"hello"])
    assert (envelope.address, envelope.delimiter, envelope.body) == ([b"client"], True, [b"hello"])


def test_a_message_of_a_dealer_has_no_delimiter(rooms: ModuleType) -> None:
    envelope = rooms.Envelope.parse([b"client", b"hello", b"", b"x"], delimiter=False)
    assert (envelope.address, envelope.delimiter) == ([b"client"], False)
    assert envelope.body == [b"hello", b"", b"x"]


def test_the_way_of_a_request_through_a_broker_and_back(rooms: ModuleType) -> None:
    request = rooms.Envelope.parse([b"client", b"", b"data"])
    to_worker = request.wrap(b"worker")
    assert to_worker.frames() == [b"worker", b"", b"client", b"", b"data"]
    # The ROUTER takes the first frame off and the worker's REQ the second one.
    at_worker = rooms.Envelope.parse(to_worker.frames()[2:])
    assert at_worker == request
    answered = rooms.Envelope.parse([b"worker", b"", *at_worker.reply(b"DATA").frames()])
    assert answered.unwrap().frames() == [b"client", b"", b"DATA"]


def test_an_envelope_that_passed_two_routers_keeps_its_whole_stack(rooms: ModuleType) -> None:
    envelope = rooms.Envelope.parse([b"near", b"far", b"", b"x"])
    assert envelope.address == [b"near", b"far"]
    assert envelope.reply([b"y", b"z"]).frames() == [b"near", b"far", b"", b"y", b"z"]


@pytest.mark.parametrize(
    ("message", "delimiter"),
    [
        ([b"c", b"", b"x"], True),
        ([b"c", b"x"], False),
        ([b"c", b""], False),  # an empty message of a DEALER
        ([b"c", b"x", b"", b"y"], False),
        ([b"c", b"", b""], True),
    ],
    ids=repr,
)
def test_a_message_is_taken_as_it_is_where_both_framings_may_come(
    rooms: ModuleType, message: list[bytes], delimiter: bool
) -> None:
    envelope = rooms.Envelope.parse(message, delimiter=None)
    assert envelope.delimiter is delimiter
    assert envelope.frames() == message
    assert envelope.reply(b"r").frames() == [b"c", *[b""][: int(delimiter)], b"r"]


# -- round trips --------------------------------------------------------------------------------


@QUICK
@given(address=addresses, body=bodies, outer=st.lists(addresses, max_size=4))
def test_what_was_wrapped_is_unwrapped_again(
    rooms: ModuleType, address: list[bytes], body: list[bytes], outer: list[list[bytes]]
) -> None:
    envelopes = [rooms.Envelope(address, body)]
    for stack in outer:
        envelopes.append(envelopes[-1].wrap(stack))
    wrapped = envelopes[-1]
    for expected in reversed(envelopes[:-1]):
        wrapped = wrapped.unwrap()
        assert wrapped == expected
    assert (wrapped.address, wrapped.body) == (address, body)


@QUICK
@given(address=identities, body=bodies)
def test_without_a_delimiter_the_first_frame_is_the_address(
    rooms: ModuleType, address: bytes, body: list[bytes]
) -> None:
    envelope = rooms.Envelope(address, body, delimiter=False)
    assert envelope.frames() == [address, *body]
    assert rooms.Envelope.parse(envelope.frames(), delimiter=False) == envelope
    assert envelope.size == len(address) + sum(map(len, body))
    envelope.rewrap(b"other")
    assert envelope.frames() == [b"other", *body]


@QUICK
@given(address=addresses, body=bodies, delimiter=st.booleans())
def test_copies_and_pickles_are_equal(
    rooms: ModuleType, address: list[bytes], body: list[bytes], delimiter: bool
) -> None:
    envelope = rooms.Envelope(address, body, delimiter=delimiter)
    for made in (
        copy.copy(envelope),
        copy.deepcopy(envelope),
        pickle.loads(pickle.dumps(envelope)),
    ):
        assert made == envelope
        assert made.frames() == envelope.frames()
    assert envelope != rooms.Envelope(address, [*body, b"x"], delimiter=delimiter)
    assert envelope != rooms.Envelope([*address, b"x"], body, delimiter=delimiter)
    assert envelope != rooms.Envelope(address, body, delimiter=not delimiter)
    assert envelope != envelope.frames()


def test_an_envelope_is_no_key(rooms: ModuleType) -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(rooms.Envelope(b"a", b"b"))


def test_single_frames_need_no_list(rooms: ModuleType) -> None:
    assert rooms.Envelope(b"a", b"b") == rooms.Envelope([b"a"], (b"b",))
    assert rooms.Envelope(b"a", b"b").wrap(b"c") == rooms.Envelope(b"c", [b"a", b"", b"b"])


# -- bounds and mistakes ------------------------------------------------------------------------


@pytest.mark.parametrize("message", [[], [b"c"], [b"", b"x"]], ids=repr)
def test_no_address_or_no_body_is_malformed_without_a_delimiter(
    rooms: ModuleType, message: list[bytes]
) -> None:
    with pytest.raises(BadEnvelope) as caught:
        rooms.Envelope.parse(message, delimiter=False)
    assert caught.value.reason == "malformed"


@pytest.mark.parametrize("delimiter", [True, False, None])
def test_too_many_frames_are_refused_in_any_framing(rooms: ModuleType, delimiter: bool) -> None:
    message = [b"c", b"", *[b"x"] * (BrokerConfig.max_frames - 1)]
    with pytest.raises(BadEnvelope) as caught:
        rooms.Envelope.parse(message, delimiter=delimiter)
    assert caught.value.reason == "too_many_frames"


def test_what_is_inside_has_the_same_bounds(rooms: ModuleType) -> None:
    deep = rooms.Envelope([b"hop"] * 5, b"x").wrap(b"w")
    assert deep.unwrap(max_depth=5).address == [b"hop"] * 5
    with pytest.raises(BadEnvelope) as caught:
        deep.unwrap(max_depth=4)
    assert caught.value.reason == "too_deep"
    with pytest.raises(BadEnvelope) as caught:
        deep.unwrap(max_frames=6)
    assert caught.value.reason == "too_many_frames"
    with pytest.raises(BadEnvelope):
        rooms.Envelope(b"w", b"no envelope").unwrap()


@pytest.mark.parametrize(
    "wrong", ["text", None, 7, ["text"], [None], bytearray(b"x"), [memoryview(b"x")]]
)
def test_what_is_not_bytes_is_named(rooms: ModuleType, wrong: object) -> None:
    envelope = rooms.Envelope(b"a", b"b")
    calls = {
        "address": [lambda: rooms.Envelope(wrong, b"b"), lambda: envelope.wrap(wrong),
                    lambda: envelope.rewrap(wrong)],
        "body": [lambda: rooms.Envelope(b"a", wrong), lambda: envelope.reply(wrong)],
        "frames": [lambda: rooms.Envelope.parse(wrong)],
    }  # fmt: skip
    for what, each in calls.items():
        for call in each:
            with pytest.raises(WrongUse, match=f"{what} must be bytes or a sequence of bytes"):
                call()
    assert envelope == rooms.Envelope(b"a", b"b")


def test_one_frame_is_no_message(rooms: ModuleType) -> None:
    with pytest.raises(WrongUse, match="recv_multipart"):
        rooms.Envelope.parse(b"client")


@pytest.mark.parametrize("address", [[], (), [b""], b"", [b"a", b""]], ids=repr)
def test_an_address_that_is_none_is_refused_everywhere(rooms: ModuleType, address: object) -> None:
    envelope = rooms.Envelope(b"a", b"b")
    for call in (lambda: rooms.Envelope(address, b"b"), lambda: envelope.wrap(address)):
        with pytest.raises(ConfigError, match="none of them empty"):
            call()
    with pytest.raises(ConfigError, match="at least one frame"):
        envelope.reply([])


def test_delimiter_is_a_truth_value(rooms: ModuleType) -> None:
    with pytest.raises(WrongUse, match="delimiter must be True, False or None, not 'yes'"):
        rooms.Envelope.parse([b"a", b"b"], delimiter="yes")
    for wrong in ("yes", None, 1):
        with pytest.raises(WrongUse, match="delimiter must be True or False"):
            rooms.Envelope(b"a", b"b", delimiter=wrong)


# -- what a person sees -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "body", "delimiter", "text"),
    [
        (b"client", b"hello", True, '<Envelope "client" | [] | "hello">'),
        (b"\0\x12\x34\x56\x78", [b"a", b""], True, '<Envelope 0x0012345678 | [] | "a" []>'),
        ([b"near", b"far"], b"x", False, '<Envelope "near" "far" | "x">'),
        (b"c", b"x" * 100, True, f'<Envelope "c" | [] | "{"x" * 40}"... (100 bytes)>'),
        (b"c", [b"x"] * 10, False, f'<Envelope "c" |{8 * QUOTED} and 2 more>'),
        (b"c", b"\x1b[31m", False, '<Envelope "c" | 0x1b5b33316d>'),
    ],
)  # fmt: skip
def test_a_repr_shows_frames_readably(
    rooms: ModuleType, address: bytes, body: bytes, delimiter: bool, text: str
) -> None:
    assert repr(rooms.Envelope(address, body, delimiter=delimiter)) == text


@QUICK
@given(address=addresses, body=st.lists(st.binary(max_size=5000), min_size=1, max_size=40))
def test_a_repr_is_one_line_of_bounded_length(
    rooms: ModuleType, address: list[bytes], body: list[bytes]
) -> None:
    text = repr(rooms.Envelope(address, body))
    assert text.isprintable()
    assert len(text) < 2000


# -- both implementations -----------------------------------------------------------------------


def outcome(rooms: ModuleType, message: list[bytes], options: dict[str, object]) -> object:
    """What becomes of a message: its parts, or the reason why it is none."""
    try:
        envelope = rooms.Envelope.parse(message, **options)
        inside = None
        try:
            inside = envelope.unwrap(**options).frames()
        except BadEnvelope as error:
            inside = error.reason
        return envelope.address, envelope.body, envelope.delimiter, repr(envelope), inside
    except BadEnvelope as error:
        return error.reason, str(error)


def test_both_implementations_do_the_same_with_any_frames() -> None:
    rng = random.Random(7)
    alphabet = [b"", b"", b"a", b"\0\1", b"x" * 34]
    for _ in range(3000):
        message = [rng.choice(alphabet) for _ in range(rng.randrange(12))]
        options: dict[str, object] = {
            "delimiter": rng.choice([True, False, None]),
            "max_frames": rng.randrange(1, 12), "max_depth": rng.randrange(1, 5),
        }  # fmt: skip
        assert outcome(brigantine.core, message, options) == outcome(
            brigantine.pure, message, options
        ), (message, options)


def test_it_is_what_sockets_send(rooms: ModuleType, peers: Peers) -> None:
    router = peers.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    for kind, sent in ((zmq.REQ, [b"hello"]), (zmq.DEALER, [b"hello"])):
        client = peers.socket(kind, f"tcp://127.0.0.1:{port}")
        client.send_multipart(sent)
        envelope = rooms.Envelope.parse(router.recv_multipart(), delimiter=None)
        assert envelope.delimiter is (kind == zmq.REQ)
        router.send_multipart(envelope.reply([b"world", b"!"]).frames())
        assert client.recv_multipart() == [b"world", b"!"]
