"""Messages of every wrong shape, messages without end, frames beyond all measure.

The expected figures come from protocols of a few lines written out here, not from the code.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from clients import Bystander
from harness import Peers, wait_until
from models import SANITIZED
from watch import lost, reaches
from zmtp import MORE, QUIET, RawPeer, frame_header, message

READY_WORDS = (b"READY", b"\1")
LONG_FRAME = b"long" * 1000
#: The kinds of frames that are put together in every order (a ticket is added on the worker side).
KINDS = (b"", *READY_WORDS, b"garbage\0\xff", LONG_FRAME, b"0" * 16)
#: All messages up to that many frames are tried, and SAMPLES of those up to LONGEST.
COMPLETE = 3
LONGEST = 8
SAMPLES = 1500


def _messages(kinds: tuple[bytes, ...]) -> list[list[bytes]]:
    chance = random.Random(15)
    complete = [
        list(frames)
        for count in range(1, COMPLETE + 1)
        for frames in itertools.product(kinds, repeat=count)
    ]
    sampled = [
        chance.choices(kinds, k=chance.randint(COMPLETE + 1, LONGEST)) for _ in range(SAMPLES)
    ]
    return complete + sampled


def test_of_all_messages_to_the_frontend_only_requests_are_served(
    broker: Any, peers: Peers, record: Any
) -> None:
    lru = broker(high_water_mark=10_000)
    worker = peers.worker(lru.backend)
    client = peers.dealer(lru.frontend)
    served = malformed = misdirected = misanswered = 0
    for frames in _messages(KINDS):
        client.send_multipart(frames)
        if b"" not in frames[:-1]:  # a request needs a delimiter and a frame after it
            malformed += 1
            continue
        delimiter = frames.index(b"")
        if delimiter == len(frames) - 2 and frames[-1] in READY_WORDS:
            misdirected += 1  # a worker's READY, at the wrong endpoint
            continue
        ticket, empty, *body = worker.recv_multipart()
        misanswered += body != frames[delimiter + 1 :]
        worker.send_multipart([ticket, empty, b"answer", *body])
        answer = [*frames[: delimiter + 1], b"answer", *body]
        misanswered += client.recv_multipart() != answer
        served += 1
    stats = reaches(lru, drop_malformed_request=malformed, drop_wrong_side=misdirected)
    record(
        "messages of every wrong shape",
        side="frontend",
        served=served,
        dropped=malformed + misdirected,
        misanswered=misanswered,
        crashes=int(not lru.running),
    )
    assert misanswered == 0
    assert (stats["accepted"], stats["replied"], lost(stats)) == (served, served, 0)
    assert not client.poll(0)


def test_of_all_messages_to_the_backend_none_reaches_a_client(
    broker: Any, peers: Peers, record: Any
) -> None:
    lru = broker(high_water_mark=10_000)
    honest = peers.worker(lru.backend)
    client = peers.dealer(lru.frontend)
    client.send_multipart([b"", b"first"])
    stale = honest.recv_multipart()
    honest.send_multipart(stale)
    assert client.recv_multipart() == [b"", b"first"]
    client.send_multipart([b"", b"second"])
    live = honest.recv_multipart()

    garbler = peers.dealer(lru.backend)
    forged = readies = replies = malformed = 0
    for frames in _messages((*KINDS, live[0], stale[0])):
        garbler.send_multipart(frames)
        if frames[0] == b"" and len(frames) == 2 and frames[1] in READY_WORDS:
            readies += 1
        elif frames[0] == b"" and len(frames) > 3 and frames[1] and frames[2] == b"":
            replies += 1
            forged += frames[1] == live[0]
        else:
            malformed += 1

    def settled() -> dict[str, int] | None:
        stats = lru.stats()
        return stats if stats["drop_malformed_worker"] + _replies(stats) == seen else None

    seen = malformed + replies
    stats = wait_until(settled, f"{malformed} malformed messages and {replies} replies dropped")
    assert stats["drop_malformed_worker"] == malformed
    assert stats["drop_reply_foreign"] == forged > 0
    assert (stats["accepted"], stats["replied"], stats["in_flight"]) == (2, 1, 1)
    assert (stats["workers"], stats["workers_idle"]) == (2, 1)
    honest.send_multipart([*live[:2], b"honest"])
    assert client.recv_multipart() == [b"", b"honest"]
    # The garbler has said READY, so it is a worker; the next job is the first thing it ever got.
    client.send_multipart([b"", b"third"])
    job = garbler.recv_multipart()
    assert job[-1] == b"third"
    garbler.send_multipart(job)
    assert client.recv_multipart() == [b"", b"third"]
    stats = reaches(lru, in_flight=0)
    record(
        "messages of every wrong shape",
        side="backend",
        dropped=malformed,
        replies_dropped=replies,
        readies=readies,
        crashes=int(not lru.running),
    )
    assert stats["ready_again"] >= readies - 1


def _replies(stats: dict[str, int]) -> int:
    return sum(value for name, value in stats.items() if name.startswith("drop_reply_"))


#: Messages that are malformed on the one side and on the other.
BAD_REQUESTS = ([b"x"], [b"x", b"y"], [b""], [b"x", b""], [b"READY"], [b"\0" * 255])
BAD_WORKER_MESSAGES = (
    [b""],
    [b"x", b"READY"],
    [b"", b"READY "],
    [b"", b"ticket", b""],
    [b"", b"", b"", b"body"],
    [b"", b"ticket", b"x", b"body"],
)


@pytest.mark.parametrize(
    "count",
    [100_000, pytest.param(1_000_000, marks=[pytest.mark.long, pytest.mark.timeout(300)])],
    ids=["100k", "1M"],
)
def test_malformed_messages_by_the_heap_do_not_keep_a_good_client_waiting(
    broker_process: Any, worker_process: Any, record: Any, count: int
) -> None:
    lru = broker_process(heartbeat_interval=QUIET)
    worker_process(lru.backend)
    reaches(lru, workers=1)
    each = count // 2
    with Bystander(lru.frontend) as bystander:
        bystander.round_trips(100)
        idle_p99 = bystander.p99_ms
        bystander.took.clear()
        with RawPeer(lru.frontend) as front, RawPeer(lru.backend) as back:
            floods = [
                threading.Thread(target=_flood, args=(front, BAD_REQUESTS, each)),
                threading.Thread(target=_flood, args=(back, BAD_WORKER_MESSAGES, each)),
            ]
            for flood in floods:
                flood.start()
            for flood in floods:
                flood.join()
            stats = reaches(
                lru, timeout=60, drop_malformed_request=each, drop_malformed_worker=each
            )
        bystander.round_trips(1)
    record(
        "messages of every wrong shape",
        malformed=count,
        longest_ms=bystander.longest_ms,
        p99_ms=bystander.p99_ms,
        p99_without_ms=idle_p99,
        round_trips=len(bystander.took),
        crashes=int(not lru.running()),
    )
    assert stats["workers_lost"] == stats["shed"] == stats["failed"] == 0


def _flood(peer: RawPeer, messages: tuple[list[bytes], ...], count: int) -> None:
    turns = itertools.cycle(message(frames) for frames in messages)
    left = count
    while left:
        batch = min(left, 1000)
        peer.send_bytes(b"".join(itertools.islice(turns, batch)))
        left -= batch


#: Seconds that a broker may take to throw a million frames away.  libzmq reads a socket message by
#: message, so whoever else speaks on that side waits for the end of it.
MILLION_PATIENCE = 40.0


@pytest.fixture
def good_company(broker_process: Any, worker_process: Any) -> Iterator[Callable[..., Any]]:
    """Starts a broker of its own with a worker and a client that goes round all the while."""
    started: list[Bystander] = []

    def start(**options: Any) -> tuple[Any, Bystander]:
        lru = broker_process(**options)
        worker_process(lru.backend)
        reaches(lru, workers=1)
        started.append(Bystander(lru.frontend, MILLION_PATIENCE))
        started[0].__enter__()
        return lru, started[0]

    yield start
    for each in started:
        each.__exit__(None, None, None)


SIDES = pytest.mark.parametrize("side", ["frontend", "backend"])
MIB = 1024 * 1024


@SIDES
@pytest.mark.parametrize(
    "frames",
    [1_000_000, pytest.param(5_000_000, marks=[pytest.mark.long, pytest.mark.timeout(600)])],
    ids=["1M", "5M"],
)
def test_a_message_of_a_million_frames_is_dropped_and_the_loop_goes_on(
    good_company: Any, record: Any, impl: str, side: str, frames: int
) -> None:
    if impl == "pure":
        frames //= 5  # in batches by the same code, at some microseconds each
    lru, bystander = good_company(heartbeat_interval=QUIET)
    before = lru.memory()
    bystander.took.clear()
    with RawPeer(getattr(lru, side)) as sender:
        sender.send_bytes(_endless(frames))
        reaches(lru, timeout=MILLION_PATIENCE, drop_too_many_frames=1)
        bystander.round_trips(2)  # one may have been on its way back
        stall, peak = bystander.longest_ms, lru.peak_memory() - before
        left = lru.memory()
        sender.send_bytes(_endless(frames // 10))  # the room that the first has left is enough
        reaches(lru, timeout=MILLION_PATIENCE, drop_too_many_frames=2)
        grown = lru.memory() - left
        # The connection is as good as ever; what comes next on it is a message of its own.
        sender.send([b"x", b"y"])
        name = "request" if side == "frontend" else "worker"
        stats = reaches(lru, **{f"drop_malformed_{name}": 1})
    record(
        "messages without end, frames beyond measure",
        side=side,
        frames=frames,
        stall_ms=stall,
        peak_mib=peak,
        left_mib=left - before,
    )
    assert grown <= 2 or SANITIZED
    assert (stats["drop_too_many_frames"], stats["workers_lost"], stats["failed"]) == (2, 0, 0)


def _endless(frames: int) -> bytes:
    """A message of so many frames of one byte each."""
    return (frame_header(MORE, 1) + b"x") * (frames - 1) + message([b"x"])


@SIDES
@pytest.mark.parametrize("size", [MIB + 1, 1024 * MIB], ids=["one-byte-over", "1-GiB"])
def test_a_frame_above_the_limit_ends_its_senders_connection_only(
    good_company: Any, record: Any, side: str, size: int
) -> None:
    lru, bystander = good_company(max_message_bytes=MIB)
    before = lru.memory()
    with RawPeer(getattr(lru, side)) as sender:
        sender.send_bytes(frame_header(MORE, 0) + frame_header(0, size))
        assert sender.hung_up()  # on the announcement: no byte of it was sent
    bystander.took.clear()
    bystander.round_trips(20)
    record(
        "messages without end, frames beyond measure",
        side=side,
        frame_bytes=size,
        stall_ms=bystander.longest_ms,
        grown_mib=lru.memory() - before,
    )
    assert lru.memory() - before < 16
    assert lru.stats()["workers_lost"] == 0


@SIDES
def test_frames_that_exceed_the_limit_together_are_dropped(
    good_company: Any, record: Any, side: str
) -> None:
    lru, bystander = good_company(max_message_bytes=MIB)
    with RawPeer(getattr(lru, side)) as sender:
        sender.send([b"", *[bytes(300 * 1024)] * 4])
        reaches(lru, drop_too_large=1)
        bystander.round_trips(20)
    record(
        "messages without end, frames beyond measure",
        side=side,
        message_bytes=4 * 300 * 1024,
        stall_ms=bystander.longest_ms,
    )


def test_a_request_as_large_as_allowed_is_served(broker: Any, peers: Peers, record: Any) -> None:
    lru = broker(max_message_bytes=MIB)
    worker = peers.worker(lru.backend)
    client = peers.dealer(lru.frontend, identity=b"me")
    body = bytes(MIB - len(b"me"))  # the limit counts the frames of the address stack
    client.send_multipart([b"", body])
    job = worker.recv_multipart()
    assert job[-1] == body
    worker.send_multipart([*job[:-1], b"fits"])
    assert client.recv_multipart() == [b"", b"fits"]
    client.send_multipart([b"", body + b"x"])
    stats = reaches(lru, drop_too_large=1)
    record(
        "messages without end, frames beyond measure",
        largest_served=len(body),
        dropped=stats["drop_too_large"],
    )
