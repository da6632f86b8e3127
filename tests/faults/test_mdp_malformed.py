"""PPP and MDP: messages of every wrong shape, to both sides.

The expected figures come from grammars of a few lines written out here from the RFCs.
"""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from clients import Bystander
from crew import BareWorker, DialectClient, Hand
from harness import Peers, wait_until
from protocol_frames import MDP, MDP02, SERVICE, Dialect
from watch import lost, reaches
from zmtp import QUIET

pytest_plugins = ("dialect_fixtures",)

CALM = {"heartbeat_interval": QUIET}
LONG_FRAME = b"long" * 1000
#: All messages up to that many frames are tried, and SAMPLES of those up to LONGEST.
COMPLETE = 3
LONGEST = 8
SAMPLES = 1000


def _messages(kinds: tuple[bytes, ...], begin: tuple[bytes, ...] = ()) -> list[list[bytes]]:
    """All short messages, a sample of longer ones, and as many that begin as they should."""
    chance = random.Random(15)
    complete = [
        list(frames)
        for count in range(1, COMPLETE + 1)
        for frames in itertools.product(kinds, repeat=count)
    ]
    sampled = [
        chance.choices(kinds, k=chance.randint(COMPLETE + 1, LONGEST)) for _ in range(SAMPLES)
    ]
    begun = [[*begin, *chance.choices(kinds, k=chance.randint(0, 6))] for _ in range(SAMPLES)]
    return complete + sampled + (begun if begin else [])


# -- clients -----------------------------------------------------------------------------------


def _request(frames: list[bytes]) -> tuple[list[bytes], bytes, list[bytes]] | None:
    """What a reply begins with, the service and the body, if an MDP client may say so."""
    if frames[0] == b"MDPC02":
        if len(frames) > 3 and frames[1] == b"\1":
            return [b"MDPC02", b"\3", frames[2]], frames[2], frames[3:]
        return None
    if b"" not in frames:
        return None
    at = frames.index(b"")
    header = frames[at + 1 : at + 2]
    if header == [b"MDPC01"] and len(frames) > at + 3:
        return frames[: at + 3], frames[at + 2], frames[at + 3 :]
    if header == [b"MDPC02"] and len(frames) > at + 4:  # dialects of published clients
        service, body = frames[at + 3], frames[at + 4 :]
        if frames[at + 2] == b"\1":
            return [*frames[: at + 2], b"\3", service], service, body
        if frames[at + 2] == b"\2":
            return [*frames[: at + 2], b"\4"], service, body
    return None


@pytest.mark.parametrize("dialect", MDP, ids=[each.name for each in MDP])
def test_of_all_messages_from_clients_only_requests_are_served(
    dialect_broker: Any, peers: Peers, record: Any, dialect: Dialect
) -> None:
    kinds = (b"", b"MDPC01", b"MDPC02", b"\1", b"\2", b"\3", SERVICE, LONG_FRAME)
    broker = dialect_broker(
        dialect, default_service=None, high_water_mark=10_000, request_ttl=1.5, **CALM
    )
    worker = BareWorker(peers, broker.backend, dialect)
    worker.ready()
    client = peers.dealer(broker.frontend, sndhwm=0)
    served = unserved = malformed = misanswered = 0
    for frames in _messages(kinds, (b"MDPC02", b"\1")) + _messages(kinds, (b"", b"MDPC01")):
        client.send_multipart(frames)
        request = _request(frames)
        if request is None:
            malformed += 1
            continue
        before, service, body = request
        if service != SERVICE:  # nobody serves it
            unserved += 1
            continue
        heard = worker.hear()
        misanswered += (heard.kind, list(heard.body)) != ("REQUEST", body)
        worker.reply(heard.ticket, b"answer", *body)
        misanswered += client.recv_multipart() != [*before, b"answer", *body]
        served += 1
    stats = reaches(
        broker, drop_malformed_request=malformed, failed_expired_queued=unserved, replied=served
    )
    record(
        "messages of every wrong shape",
        side="clients",
        served=served,
        unserved=unserved,
        dropped=malformed,
        misanswered=misanswered,
        crashes=int(not broker.running),
    )
    assert (misanswered, lost(stats), stats["services"]) == (0, 0, 1)
    assert stats["accepted"] == served + unserved
    assert not client.poll(0)


# -- workers -----------------------------------------------------------------------------------


def _worker_says(dialect: Dialect, frames: list[bytes]) -> str | None:
    """READY, REPLY or OTHER (HEARTBEAT, DISCONNECT); ``None`` for what is no message at all."""
    if not dialect.mdp:
        if len(frames) == 1:
            if frames[0] == b"\2":
                return "OTHER"
            return "READY" if frames[0] == b"\1" or frames[0] == b"\1\5" else None
        return "REPLY" if len(frames) > 2 and frames[0] and not frames[1] else None
    head = list(dialect.head)
    if frames[: len(head)] != head or len(frames) == len(head):
        return None
    command, *rest = frames[len(head) :]
    if command == b"\1":
        capacity = rest[1] if len(rest) > 1 else b"\1"
        fine = len(rest) in (1, 2) and len(capacity) == 1 and 0 < capacity[0] < 0x80
        return "READY" if fine else None
    if command in {dialect.final_byte, dialect.partial_byte} - {b""}:
        return "REPLY" if len(rest) > 2 and rest[0] and not rest[1] else None
    if command in (dialect.heartbeat_byte, dialect.disconnect_byte):
        return None if rest else "OTHER"
    return None


def test_of_all_messages_from_workers_none_reaches_a_client(
    dialect_broker: Any, peers: Peers, record: Any, dialect: Dialect
) -> None:
    # Strict: what the RFCs have no word for is none, though published workers say it.
    options = {"strict": True} | ({"default_service": None} if dialect.mdp else {})
    broker = dialect_broker(dialect, high_water_mark=10_000, **CALM, **options)
    honest = BareWorker(peers, broker.backend, dialect)
    honest.ready()
    client = DialectClient(peers, broker.frontend, dialect)
    client.ask(b"first")
    stale, _ = honest.take()
    honest.reply(stale, b"first")
    assert client.answer() == [b"first"]
    client.ask(b"second")
    live, _ = honest.take()

    kinds: tuple[bytes, ...] = (b"", b"\1", b"\2", b"garbage\0\xff", LONG_FRAME, live, stale)
    if dialect.mdp:
        kinds += (dialect.head[-1], b"\3", b"\4", b"\5", b"\6", SERVICE, b"mmi.service")
    else:
        kinds += (b"\1\5", b"\1\0", b"\2\2", b"READY", b"HEARTBEAT")
    garbler = peers.dealer(broker.backend, sndhwm=0)
    said = {"READY": 0, "REPLY": 0, "OTHER": 0, None: 0}
    messages = _messages(kinds, dialect.head)
    for ticket in (live, stale):  # what is nearest to a reply: right up to the body
        for say in (dialect.reply, dialect.partial):
            messages += [say(ticket, *body) for body in _messages(kinds)[: SAMPLES // 5]]
    for frames in messages:
        garbler.send_multipart(frames)
        said[_worker_says(dialect, frames)] += 1

    dropped = ("drop_malformed_worker", "drop_malformed_request", "drop_wrong_side")

    def settled() -> dict[str, int] | None:
        stats = broker.stats()
        malformed = sum(stats[name] for name in dropped)
        return stats if malformed + _replies(stats) >= said[None] + said["REPLY"] else None

    stats = wait_until(settled, f"{said} were seen: {broker.stats()}")
    assert sum(stats[name] for name in dropped) == said[None]
    assert _replies(stats) == said["REPLY"]
    assert stats["drop_reply_foreign"] > 0
    assert stats["drop_reply_duplicate"] > 0
    assert (stats["accepted"], stats["replied"], stats["in_flight"]) == (2, 1, 1)
    assert stats["workers"] <= 2
    honest.reply(live, b"honest")
    assert client.answer() == [b"honest"]
    assert client.partials == []
    # The garbler may be a worker of some service; to the end of its connection that is its right.
    garbler.close()
    stats = reaches(broker, in_flight=0, workers=1, workers_idle=1)
    assert client.delivered_twice_by(honest) == 0
    record(
        "messages of every wrong shape",
        side="workers",
        dropped=said[None],
        replies_dropped=said["REPLY"],
        readies=said["READY"],
        crashes=int(not broker.running),
        lost=lost(stats),
    )


def _replies(stats: dict[str, int]) -> int:
    return sum(value for name, value in stats.items() if name.startswith("drop_reply_"))


@pytest.mark.parametrize("dialect", MDP, ids=[each.name for each in MDP])
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_a_registered_worker_that_talks_nonsense_is_disconnected_and_its_work_goes_on(
    dialect_broker: Any, peers: Peers, record: Any, dialect: Dialect, busy: bool
) -> None:
    broker = dialect_broker(dialect, **CALM)
    worker = BareWorker(peers, broker.backend, dialect)
    worker.ready()
    reaches(broker, workers_idle=1)
    client = DialectClient(peers, broker.frontend, dialect)
    if busy:
        client.ask(b"job")
        worker.take()
    worker.send([*dialect.head, b"\x7f"])
    reaches(broker, workers=0, drop_malformed_worker=1, disconnects=1, redispatched=int(busy))
    assert worker.hear().kind == "DISCONNECT"
    heir = BareWorker(peers, broker.backend, dialect)
    heir.ready()
    if busy:
        heir.reply(*heir.take())
        assert client.answer() == [b"job"]
    assert client.delivered_twice_by(heir) == 0
    record(
        "messages of every wrong shape",
        case="nonsense of a worker",
        busy=busy,
        lost=lost(broker.stats()),
    )


# -- messages without end, frames beyond measure on one socket for both sides ---------------------

MIB = 1024 * 1024
TOO_MANY = 300


def test_messages_beyond_the_bounds_on_a_socket_for_both_sides_are_dropped(
    dialect_broker: Any, hand: Any, peers: Peers, record: Any
) -> None:
    broker = dialect_broker(MDP02, max_message_bytes=MIB)
    worker: Hand = hand(MDP02, broker.backend)
    reaches(broker, workers=1)
    sender = peers.dealer(broker.frontend, sndhwm=0)
    too_large = [bytes(300 * 1024)] * 4
    with Bystander(broker.frontend) as bystander:
        for head in (MDP02.ask(), MDP02.ready(), MDP02.reply(b"0" * 16)):
            sender.send_multipart([*head, *[b"x"] * TOO_MANY])
            sender.send_multipart([*head, *too_large])
        stats = reaches(broker, drop_too_many_frames=3, drop_too_large=3)
        bystander.round_trips(20)
        # The connection is as good as ever; what comes next on it is a message of its own.
        sender.send_multipart(MDP02.ask(b"and now?"))
        assert MDP02.answer(sender.recv_multipart()).body == (b"worker", b"and now?")
    record(
        "messages without end, frames beyond measure", side="both", stall_ms=bystander.longest_ms
    )
    assert (stats["workers_lost"], stats["failed"]) == (0, 0)
    assert worker.stats()["DISCONNECT"] == 0
