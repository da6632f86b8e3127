"""What a broker tells a person by ``logging``: once, limited in rate, and never at the loop's cost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from doubles import program
from harness import Peers, wait_until
from models import BACKEND, FRONTEND, Rig

from brigantine import AnyBroker, LRUBroker, MajordomoBroker
from brigantine.config.limits import KIND_BURST, NOTICES_KNOWN, NOTICES_WAITING
from brigantine.config.protocols import Protocol
from brigantine.notices.kinds import KINDS, Notice, describe, pack_notice, unpack_notice
from brigantine.notices.lookalikes import Here
from brigantine.wire.shown import shown, shown_frames

ANY = "tcp://127.0.0.1:*"
THREAD = "brigantine-notices"


class Blocked(logging.Handler):
    """Never comes back from a record until it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.seen: list[str] = []

    def handle(self, record: logging.LogRecord) -> bool:
        self.emit(record)  # without the lock, for which the end of logging would wait
        return True

    def emit(self, record: logging.LogRecord) -> None:
        self.entered.set()
        self.go_on.wait()
        self.seen.append(record.getMessage())


@pytest.fixture
def blocked() -> Iterator[Blocked]:
    handler = Blocked()
    log = logging.getLogger("brigantine.broker")
    log.addHandler(handler)
    yield handler
    handler.go_on.set()
    log.removeHandler(handler)


def lines(caplog: pytest.LogCaptureFixture, *words: str) -> list[str]:
    """What was logged for a person, if it has all the words."""
    told = (record.getMessage() for record in caplog.records if record.name == "brigantine.broker")
    return [line for line in told if all(word in line for word in words)]


def nonsense(rig: Rig, peer: bytes, *frames: bytes) -> None:
    rig.receive(BACKEND, [peer, *(frames or (b"", b"nonsense"))])


@pytest.fixture
def noticing(rooms: ModuleType) -> Callable[..., tuple[Rig, list[Notice], list[int]]]:
    """A rig whose notices are kept, and the levels of those that were left out."""

    def make(**options: Any) -> tuple[Rig, list[Notice], list[int]]:
        rig, told, left_out = Rig(rooms, **options), [], []
        rig.board.notice_with(told.append, left_out.append, lambda: "10.0.0.7")
        return rig, told, left_out

    return make


Noticing = Callable[..., tuple[Rig, list[Notice], list[int]]]


# -- which ----------------------------------------------------------------------------------------


def test_of_one_peer_and_cause_the_first_is_told(noticing: Noticing) -> None:
    rig, told, left_out = noticing()
    for _ in range(5):
        nonsense(rig, b"w1")
        nonsense(rig, b"w2")
        rig.receive(FRONTEND, [b"w1", b"no delimiter"])
    assert [(each.kind, each.peer, each.reason) for each in told] == [
        ("not_a_command", b"w1", "drop_malformed_worker"),
        ("not_a_command", b"w2", "drop_malformed_worker"),
        ("not_a_request", b"w1", "drop_malformed_request"),
    ]
    assert told[0].frames == [(0, b""), (8, b"nonsense")]
    assert (told[0].frame_count, told[0].address) == (2, "10.0.0.7")
    assert not left_out


def test_a_crowd_is_told_of_in_part_and_the_rest_is_counted(noticing: Noticing) -> None:
    rig, told, left_out = noticing()
    for each in range(10 * KIND_BURST):
        nonsense(rig, b"w%d" % each)
    assert len(told) == KIND_BURST
    assert left_out == [logging.WARNING] * 9 * KIND_BURST
    rig.receive(FRONTEND, [b"c", b"no delimiter"])
    assert told[-1].kind == "not_a_request", "one kind leaves the others their share"
    rig.now += 3600.0
    nonsense(rig, b"w%d" % (KIND_BURST + 1))
    assert told[-1].peer == b"w%d" % (KIND_BURST + 1), "one that was left out has its line later"


def test_the_table_of_peers_is_bounded_and_forgets_the_oldest(noticing: Noticing) -> None:
    rig, told, _ = noticing()
    for each in range(NOTICES_KNOWN + 1):
        rig.now += 2.0
        nonsense(rig, b"w%d" % each)
    count = len(told)
    assert count == NOTICES_KNOWN + 1
    rig.now += 2.0
    nonsense(rig, b"w1")
    assert len(told) == count
    nonsense(rig, b"w0")
    assert len(told) == count + 1


def test_an_expiry_tells_how_long_it_was_silent_and_what_it_did_before(noticing: Noticing) -> None:
    rig, told, _ = noticing(protocols=Protocol.PPP, heartbeat_interval=1.0, liveness=3)
    rig.receive(BACKEND, [b"w", b"\x01"])
    for gap in (0.5, 1.5, 1.0):
        rig.now += gap
        rig.receive(BACKEND, [b"w", b"\x02"])
    rig.wait(3.5)
    [notice] = told
    assert (notice.kind, notice.reason, notice.peer) == ("expired", "workers_expired", b"w")
    assert notice.address == "10.0.0.7"
    assert list(notice.numbers) == [3_500_000_000, 3, 3_000_000_000, 1_500_000_000]


def test_nothing_is_kept_while_nobody_tells(rooms: ModuleType) -> None:
    rig = Rig(rooms)
    nonsense(rig, b"w1")
    assert rig["drop_malformed_worker"] == 1


# -- words ----------------------------------------------------------------------------------------


def test_frames_are_shown_as_the_pages_write_them() -> None:
    frames = [(0, b""), (6, b"MDPW01"), (1, b"\x01"), (4, b"echo"), (5000, b"x" * 40)]
    assert shown_frames(frames, 5) == f'[] "MDPW01" 0x01 "echo" "{"x" * 40}"... (5,000 bytes)'
    assert shown_frames(frames[:2], 12) == '[] "MDPW01" and 10 more'
    assert shown(b"\x00\x01\xff\x0a\xfe") == "0x0001ff0afe"
    assert shown(b"\x80" * 255) == f"0x{'80' * 16}... (255 bytes)"
    assert shown("ü\n\x1b[31m".encode()).startswith("0x"), "nothing that a terminal would act on"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_through_its_message(kind: str) -> None:
    notice = Notice(kind, "drop_too_deep", b"\xff", b"s", "10.0.0.7", [1, 2, 3, 4], [(9, b"a")], 7)
    assert unpack_notice(pack_notice(notice)) == notice
    assert unpack_notice(pack_notice(Notice(kind))) == Notice(kind, numbers=[], frames=[])


# -- the way to the log ---------------------------------------------------------------------------


def test_a_dropped_message_is_a_line_and_a_thread_begins_with_the_first(
    impl: str, peers: Peers, caplog: pytest.LogCaptureFixture
) -> None:
    with LRUBroker(ANY, ANY, impl=impl) as broker:
        assert THREAD not in {each.name for each in threading.enumerate()}
        worker = peers.dealer(broker.backend, identity=b"foreign")
        for _ in range(3):
            worker.send_multipart([b"", b"HELLO", b"\x00\x01"])
        wait_until(lambda: broker.stats()["drop_malformed_worker"] == 3)
        [line] = wait_until(lambda: lines(caplog, "foreign"))
        assert '[] "HELLO" 0x0001' in line
        assert "127.0.0.1" in line
        assert THREAD in {each.name for each in threading.enumerate()}
    assert THREAD not in {each.name for each in threading.enumerate()}
    assert len(lines(caplog, "foreign")) == 1


def test_an_expired_worker_is_a_warning_and_one_that_leaves_is_not(
    impl: str, peers: Peers, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "brigantine.broker")
    with MajordomoBroker(ANY, impl=impl, heartbeat_interval=0.1) as broker:
        for name in (b"mute", b"polite", b"gone"):
            made = peers.dealer(broker.frontend, identity=name)
            made.send_multipart([b"MDPW02", b"\x01", b"echo"])
            wait_until(lambda: broker.stats()["workers"] == 1)
            if name == b"polite":
                made.send_multipart([b"MDPW02", b"\x06"])
            elif name == b"gone":
                made.close()
            wait_until(lambda: broker.stats()["workers"] == 0)
        wait_until(lambda: lines(caplog, '"gone"', '"echo"', "connection closed"))
    [expired] = lines(caplog, '"mute"', '"echo"', "expired", "127.0.0.1", "was heard from it for")
    assert "heartbeat_interval" in expired
    assert lines(caplog, '"polite"', "DISCONNECT")
    levels = {
        record.getMessage().split('"')[1]: record.levelname
        for record in caplog.records
        if record.name == "brigantine.broker"
    }
    assert levels == {"mute": "WARNING", "polite": "INFO", "gone": "INFO"}


def test_a_handler_that_blocks_holds_up_neither_the_loop_nor_the_end(
    impl: str, peers: Peers, blocked: Blocked
) -> None:
    with AnyBroker(ANY, ANY, impl=impl) as broker:
        for count in range(1, 20):
            peers.dealer(broker.frontend).send(b"no delimiter")
            wait_until(lambda count=count: broker.stats()["drop_malformed_request"] == count)
        assert blocked.entered.wait(10)
        worker, client = peers.worker(broker.backend), peers.req(broker.frontend)
        client.send(b"goes on")
        worker.send_multipart(worker.recv_multipart())
        assert client.recv() == b"goes on"
    assert not broker.running
    blocked.go_on.set()
    threads = [each for each in threading.enumerate() if each.name == THREAD]
    for each in threads:
        each.join(10)
        assert not each.is_alive()
    assert len(blocked.seen) == KIND_BURST + 1
    assert "left out 9 more lines" in blocked.seen[-1]


@pytest.mark.parametrize(
    ("leaving", "expected"),
    [((), logging.WARNING), ((b"\x06",), logging.INFO)],
    ids=["expired", "DISCONNECT"],
)
def test_lines_that_are_left_out_are_told_at_their_own_level(
    impl: str, peers: Peers, caplog: pytest.LogCaptureFixture, leaving: Any, expected: int
) -> None:
    caplog.set_level(logging.INFO, "brigantine.broker")
    count = KIND_BURST + 5
    with MajordomoBroker(ANY, impl=impl, heartbeat_interval=0.1) as broker:
        worker = peers.dealer(broker.frontend)
        for joined in range(1, count + 1):
            worker.send_multipart([b"MDPW02", b"\x01", b"echo"])
            for command in leaving:
                worker.send_multipart([b"MDPW02", command])
            wait_until(lambda joined=joined: broker.stats()["workers_joined"] == joined)
            if not leaving:
                worker = peers.dealer(broker.frontend)
        wait_until(lambda: broker.stats()["workers"] == 0)
    [said] = [each for each in caplog.records if "left out" in each.getMessage()]
    assert said.levelno == expected


def test_the_highest_level_of_what_was_left_out_is_told(rooms: ModuleType) -> None:
    queue = rooms.NoticeQueue(lambda: True)
    for level in (logging.INFO, logging.WARNING, logging.INFO):
        queue.leave_out(level)
    assert queue.take_left_out() == (3, logging.WARNING)
    queue.leave_out(logging.INFO)
    assert queue.take_left_out() == (1, logging.INFO)


def test_a_handler_that_raises_ends_nothing(impl: str, peers: Peers) -> None:
    class Raises(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise RuntimeError(record)

    raises = Raises()
    logging.getLogger("brigantine.broker").addHandler(raises)
    try:
        with LRUBroker(ANY, ANY, impl=impl) as broker:
            for name in (b"one", b"two"):
                peers.dealer(broker.frontend, identity=name).send(b"no delimiter")
            wait_until(lambda: broker.stats()["drop_malformed_request"] == 2)
    finally:
        logging.getLogger("brigantine.broker").removeHandler(raises)
    assert THREAD not in {each.name for each in threading.enumerate()}


def test_the_queue_is_bounded_and_counts_what_it_has_no_room_for(rooms: ModuleType) -> None:
    began: list[bool] = []
    queue = rooms.NoticeQueue(lambda: not began.append(True))
    for each in range(NOTICES_WAITING + 5):
        queue.put(b"%d" % each, logging.INFO + each)
    assert began == [True]
    assert queue.left_out == 5
    assert [queue.get(0) for _ in range(NOTICES_WAITING)] == [
        b"%d" % each for each in range(NOTICES_WAITING)
    ]
    assert not queue.over
    queue.end()
    assert queue.get(None) is None
    assert queue.over
    assert queue.take_left_out() == (5, logging.INFO + NOTICES_WAITING + 4)
    assert (queue.left_out, queue.take_left_out()) == (0, (0, 0))


def test_a_start_that_fails_is_tried_again(rooms: ModuleType) -> None:
    answers = [False, True]
    queue = rooms.NoticeQueue(lambda: answers.pop(0))
    for each in (b"a", b"b", b"c"):
        queue.put(each, logging.INFO)
    assert not answers
    assert [queue.get(0) for _ in range(3)] == [b"a", b"b", b"c"]


def test_whoever_waits_is_woken_by_a_notice_by_a_count_and_by_the_end(rooms: ModuleType) -> None:
    queue = rooms.NoticeQueue(lambda: True)
    seen: list[Any] = []

    def take() -> None:
        while not queue.over:
            message = queue.get(None)
            seen.append(message or queue.take_left_out()[0])

    thread = threading.Thread(target=take)
    thread.start()
    queue.put(b"a", logging.INFO)
    wait_until(lambda: seen == [b"a"])
    queue.leave_out(logging.INFO)
    wait_until(lambda: seen == [b"a", 1])
    queue.end()
    thread.join(10)
    assert not thread.is_alive()


def test_the_end_is_never_missed_however_close_it_follows(rooms: ModuleType) -> None:
    for _ in range(2000):
        queue = rooms.NoticeQueue(lambda: True)
        taken: list[bytes] = []

        def take(queue: Any = queue, taken: list[bytes] = taken) -> None:
            while not queue.over:
                message = queue.get(None)
                taken += [message] if message else []

        thread = threading.Thread(target=take)
        thread.start()
        queue.put(b"a", logging.INFO)
        queue.end()
        thread.join(10)
        assert not thread.is_alive()
        assert taken == [b"a"]


FORKS = """
import os, sys, warnings, zmq
from brigantine import LRUBroker
warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads, on purpose
with LRUBroker("tcp://127.0.0.1:*", "tcp://127.0.0.1:*") as broker, zmq.Context() as context:
    with context.socket(zmq.DEALER) as peer:
        peer.linger = 0
        peer.connect(broker.frontend)
        peer.send(b"no delimiter")
        while not broker._notices._thread:
            pass
        child = os.fork()
        if not child:
            del broker._notices, broker._loop
            os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
print("ended", flush=True)
"""


def test_a_forked_child_has_nothing_to_do_with_it(impl: str) -> None:
    with program(FORKS, impl=impl) as process:
        assert process.stdout is not None
        assert process.stdout.read().split() == ["7", "ended"]


@pytest.mark.parametrize(
    ("port", "kind"), [(FRONTEND, "not_a_request"), (BACKEND, "not_a_command")]
)
@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        ([bytes(4096)], "drop_too_large", "max_message_bytes"),
        ([b"x"] * 20, "drop_too_many_frames", "max_frames"),
    ],
)
def test_a_message_beyond_the_bounds_is_one_line_a_peer(
    rooms: ModuleType, port: int, kind: str, body: list[bytes], reason: str, words: str
) -> None:
    rig = Rig(rooms, max_message_bytes=1024, max_frames=8, max_depth=4)
    rig.notice()
    for _ in range(3):
        rig.receive(port, [b"big", b"", b"0" * 16, b"", *body])
    [told] = rig.noticed()
    assert (told.kind, told.reason, told.peer, rig[reason]) == (kind, reason, b"big", 3)
    assert words in describe(told, Here(("f",), ("b",), Protocol.REQ))


def test_a_ready_that_came_too_late_is_one_line(rooms: ModuleType) -> None:
    rig = Rig(rooms)
    rig.notice()
    rig.ready(b"late", 7)
    [told] = rig.noticed()
    assert (told.kind, told.reason, told.peer) == ("refused", "drop_ready_gone", b"late")
