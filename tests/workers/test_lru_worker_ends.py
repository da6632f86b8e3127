"""How an LRUWorker ends: stopped, interrupted, forgotten, forked."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import zmq
from doubles import EMPTY, RawBroker, free_endpoint, open_files, outcome, program
from harness import PATIENCE, Peers, wait_until

from brigantine import LRUBroker
from brigantine.clients.lazy_pirate import LazyPirateClient
from brigantine.workers.lru import LRUWorker


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


# -- stop -----------------------------------------------------------------------------------------


def test_stop_sends_the_reply_in_hand_and_takes_no_other_request(
    raw: RawBroker, threads: ThreadPoolExecutor
) -> None:
    begun, go = threading.Event(), threading.Event()
    seen: list[bytes] = []

    def handler(body: bytes) -> bytes:
        seen.append(body)
        begun.set()
        assert go.wait(PATIENCE)
        return b"finished"

    worker = LRUWorker(raw.endpoint, handler)
    running = threads.submit(worker.run)
    peer = raw.ready_worker()
    raw.send(peer, EMPTY, b"ticket", EMPTY, b"first")
    assert begun.wait(PATIENCE)
    raw.send(peer, EMPTY, b"ticket 2", EMPTY, b"second")
    worker.stop()
    assert not running.done()
    go.set()
    running.result(PATIENCE)
    assert raw.receive() == (peer, [EMPTY, b"ticket", EMPTY, b"finished"])
    assert seen == [b"first"]
    wait_until(lambda: gone(raw, peer), "the end of the connection")


def gone(raw: RawBroker, peer: bytes) -> bool:
    try:
        raw.send(peer, EMPTY, b"ticket", EMPTY, b"anybody there?")
    except zmq.ZMQError as error:
        return error.errno == zmq.EHOSTUNREACH
    return False


def test_a_large_reply_in_hand_is_sent_whole_before_the_end(
    raw: RawBroker, threads: ThreadPoolExecutor
) -> None:
    reply = bytes(15 * 1024 * 1024)
    worker = LRUWorker(raw.endpoint, lambda _: worker.stop() or reply)
    running = threads.submit(worker.run)
    assert raw.ask(raw.ready_worker(), b"q") == [reply]
    running.result(PATIENCE)


def test_the_handler_may_stop_its_own_worker(raw: RawBroker) -> None:
    worker = LRUWorker(raw.endpoint, lambda body: worker.stop() or body)
    with worker:
        assert raw.ask(raw.ready_worker(), b"last") == [b"last"]
    assert worker.stats()["replies"] == 1


@pytest.mark.parametrize("there", [True, False], ids=["idle", "no broker"])
def test_stop_is_prompt_and_leaves_nothing_behind(
    raw: RawBroker, workers: Any, there: bool
) -> None:
    endpoint = raw.endpoint if there else free_endpoint()

    def use() -> None:
        worker = workers(endpoint, bytes.upper)
        if there:
            assert raw.ask(raw.ready_worker(), b"q") == [b"Q"]
        worker.stop()
        worker.stop()

    use()
    files, running = open_files(), threading.active_count()
    for _ in range(3):
        use()
    assert threading.active_count() == running
    wait_until(lambda: open_files() <= files, "the closing of all sockets")


def test_stop_before_run_makes_run_return_at_once(raw: RawBroker) -> None:
    worker = LRUWorker(raw.endpoint, bytes.upper)
    worker.stop()
    worker.run()
    assert worker.stats()["readies"] == 0


def test_a_worker_runs_once(raw: RawBroker) -> None:
    with LRUWorker(raw.endpoint, bytes.upper) as worker:
        for again in (worker.run, worker.start):
            with pytest.raises(RuntimeError, match="make a new LRUWorker"):
                again()
    with pytest.raises(RuntimeError, match="make a new LRUWorker"):
        worker.run()


def test_a_worker_is_stopped_by_many_threads_at_once(raw: RawBroker) -> None:
    worker = LRUWorker(raw.endpoint, bytes.upper).start()
    raw.ready_worker()
    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(worker.stop) for _ in range(8)]:
            done.result(PATIENCE)


def test_stop_under_load_loses_nothing_that_the_broker_retries(
    broker: Callable[..., LRUBroker], threads: ThreadPoolExecutor
) -> None:
    running = broker(retries=3)
    with (
        LRUWorker(running.backend, bytes.upper),
        LazyPirateClient(running.frontend, timeout=PATIENCE, retries=0) as client,
    ):
        futures = []
        for _ in range(5):
            with LRUWorker(running.backend, bytes.upper):
                futures += [threads.submit(client.request, b"q") for _ in range(20)]
        assert [future.result() for future in futures] == [b"Q"] * 100


def test_a_terminated_context_ends_run(peers: Peers, threads: ThreadPoolExecutor) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    raw = RawBroker(peers)
    running = threads.submit(LRUWorker(raw.endpoint, bytes.upper, context=context).run)
    raw.ready_worker()
    context.term()  # returns once the worker has closed its sockets
    with pytest.raises(zmq.ContextTerminated):
        running.result(PATIENCE)


# -- signals --------------------------------------------------------------------------------------

SERVES = """
import signal, sys
from brigantine.workers.lru import LRUWorker

def handler(body):
    print("working", flush=True)
    sys.stdin.readline()
    return body.upper()

worker = LRUWorker(sys.argv[1], handler)
signal.signal(signal.SIGTERM, lambda *_: worker.stop())
try:
    worker.run()
except KeyboardInterrupt:
    print("interrupted")
print(worker.stats()["requests"], worker.stats()["replies"])
"""


def test_a_signal_handler_stops_an_idle_worker(raw: RawBroker) -> None:
    with program(SERVES, [raw.endpoint]) as process:
        raw.ready_worker()
        process.send_signal(signal.SIGTERM)
        assert outcome(process) == (0, "0 0\n", "")


def test_a_signal_handler_lets_the_request_in_hand_finish(raw: RawBroker) -> None:
    with program(SERVES, [raw.endpoint]) as process:
        peer = raw.ready_worker()
        raw.send(peer, EMPTY, b"ticket", EMPTY, b"body")
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "working\n"
        for _ in range(3):
            process.send_signal(signal.SIGTERM)
        process.stdin.write("\n")
        process.stdin.flush()
        assert raw.receive() == (peer, [EMPTY, b"ticket", EMPTY, b"BODY"])
        assert outcome(process) == (0, "1 1\n", "")


def test_ctrl_c_ends_an_idle_worker(raw: RawBroker) -> None:
    with program(SERVES, [raw.endpoint]) as process:
        raw.ready_worker()
        process.send_signal(signal.SIGINT)
        assert outcome(process) == (0, "interrupted\n0 0\n", "")


def test_ctrl_c_ends_a_worker_in_its_handler_without_a_reply(raw: RawBroker) -> None:
    with program(SERVES, [raw.endpoint]) as process:
        peer = raw.ready_worker()
        raw.send(peer, EMPTY, b"ticket", EMPTY, b"body")
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGINT)
        assert outcome(process) == (0, "interrupted\n1 0\n", "")
    wait_until(lambda: gone(raw, peer), "the end of the connection")
    assert not raw.socket.poll(0)


# -- processes ------------------------------------------------------------------------------------

FORGETFUL = """
import sys, time
from brigantine.workers.lru import LRUWorker

def handler(body):
    print("working", flush=True)
    time.sleep(3600)

worker = LRUWorker(sys.argv[1], handler).start()
sys.stdin.readline()
"""


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_a_program_may_end_without_stopping_its_worker(raw: RawBroker, busy: bool) -> None:
    with program(FORGETFUL, [raw.endpoint]) as process:
        peer = raw.ready_worker()
        if busy:
            raw.send(peer, EMPTY, b"ticket", EMPTY, b"body")
            assert process.stdout is not None
            assert process.stdout.readline() == "working\n"
        assert outcome(process) == (0, "", "")
    wait_until(lambda: gone(raw, peer), "the end of the connection")


FORKED = """
import os, sys, warnings
from brigantine.workers.lru import LRUWorker
warnings.simplefilter("ignore")  # Python 3.12 warns of forks beside threads
worker = LRUWorker(sys.argv[1], bytes.upper).start()
sys.stdin.readline()
child = os.fork()
if child == 0:
    worker.stop()  # the parent's worker is not the child's to stop
    sys.exit(7)  # runs the exit handlers, which are not the child's to run either
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), flush=True)
sys.stdin.readline()
worker.stop()
"""


def test_a_forked_child_leaves_the_worker_alone(raw: RawBroker) -> None:
    with program(FORKED, [raw.endpoint]) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        peer = raw.ready_worker()
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "7\n"
        assert raw.ask(peer, b"still there") == [b"STILL THERE"]
        assert outcome(process) == (0, "", "")


def blocked(thread: threading.Thread) -> int:
    """The signals that a thread holds back, a bit for each."""
    status = Path(f"/proc/self/task/{thread.native_id}/status").read_text()
    return int(re.findall(r"^SigBlk:\s*(\w+)$", status, re.MULTILINE)[0], 16)


def test_its_context_ends_where_no_signal_comes_and_its_handlers_hold_none_back(
    raw: RawBroker,
) -> None:
    """Where a signal comes libzmq gives up, and its threads would stay for as long as the process."""
    here = blocked(threading.main_thread())
    with LRUWorker(raw.endpoint, bytes.upper):
        threads = {each.name: each for each in threading.enumerate()}
        wait_until(lambda: blocked(threads["brigantine-worker-io"]) & 1 << signal.SIGTERM - 1)
        assert blocked(threads["brigantine-worker"]) == here
