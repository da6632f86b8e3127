"""What sessions must live through: expiry at the worst moment, crowds, a server stopped or killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from harness import PATIENCE, Peers, wait_until

from brigantine import AsyncClient, AsyncServer, NoReply, Session, SessionLost

#: A server in a process of its own: it tells its stats for each line that it reads.
PROGRAM = """
import sys
from brigantine import AsyncServer

def handler(session, body):
    session.state["asked"] = session.state.get("asked", 0) + 1
    return b"%d" % session.state["asked"]

with AsyncServer(sys.argv[1], handler, impl=sys.argv[2], session_timeout=float(sys.argv[3])) as server:
    print(server.frontend, flush=True)
    for _ in sys.stdin:
        print(*(f"{name}={value}" for name, value in server.stats().items()), flush=True)
"""


class ServerProcess:
    """One of them."""

    def __init__(self, impl: str, timeout: float, endpoint: str = "tcp://127.0.0.1:*") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, endpoint, impl, str(timeout)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.frontend = self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def stats(self) -> dict[str, int]:
        assert self.process.stdin is not None
        print("stats", file=self.process.stdin, flush=True)
        pairs = (each.split("=") for each in self._line().split())
        return {name: int(value) for name, value in pairs}

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def processes() -> Iterator[list[ServerProcess]]:
    """Those that a test starts are killed at its end."""
    started: list[ServerProcess] = []
    yield started
    for each in started:
        each.end()


def test_no_handler_ever_holds_a_closed_session(
    impl: str, peers: Peers, record: Callable[..., None]
) -> None:
    """Clients whose pauses are about as long as the timeout: they meet every moment of an expiry."""
    wrong: list[str] = []
    calls: dict[int, list[str]] = {}
    lock = threading.Lock()

    def note(session: Session, what: str) -> None:
        with lock:
            calls.setdefault(session.number, []).append(what)
            if what != "close" and session.closed:
                wrong.append(f"{what} on a closed session")

    def handler(session: Session, body: bytes) -> bytes:
        note(session, "begin")
        time.sleep(0.001)  # not a wait of the test's: what the handler does
        note(session, "end")
        return body

    with AsyncServer(
        "tcp://127.0.0.1:*", handler, impl=impl, session_timeout=0.05,
        on_open=lambda session: note(session, "open"),
        on_close=lambda session: note(session, "close"),
    ) as server:  # fmt: skip
        clients = [peers.dealer(server.frontend) for _ in range(8)]
        replies = 0
        for turn in range(60):
            for number, client in enumerate(clients):
                if (turn + number) % 3:
                    client.send(b"%d" % turn)
            for number, client in enumerate(clients):
                if (turn + number) % 3:
                    assert client.recv() == b"%d" % turn
                    replies += 1
            threading.Event().wait(0.05 * (turn % 5) / 4)
        wait_until(lambda: server.stats()["sessions"] == 0)
        stats = server.stats()
    assert not wrong
    assert replies == stats["replied"] == 320
    assert stats["sessions_opened"] == stats["sessions_closed"] == len(calls) > 8
    for each in calls.values():
        assert each[0] == "open"
        assert each[-1] == "close"
        assert each.count("open") == each.count("close") == 1
        assert each[1:-1] == ["begin", "end"] * ((len(each) - 2) // 2)
    record(
        "messages at the very moment of a session's expiry",
        calls_on_closed=len(wrong), opened=stats["sessions_opened"], closed=stats["sessions_closed"],
    )  # fmt: skip


def test_a_hundred_thousand_sessions_and_nothing_of_those_that_fell_silent(
    impl: str, peers: Peers
) -> None:
    """Opened through one connection, as behind a device; half of them go on."""
    many = 100_000 if impl == "core" else 5_000
    with AsyncServer(
        "tcp://127.0.0.1:*", lambda _, body: body, impl=impl, session_timeout=3.0
    ) as server:  # fmt: skip
        dealer = peers.dealer(server.frontend, sndhwm=0, rcvhwm=0)
        names = [b"client-%d" % number for number in range(many)]

        def ask(who: list[bytes]) -> None:
            for at in range(0, len(who), 500):
                part = who[at : at + 500]
                for name in part:
                    dealer.send_multipart([name, b"", b"x"])
                assert {dealer.recv_multipart()[0] for _ in part} == set(part)

        ask(names)
        opened = server.stats()["sessions_opened"]
        assert opened >= many
        while server.stats()["closed_timeout"] < many // 2:
            ask(names[:50])
        wait_until(lambda: len(server._handling.sessions) == server.stats()["sessions"])
        wait_until(lambda: server.stats()["sessions"] <= 50, timeout=3 * PATIENCE)
        stats = server.stats()
        assert stats["sessions_opened"] - stats["sessions_closed"] == stats["sessions"]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_connections_that_send_nothing_open_no_session_and_descriptors_come_back(
    impl: str, record: Callable[..., None]
) -> None:
    with AsyncServer("tcp://127.0.0.1:*", lambda _, body: body, impl=impl) as server:
        before = descriptors()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        sockets = [context.socket(zmq.DEALER) for _ in range(200)]
        for socket in sockets:
            socket.linger = 0
            socket.connect(server.frontend)
        wait_until(lambda: descriptors() > before + 500)
        assert server.stats()["sessions_opened"] == 0
        for socket in sockets:
            socket.close()
        context.term()
        wait_until(lambda: descriptors() <= before)
        record(
            "clients that connect and never send",
            connections=200, sessions=0, descriptors_left=max(0, descriptors() - before),
        )  # fmt: skip


def test_a_server_that_was_stopped_expires_nobody_who_lives(
    impl: str, processes: list[ServerProcess], record: Callable[..., None]
) -> None:
    server = ServerProcess(impl, 0.5)
    processes.append(server)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(AsyncClient(server.frontend)) for _ in range(5)]
        assert [client.request(b"x") for client in clients] == [b"1"] * 5
        server.process.send_signal(signal.SIGSTOP)
        beaten = [client.stats()["heartbeats"] for client in clients]
        # Four beats are the timeout: it is stopped for three times as long.
        wait_until(
            lambda: all(
                client.stats()["heartbeats"] >= before + 12
                for client, before in zip(clients, beaten, strict=True)
            )
        )
        server.process.send_signal(signal.SIGCONT)
        assert [client.request(b"x") for client in clients] == [b"2"] * 5
        stats = server.stats()
        assert stats["sessions_opened"] == 5
        assert stats["closed_timeout"] == 0
        record(
            "a server stopped for three session timeouts", false_expiries=stats["closed_timeout"]
        )


def test_a_server_that_was_killed_and_came_back_serves_no_lost_session(
    impl: str, processes: list[ServerProcess], record: Callable[..., None]
) -> None:
    told: list[tuple[bool, int, str]] = []
    server = ServerProcess(impl, 30.0)
    processes.append(server)
    with AsyncClient(server.frontend, on_session=lambda *event: told.append(event)) as client:
        assert [client.request(b"x") for _ in range(2)] == [b"1", b"2"]
        server.process.send_signal(signal.SIGSTOP)
        future = client.submit(b"lost")
        wait_until(lambda: client.stats()["requests"] == 3)
        server.process.kill()
        server.process.wait()
        with pytest.raises(SessionLost):
            future.result(PATIENCE)
        processes.append(ServerProcess(impl, 30.0, server.frontend))
        assert client.request(b"x") == b"1", "a new session"
        assert [event[0] for event in told] == [True, False, True]
        assert processes[-1].stats()["accepted"] == 1
        record("a server killed and started anew", requests_on_a_lost_session=0)


def test_a_client_without_a_server_waits_and_is_served_when_it_comes(
    impl: str, processes: list[ServerProcess]
) -> None:
    first = ServerProcess(impl, 30.0)
    processes.append(first)
    endpoint = first.frontend
    first.end()
    with AsyncClient(endpoint) as client:
        with pytest.raises(NoReply, match="accepts connections"):
            client.request(b"x", timeout=0.3)
        future = client.submit(b"x", timeout=3 * PATIENCE)
        processes.append(ServerProcess(impl, 30.0, endpoint))
        assert future.result(3 * PATIENCE) == b"1"


def test_a_callback_may_close_the_client_it_is_told_of(impl: str) -> None:
    """It is called in the client's own thread, which does not wait for itself."""
    made: list[Any] = []
    ended = threading.Event()

    def told(opened: bool, _number: int, _why: str) -> None:
        if opened:
            made[0].close()
            ended.set()

    with AsyncServer("tcp://127.0.0.1:*", lambda _, body: body, impl=impl) as server:
        made.append(AsyncClient("tcp://127.0.0.1:9", on_session=told))
        made[0].close()
        client = AsyncClient(server.frontend, on_session=told)
        made[0] = client
        assert ended.wait(PATIENCE)
        client.close()
