"""PPP and MDP: clients that never read, that leave early, that come in crowds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from clients import Bystander
from crew import BareWorker, DialectClient
from harness import Peers, wait_until
from models import needs_plain_memory
from protocol_frames import MDP02, Dialect
from watch import lost, reaches
from zmtp import QUIET, RawPeer, message, opening

pytest_plugins = ("dialect_fixtures",)

#: Bytes of a part, and how many of them go to the client that never reads: far more than the broker
#: may keep for it.
PART_SIZE = 64 * 1024
PARTS = 600
#: The service of its own that the client that never reads asks for.
TALK = b"talk"
HIGH_WATER_MARK = 10
#: What it may keep: high_water_mark messages in the client's pipe and as many on their way through
#: it, and room for what memory is handed back late.
KEPT_MIB = 2 * HIGH_WATER_MARK * PART_SIZE / 2**20 + 16


@needs_plain_memory
@pytest.mark.parametrize("partial", [False, True], ids=["replies", "partials"])
def test_what_a_client_never_reads_is_shed_and_nobody_else_notices(
    dialect_process: Any, hand: Any, peers: Peers, record: Any, partial: bool
) -> None:
    broker = dialect_process(MDP02, high_water_mark=HIGH_WATER_MARK, heartbeat_interval=QUIET)
    worker = BareWorker(peers, broker.backend, MDP02)
    worker.send(MDP02.ready(service=TALK))
    hand(MDP02, broker.backend, interval=0)
    reaches(broker, workers=2)
    deaf = peers.dealer(broker.frontend, rcvhwm=1, rcvbuf=4096)
    deaf.send_multipart(MDP02.ask(b"?", service=TALK))
    ticket, _ = worker.take()
    part = bytes(PART_SIZE)
    # Of a reply in parts nothing more leaves after the first that was not taken.
    dropped = "drop_reply_late" if partial else "shed_client_full"
    with Bystander(broker.frontend) as bystander:
        bystander.round_trips(100)
        idle_p99, before = bystander.p99_ms, broker.memory()
        bystander.took.clear()
        for _ in range(PARTS):
            if partial:
                worker.send(MDP02.partial(ticket, part))
            else:
                worker.reply(ticket, part)
                deaf.send_multipart(MDP02.ask(b"?", service=TALK))
                ticket, _ = worker.take()
        worker.reply(ticket, b"the end")
        wait_until(lambda: broker.stats()[dropped] > PARTS // 4, dropped)
        bystander.round_trips(1)
    grown = broker.peak_memory() - before
    stats = reaches(broker, queued=0, in_flight=0)
    record(
        "client that never reads",
        shed=stats[dropped],
        lost=lost(stats),
        p99_of_others_ms=bystander.p99_ms,
        p99_without_ms=idle_p99,
        grown_mib=grown,
    )
    assert stats["accepted"] == stats["replied"] + stats["shed"]
    assert stats["drop_partial_shed"] == partial
    assert grown <= KEPT_MIB


def test_a_reply_to_a_client_that_has_left_is_counted(
    dialect_broker: Any, peers: Peers, record: Any, dialect: Dialect
) -> None:
    broker = dialect_broker(dialect, heartbeat_interval=QUIET)
    worker = BareWorker(peers, broker.backend, dialect)
    worker.ready()
    leavers = 5
    for number in range(leavers):
        with RawPeer(broker.frontend) as client:
            client.send(dialect.ask(b"never mind"))
            ticket, body = worker.take()
            client.finish_sending()
            assert client.hung_up()
        # The broker's end is closed as well; with the next message it has heard of it.
        peers.dealer(broker.frontend).send_multipart([b"no request"])
        reaches(broker, drop_malformed_request=number + 1)
        if dialect is MDP02:  # a PARTIAL that nobody takes is the end, but its worker is not done
            worker.send(dialect.partial(ticket, body))
            reaches(broker, drop_partial_shed=number + 1, in_flight=0, workers_idle=0)
        worker.reply(ticket, body)
        reaches(broker, failed_client_gone=number + 1, workers_idle=1)
    other = DialectClient(peers, broker.frontend, dialect)
    assert other.delivered_twice_by(worker) == 0
    stats = broker.stats()
    record("client gone before its reply", orphans=stats["failed_client_gone"], lost=lost(stats))
    assert (stats["replied"], stats["failed"]) == (1, leavers)


#: Peers that come and go before memory is first looked at.
WARM_UP = 300
#: Growth that a broker may show however many came and went: the allocator's noise.
NOISE_MIB = 4
COUNTS = pytest.mark.parametrize(
    "count",
    [500, pytest.param(100_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])],
    ids=["500", "100k"],
)


@needs_plain_memory
@COUNTS
def test_clients_that_come_and_go_leave_nothing_behind(
    dialect_process: Any, hand: Any, record: Any, dialect: Dialect, count: int
) -> None:
    broker = dialect_process(dialect, heartbeat_interval=QUIET)
    hand(dialect, broker.backend, interval=0)
    reaches(broker, workers=1)
    question = message(dialect.ask(b"?"))

    def come_and_go(number: int) -> None:
        """At every stage: before and amid the handshake, before, amid and after asking."""
        early = (b"", opening()[:32], opening())
        late = (question[:-1], question, question)
        for turn in range(number):
            stage = turn % (len(early) + len(late))
            shake_hands = stage >= len(early)
            with RawPeer(broker.frontend, shake_hands=shake_hands) as client:
                client.send_bytes((early + late)[stage])
                if stage == len(early) + len(late) - 1:
                    assert client.recv()[-1] == b"?"

    grown, left = _growth(broker, come_and_go, count)
    stats = broker.stats()
    record(
        "clients that come in crowds",
        clients=count,
        grown_mib_per_10k=max(0.0, grown) * 10_000 / count,
        fds_left=left,
        lost=lost(stats),
    )
    assert grown <= NOISE_MIB
    assert stats["replied"] + stats["failed_client_gone"] == stats["accepted"]
    assert (stats["workers"], stats["workers_joined"]) == (1, 1)


@needs_plain_memory
@COUNTS
def test_workers_that_come_and_go_leave_nothing_behind(
    dialect_process: Any, record: Any, dialect: Dialect, count: int
) -> None:
    broker = dialect_process(dialect, heartbeat_interval=QUIET)
    ready, beat = message(dialect.ready()), message(dialect.heartbeat())

    def come_and_go(number: int) -> None:
        """Without a word, with half of one, idle, and after a heartbeat."""
        words = (b"", ready[:-1], ready, ready + beat)
        for turn in range(number):
            with RawPeer(broker.backend) as worker:
                worker.send_bytes(words[turn % len(words)])

    grown, left = _growth(broker, come_and_go, count)
    # The descriptors are gone before the loop has heard of it.
    stats = reaches(broker, workers=0, workers_idle=0, services=0)
    record(
        "clients that come in crowds",
        workers=count,
        grown_mib_per_10k=max(0.0, grown) * 10_000 / count,
        fds_left=left,
        joined=stats["workers_joined"],
    )
    assert grown <= NOISE_MIB
    joined = stats["workers_joined"]
    assert stats["workers_lost"] == joined > 0
    assert stats["workers_expired"] == 0


def _growth(broker: Any, come_and_go: Callable[[int], None], count: int) -> tuple[float, int]:
    """MiB and descriptors that ``count`` visitors leave behind, after some to warm up."""
    descriptors = broker.descriptors()
    come_and_go(WARM_UP)
    before = _settled_memory(broker, descriptors)
    come_and_go(count)
    grown = _settled_memory(broker, descriptors) - before
    return grown, broker.descriptors() - descriptors


def _settled_memory(broker: Any, descriptors: int) -> float:
    """MiB once all that came have been seen to leave."""
    wait_until(lambda: broker.descriptors() <= descriptors, "connections of the departed closed")
    reaches(broker, queued=0, in_flight=0)
    wait_until(
        lambda: (now := broker.stats())["workers"] == now["workers_joined"] - now["workers_lost"],
        "the departed are known to be gone",
    )
    memory: float = broker.memory()
    return memory
