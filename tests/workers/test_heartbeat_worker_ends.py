"""How workers of PPP, MDP 0.1 and MDP 0.2 end, and what they make of a pause."""

from __future__ import annotations

import asyncio
import signal
import threading
from typing import Any

import msgpack
import pytest
import zmq
from doubles import free_endpoint, open_files, outcome, program
from harness import PATIENCE, wait_until
from heartbeat_doubles import Gate, HeartbeatBroker, unstarted

from brigantine.wire.req import ERROR_MARK


def gone(double: HeartbeatBroker, peer: bytes) -> bool:
    """Whether the peer has left."""
    try:
        double.say(peer, "heartbeat")
    except zmq.ZMQError as error:
        return error.errno == zmq.EHOSTUNREACH
    return False


# -- the end --------------------------------------------------------------------------------------


def test_stop_finishes_what_is_in_hand_and_says_goodbye(double: HeartbeatBroker, wire: str) -> None:
    gate = Gate()
    worker = unstarted(wire, double.endpoint, gate, capacity=3)
    serving = threading.Thread(target=worker.run)
    serving.start()
    peer = double.ready("ready-3")
    for n in (b"0", b"1"):
        double.request(peer, n, ticket=n)
    gate.entered(2)
    worker.stop()
    double.request(peer, b"too late", ticket=b"late")
    wait_until(lambda: worker.stats()["discarded_requests"] == 1, "the refusal")
    gate.go.set()
    assert {double.next()[1][-1] for _ in range(2)} == {b"0", b"1"}
    if double.wire["disconnect"] is not None:
        assert double.next() == (peer, double.wire["disconnect"])
    wait_until(lambda: gone(double, peer), "the end of the connection")
    serving.join(PATIENCE)
    assert not serving.is_alive()
    assert sorted(gate.seen) == [b"0", b"1"]
    assert worker.stats()["replies"] == 2


@pytest.mark.parametrize("there", [True, False], ids=["idle", "no broker"])
def test_stop_is_prompt_and_leaves_nothing_behind(
    double: HeartbeatBroker, start_worker: Any, wire: str, there: bool
) -> None:
    endpoint = double.endpoint if there else free_endpoint()

    def use() -> None:
        worker = start_worker(wire, [endpoint, free_endpoint()], bytes.upper, capacity=3)
        if there:
            peer = double.ready("ready-3")
            double.request(peer, b"q")
            assert double.reply(peer) == [b"Q"]
        worker.stop()
        worker.stop()
        if there and double.wire["disconnect"] is not None:
            assert double.next() == (peer, double.wire["disconnect"])

    use()
    files, running = open_files(), threading.active_count()
    for _ in range(3):
        use()
    assert threading.active_count() == running
    wait_until(lambda: open_files() <= files, "the closing of all sockets")


def test_what_ends_one_handlers_thread_ends_the_worker(double: HeartbeatBroker, wire: str) -> None:
    barrier = threading.Barrier(3)

    def handler(body: bytes) -> bytes:
        barrier.wait(PATIENCE)
        if body == b"exit":
            raise SystemExit(3)
        return body

    worker = unstarted(wire, double.endpoint, handler, capacity=3)
    ended: list[BaseException] = []

    def serve() -> None:
        try:
            worker.run()
        except BaseException as error:
            ended.append(error)

    serving = threading.Thread(target=serve)
    serving.start()
    peer = double.ready("ready-3")
    for body in (b"a", b"exit", b"b"):
        double.request(peer, body)
    serving.join(PATIENCE)
    assert not serving.is_alive()
    assert [type(error) for error in ended] == [SystemExit]


SERVES = """
import signal, sys
from brigantine.workers.majordomo import MajordomoWorker
from brigantine.workers.paranoid_pirate import ParanoidPirateWorker

def handler(body):
    print("working", flush=True)
    sys.stdin.readline()
    return body.upper()

kind, endpoint = sys.argv[1:]
if kind == "ppp":
    worker = ParanoidPirateWorker(endpoint, handler, liveness=1000)
else:
    worker = MajordomoWorker(endpoint, "service", handler, version=kind, liveness=1000)
signal.signal(signal.SIGTERM, lambda *_: worker.stop())
try:
    worker.run()
except KeyboardInterrupt:
    print("interrupted")
print(worker.stats()["requests"], worker.stats()["replies"])
"""


def test_a_signal_handler_lets_the_request_in_hand_finish(
    double: HeartbeatBroker, wire: str
) -> None:
    with program(SERVES, [wire, double.endpoint]) as process:
        peer = double.ready()
        double.request(peer, b"body")
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "working\n"
        for _ in range(3):
            process.terminate()
        process.stdin.write("\n")
        process.stdin.flush()
        assert double.reply(peer) == [b"BODY"]
        assert outcome(process) == (0, "1 1\n", "")


def test_ctrl_c_ends_a_worker_in_its_handler_without_a_reply(
    double: HeartbeatBroker, wire: str
) -> None:
    with program(SERVES, [wire, double.endpoint]) as process:
        peer = double.ready()
        double.request(peer, b"body")
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGINT)
        assert outcome(process) == (0, "interrupted\n1 0\n", "")
    if double.wire["disconnect"] is not None:
        assert double.next() == (peer, double.wire["disconnect"])
    wait_until(lambda: gone(double, peer), "the end of the connection")


# -- a pause --------------------------------------------------------------------------------------

#: A worker that would leave a broker which is silent for half a second.
IMPATIENT = SERVES.replace("liveness=1000", "heartbeat_interval=0.1, liveness=5")


def test_a_worker_that_was_stopped_does_not_take_that_for_the_brokers_silence(
    double: HeartbeatBroker, wire: str
) -> None:
    with program(IMPATIENT, [wire, double.endpoint]) as process:
        peer = double.ready()
        double.say(peer, "heartbeat")
        assert double.receive() == (peer, double.wire["heartbeat"])
        process.send_signal(signal.SIGSTOP)
        while double.socket.poll(800):  # what was under way, then more than its patience
            double.socket.recv_multipart()
        process.send_signal(signal.SIGCONT)
        for _ in range(2):  # it lives, and has stayed
            assert double.receive() == (peer, double.wire["heartbeat"])
            double.say(peer, "heartbeat")
        process.terminate()
        assert outcome(process) == (0, "0 0\n", "")


def test_what_is_cancelled_in_a_handlers_own_event_loop_is_an_error_like_others(
    double: HeartbeatBroker, wire: str
) -> None:
    async def cancelled() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(PATIENCE)

    def handler(body: bytes) -> bytes:
        if body == b"cancel":
            asyncio.run(cancelled())
        return body

    with unstarted(wire, double.endpoint, handler):
        peer = double.ready()
        double.request(peer, b"cancel")
        mark, report = double.reply(peer)
        assert (mark, msgpack.unpackb(report)["type"]) == (ERROR_MARK, "CancelledError")
        double.request(peer, b"next")
        assert double.reply(peer) == [b"next"]
