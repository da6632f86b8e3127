"""AsyncServer: each client has a session, answers in its own framing, and replies in any order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from harness import Peers, wait_until

from brigantine import AsyncServer, BindError, QueueDevice, Session, WrongUse, ledger_holds

Start = Callable[..., AsyncServer]
TRANSPORTS = ("tcp://127.0.0.1:*", "ipc://*", "inproc://async-server")


@pytest.fixture
def server(impl: str) -> Iterator[Start]:
    """``server(handler, **options)`` starts one on a free tcp port; all are stopped at the end."""
    running: list[AsyncServer] = []

    def start(
        handler: Callable[..., Any], frontend: str = "tcp://127.0.0.1:*", **options: Any
    ) -> AsyncServer:
        running.append(AsyncServer(frontend, handler, impl=impl, **options))
        return running[-1]

    yield start
    for each in running:
        each.stop()
        stats = each.stats()
        assert ledger_holds(stats)
        assert stats["sessions_opened"] == stats["sessions_closed"] + stats["sessions"]


def counting(session: Session, body: Any) -> list[bytes]:
    """How many requests the session has had, and what was asked."""
    session.state["asked"] = session.state.get("asked", 0) + 1
    return [b"%d" % session.state["asked"], body if isinstance(body, bytes) else b"|".join(body)]


class Log:
    """What was told of sessions, in order."""

    def __init__(self) -> None:
        self.opened: list[int] = []
        self.closed: list[tuple[int, str]] = []

    def options(self) -> dict[str, Any]:
        return {
            "on_open": lambda session: self.opened.append(session.number),
            "on_close": lambda session: self.closed.append((session.number, session.closed)),
        }


@pytest.mark.parametrize("endpoint", TRANSPORTS)
def test_each_client_is_answered_in_its_own_framing(
    server: Start, peers: Peers, endpoint: str
) -> None:
    shared = {"context": peers.context} if endpoint.startswith("inproc") else {}
    running = server(counting, endpoint, **shared)
    dealer = peers.dealer(running.frontend)
    req = peers.req(running.frontend)
    dealer.send(b"bare")
    assert dealer.recv_multipart() == [b"1", b"bare"]
    dealer.send_multipart([b"", b"led"])
    assert dealer.recv_multipart() == [b"", b"2", b"led"]
    dealer.send_multipart([b"a", b"", b"b"])
    dealer.send_multipart([b"", b"a", b"", b"b"])
    assert dealer.recv_multipart() == [b"3", b"a||b"]
    assert dealer.recv_multipart() == [b"", b"4", b"a||b"]
    req.send(b"asked")
    assert req.recv_multipart() == [b"1", b"asked"]


def test_a_client_that_sends_no_empty_frame_may_have_one_in_its_body(
    server: Start, peers: Peers
) -> None:
    running = server(counting)
    dealer = peers.dealer(running.frontend)
    dealer.send(b"first")
    assert dealer.recv_multipart() == [b"1", b"first"]
    dealer.send_multipart([b"a", b"", b"b"])
    assert dealer.recv_multipart() == [b"2", b"a||b"]


def test_clients_behind_a_device_have_a_session_each(
    server: Start, peers: Peers, impl: str
) -> None:
    running = server(counting)
    with QueueDevice("tcp://127.0.0.1:*", f">{running.frontend}", impl=impl) as device:
        clients = [peers.req(device.frontend) for _ in range(3)]
        for turn in (b"1", b"2"):
            for client in clients:
                client.send(b"x")
                assert client.recv_multipart() == [turn, b"x"]
        assert running.stats()["sessions"] == 3


def test_clients_behind_a_device_that_send_no_empty_frame_need_hops(
    server: Start, peers: Peers, impl: str
) -> None:
    running = server(counting, hops=1)
    with QueueDevice("tcp://127.0.0.1:*", f">{running.frontend}", impl=impl) as device:
        clients = [peers.dealer(device.frontend) for _ in range(3)]
        for turn in (b"1", b"2"):
            for client in clients:
                client.send(b"x")
                assert client.recv_multipart() == [turn, b"x"]


def test_a_silent_session_is_closed_with_a_callback_and_nothing_of_it_is_left(
    server: Start, peers: Peers
) -> None:
    log = Log()
    running = server(counting, session_timeout=0.1, **log.options())
    dealer = peers.dealer(running.frontend)
    dealer.send(b"x")
    assert dealer.recv_multipart() == [b"1", b"x"]
    wait_until(lambda: log.closed == [(1, "timeout")], "the session to be closed")
    wait_until(lambda: running.stats()["sessions"] == 0, "the session to be gone")
    assert not running._handling.sessions
    dealer.send(b"x")
    assert dealer.recv_multipart() == [b"1", b"x"], "a new session"
    assert log.opened == [1, 2]


def test_any_message_keeps_a_session(server: Start, peers: Peers) -> None:
    log = Log()
    running = server(counting, session_timeout=0.4, **log.options())
    one, other = peers.dealer(running.frontend), peers.dealer(running.frontend)
    other.send(b"x")
    for turn in range(1, 100):
        one.send(b"x")
        assert one.recv_multipart() == [b"%d" % turn, b"x"]
        if log.closed:
            break
        threading.Event().wait(0.01)
    assert other.recv_multipart() == [b"1", b"x"]
    assert [reason for _, reason in log.closed] == ["timeout"]
    assert running.stats()["sessions"] == 1


def test_replies_leave_as_handlers_finish(server: Start, peers: Peers) -> None:
    go = threading.Event()

    def handler(_: Session, body: bytes) -> bytes:
        if body == b"slow":
            go.wait(10)
        return body

    running = server(handler, workers=2, session_concurrency=2)
    dealer = peers.dealer(running.frontend)
    dealer.send(b"slow")
    dealer.send(b"quick")
    assert dealer.recv() == b"quick"
    go.set()
    assert dealer.recv() == b"slow"


def test_one_handler_at_a_time_is_at_work_for_a_session(server: Start, peers: Peers) -> None:
    inside: set[int] = set()
    both: list[int] = []
    most: list[int] = []

    def handler(session: Session, body: bytes) -> bytes:
        if session.number in inside:
            both.append(session.number)
        inside.add(session.number)
        most.append(len(inside))
        threading.Event().wait(0.002)
        inside.discard(session.number)
        return body

    running = server(handler, workers=4)
    clients = [peers.dealer(running.frontend) for _ in range(4)]
    for number in range(25):
        for client in clients:
            client.send(b"%d" % number)
    for client in clients:
        assert [client.recv() for _ in range(25)] == [b"%d" % number for number in range(25)]
    assert not both
    assert max(most) > 1, "several sessions at once"


def test_several_replies_to_one_request(server: Start, peers: Peers) -> None:
    def handler(_: Session, body: bytes) -> Iterator[Any]:
        for number in range(int(body)):
            yield b"%d" % number

    running = server(handler)
    dealer = peers.dealer(running.frontend)
    dealer.send_multipart([b"", b"3"])
    assert [dealer.recv_multipart() for _ in range(3)] == [[b"", b"%d" % n] for n in range(3)]
    req = peers.req(running.frontend)
    req.send(b"3")
    assert req.recv_multipart() == [b"0", b"1", b"2"], "a REQ socket takes one"
    req.send(b"0")
    assert req.recv_multipart() == [b""], "and waits for one"


def test_a_message_beside_all_requests(server: Start, peers: Peers) -> None:
    known: list[Session] = []

    def handler(session: Session, body: bytes) -> bytes:
        known.append(session)
        return body

    running = server(handler, session_timeout=0.2)
    dealer = peers.dealer(running.frontend)
    dealer.send(b"x")
    assert dealer.recv() == b"x"
    assert known[0].send([b"news", b"of the day"])
    assert dealer.recv_multipart() == [b"news", b"of the day"]
    wait_until(lambda: known[0].closed, "the session to be closed")
    assert not known[0].send(b"too late")


def test_what_a_handler_raises_is_told_and_it_goes_on(
    server: Start, peers: Peers, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(_: Session, body: bytes) -> Any:
        if body == b"bad":
            raise ValueError("no such thing")
        return 5 if body == b"worse" else body

    running = server(handler, workers=1)
    dealer = peers.dealer(running.frontend)
    for body in (b"bad", b"worse", b"good"):
        dealer.send(body)
    told = [dealer.recv_multipart() for _ in range(3)]
    assert told[0][0] == told[1][0] == b"brigantine-error/1"
    assert b"no such thing" in told[0][1]
    assert told[2] == [b"good"]
    stats = running.stats()
    assert (stats["failed_handler"], stats["handler_errors"], stats["replied"]) == (2, 2, 1)
    assert "no such thing" in caplog.text


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_thread_that_ends_is_replaced_and_its_client_told(
    server: Start, peers: Peers, error: type[BaseException]
) -> None:
    def handler(_: Session, body: bytes) -> bytes:
        if body == b"end":
            raise error("enough")
        return body

    running = server(handler, workers=2)
    dealer = peers.dealer(running.frontend)
    for number in range(1, 6):
        dealer.send(b"end")
        assert dealer.recv_multipart()[0] == b"brigantine-error/1"
        wait_until(lambda number=number: running.stats()["threads_replaced"] == number)
    wait_until(lambda: running.stats()["threads"] == 2)
    dealer.send(b"still there")
    assert dealer.recv() == b"still there"
    assert running.stats()["failed_handler"] == 5


def test_a_handler_that_hangs_costs_a_thread_that_is_replaced(server: Start, peers: Peers) -> None:
    go = threading.Event()

    def handler(_: Session, body: bytes) -> bytes:
        if body == b"hang":
            go.wait(20)
        return body

    running = server(handler, workers=1, request_ttl=0.2)
    hangs, other = peers.dealer(running.frontend), peers.dealer(running.frontend)
    hangs.send(b"hang")
    assert b"failed_expired_in_flight" in hangs.recv_multipart()[1]
    wait_until(lambda: running.stats()["threads_hung"] == 1)
    wait_until(lambda: running.stats()["threads"] == 1)

    def served() -> bool:
        other.send(b"x")
        return other.recv_multipart() == [b"x"]

    wait_until(served)
    go.set()
    wait_until(lambda: running.stats()["drop_reply_late"] == 1)
    assert running.stats()["failed_expired_in_flight"] == 1


def test_a_thread_that_cannot_be_replaced_is_tried_again(
    server: Start, peers: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handler(_: Session, body: bytes) -> bytes:
        if body == b"end":
            raise SystemExit
        return body

    running = server(handler, workers=1)
    dealer = peers.dealer(running.frontend)
    pool = running._pool
    assert pool is not None
    add, refused = pool._add, []

    def refuse() -> None:
        refused.append(1)
        if len(refused) < 3:
            raise RuntimeError("can't start new thread")
        add()

    monkeypatch.setattr(pool, "_add", refuse)
    dealer.send(b"end")
    assert dealer.recv_multipart()[0] == b"brigantine-error/1"
    dealer.send(b"x")
    assert dealer.recv() == b"x"
    assert len(refused) == 3
    assert running.stats()["threads"] == 1


def test_another_connection_with_the_routing_id_gets_another_session(
    server: Start, peers: Peers
) -> None:
    log = Log()
    running = server(counting, session_timeout=30, **log.options())
    connected = 0

    def served() -> bool:
        """A socket that comes before the one before it has gone is not heard: another one tries."""
        dealer = peers.dealer(running.frontend, identity=b"name", rcvtimeo=500)
        try:
            dealer.send(b"x")
            assert dealer.recv_multipart() == [b"1", b"x"], "no state to a stranger"
            dealer.send(b"x")
            assert dealer.recv_multipart() == [b"2", b"x"]
        except zmq.Again:
            return False
        finally:
            dealer.close()
        return True

    while connected < 10:
        wait_until(served)
        connected += 1
    wait_until(lambda: len(log.closed) == 9)
    assert log.opened == list(range(1, 11))
    assert log.closed == [(number, "replaced") for number in range(1, 10)]
    assert running.stats()["closed_replaced"] == 9


def test_a_second_live_connection_with_the_routing_id_gets_neither_state_nor_replies(
    server: Start, peers: Peers
) -> None:
    """The first one keeps its name, and its session, for as long as it is connected."""
    go = threading.Event()

    def handler(session: Session, body: bytes) -> bytes:
        if body == b"slow":
            go.wait(10)
        session.state.setdefault("first", body)
        return b"%b of %b" % (body, session.state["first"])

    running = server(handler, session_timeout=30)
    first = peers.dealer(running.frontend, identity=b"name")
    first.send(b"mine")
    assert first.recv() == b"mine of mine"
    first.send(b"slow")
    wait_until(lambda: running.stats()["in_flight"] == 1)
    second = peers.dealer(running.frontend, identity=b"name")
    second.send(b"other")
    go.set()
    assert first.recv() == b"slow of mine"
    first.send(b"more")
    assert first.recv() == b"more of mine"
    assert second.poll(0) == 0
    assert running.stats()["sessions_opened"] == 1


def test_a_client_with_the_routing_id_of_another_is_heard_once_that_one_has_gone(
    server: Start, peers: Peers, caplog: pytest.LogCaptureFixture
) -> None:
    """libzmq would leave it connected and unheard for ever: it is hung up on, and connects anew."""
    running = server(counting, unheard_timeout=0.2, session_timeout=30)
    first = peers.dealer(running.frontend, identity=b"name")
    first.send(b"x")
    assert first.recv_multipart() == [b"1", b"x"]
    second = peers.dealer(running.frontend, identity=b"name")
    wait_until(lambda: running.stats()["connections_unheard"] >= 2)
    told = f"closed a connection of 127.0.0.1 to {running.frontend}, by which no message came"
    wait_until(lambda: sum(told in each for each in caplog.messages) == 1, "one word of it")
    first.send(b"x")
    assert first.recv_multipart() == [b"2", b"x"], "the first one is not disturbed"
    first.close()

    def heard() -> bool:
        second.send(b"y")
        return bool(second.poll(300))

    wait_until(heard)
    assert second.recv_multipart() == [b"1", b"y"], "in a session of its own"


def test_a_client_that_has_only_sent_junk_is_not_held_to_be_silent(
    server: Start, peers: Peers
) -> None:
    running = server(counting, unheard_timeout=0.2)
    junk = peers.socket(zmq.DEALER)
    ends = junk.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    junk.connect(running.frontend)
    junk.send_multipart([b"x"] * 300)
    wait_until(lambda: running.stats()["drop_too_many_frames"] == 1)
    peers.dealer(running.frontend)  # says nothing, and came later
    wait_until(lambda: running.stats()["connections_unheard"] == 1)
    has_ended = ends.poll(0)
    junk.disable_monitor()
    ends.close(0)
    assert not has_ended


def test_a_handler_that_streams_without_end_waits_for_the_loop(server: Start, peers: Peers) -> None:
    """What it has handed over and nobody has sent is bounded; it is ended when its client has gone."""
    parts: list[int] = []
    ended: list[bool] = []

    def handler(_: Session, body: bytes) -> Iterator[bytes]:
        try:
            while True:
                parts.append(1)
                yield body * 100_000
        finally:
            ended.append(True)

    running = server(handler, peer_bytes=1_000_000)
    dealer = peers.dealer(running.frontend, rcvhwm=1)
    dealer.send(b"x")
    wait_until(lambda: ended)
    wait_until(lambda: running.stats()["in_flight"] == 0)
    assert running.stats()["shed_client_bytes"] + running.stats()["shed_client_full"] == 1
    assert len(parts) < 3000


def test_sessions_and_the_requests_of_one_are_bounded_and_refusals_counted(
    server: Start, peers: Peers
) -> None:
    go = threading.Event()

    def handler(_: Session, body: bytes) -> bytes:
        go.wait(10)
        return body

    running = server(handler, workers=1, max_sessions=2, session_requests=3)
    clients = [peers.dealer(running.frontend) for _ in range(3)]
    for client in clients[:2]:
        client.send(b"x")
    wait_until(lambda: running.stats()["sessions"] == 2)
    clients[2].send(b"x")
    assert b"shed_sessions" in clients[2].recv_multipart()[1]
    for _ in range(4):
        clients[1].send(b"x")
    assert b"shed_session_full" in clients[1].recv_multipart()[1]
    stats = running.stats()
    assert stats["sessions_refused"] == stats["shed_sessions"] == 1
    go.set()
    assert clients[0].recv() == b"x"


def test_malformed_messages_are_dropped_and_counted(server: Start, peers: Peers) -> None:
    running = server(counting, max_frames=20, max_depth=4, max_message_bytes=2000)
    dealer = peers.dealer(running.frontend)
    dealer.send_multipart([b""])
    dealer.send_multipart([b"x" * 300, b"", b"y"])
    dealer.send_multipart([b"a"] * 6 + [b"", b"y"])
    dealer.send_multipart([b"a"] * 30)
    dealer.send_multipart([b"a" * 1500, b"b" * 1500])
    dealer.send_multipart([b"", b"\0bgn1" + b"\x77" * 25])
    dealer.send_multipart([b"", b"fine"])
    assert dealer.recv_multipart() == [b"", b"1", b"fine"]
    stats = running.stats()
    assert stats["drop_malformed_request"] == 3
    assert stats["drop_too_deep"] == stats["drop_too_many_frames"] == stats["drop_too_large"] == 1


def test_a_client_that_does_not_read_is_shed_and_the_others_are_served(
    server: Start, peers: Peers
) -> None:
    def handler(_: Session, body: bytes) -> bytes:
        return b"x" * 50_000 if body == b"much" else body

    running = server(handler, high_water_mark=10, peer_bytes=200_000)
    paused = peers.dealer(running.frontend, rcvhwm=1)
    for _ in range(200):
        paused.send(b"much")
    other = peers.dealer(running.frontend)
    other.send(b"x")
    assert other.recv() == b"x"
    wait_until(lambda: running.stats()["in_flight"] + running.stats()["queued"] == 0)
    stats = running.stats()
    assert stats["shed_client_bytes"] + stats["shed_client_full"] > 0
    assert stats["accepted"] == 201


def test_a_drain_finishes_what_was_accepted(server: Start, peers: Peers) -> None:
    go = threading.Event()

    def handler(_: Session, body: bytes) -> bytes:
        go.wait(10)
        return body

    running = server(handler, workers=1)
    dealer = peers.dealer(running.frontend)
    for number in range(5):
        dealer.send(b"%d" % number)
    wait_until(lambda: running.stats()["accepted"] == 5)
    ended: list[bool] = []
    drain = threading.Thread(target=lambda: ended.append(running.drain()))
    drain.start()
    go.set()
    assert [dealer.recv() for _ in range(5)] == [b"%d" % number for number in range(5)]
    drain.join()
    assert ended == [True]
    assert running.stats()["closed_stopped"] == 1


def test_a_stop_closes_every_session_and_fails_what_waits(server: Start, peers: Peers) -> None:
    log = Log()
    go = threading.Event()

    def handler(_: Session, body: bytes) -> bytes:
        go.wait(0.2)
        return body

    running = server(handler, workers=1, **log.options())
    dealer, idle = peers.dealer(running.frontend), peers.dealer(running.frontend)
    for number in range(5):
        dealer.send(b"%d" % number)
    idle.send(b"x")
    wait_until(lambda: running.stats()["accepted"] == 6)
    running.stop()
    stats = running.stats()
    assert stats["failed_stopped"] >= 4
    assert stats["sessions"] == stats["queued"] == stats["in_flight"] == 0
    assert sorted(log.opened) == sorted(number for number, _ in log.closed) == [1, 2]
    assert stats["threads"] == 0
    assert not running.running


def test_a_handler_may_stop_its_server(server: Start, peers: Peers) -> None:
    running: list[AsyncServer] = []

    def handler(_: Session, body: bytes) -> bytes:
        running[0].stop()
        return body

    running.append(server(handler))
    dealer = peers.dealer(running[0].frontend)
    dealer.send(b"x")
    assert dealer.recv() == b"x"
    assert running[0].join(10)


def test_a_callback_that_raises_is_counted_and_the_session_goes_on(
    server: Start, peers: Peers
) -> None:
    def wrong(_: Session) -> None:
        raise ValueError("not today")

    running = server(counting, session_timeout=0.1, on_open=wrong, on_close=wrong)
    dealer = peers.dealer(running.frontend)
    dealer.send(b"x")
    assert dealer.recv_multipart() == [b"1", b"x"]
    wait_until(lambda: running.stats()["handler_errors"] == 2)
    wait_until(lambda: running.stats()["sessions"] == 0)


async def _coroutine(_: Session, body: bytes) -> bytes:
    return body


@pytest.mark.parametrize(
    ("handler", "options", "words"),
    [
        (5, {}, "handler must be a function"),
        (lambda body: body, {}, "the session and the request's body"),
        (_coroutine, {}, r"aio\.AsyncServer"),
        (counting, {"workers": 0}, "workers must be from 1"),
        (counting, {"session_timeout": 0}, "session_timeout must be from"),
        (counting, {"on_close": 5}, "on_close must be a function"),
        (counting, {"on_open": lambda: None}, "on_open must be a function of one argument"),
        (counting, {"session_timout": 5}, "did you mean session_timeout"),
        (counting, {"hops": 16}, "hops"),
    ],
)
def test_what_cannot_be_meant_is_said_at_once(
    impl: str, handler: Any, options: dict[str, Any], words: str
) -> None:
    from brigantine import ConfigError

    with pytest.raises(ConfigError, match=words):
        AsyncServer("tcp://127.0.0.1:*", handler, impl=impl, **options)


def test_an_endpoint_in_use_is_an_error(server: Start, impl: str) -> None:
    running = server(counting)
    with pytest.raises(BindError):
        AsyncServer(running.frontend, counting, impl=impl)
    assert issubclass(WrongUse, TypeError)
