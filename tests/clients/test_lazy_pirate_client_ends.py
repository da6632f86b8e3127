"""How a LazyPirateClient ends: closed, interrupted, forgotten, forked."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import zmq
from doubles import (
    EMPTY,
    RawBroker,
    free_endpoint,
    open_files,
    outcome,
    program,
    settled,
)
from harness import PATIENCE, Peers, wait_until

from brigantine import BrigantineError, NoReply
from brigantine.clients.channel import Channel, KnownSocket, Maker
from brigantine.clients.lazy_pirate import LazyPirateClient
from brigantine.errors import ClientClosed
from brigantine.net.backoff import Backoff
from brigantine.net.dialing import Dialing
from brigantine.system.wakeup import Wakeup

#: Seconds for a try that is to fail and whose message need not arrive.
SHORTEST = 0.02
#: A timeout that no test lives to see.
ENDLESS = 3600.0


# -- close and signals ----------------------------------------------------------------------------


def test_close_ends_a_pause(
    clients: Any, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    pausing = threading.Event()

    def longest() -> float:
        pausing.set()
        return 1.0

    monkeypatch.setattr("brigantine.clients.common.Backoff", partial(Backoff, draw=longest))
    client = clients(free_endpoint(), timeout=SHORTEST, backoff=3600.0, backoff_max=3600.0)
    future = threads.submit(client.request, b"q")
    assert pausing.wait(PATIENCE)
    client.close()
    with pytest.raises(ClientClosed):
        future.result(PATIENCE)
    assert client.stats()["tries"] == 1


def test_close_ends_the_requests_of_all_threads_at_once(
    raw: RawBroker, clients: Any, threads: ThreadPoolExecutor
) -> None:
    client = clients(raw.endpoint, timeout=ENDLESS)
    before = open_files()
    futures = [threads.submit(client.request, b"q") for _ in range(4)]
    for _ in futures:
        raw.request_of(b"q")
    client.close()
    for future in futures:
        with pytest.raises(ClientClosed):
            future.result(PATIENCE)
    stats = client.stats()
    assert stats["interrupted"] == 4
    assert settled(stats)
    # All the client had is closed; the broker's ends follow as its libzmq notices.
    wait_until(lambda: open_files() <= before, "the closing of all sockets")


def test_a_closed_client_says_so(raw: RawBroker, clients: Any) -> None:
    client = clients(raw.endpoint)
    client.close()
    client.close()
    with pytest.raises(ClientClosed, match="closed"):
        client.request(b"q")
    assert issubclass(ClientClosed, BrigantineError)
    assert "closed" in repr(client)


def test_a_signal_handler_may_close_the_client_under_a_request(
    raw: RawBroker, clients: Any, threads: ThreadPoolExecutor
) -> None:
    client = clients(raw.endpoint, timeout=ENDLESS)

    def send_signal() -> None:
        raw.request_of(b"q")
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, lambda *_: client.close())
    try:
        future = threads.submit(send_signal)
        with pytest.raises(ClientClosed):
            client.request(b"q")
        future.result()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_signal_that_another_thread_took_ends_the_request_all_the_same(
    raw: RawBroker, clients: Any, threads: ThreadPoolExecutor
) -> None:
    client = clients(raw.endpoint, timeout=ENDLESS)
    handled = []

    def close(*_: object) -> None:
        handled.append(threading.current_thread())
        client.close()

    def send_signal() -> None:
        raw.request_of(b"q")
        os.kill(os.getpid(), signal.SIGUSR1)

    threads.submit(int).result()  # a thread that is there before the signal is blocked in this one
    before = signal.signal(signal.SIGUSR1, close)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        future = threads.submit(send_signal)
        with pytest.raises(ClientClosed):
            client.request(b"q")
        future.result()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        signal.signal(signal.SIGUSR1, before)
    assert handled == [threading.main_thread()]


def test_ctrl_c_leaves_no_half_used_socket_behind(
    raw: RawBroker, clients: Any, threads: ThreadPoolExecutor
) -> None:
    raw.socket.router_mandatory = 0
    client = clients(raw.endpoint, timeout=ENDLESS)

    def press_ctrl_c() -> bytes:
        peer = raw.request_of(b"first")
        os.kill(os.getpid(), signal.SIGINT)
        return peer

    pressed = threads.submit(press_ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        client.request(b"first")
    assert client.stats()["idle"] == 0
    second = threads.submit(client.request, b"second")
    raw.send(pressed.result(), EMPTY, b"answer to the first")
    raw.send(raw.request_of(b"second"), EMPTY, b"answer to the second")
    assert second.result() == b"answer to the second"
    assert client.stats()["interrupted"] == 1


@pytest.mark.parametrize("own", [True, False], ids=["own context", "given context"])
def test_ctrl_c_while_a_socket_is_made_leaves_nothing_to_wait_for(
    monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    """The moment in which nothing but the traceback holds the new socket."""

    def press_ctrl_c(*_: object) -> None:
        raise KeyboardInterrupt

    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    client = LazyPirateClient(free_endpoint(), context=None if own else context)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(zmq.Context, "_add_socket", press_ctrl_c)
            client.request(b"q")
    except KeyboardInterrupt:
        closing = threading.Thread(target=lambda: (client.close(), context.term()), daemon=True)
        closing.start()
        closing.join(PATIENCE)
        assert not closing.is_alive()
    else:
        raise AssertionError("Ctrl-C came at no moment")


CTRL_C = """
import random, signal, time
from brigantine import LazyPirateClient
dice = random.Random(7)
signal.signal(signal.SIGALRM, signal.default_int_handler)
interrupted = 0
while interrupted < 150:
    client = LazyPirateClient("tcp://127.0.0.1:9", timeout=0.005, retries=0)
    try:
        signal.setitimer(signal.ITIMER_REAL, dice.uniform(2e-5, 6e-4))
        try:
            client.request(b"x")
        except TimeoutError:
            pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        interrupted += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        client.close()
    client.close()
print("closed")
"""


def test_ctrl_c_at_any_moment_of_a_first_request_lets_the_client_be_closed() -> None:
    with program(CTRL_C) as process:
        code, output, errors = outcome(process)
    assert (code, output) == (0, "closed\n"), errors
    assert "AttributeError" not in errors


def test_a_connection_that_was_interrupted_while_it_was_made_is_thrown_away_in_silence() -> None:
    Dialing.__new__(Dialing).__del__()


def test_a_terminated_context_ends_a_request(peers: Peers, threads: ThreadPoolExecutor) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    raw = RawBroker(peers)
    client = LazyPirateClient(raw.endpoint, timeout=ENDLESS, context=context)
    future = threads.submit(client.request, b"q")
    raw.request_of(b"q")
    context.term()  # returns once the client has closed its sockets
    with pytest.raises(ClientClosed, match="context"):
        future.result(PATIENCE)
    client.close()


def test_idle_sockets_are_bounded(
    raw: RawBroker, clients: Any, threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brigantine.clients.pool.MAX_IDLE", 2)
    client = clients(raw.endpoint)
    futures = [threads.submit(client.request, b"q") for _ in range(5)]
    for peer in [raw.request_of(b"q") for _ in futures]:
        raw.send(peer, EMPTY, b"r")
    assert [future.result() for future in futures] == [b"r"] * 5
    stats = client.stats()
    assert (stats["sockets_opened"], stats["idle"]) == (5, 2)


def test_no_file_is_left_open_after_silence_and_close(raw: RawBroker) -> None:
    def use(times: int) -> None:
        with LazyPirateClient(raw.endpoint, timeout=SHORTEST, retries=2, backoff=0.0) as client:
            for _ in range(times):
                with pytest.raises(NoReply):
                    client.request(b"q")

    use(1)
    before = open_files()
    use(5)
    wait_until(lambda: open_files() <= before, "the closing of all sockets")


def test_a_forgotten_client_is_closed(raw: RawBroker, threads: ThreadPoolExecutor) -> None:
    before = open_files()
    client = LazyPirateClient(raw.endpoint, timeout=PATIENCE)
    future = threads.submit(client.request, b"q")
    raw.send(raw.request_of(b"q"), EMPTY, b"r")
    assert future.result() == b"r"
    assert open_files() > before
    del client, future
    gc.collect()
    wait_until(lambda: open_files() <= before + 1, "the closing of all sockets")


# -- processes ------------------------------------------------------------------------------------

FORKED = """
import os, sys, warnings
from brigantine.clients.channel import Channel, KnownSocket, Maker
from brigantine.clients.lazy_pirate import LazyPirateClient
warnings.simplefilter("ignore")  # Python 3.12 warns of forks beside threads
client = LazyPirateClient(sys.argv[1], timeout=10.0, retries=0)
assert client.request(b"parent 1") == b"re:parent 1"
child = os.fork()
if child == 0:
    assert client.stats()["requests"] == 0
    assert client.request(b"child") == b"re:child"
    client.close()
    os._exit(7)
assert client.request(b"parent 2") == b"re:parent 2"
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 7, status
assert client.request(b"parent 3") == b"re:parent 3"
assert client.stats()["sockets_opened"] == 1
"""


def test_a_forked_child_uses_sockets_of_its_own(raw: RawBroker) -> None:
    seen: dict[bytes, bytes] = {}
    with program(FORKED, [raw.endpoint]) as process:
        for _ in range(4):
            peer, (_, body) = raw.receive()
            seen[body] = peer
            raw.send(peer, EMPTY, b"re:" + body)
        assert outcome(process) == (0, "", "")
    assert seen[b"parent 1"] == seen[b"parent 2"] == seen[b"parent 3"] != seen[b"child"]


FORGETFUL = """
import sys, threading
from brigantine.clients.channel import Channel, KnownSocket, Maker
from brigantine.clients.lazy_pirate import LazyPirateClient
client = LazyPirateClient(sys.argv[1], timeout=3600.0)
client.request(b"used")
thread = threading.Thread(target=client.request, args=(b"pending",), daemon=True)
threading.excepthook = lambda args: print(args.exc_type.__name__)
thread.start()
sys.stdin.readline()
"""


def test_a_program_may_end_without_closing_its_client(raw: RawBroker) -> None:
    with program(FORGETFUL, [raw.endpoint]) as process:
        raw.send(raw.request_of(b"used"), EMPTY, b"r")
        raw.request_of(b"pending")
        code, output, errors = outcome(process)
    assert (code, errors) == (0, "")
    assert output.strip() in ("ClientClosed", "")


def test_close_is_looked_for_before_what_a_broker_sends(peers: Peers) -> None:
    """Which may be without end."""
    raw, wakeup = RawBroker(peers), Wakeup()
    make = Maker(peers.context, zmq.DEALER, weakref.WeakSet(), KnownSocket)
    channel = Channel(make, raw.endpoint, wakeup)
    channel.send([b"q"])
    peer, _ = raw.receive()
    raw.send(peer, b"one")
    raw.send(peer, b"two")
    assert channel.receive(time.monotonic() + PATIENCE) == [b"one"]
    socket = channel._dialing.socket
    assert socket is not None
    assert socket.poll(int(PATIENCE * 1000))
    wakeup.set()
    with pytest.raises(ClientClosed):
        channel.receive(time.monotonic() + PATIENCE)
    channel.close()
    wakeup.close()
