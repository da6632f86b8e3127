"""The conversation of a client with its brokers, without socket or clock."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import msgpack
import pytest

from brigantine import Busy, Expired, NoReply, NoService
from brigantine.clients.codec import MDP01Codec, MDP02Codec, Reply, REQCodec, Says, mdp_codec
from brigantine.clients.pending import PendingRequest
from brigantine.errors import ConfigError
from brigantine.net.backoff import Backoff
from brigantine.wire.req import BROKER_ERROR_MARK, UNREADABLE, broker_error

PARTIAL = [b"MDPC02", b"\x02", b"svc"]
FINAL = [b"MDPC02", b"\x03", b"svc"]


def pending(
    *brokers: str, timeout: float = 2.0, retries: int = 3, stream: bool = False
) -> PendingRequest:
    return PendingRequest(
        MDP02Codec(b"svc"),
        [b"body"],
        brokers or ("a", "b"),
        timeout=timeout,
        retries=retries,
        backoff=Backoff(1.0, 4.0, draw=lambda: 1.0),
        stream=stream,
    )


def silent_tries(
    each: PendingRequest, order: Sequence[int] = (0, 1)
) -> list[tuple[int, bool, float]]:
    """(broker, fresh, pause before it) of all the tries there are."""
    tries = []
    with contextlib.suppress(NoReply):  # without which it would not end
        while True:
            pause = each.next_try(order)
            tries.append((each.broker, each.fresh, pause))
            each.sent(10.0)
            each.gave_up(12.0)
    return tries


# -- turns ----------------------------------------------------------------------------------------


def test_brokers_are_tried_in_turn_in_the_order_of_preference() -> None:
    each = pending("a", "b", "c", retries=4)
    assert [broker for broker, *_ in silent_tries(each, (1, 0, 2))] == [1, 0, 2, 1, 0]


def test_only_the_first_try_may_use_a_socket_that_was_used() -> None:
    assert [fresh for _, fresh, _ in silent_tries(pending())] == [False, True, True, True]


def test_there_is_a_pause_only_before_a_broker_that_was_tried() -> None:
    assert [pause for *_, pause in silent_tries(pending(retries=5))] == [0, 0, 1, 2, 4, 4]


def test_no_reply_names_each_broker_and_how_long_it_was_waited_for() -> None:
    each = pending("tcp://one:1", "tcp://two:2", retries=2)
    silent_tries(each)
    with pytest.raises(NoReply) as raised:
        each.next_try((0, 1))
    assert raised.value.tries == [("tcp://one:1", 2.0), ("tcp://two:2", 2.0), ("tcp://one:1", 2.0)]
    words = str(raised.value)
    assert "3 tries" in words
    assert "tcp://one:1 (2 tries, waited 4 s)" in words
    assert "tcp://two:2 (1 try, waited 2 s)" in words


# -- replies --------------------------------------------------------------------------------------


def test_a_request_waits_for_the_final_and_joins_the_parts() -> None:
    each = pending()
    each.next_try((0, 1))
    each.sent(0.0)
    assert each.receive([*PARTIAL, b"1"]).says is Says.PARTIAL
    assert each.receive([*PARTIAL, b"2", b"3"]).says is Says.PARTIAL
    assert each.receive([*FINAL, b"4"]) == Reply(Says.FINAL, [b"1", b"2", b"3", b"4"])


def test_parts_of_a_try_that_was_given_up_are_not_joined_with_the_next_ones() -> None:
    each = pending()
    each.next_try((0, 1))
    each.sent(0.0)
    each.receive([*PARTIAL, b"old"])
    each.gave_up(2.0)
    each.next_try((0, 1))
    each.sent(2.0)
    assert each.receive([*FINAL, b"new"]) == Reply(Says.FINAL, [b"new"])


def test_a_request_has_its_timeout_from_the_start_of_the_try() -> None:
    each = pending(timeout=2.0)
    each.next_try((0, 1))
    each.sent(5.0)
    each.receive([*PARTIAL, b"1"])
    assert each.deadline == 7.0


def test_a_stream_has_its_timeout_from_part_to_part() -> None:
    each = pending(timeout=2.0, stream=True)
    each.next_try((0, 1))
    each.sent(5.0)
    assert each.receive([*PARTIAL, b"1"]) == Reply(Says.PARTIAL, [b"1"])
    each.resumed(100.0)
    assert each.deadline == 102.0


def test_a_stream_is_not_tried_again_once_a_part_was_given() -> None:
    each = pending(stream=True)
    each.next_try((0, 1))
    each.sent(0.0)
    each.receive([*PARTIAL, b"1"])
    each.gave_up(2.0)
    with pytest.raises(NoReply, match="broke off after 1 part") as raised:
        each.next_try((0, 1))
    assert raised.value.tries == [("a", 2.0)]


def test_a_stream_that_gave_nothing_is_tried_again() -> None:
    assert len(silent_tries(pending(stream=True))) == 4


# -- what brokers say in place of a reply ---------------------------------------------------------

#: Reason -> what is raised when nothing else is said.
RAISED = {
    "failed_no_service": NoService,
    "shed_queue_full": Busy,
    "shed_draining": Busy,
    "failed_expired_in_flight": Expired,
    "failed_stopped": Expired,
}


def turned(each: PendingRequest) -> float:
    """Turn to the next try, with the brokers in order."""
    return each.next_try(range(len(each._brokers)))


def told(each: PendingRequest, *said: str | None) -> list[tuple[str, int, bool, float]]:
    """Make tries that are answered so, ``None`` being silence: (answer, broker, fresh, pause)."""
    tries = []
    for reason in said:
        pause = turned(each)
        tries.append((reason or "", each.broker, each.fresh, pause))
        each.sent(10.0)
        if reason is not None:
            assert each.receive([*FINAL, *broker_error(reason)]) == Reply(Says.ERROR, [])
        assert each.gave_up(10.5) == (reason is None)
    return tries


def raised_by(each: PendingRequest) -> NoReply:
    with pytest.raises(NoReply) as raised:
        turned(each)
    return raised.value


@pytest.mark.parametrize("reason", ["failed_no_service", "shed_queue_full", "shed_draining"])
def test_a_broker_that_refuses_is_not_asked_again(reason: str) -> None:
    each = pending("a")
    assert told(each, reason) == [(reason, 0, False, 0.0)]
    error = raised_by(each)
    assert type(error) is RAISED[reason]
    assert (error.reason, error.tries) == (reason, [("a", 0.5)])


def test_the_next_broker_is_asked_at_once_also_without_retries() -> None:
    each = pending("a", "b", retries=0)
    first, second = told(each, "shed_queue_full", "failed_no_service")
    assert first[1:] == (0, False, 0.0)
    assert second[1:] == (1, False, 0.0)
    raised_by(each)


@pytest.mark.parametrize(
    "said", [("failed_no_service", "shed_queue_full"), ("shed_queue_full", "failed_no_service")]
)
def test_of_two_refusals_that_of_the_broker_that_has_the_service_is_raised(
    said: Sequence[str],
) -> None:
    each = pending("tcp://one:1", "tcp://two:2")
    told(each, *said)
    error = raised_by(each)
    assert type(error) is Busy
    assert error.reason == "shed_queue_full"
    for endpoint, reason in zip(("tcp://one:1", "tcp://two:2"), said, strict=True):
        assert f"{endpoint} (1 try, waited 0.5 s, said " in str(error)
        assert f": {reason})" in str(error)


def test_the_other_broker_has_all_retries_when_one_refuses() -> None:
    each = pending("a", "b", retries=2)
    tries = told(each, None, "shed_queue_full", None, None)
    assert tries == [
        ("", 0, False, 0.0),
        ("shed_queue_full", 1, True, 0.0),
        ("", 0, True, 1.0),
        ("", 0, True, 2.0),
    ]
    assert type(raised_by(each)) is Busy  # of what is known, it says most


@pytest.mark.parametrize("reason", ["failed_expired_queued", "failed_stopped"])
def test_expired_counts_as_a_try_and_is_raised_if_it_was_the_last(reason: str) -> None:
    each = pending("a", "b", retries=2)
    assert told(each, reason, None, reason) == [
        (reason, 0, False, 0.0),
        ("", 1, False, 0.0),  # the socket on which the broker spoke is as good as ever
        (reason, 0, True, 1.0),
    ]
    error = raised_by(each)
    assert (type(error), error.reason) == (Expired, reason)
    each = pending("a", "b", retries=1)
    told(each, reason, None)
    assert type(raised_by(each)) is NoReply


def test_a_reply_that_was_cut_off_counts_as_a_try_and_its_reason_is_raised() -> None:
    each = pending("a", retries=1)
    assert len(told(each, "shed_client_full", "shed_client_full")) == 2
    error = raised_by(each)
    assert (type(error), error.reason) == (NoReply, "shed_client_full")
    assert str(error).startswith(
        "svc: the reply was cut off, since it was read more slowly than it came"
    )
    assert "high_water_mark" in str(error)


def test_a_stream_that_was_cut_off_says_why() -> None:
    each = pending("a", stream=True)
    turned(each)
    each.sent(0.0)
    each.receive([*PARTIAL, b"1"])
    assert each.receive([*FINAL, *broker_error("shed_client_full")]) == Reply(Says.ERROR, [])
    each.gave_up(0.5)
    error = raised_by(each)
    assert str(error).startswith(
        "svc: the stream broke off after 1 part: a (1 try, waited 0.5 s, said slow_reader"
    )
    assert "high_water_mark" in str(error)
    assert error.reason == "shed_client_full"


@pytest.mark.parametrize("reason", ["failed_reply_too_large", "drop_too_large"])
def test_what_is_too_large_is_not_sent_again_to_the_same_broker(reason: str) -> None:
    each = pending("a", "b", retries=100)
    assert len(told(each, reason, reason)) == 2
    error = raised_by(each)
    assert type(error) is NoReply
    assert "too large for the broker" in str(error)
    assert f"said too_large: {reason}" in str(error)
    assert "max_message_bytes" in str(error)
    assert "at most" not in str(error), "a broker of before tells no bounds"
    assert error.tries[0].limits == {}  # type: ignore[attr-defined]
    assert error.reason == reason


@pytest.mark.parametrize(
    ("more", "limits"),
    [
        ({"max_message_bytes": 1024}, {"max_message_bytes": 1024}),
        ({"max_frames": 0, "queue_bytes": 2**64 - 1}, {"max_frames": 0, "queue_bytes": 2**64 - 1}),
        ({"max_message_bytes": "1024", "max_frames": -1, "queue_bytes": True}, {}),
        ({"max_message_bytes": None, "max_frames": [1], "queue_bytes": 1.5}, {}),
        ({"of_a_later_version": 7, "max_frames": 16}, {"max_frames": 16}),
    ],
)
def test_the_bounds_of_a_broker_are_told_as_far_as_they_can_be_read(
    more: dict[str, Any], limits: dict[str, int]
) -> None:
    each = pending("a", retries=0)
    each.next_try((0,))
    each.sent(0.0)
    answer = {"error": "too_large", "reason": "drop_too_large", **more}
    body = [BROKER_ERROR_MARK, msgpack.packb(answer)]
    assert each.receive([*FINAL, *body]).says is Says.ERROR
    each.gave_up(1.0)
    error = raised_by(each)
    assert error.tries[0].limits == limits  # type: ignore[attr-defined]
    assert ("at most" in str(error)) == bool(limits)
    assert all(f"{value} " in str(error) and name in str(error) for name, value in limits.items())


def test_an_answer_that_is_not_known_counts_as_a_try_and_is_shown() -> None:
    each = pending("a", retries=1)
    for now in (0.0, 1.0):
        each.next_try((0,))
        each.sent(now)
        answer = msgpack.packb({"error": "new", "reason": "of_a_later_version"})
        assert each.receive([*FINAL, BROKER_ERROR_MARK, answer]).says is Says.ERROR
        assert not each.gave_up(now + 0.5)
    error = raised_by(each)
    assert type(error) is NoReply
    assert "2 tries" in str(error)
    assert "said new: of_a_later_version" in str(error)
    assert "later version than the client" in str(error)


def test_a_worker_that_answers_with_no_reply_is_told_of_and_another_may_be_asked() -> None:
    each = pending("a", retries=1)
    assert len(told(each, "failed_reply_malformed", "failed_reply_malformed")) == 2
    error = raised_by(each)
    assert type(error) is NoReply
    assert "the worker answered with what is no reply, 2 tries" in str(error)
    assert error.reason == "failed_reply_malformed"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xc1",
        msgpack.packb([1]),
        msgpack.packb({"error": "busy"}),
        msgpack.packb({"error": 7, "reason": {"a": "\n\x1b[2J" * 1000}}),
        b"\x91" * 5000,
    ],
)
def test_an_answer_that_can_not_be_read_does_no_harm(answer: bytes) -> None:
    each = pending("a", retries=0)
    each.next_try((0,))
    each.sent(0.0)
    assert each.receive([*FINAL, BROKER_ERROR_MARK, answer]).says is Says.ERROR
    each.gave_up(1.0)
    words = str(raised_by(each))
    assert words.isprintable()
    assert len(words) < 1000
    assert "7" in words or UNREADABLE in words


def test_the_mark_alone_or_not_at_the_end_is_a_reply() -> None:
    for body in ([BROKER_ERROR_MARK], [BROKER_ERROR_MARK, b"x", b"y"], [b"x", BROKER_ERROR_MARK]):
        each = pending()
        each.next_try((0,))
        each.sent(0.0)
        assert each.receive([*FINAL, *body]) == Reply(Says.FINAL, body)


def test_an_error_behind_parts_ends_a_request_and_leaves_no_part() -> None:
    each = pending()
    turned(each)
    each.sent(0.0)
    each.receive([*PARTIAL, b"1"])
    reply = each.receive([*FINAL, *broker_error("failed_expired_in_flight")])
    assert reply == Reply(Says.ERROR, [])
    assert not each.gave_up(1.0)
    turned(each)
    each.sent(2.0)
    assert each.receive([*FINAL, b"2"]) == Reply(Says.FINAL, [b"2"])


@pytest.mark.parametrize("reason", RAISED)
def test_an_error_behind_parts_that_were_given_is_raised_at_once(reason: str) -> None:
    each = pending("a", "b", stream=True)
    turned(each)
    each.sent(0.0)
    each.receive([*PARTIAL, b"1"])
    assert each.receive([*FINAL, *broker_error(reason)]).says is Says.ERROR
    each.gave_up(1.0)
    error = raised_by(each)
    assert type(error) is RAISED[reason]
    assert "broke off after 1 part" in str(error)
    assert reason in str(error)


# -- codecs ---------------------------------------------------------------------------------------


def test_requests_are_the_frames_of_the_protocol() -> None:
    assert REQCodec().request([b"a", b""]) == [b"a", b""]
    assert MDP01Codec(b"svc").request([b"a", b""]) == [b"", b"MDPC01", b"svc", b"a", b""]
    assert MDP02Codec(b"svc").request([b"a", b""]) == [b"MDPC02", b"\x01", b"svc", b"a", b""]


@pytest.mark.parametrize("body", [[], [b""], [b"a", b"", b"\0"]])
def test_replies_of_the_own_service_are_read(body: list[bytes]) -> None:
    final = Reply(Says.FINAL, body)
    assert REQCodec().parse(list(body)) == final
    assert MDP01Codec(b"s\0").parse([b"", b"MDPC01", b"s\0", *body]) == final
    assert MDP02Codec(b"s\0").parse([b"MDPC02", b"\x03", b"s\0", *body]) == final
    partial = Reply(Says.PARTIAL, body)
    assert MDP02Codec(b"s\0").parse([b"MDPC02", b"\x02", b"s\0", *body]) == partial


def test_replies_of_another_service_are_told_apart() -> None:
    for other in (b"", b"s", b"svc\0", b"SVC"):
        assert MDP01Codec(b"svc").parse([b"", b"MDPC01", other, b"x"]).says is Says.UNEXPECTED
        assert MDP02Codec(b"svc").parse([b"MDPC02", b"\x03", other, b"x"]).says is Says.UNEXPECTED


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b""],
        [b"junk"],
        [b"", b"MDPC01"],
        [b"MDPC02", b"\x03"],
        [b"x", b"MDPC01", b"svc", b"x"],
        [b"", b"MDPC03", b"svc", b"x"],
        [b"", b"MDPC02", b"\x03", b"svc", b"x"],
        [b"MDPC01", b"svc", b"x"],
        [b"MDPC02", b"\x01", b"svc", b"x"],
        [b"MDPC02", b"\x04", b"svc", b"x"],
        [b"MDPC02", b"", b"svc", b"x"],
        [b"MDPC02", b"\x03\x00", b"svc", b"x"],
        [b"MDPW02", b"\x03", b"svc", b"x"],
    ],
)
def test_anything_else_is_malformed(frames: list[bytes]) -> None:
    assert MDP01Codec(b"svc").parse(frames) == Reply(Says.MALFORMED, [])
    assert MDP02Codec(b"svc").parse(frames) == Reply(Says.MALFORMED, [])


@pytest.mark.parametrize("version", ["0.3", "2", 0.2, None, ["0.2"]])
def test_a_version_that_does_not_exist_is_refused(version: object) -> None:
    with pytest.raises(ConfigError, match=r"'0\.1' or '0\.2'"):
        mdp_codec(version)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("trouble", "seen", "shown"),
    [
        (
            "can't look up nowhere: no such name",
            "unresolved",
            "can't look up nowhere: no such name",
        ),
        ("nobody accepts connections at a", "refused", "nobody accepts connections there"),
        ("nobody speaks ZMTP at a", "hung_up", "ended before ZeroMQ's handshake"),
        ("can't open a socket to a: no files", "", "can't open a socket to a: no files"),
    ],
)
def test_what_kept_a_try_from_its_broker_is_told(trouble: str, seen: str, shown: str) -> None:
    each = pending("a", retries=0)
    turned(each)
    each.sent(0.0)
    each.trouble = trouble
    each.gave_up(2.0)
    error = raised_by(each)
    assert (error.tries[0].seen, error.tries[0].trouble) == (seen, trouble)
    assert shown in str(error)
    if seen == "unresolved":
        assert "Check the name of the host" in str(error)
