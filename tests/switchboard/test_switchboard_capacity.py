"""Workers that take several requests at once: PPP, MDP 0.1 and MDP 0.2, promise by promise."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType

import pytest
from dialects import DIALECTS, TalkRig, asks
from models import BACKEND, FRONTEND, FULL, GONE, NO_CONNECTION, Call

TTL = 64.0
#: An interval so long that no heartbeat is due.
SILENCE = 999.0
C, D, E = b"client", b"client 2", b"client 3"
V, W, X = b"worker 1", b"worker 2", b"worker 3"
TWO, THREE, EIGHT = b"\x02", b"\x03", b"\x08"


@pytest.fixture(params=["PPP", "MDP01", "MDP02"])
def make(rooms: ModuleType, request: pytest.FixtureRequest) -> Callable[..., TalkRig]:
    """``make(**options)`` is a switchboard whose workers speak one of the protocols."""
    dialect = DIALECTS[request.param]
    return partial(TalkRig, rooms, dialect, request_ttl=TTL, heartbeat_interval=SILENCE)


def test_a_worker_never_holds_more_than_its_capacity(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V, THREE)
    tickets = [rig.sent(C, V, b"%d" % number) for number in range(3)]
    for number in range(3, 20):
        assert rig.request(C, b"%d" % number) == []
    for number in range(3, 20):
        assert rig["in_flight"] == 3
        _, job = rig.final(V, tickets.pop(number % 3), b"done")
        assert job.frames[-1] == b"%d" % number
        tickets.append(job.ticket)
    assert len(set(tickets)) == 3


def test_a_worker_stays_in_the_order_while_it_has_a_place(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V, TWO)
    rig.join(W, THREE)
    assert [rig.request(C, b"x")[0].to for _ in range(5)] == [V, W, V, W, W]
    assert rig.idle() == []
    assert rig.request(C, b"x") == []


def test_an_answer_frees_one_place_and_does_not_change_the_order(
    make: Callable[..., TalkRig],
) -> None:
    rig = make()
    rig.join(V, TWO)
    rig.join(W, TWO)
    ticket = rig.sent(C, V, b"1")
    assert rig.idle() == [W, V]
    rig.final(V, ticket, b"done")
    assert rig.idle() == [W, V]


@pytest.mark.parametrize(
    ("encoded", "capacity"),
    [
        (b"", 1),
        (b"\x01", 1),
        (b"\x7f", 127),
        (b"\xcc\x80", 128),
        (b"\xcc\x02", 2),
        (b"\xcd\x01\x00", 256),
        (b"\xcd\x00\x03", 3),
        (b"\xce\x00\x00\x00\x04", 4),
        (b"\xcf\x00\x00\x00\x00\x00\x00\x00\x05", 5),
    ],
    ids=repr,
)
def test_a_capacity_is_any_msgpack_unsigned_integer(
    make: Callable[..., TalkRig], encoded: bytes, capacity: int
) -> None:
    rig = make(queue_limit=0)
    rig.join(V, encoded)
    for _ in range(capacity + 2):
        rig.request(C, b"x")
    assert (rig["in_flight"], rig["shed_queue_full"]) == (capacity, 2)


@pytest.mark.parametrize("encoded", [b"\xcd\xff\xff", b"\xce\x00\x00\xff\xff"], ids=repr)
def test_the_most_is_65535(make: Callable[..., TalkRig], encoded: bytes) -> None:
    rig = make()
    rig.join(V, encoded)
    assert rig.idle() == [V]


@pytest.mark.parametrize(
    "encoded",
    [
        b"\x00", b"\xcc\x00", b"\xcf" + bytes(8), b"\x80", b"\xcc", b"\xcd\x01", b"\xcc\x01\x01",
        b"\x01\x01", b"\xce\x00\x01\x00\x00", b"\xcf" + b"\xff" * 8, b"\xcf\x01" + bytes(7),
        b"\xd0\x05", b"\xa1\x31", b"\xff", b"\xc0",
    ],
    ids=repr,
)  # fmt: skip
def test_a_ready_with_what_is_no_capacity_makes_no_worker(
    make: Callable[..., TalkRig], encoded: bytes
) -> None:
    rig = make()
    assert rig.join(V, encoded) == []
    assert rig.nonzero() == {"drop_malformed_worker": 1}


def test_a_place_whose_request_has_expired_is_given_back_by_the_late_answer(
    make: Callable[..., TalkRig],
) -> None:
    rig = make()
    rig.join(V, TWO)
    first = rig.sent(C, V, b"1")
    rig.wait(TTL / 2)
    second = rig.sent(C, V, b"2")
    rig.wait(TTL / 2)
    assert (rig["failed_expired_in_flight"], rig["in_flight"]) == (1, 1)
    assert rig.request(C, b"3") == [], "it may still be at work on the first"
    rig.beat(V)
    assert rig["queued"] == 1, "a heartbeat gives nothing back"
    [job] = rig.final(V, first, b"late")
    assert (job.frames[-1], rig["drop_reply_late"]) == (b"3", 1)
    assert rig.request(C, b"4") == [], "one place, not two"
    assert rig.final(V, second, b"done")[0].frames[-1] == b"done"


def test_a_second_answer_gives_no_place_back(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V, TWO)
    first = rig.sent(C, V, b"1")
    rig.final(V, first, b"done")
    for number in (2, 3):
        rig.sent(C, V, b"%d" % number)
    for _ in range(3):
        assert rig.final(V, first, b"again") == []
    assert rig.request(C, b"4") == []
    assert (rig["in_flight"], rig["drop_reply_duplicate"]) == (2, 3)


@pytest.mark.parametrize("retries", [0, 1])
def test_all_that_a_lost_worker_held_goes_to_others_in_its_order(
    make: Callable[..., TalkRig], retries: int
) -> None:
    rig = make(retries=retries)
    rig.opened(5)
    rig.join(V, THREE, 5)
    for number in range(3):
        rig.sent(C, V, b"%d" % number)
    rig.request(C, b"3")
    rig.closed(5)
    jobs = rig.join(W, b"\x7f")
    bodies = [b"0", b"1", b"2", b"3"] if retries else [b"3"]
    assert [job.frames[-1] for job in jobs] == bodies
    assert rig["redispatched"] == 3 * retries


def test_a_worker_that_is_gone_when_a_job_is_sent_loses_what_it_held(
    make: Callable[..., TalkRig],
) -> None:
    rig = make(retries=1)
    rig.join(V, THREE)
    rig.sent(C, V, b"1")
    rig.results[BACKEND, V] = GONE
    rig.request(C, b"2")
    assert (rig["workers"], rig["queued"], rig["redispatched"]) == (0, 2, 1)
    assert [job.frames[-1] for job in rig.join(W, TWO)] == [b"1", b"2"]


@pytest.mark.parametrize("told", ["gone", "closed"])
def test_a_worker_that_has_left_gets_nothing_more_and_what_it_said_counts(
    make: Callable[..., TalkRig], told: str
) -> None:
    """That it has left is known before its answer is read."""
    rig = make(retries=1)
    rig.opened(5)
    rig.join(V, THREE, 5)
    first, second = rig.sent(C, V, b"1"), rig.sent(C, V, b"2")
    if told == "closed":
        rig.board.connection_closed(5, rig.now)
    else:
        rig.results[BACKEND, V] = GONE
        rig.take(FRONTEND, asks(rig.version, C, rig.service, b"3"))
        rig.board.hand_out(rig.now)
    assert (rig.board.has_leaving(), rig["workers"], rig["redispatched"]) == (True, 1, 0)
    rig.take(BACKEND, rig.dialect.reply(V, first, b"done"), 5)
    assert (rig["replied"], rig["redispatched"], rig.idle()) == (1, 0, [])
    rig.board.caught_up(rig.now)
    assert (rig["workers"], rig["workers_lost"], rig["redispatched"]) == (0, 1, 1)
    rig.final(V, second, b"too late")
    assert rig["drop_reply_late"] == 1


def test_a_worker_that_has_left_is_lost_in_time_though_there_is_always_more_to_read(
    make: Callable[..., TalkRig],
) -> None:
    rig = make(retries=1, heartbeat_interval=1.0, liveness=3)
    rig.opened(5)
    rig.join(V, THREE, 5)
    ticket = rig.sent(C, V, b"1")
    rig.board.connection_closed(5, rig.now)
    rig.now += 2.0
    rig.take(BACKEND, rig.dialect.reply(V, ticket, b"done"), 5)
    rig.now += 2.875
    rig.board.tick(rig.now)
    assert rig["workers_lost"] == 0, "it was heard of meanwhile"
    rig.now += 0.125
    rig.board.tick(rig.now)
    assert (rig["workers"], rig["workers_lost"]) == (0, 1)


def test_a_full_worker_is_passed_over_until_the_next_tick(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V, THREE)
    first = rig.sent(C, V, b"1")
    rig.results[BACKEND, V] = FULL
    rig.request(C, b"2")
    rig.results.clear()
    calls = rig.final(V, first, b"done")
    assert [call.frames[-1] for call in calls] == [b"done"], "not asked again for every answer"
    assert [call.frames[-1] for call in rig.wait(0)] == [b"2"]
    assert (rig["worker_full"], rig.idle()) == (1, [V])


# -- several in a row -------------------------------------------------------------------------


def handed_out(calls: list[Call]) -> list[bytes]:
    """To whom each request went, in order."""
    return [call.to for call in calls if call.side == BACKEND]


def join_at_once(rig: TalkRig, capacities: dict[bytes, bytes]) -> list[Call]:
    """Workers whose READYs the broker reads in one turn."""
    frames = [rig.dialect.registers(each, rig.service, size) for each, size in capacities.items()]
    return rig.burst([(BACKEND, each, NO_CONNECTION) for each in frames])


def ask_at_once(rig: TalkRig, requests: list[tuple[bytes, bytes]]) -> list[Call]:
    """Requests that the broker reads in one turn."""
    frames = [asks(rig.version, client, rig.service, body) for client, body in requests]
    return rig.burst([(FRONTEND, each, NO_CONNECTION) for each in frames])


def test_without_a_backlog_each_request_goes_to_the_next_worker(
    make: Callable[..., TalkRig],
) -> None:
    rig = make()
    for worker in (V, W):
        rig.join(worker, EIGHT)
    assert [rig.request(C, b"%d" % number)[0].to for number in range(6)] == [V, W] * 3


def test_few_that_wait_are_spread_over_all_that_are_free(make: Callable[..., TalkRig]) -> None:
    rig = make()
    for number in range(3):
        rig.request(C, b"%d" % number)
    assert handed_out(join_at_once(rig, {V: EIGHT, W: EIGHT, X: EIGHT})) == [V, W, X]


def test_the_more_workers_have_in_hand_the_more_of_a_backlog_they_get_in_a_row(
    make: Callable[..., TalkRig],
) -> None:
    rig = make()
    for number in range(12):
        rig.request(C, b"%d" % number)
    calls = join_at_once(rig, {V: EIGHT, W: EIGHT})
    # Up to three times what the other has in hand; a place ends it before.
    assert handed_out(calls) == [V, *[W] * 3, *[V] * 7, W]
    bodies = [call.frames[-1] for call in calls if call.side == BACKEND]
    assert bodies == [b"%d" % number for number in range(12)], "who waits longest is sent first"


def test_a_turn_goes_on_up_to_three_times_what_the_others_have_on_average(
    make: Callable[..., TalkRig],
) -> None:
    rig = make()
    for worker in (V, W, X):
        rig.join(worker, EIGHT)
    for number in range(3):
        rig.request(C, b"%d" % number)
    # One each; then one has three; its two others have four in hand, so that the next has six.
    calls = ask_at_once(rig, [(C, b"%d" % number) for number in range(10)])
    assert handed_out(calls) == [*[V] * 2, *[W] * 5, *[X] * 3]


def test_as_long_as_anybody_is_idle_each_request_goes_to_the_next_in_line(
    make: Callable[..., TalkRig],
) -> None:
    rig = make()
    for worker in (V, W):
        rig.join(worker, EIGHT)
    for number in range(4):
        rig.request(C, b"%d" % number)
    rig.join(X, EIGHT)
    # Last in line, and the busy ones before it get no more than one each.
    calls = ask_at_once(rig, [(C, b"%d" % number) for number in range(6)])
    assert handed_out(calls) == [V, W, X, X, X, X]


@pytest.mark.parametrize("end", ["answered", "lost", "expired"])
def test_who_has_nothing_in_hand_any_more_is_idle_again(
    make: Callable[..., TalkRig], end: str
) -> None:
    rig = make()
    for worker in (V, W):
        rig.join(worker, EIGHT)
    ticket = rig.sent(C, V, b"1")
    if end == "expired":
        rig.wait(TTL)
    rig.sent(C, W, b"2")
    if end == "lost":
        rig.join(X, EIGHT)
        rig.results[BACKEND, V] = GONE
        assert handed_out(rig.request(C, b"3"))[-1] == W
        first, second = X, W  # W has two in hand
    else:
        rig.final(V, ticket, b"done")
        first, second = V, W  # W has one in hand
    calls = ask_at_once(rig, [(C, b"%d" % number) for number in range(7)])
    limit = 6 if end == "lost" else 3
    assert handed_out(calls)[: limit + 1] == [*[first] * limit, second]


def test_a_turn_ends_with_what_was_there_to_hand_out(make: Callable[..., TalkRig]) -> None:
    rig = make()
    for worker in (V, W):
        rig.join(worker, EIGHT)
    for number in range(4):
        rig.request(C, b"%d" % number)
    # Each has two in hand, so there would be two in a row, had they come together.
    assert [rig.request(C, b"%d" % number)[0].to for number in range(4)] == [V, W] * 2
    calls = ask_at_once(rig, [(C, b"%d" % number) for number in range(6)])
    assert handed_out(calls) == [V, V, V, V, W, W]


def test_requests_of_one_client_that_came_together_are_handed_out_side_by_side(
    make: Callable[..., TalkRig],
) -> None:
    rig = make()
    rig.join(V, EIGHT)
    came = [(C, b"C1"), (D, b"D1"), (C, b"C2"), (E, b"E1"), (D, b"D2"), (C, b"C3")]
    bodies = [call.frames[-1] for call in ask_at_once(rig, came)]
    assert bodies == [b"C1", b"C2", b"C3", b"D1", b"D2", b"E1"]


def test_nobody_is_overtaken_by_a_client_that_came_again_later(
    make: Callable[..., TalkRig],
) -> None:
    rig = make()
    for client, body in ((C, b"C1"), (D, b"D1"), (C, b"C2"), (D, b"D2")):
        rig.request(client, body)
    bodies = [call.frames[-1] for call in join_at_once(rig, {V: EIGHT}) if call.side == BACKEND]
    assert bodies == [b"C1", b"D1", b"C2", b"D2"]


def test_nobody_gets_more_than_it_has_places_for(make: Callable[..., TalkRig]) -> None:
    rig = make()
    for number in range(10):
        rig.request(C, b"%d" % number)
    went = handed_out(join_at_once(rig, {V: TWO, W: EIGHT}))
    assert (went.count(V), went.count(W), rig["queued"]) == (2, 8, 0)


def test_a_full_pipe_ends_a_turn_and_the_next_worker_goes_on(make: Callable[..., TalkRig]) -> None:
    rig = make()
    for number in range(6):
        rig.request(C, b"%d" % number)
    rig.results[BACKEND, V] = FULL
    went = join_at_once(rig, {V: EIGHT, W: EIGHT})
    assert [(call.to, call.result) for call in went if call.to == V] == [(V, FULL)]
    assert handed_out(went).count(W) == 6
