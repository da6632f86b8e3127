"""Every protocol at once: the implementation under test and the pure baseline do the same.

See ``lives`` for what happens to them, and ``test_differential`` for REQ alone.
"""

from __future__ import annotations

import random
from types import ModuleType
from typing import Any

import pytest
from dialects import ALL, MAJORDOMO
from hypothesis import given, note, settings
from hypothesis import strategies as st
from lives import SPOKEN, Life, options_of
from models import BACKEND, BOTH, EIGHTH, FRONTEND, QUICK
from twins import Twins

from brigantine.config.protocols import Protocol


@pytest.fixture(params=["core", pytest.param("pure", marks=pytest.mark.long)])
def impl(request: pytest.FixtureRequest) -> str:
    """The baseline is compared with itself in long runs only."""
    name: str = request.param
    return name


def live(rooms: ModuleType, rng: random.Random, steps: int, **fixed: Any) -> Twins:
    twins = Twins(rooms, **{**options_of(rng), **fixed})
    Life(rng, twins, trouble=rng.choice([1, 2, 4])).run(steps)
    return twins


@pytest.mark.timeout(300)  # only to make a failure small takes that long
@settings(QUICK, max_examples=80)
@given(rng=st.randoms(use_true_random=False))
def test_any_history_is_the_same_on_both(rooms: ModuleType, rng: random.Random) -> None:
    twins = live(rooms, rng, steps=25)
    note(str(twins.log))


#: What a life of all protocols must have seen, or it was no test.
SEEN = {
    "replied", "shed_queue_full", "shed_client_full", "shed_client_bytes", "shed_services", "shed_draining",
    "failed_expired_queued", "failed_expired_in_flight", "failed_client_gone",
    "failed_partials_too_large", "drop_malformed_request", "drop_too_deep",
    "drop_malformed_worker", "drop_wrong_side", "drop_too_many_frames", "drop_too_large",
    "drop_reply_unknown",
    "drop_reply_late", "drop_reply_duplicate", "drop_reply_foreign", "drop_ready_gone",
    "drop_ready_refused", "drop_unexpected", "drop_partial_shed", "workers_expired",
    "workers_disconnected", "disconnects", "heartbeats", "partials", "mmi", "ready_again",
    "worker_full", "worker_behind", "redispatched", "failed_no_service", "error_answers",
    "error_answers_waiting", "drop_error_answer",
}  # fmt: skip


@pytest.mark.parametrize("sides", [(FRONTEND, BACKEND), (BOTH,)], ids=["two", "one"])
@pytest.mark.parametrize("protocols", SPOKEN, ids=str)
def test_a_long_life_is_the_same_on_both(
    rooms: ModuleType, protocols: Protocol, sides: tuple[int, ...]
) -> None:
    for seed in range(3):
        live(rooms, random.Random(seed), steps=300, protocols=protocols, sides=sides)


@pytest.mark.parametrize("protocols", [each for each in SPOKEN if each & MAJORDOMO], ids=str)
def test_a_life_with_workers_where_clients_are_is_the_same_on_both(
    rooms: ModuleType, protocols: Protocol
) -> None:
    """One identity may be a worker on either side, and a client; and dialects are spoken."""
    served = set()
    for seed in range(6):
        twins = live(
            rooms, random.Random(seed), steps=500, protocols=protocols, sides=(FRONTEND, BACKEND),
            workers_at_frontend=True, default_service=b"echo", strict=seed == 5,
        )  # fmt: skip
        served |= {rig.peak["workers"] > 0 and rig.peak["replied"] > 0 for rig in twins.rigs}
    assert True in served


#: Kinds and reasons of events that it must have told of.
TOLD = {
    ("joined", "workers_joined"), ("expired", "workers_expired"),
    ("disconnected", "workers_disconnected"), ("lost", "workers_lost"), ("lost", "ready_again"),
    ("lost", "drop_malformed_worker"), ("refused", "drop_ready_gone"),
    ("refused", "drop_ready_refused"), ("redispatched", "redispatched"),
    *(("shed", name) for name in SEEN if name.startswith("shed_")),
    *(("failed", name) for name in SEEN if name.startswith("failed_")),
}  # fmt: skip


@pytest.mark.parametrize("busy_liveness", [0, 6])
def test_a_long_life_sees_all_there_is(rooms: ModuleType, busy_liveness: int) -> None:
    seen: set[str] = set()
    told: set[tuple[str, str]] = set()
    for seed, max_services in ((1, 3), (2, 100), (5, 100)):
        twins = live(
            rooms, random.Random(seed), 2000, sides=(FRONTEND, BACKEND), protocols=ALL, retries=1,
            default_service=b"", queue_limit=3, request_ttl=1.0, heartbeat_interval=EIGHTH,
            service_grace=3 * EIGHTH, liveness=3, busy_liveness=busy_liveness,
            max_services=max_services, max_frames=12, max_message_bytes=1024, max_depth=1,
        )  # fmt: skip
        seen |= twins.rigs[0].peak.keys()
        told |= twins.told
    missing = SEEN - seen
    assert not missing
    untold = TOLD - told
    assert not untold


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(100, 112))
def test_a_very_long_life_is_the_same_on_both(rooms: ModuleType, seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(40):
        live(rooms, rng, steps=1000)
