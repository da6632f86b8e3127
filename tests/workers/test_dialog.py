"""The dialog of a PPP or MDP worker with a broker: a state machine driven by hand, time included."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brigantine.net.backoff import Backoff
from brigantine.workers.codec import MDP01Codec, MDP02Codec, PPPCodec, Says
from brigantine.workers.dialog import Dialog, Due

INTERVAL, LIVENESS = 1.0, 3
#: Bounds of the pause between connections, in seconds.
PAUSE, PAUSE_MAX = 1.0, 8.0


def made(name: str, capacity: int = 1) -> Any:
    """The wire of that name."""
    if name == "ppp":
        return PPPCodec(capacity)
    return {"0.1": MDP01Codec, "0.2": MDP02Codec}[name](b"service", capacity)


def a_dialog(wire: Any = None, now: float = 0.0) -> Dialog:
    backoff = Backoff(PAUSE, PAUSE_MAX, draw=lambda: 1.0)
    return Dialog(wire or made("ppp"), INTERVAL, LIVENESS, backoff, now)


def talking(now: float = 0.0) -> Dialog:
    dialog = a_dialog(now=now)
    dialog.opened()
    dialog.established(now)
    return dialog


HEARTBEAT = [b"\x02"]
REQUEST = [b"ticket", b"", b"body"]


# -- the frames -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capacity", "encoded"),
    [(2, b"\x02"), (127, b"\x7f"), (128, b"\xcc\x80"), (256, b"\xcd\x01\x00")],
)
def test_ready_announces_a_capacity_above_one_only(capacity: int, encoded: bytes) -> None:
    assert made("ppp").ready() == [b"\x01"]
    assert made("ppp", capacity).ready() == [b"\x01" + encoded]
    assert made("0.1").ready() == [b"", b"MDPW01", b"\x01", b"service"]
    assert made("0.1", capacity).ready() == [b"", b"MDPW01", b"\x01", b"service", encoded]
    assert made("0.2").ready() == [b"MDPW02", b"\x01", b"service"]
    assert made("0.2", capacity).ready() == [b"MDPW02", b"\x01", b"service", encoded]


@pytest.mark.parametrize(
    ("name", "head"),
    [("ppp", []), ("0.1", [b"", b"MDPW01", b"\x02"]), ("0.2", [b"MDPW02", b"\x02"])],
)
@pytest.mark.parametrize("stack", [[b"ticket"], [b"\x02"], [b"hop", b"\0hop", b"client"]])
@pytest.mark.parametrize("body", [[b"one"], [b""], [b"", b"\x02", b""]])
def test_a_request_keeps_its_envelope_and_its_body(
    name: str, head: list[bytes], stack: list[bytes], body: list[bytes]
) -> None:
    heard = made(name).parse([*head, *stack, b"", *body])
    assert (heard.says, heard.envelope, heard.body) == (Says.REQUEST, [*stack, b""], body)


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("ppp", [b"\x01"]),
        ("ppp", [b"\x02", b"\x02"]),
        ("ppp", [b""]),
        ("ppp", [b"", b"body"]),
        ("ppp", [b"ticket", b""]),
        ("ppp", [b"ticket", b"body"]),
        ("ppp", [b"HEARTBEAT"]),
        ("0.1", [b"MDPW01", b"\x04"]),
        ("0.1", [b"", b"MDPW02", b"\x04"]),
        ("0.1", [b"", b"MDPW01", b"\x06"]),
        ("0.1", [b"", b"MDPW01", b"\x04", b""]),
        ("0.1", [b"", b"MDPW01", b"\x02", b"", b"body"]),
        ("0.1", [b"", b"MDPW01", b"\x02", b"ticket", b""]),
        ("0.1", [b"", b"MDPW01", b"\x03", b"ticket", b"", b"body"]),
        ("0.2", [b"", b"MDPW02", b"\x05"]),
        ("0.2", [b"MDPW01", b"\x05"]),
        ("0.2", [b"MDPW02"]),
        ("0.2", [b"MDPW02", b"\x07"]),
        ("0.2", [b"MDPW02", b"\x06", b"x"]),
        ("0.2", [b"MDPW02", b"\x02", b"ticket", b"body"]),
        ("0.2", [b"MDPC02", b"\x02", b"ticket", b"", b"body"]),
    ],
)
def test_what_is_none_of_the_protocol_is_malformed(name: str, frames: list[bytes]) -> None:
    assert made(name).parse(frames).says is Says.MALFORMED


@given(
    name=st.sampled_from(["ppp", "0.1", "0.2"]),
    frames=st.lists(
        st.sampled_from([b"", b"MDPW01", b"MDPW02", b"\1", b"\2", b"\4", b"\5", b"x"])
        | st.binary(max_size=3),
        min_size=1,
        max_size=8,
    ),
)
@settings(max_examples=300, deadline=None)
def test_any_frames_mean_something_and_a_request_loses_none(name: str, frames: list[bytes]) -> None:
    heard = made(name).parse(frames)
    if heard.says is Says.REQUEST:
        assert [*heard.envelope, *heard.body] == frames[-len(heard.envelope) - len(heard.body) :]
        assert heard.body
        assert heard.envelope[0]
        assert heard.envelope.index(b"") == len(heard.envelope) - 1
    else:
        assert (heard.envelope, heard.body) == ((), ())


# -- time -----------------------------------------------------------------------------------------


def test_nothing_is_due_while_a_socket_tries_to_connect() -> None:
    dialog = a_dialog()
    assert dialog.due(0.0) is Due.OPEN
    assert dialog.opened() == [b"\x01"]
    assert dialog.due(1e6) is Due.NOTHING
    assert dialog.next_due() is None
    assert dialog.goodbye() is None


def test_a_heartbeat_is_due_when_nothing_was_said_for_an_interval() -> None:
    dialog = talking()
    assert dialog.due(0.75) is Due.NOTHING
    assert dialog.due(1.0) is Due.HEARTBEAT
    dialog.said(0.75)
    assert dialog.due(1.5) is Due.NOTHING
    assert dialog.next_due() == 1.75
    assert dialog.due(1.75) is Due.HEARTBEAT
    assert dialog.heartbeat() == HEARTBEAT


@pytest.mark.parametrize("frames", [HEARTBEAT, REQUEST, [b"garbage"]], ids=["beat", "job", "junk"])
def test_any_message_counts_as_the_brokers_heartbeat(frames: list[bytes]) -> None:
    dialog = talking()
    dialog.heard(frames, 2.5)
    dialog.said(5.25)
    assert dialog.due(5.25) is Due.NOTHING
    assert dialog.due(5.5) is Due.CLOSE


def test_what_the_worker_says_does_not_keep_a_silent_broker_alive() -> None:
    dialog = talking()
    for now in (1.0, 2.0, 2.75):
        dialog.said(now)
    assert dialog.due(3.0) is Due.CLOSE


def test_time_in_which_the_process_stood_still_is_not_the_brokers_silence() -> None:
    dialog = talking()
    dialog.excuse(10.0)
    # The broker is still to be told at once that the worker lives.
    assert dialog.due(10.0) is Due.HEARTBEAT
    dialog.said(12.75)
    assert dialog.due(12.75) is Due.NOTHING
    assert dialog.due(13.0) is Due.CLOSE


def test_pauses_double_up_to_a_bound_until_the_broker_is_heard_again() -> None:
    dialog, now, pauses = a_dialog(), 0.0, []
    for _ in range(5):
        dialog.opened()
        dialog.established(now)
        dialog.heard([b"garbage"], now)  # tells of a process, not of a broker
        dialog.closed(now)
        pauses.append(dialog.next_due() - now)  # type: ignore[operator]
        now += pauses[-1]
        assert dialog.due(now - 0.25) is Due.NOTHING
        assert dialog.due(now) is Due.OPEN
    assert pauses == [1.0, 2.0, 4.0, 8.0, 8.0]
    dialog.opened()
    dialog.heard(HEARTBEAT, now)
    dialog.closed(now)
    assert dialog.next_due() == now + PAUSE


# -- requests -------------------------------------------------------------------------------------


def test_a_request_is_void_when_its_connection_is_over() -> None:
    dialog = talking()
    jobs = [dialog.heard(REQUEST, 0.5)[1] for _ in range(3)]
    assert jobs[0] is not None
    assert dialog.reply(jobs[0], [b"a", b"b"], final=True) == [b"ticket", b"", b"a", b"b"]
    dialog.done(jobs[0])
    assert dialog.closed(1.0) == {jobs[1], jobs[2]}
    assert [job.void for job in jobs if job] == [False, True, True]
    assert dialog.jobs == set()


def test_parts_and_the_last_one_have_commands_of_their_own() -> None:
    wire = made("0.2")
    assert wire.reply([b"t", b""], [b"x"], final=False) == [b"MDPW02", b"\x03", b"t", b"", b"x"]
    assert wire.reply([b"t", b""], [b"x"], final=True) == [b"MDPW02", b"\x04", b"t", b"", b"x"]
    whole = made("0.1").reply([b"t", b""], [b"x"], final=True)
    assert whole == [b"", b"MDPW01", b"\x03", b"t", b"", b"x"]


@pytest.mark.parametrize(
    ("name", "words"),
    [("ppp", None), ("0.1", [b"", b"MDPW01", b"\5"]), ("0.2", [b"MDPW02", b"\6"])],
)
def test_goodbye_is_said_on_a_connection_only(name: str, words: list[bytes] | None) -> None:
    dialog = a_dialog(made(name))
    dialog.opened()
    assert dialog.goodbye() is None
    dialog.established(0.0)
    assert dialog.goodbye() == words
    dialog.closed(1.0)
    assert dialog.goodbye() is None
