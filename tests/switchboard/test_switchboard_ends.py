"""How the broker ends, what it drops, and what it counts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import pytest
import test_clients_that_leave as leaving
import test_kept_bodies as kept
import test_large_replies as large
import test_malformed_replies as malformed
import test_switchboard_cut_replies as cut
import test_switchboard_errors as errors
import test_switchboard_liveness as liveness
import test_switchboard_mdp as majordomo
import test_switchboard_partials as partials
import test_switchboard_requests as requests
import test_switchboard_workers as workers
from dialects import ALL, MDP02, TalkRig
from models import (
    BACKEND,
    BEHIND,
    FRONTEND,
    FULL,
    MEGABYTE,
    Rig,
    memory,
    needs_plain_memory,
)

from brigantine import COUNTERS, BrokerConfig
from brigantine.config.limits import REPLY_BYTES, REPLY_FRAMES

TTL = 8.0
C, D = b"client", b"other client"
V, W, X = b"worker 1", b"worker 2", b"worker 3"


@pytest.fixture
def make(rooms: ModuleType) -> Callable[..., Rig]:
    """``make(**options)`` is a switchboard on a rig, with a TTL that is exact in binary."""
    return partial(Rig, rooms, request_ttl=TTL)


# -- the end ----------------------------------------------------------------------------------


def test_a_draining_broker_finishes_what_it_has_and_takes_nothing_new(
    make: Callable[..., Rig],
) -> None:
    rig = make()
    rig.ready(W)
    first = rig.job(C, W, b"1")
    rig.ask(C, b"2")
    rig.board.drain()
    assert rig.ask(D, b"3") == []
    assert (rig["shed_draining"], rig["accepted"]) == (1, 3)
    calls = rig.reply(W, first, b"one")
    assert [call.side for call in calls] == [FRONTEND, BACKEND]
    assert not rig.board.drained()
    rig.reply(W, calls[1].ticket, b"two")
    assert rig.board.drained()
    assert (rig["replied"], rig["failed"]) == (2, 0)


def test_a_request_of_a_lost_worker_does_not_hold_up_the_drain(make: Callable[..., Rig]) -> None:
    rig = make(retries=0)
    rig.opened(5)
    rig.ready(W, 5)
    rig.job(C, W, b"1")
    assert not rig.board.drained()
    rig.closed(5)
    assert rig.board.drained()
    assert rig["in_flight"] == 1


def test_a_broker_that_stops_fails_all_that_is_left(make: Callable[..., Rig]) -> None:
    rig = make()
    for connection, worker in enumerate((V, W)):
        rig.opened(connection)
        rig.ready(worker, connection)
        rig.job(C, worker, b"1")
    rig.ask(C, b"2")
    rig.closed(0)
    for _ in range(2):
        assert rig.abort() == []
        assert (rig["failed"], rig["failed_stopped"]) == (3, 3)
        assert (rig["queued"], rig["in_flight"], rig["queued_bytes"]) == (0, 0, 0)
        assert rig.board.next_deadline() is None


# -- messages that are dropped ----------------------------------------------------------------


def test_messages_beyond_a_limit_are_dropped_and_counted(make: Callable[..., Rig]) -> None:
    rig = make(max_frames=6, max_depth=2, max_message_bytes=1024)
    for port, frames, size in ((FRONTEND, 0, 0), (BACKEND, REPLY_FRAMES, REPLY_BYTES)):
        assert rig.receive(port, [C, b"", *[b"x"] * (5 + frames)]) == []
        assert rig.receive(port, [C, b"", bytes(1025 - len(C) + size)]) == []
    assert rig.receive(FRONTEND, [C, b"hop", b"hop", b"", b"x"]) == []
    assert rig.nonzero() == {"drop_too_many_frames": 2, "drop_too_large": 2, "drop_too_deep": 1}
    rig.receive(FRONTEND, [C, b"hop", b"", *[b"x"] * 3])
    rig.receive(FRONTEND, [C, b"", bytes(1024 - len(C))])
    assert rig["accepted"] == 2


@pytest.mark.parametrize("frames", [[], [C], [C, b""], [C, b"x"], [b"", b"x"]], ids=repr)
def test_messages_that_are_none_of_the_protocol_are_dropped_and_counted(
    make: Callable[..., Rig], frames: list[bytes]
) -> None:
    rig = make()
    rig.receive(FRONTEND, frames)
    rig.receive(BACKEND, frames)
    assert rig.nonzero() == {"drop_malformed_request": 1, "drop_malformed_worker": 1}


def test_what_the_loop_saw_is_counted(make: Callable[..., Rig]) -> None:
    rig = make()
    rig.board.count_pause()
    rig.board.count_event_missed()
    rig.board.note_unsent(5000)
    rig.settled()
    assert rig.nonzero() == {"pauses": 1, "events_missed": 1, "unsent_bytes": 5000}


# -- memory -----------------------------------------------------------------------------------


@needs_plain_memory
def test_what_is_over_leaves_nothing_behind(rooms: ModuleType) -> None:
    """Clients and workers that come, are lost and never return; requests of which each end."""
    config = BrokerConfig(request_ttl=TTL, retries=1, queue_limit=1)
    board = rooms.Switchboard(config, lambda _port, _frames: 0)

    def pass_by(numbers: range) -> None:
        for number in numbers:
            now = number * 2 * TTL
            worker, client = b"w%d" % number * 20, b"c%d" % number * 20
            for connection in (1, 2):  # lost twice: sent again, then left in flight
                board.connection_opened(connection)
                board.receive(BACKEND, [worker, b"", b"READY"], now, connection)
                if connection == 1:
                    board.receive(FRONTEND, [client, b"", bytes(500)], now)
                board.connection_closed(connection, now)
            for _ in range(2):  # one waits, one is shed
                board.receive(FRONTEND, [client, b"", bytes(500)], now)
            board.tick(now + TTL)

    pass_by(range(1000))
    before = memory()
    pass_by(range(1000, 11000))
    counters = board.counters()
    assert counters["failed_expired_in_flight"] == counters["redispatched"] == 11000
    assert counters["failed_expired_queued"] == counters["shed_queue_full"] == 11000
    assert memory() - before < MEGABYTE, "a record of 100 bytes a worker would be that much"


# -- the counters -----------------------------------------------------------------------------

#: For every counter a test in which it is more than zero.
REACHED_BY: dict[str, Callable[..., None]] = {
    "accepted": requests.test_a_reply_goes_to_the_client_that_asked,
    "replied": requests.test_a_reply_goes_to_the_client_that_asked,
    "queued": requests.test_a_request_waits_until_a_worker_is_ready,
    "in_flight": requests.test_a_reply_goes_to_the_client_that_asked,
    "shed": requests.test_beyond_queue_limit_a_request_is_shed_and_the_others_stay,
    "failed": requests.test_a_late_reply_is_never_delivered,
    "shed_queue_full": requests.test_beyond_queue_limit_a_request_is_shed_and_the_others_stay,
    "shed_queue_bytes": partial(requests.test_queue_bytes_is_the_most_that_may_wait, over=1),
    "shed_draining": test_a_draining_broker_finishes_what_it_has_and_takes_nothing_new,
    "shed_client_full": partial(
        requests.test_a_reply_to_a_client_that_does_not_read_is_shed,
        result=FULL,
        reason="shed_client_full",
    ),
    "shed_client_bytes": partial(
        requests.test_a_reply_to_a_client_that_does_not_read_is_shed,
        result=BEHIND,
        reason="shed_client_bytes",
    ),
    "failed_expired_queued": requests.test_a_request_that_waits_for_its_ttl_fails_and_is_never_sent,
    "failed_expired_in_flight": requests.test_a_late_reply_is_never_delivered,
    "failed_client_gone": requests.test_a_reply_to_a_client_that_is_gone_is_counted,
    "failed_client_left": leaving.test_what_waits_of_a_client_of_ours_is_forgotten_when_it_leaves,
    "failed_stopped": test_a_broker_that_stops_fails_all_that_is_left,
    "drop_malformed_request": partial(
        test_messages_that_are_none_of_the_protocol_are_dropped_and_counted, frames=[C]
    ),
    "drop_too_deep": test_messages_beyond_a_limit_are_dropped_and_counted,
    "drop_malformed_worker": partial(
        test_messages_that_are_none_of_the_protocol_are_dropped_and_counted, frames=[C]
    ),
    "drop_too_many_frames": test_messages_beyond_a_limit_are_dropped_and_counted,
    "drop_too_large": test_messages_beyond_a_limit_are_dropped_and_counted,
    "drop_reply_unknown": requests.test_a_reply_to_a_ticket_of_another_broker_makes_its_sender_a_worker,
    "drop_reply_late": requests.test_a_late_reply_is_never_delivered,
    "drop_reply_duplicate": requests.test_a_second_reply_is_never_delivered,
    "drop_reply_foreign": partial(
        requests.test_a_reply_by_another_worker_is_never_delivered, stranger=True
    ),
    "drop_ready_gone": workers.test_ready_from_a_connection_that_has_closed_is_dropped,
    "workers": requests.test_the_least_recently_used_worker_is_next,
    "workers_idle": requests.test_the_least_recently_used_worker_is_next,
    "workers_joined": requests.test_the_least_recently_used_worker_is_next,
    "workers_lost": partial(
        workers.test_an_idle_worker_whose_connection_closes_is_out_of_the_order, gone=0
    ),
    "ready_again": requests.test_a_busy_worker_gets_no_second_request,
    "worker_full": partial(
        workers.test_a_request_that_no_worker_takes_waits, result=FULL, counter="worker_full"
    ),
    "worker_behind": partial(
        workers.test_a_request_that_no_worker_takes_waits, result=BEHIND, counter="worker_behind"
    ),
    "redispatched": workers.test_a_lost_request_keeps_its_deadline,
    "queued_bytes": requests.test_a_request_waits_until_a_worker_is_ready,
    "unsent_bytes": test_what_the_loop_saw_is_counted,
    "pauses": test_what_the_loop_saw_is_counted,
    "events_missed": test_what_the_loop_saw_is_counted,
    "services": requests.test_a_request_waits_until_a_worker_is_ready,
}

#: The same, for tests of Majordomo.
REACHED_BY_MDP: dict[str, Callable[..., None]] = {
    "shed_services": majordomo.test_the_services_that_clients_can_make_known_are_bounded,
    "failed_partials_too_large": partial(
        partials.test_parts_joined_beyond_the_bounds_of_a_message_fail_the_request, parts=17, size=1
    ),
    "failed_reply_too_large": partial(
        large.test_a_reply_beyond_the_bounds_fails_its_request_and_frees_its_worker,
        body=[b"x"] * 30,
        counter="drop_too_many_frames",
    ),
    "failed_reply_malformed": lambda make: (
        malformed.test_what_is_no_reply_fails_its_request_and_frees_its_worker(
            partial(make, protocols=ALL), malformed=lambda worker, ticket: [worker, b"", ticket]
        )
    ),
    "retries_given_up": kept.test_a_request_that_has_no_room_to_be_kept_loses_its_retries,
    "failed_worker_lost": partials.test_no_client_gets_the_parts_of_two_workers,
    "drop_ready_refused": partial(
        majordomo.test_a_worker_that_registers_a_service_of_the_broker_is_disconnected,
        name=b"mmi.mine",
    ),
    "drop_unexpected": majordomo.test_what_a_stranger_says_is_answered_with_disconnect,
    "drop_wrong_side": majordomo.test_a_worker_where_clients_are_is_sent_away,
    "drop_partial_shed": partial(
        partials.test_a_part_that_the_client_does_not_take_is_counted, result=FULL
    ),
    "drop_error_answer": cut.test_the_end_of_a_client_that_has_left_is_forgotten,
    "error_answers_waiting": cut.test_an_end_waits_no_longer_than_a_request_may,
    "workers_expired": liveness.test_all_may_expire_at_once_and_come_back,
    "workers_disconnected": partial(
        majordomo.test_a_worker_that_says_goodbye_is_gone, busy=False, retries=0
    ),
    "disconnects": majordomo.test_ready_again_is_answered_with_disconnect,
    "heartbeats": liveness.test_a_heartbeat_is_sent_only_into_silence,
    "partials": partials.test_a_partial_is_passed_on_as_it_comes,
    "failed_no_service": errors.test_a_young_broker_says_so_when_nobody_came,
    "error_answers": errors.test_busy_when_the_queue_is_full,
    "mmi": majordomo.test_the_broker_answers_for_its_own_services,
}


#: Counted beside the switchboard: see test_control and test_descriptors.
BESIDE = {"connections_rejected", "accepts_failed", "control_requests", "drop_control"}


@pytest.mark.parametrize("counter", [name for name in COUNTERS if name not in BESIDE])
def test_every_counter_is_reached(
    rooms: ModuleType, make: Callable[..., Rig], counter: str
) -> None:
    rigs: list[Rig] = []
    begin = make if counter in REACHED_BY else partial(TalkRig, rooms, MDP02)

    def recording(**options: Any) -> Rig:
        rigs.append(begin(**options))
        return rigs[-1]

    {**REACHED_BY, **REACHED_BY_MDP}[counter](recording)
    assert sum(rig.peak[counter] for rig in rigs) > 0
