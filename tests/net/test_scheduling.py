"""How the loops of a broker and of the load generator are scheduled, seen from outside."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import PATIENCE, Peers

from brigantine import LRUBroker
from brigantine.load import Generator, Plan

pytestmark = pytest.mark.skipif(
    not hasattr(os, "SCHED_BATCH") or not Path("/proc/self/task").exists(), reason="not Linux"
)


def policies() -> dict[int, int]:
    """Scheduling policy of every thread of this process."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(
            ProcessLookupError
        ):  # one that an earlier test left has just ended
            found[int(task.name)] = os.sched_getscheduler(int(task.name))
    return found


def changed(before: dict[int, int], after: dict[int, int]) -> dict[int, tuple[int, int]]:
    """Threads that are in both and whose policy is another: its old and its new one."""
    both = before.keys() & after.keys()
    return {task: (before[task], after[task]) for task in both if before[task] != after[task]}


def test_the_loop_does_not_cut_in_and_no_other_thread_is_changed(
    broker: Callable[..., LRUBroker], peers: Peers
) -> None:
    before = policies()
    running = broker()
    worker = peers.worker(running.backend)  # the broker has read its READY once it answers
    client = peers.req(running.frontend)
    client.send(b"there?")
    worker.recv_multipart()
    after = policies()
    batch = [thread for thread, policy in after.items() if policy == os.SCHED_BATCH]
    assert changed(before, after) == {}
    assert len([thread for thread in batch if thread not in before]) == 1


def test_a_policy_that_the_caller_has_chosen_is_kept(broker: Callable[..., LRUBroker]) -> None:
    found: dict[int, int] = {}

    def start() -> None:  # in a thread of its own: nothing need be put back
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        before = policies()
        broker()
        found.update({task: each for task, each in policies().items() if task not in before})

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert found
    assert set(found.values()) == {os.SCHED_IDLE}


def test_the_load_generators_loop_does_not_cut_in_either(broker: Callable[..., LRUBroker]) -> None:
    running = broker()
    before = policies()
    plan = Plan(
        pattern="lru", frontend=running.frontend, backend=running.backend, clients=2, workers=2
    )
    seen: list[int] = []
    done = threading.Event()

    def ended() -> None:  # in the loop's thread
        seen.append(os.sched_getscheduler(0))
        done.set()

    with Generator(plan) as generator:
        generator.start(10, on_end=ended)
        assert done.wait(PATIENCE)
        assert generator.finish().good
    assert seen == [os.SCHED_BATCH]
    assert changed(before, policies()) == {}
