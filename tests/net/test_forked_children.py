"""Nothing of ours acts in a forked child: handlers that fork, and programs that fork beside a broker."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq
from commands import Command, Commands
from harness import PATIENCE, Peers, wait_until
from models import needs_plain_fork

from brigantine import LRUBroker, LRUWorker, MajordomoBroker, MajordomoClient, QueueDevice

#: Handlers that make children, each answers what it has learnt from them.
MODULE = """
import asyncio, concurrent.futures, multiprocessing, os, pathlib, signal, subprocess, sys, time
import warnings

warnings.simplefilter("ignore")  # Python 3.12 warns of forks beside threads
fork = multiprocessing.get_context("fork")

def pool(body):
    with fork.Pool(2) as pool:
        return b"%d" % sum(pool.map(abs, [-1, -2, -3]))

def executor(body):
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=fork) as executor:
        return b"%d" % sum(executor.map(abs, [-1, -2, -3]))

def command(body):
    child = subprocess.Popen([sys.executable, "-c", "import signal; print(flush=True); signal.pause()"],
                             stdout=subprocess.PIPE)
    with child:
        child.stdout.readline()
        child.terminate()
    return b"%d" % -child.returncode

def _child(do):
    pid = os.fork()
    if pid == 0:
        try:
            do()
        finally:
            os._exit(99)
    return pid

def killed(body):
    statuses = []
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL):
        pid = _child(signal.pause)
        os.kill(pid, number)
        statuses.append(-os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    return b"%d" % sum(statuses)

def interrupted(body):
    def wait():
        try:
            pathlib.Path("waiting").touch()
            for _ in range(6000):  # a signal just before a sleep is seen after it
                time.sleep(0.01)
        except KeyboardInterrupt:
            os._exit(7)
    pathlib.Path("waiting").unlink(missing_ok=True)
    pid = _child(wait)
    while not pathlib.Path("waiting").exists():
        time.sleep(0.001)
    os.kill(pid, signal.SIGINT)
    return b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def lives_on(body):
    _child(lambda: time.sleep(3600))
    return b"6"

def comes_back(body):
    pid = os.fork()
    return b"%d" % (pid and os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

async def task_comes_back(body):
    return comes_back(body)

async def task_killed(body):
    return killed(body)

async def process_pool(body):
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=fork) as executor:
        loop = asyncio.get_running_loop()
        return b"%d" % await loop.run_in_executor(executor, abs, -6)
"""
ANSWERS = {
    "pool": b"6", "executor": b"6", "command": b"15", "killed": b"25", "interrupted": b"7",
    "lives_on": b"6", "comes_back": b"1", "task_comes_back": b"1", "task_killed": b"25",
    "process_pool": b"6",
}  # fmt: skip
REQUESTS = 8


@contextmanager
def serving(run: Commands, folder: Path, function: str, *words: str) -> Iterator[list[object]]:
    """A broker, ``brigantine worker mdp`` with that function, and a client."""
    (folder / "jobs.py").write_text(MODULE)
    with MajordomoBroker("tcp://127.0.0.1:*", retries=0) as broker:
        command = run(
            "worker", "mdp", "--service", "s", "--broker", broker.backend, *words,
            f"jobs:{function}", cwd=folder,
        )  # fmt: skip
        wait_until(lambda: broker.workers().get(b"s"), "the worker", 30)
        with MajordomoClient(broker.frontend, timeout=30, retries=0) as client:
            yield [broker, command, client]


@needs_plain_fork
@pytest.mark.parametrize("capacity", ["1", "3"])
@pytest.mark.parametrize("function", ANSWERS)
def test_a_handler_that_makes_children_serves_on_and_stops_when_told(
    run: Commands, tmp_path: Path, function: str, capacity: str
) -> None:
    if capacity == "3" and function == "interrupted":
        pytest.skip("it is the same but for the file that it shares")
    with serving(run, tmp_path, function, "--capacity", capacity) as (_, command, client):
        assert isinstance(command, Command)
        assert isinstance(client, MajordomoClient)
        for _ in range(REQUESTS):
            assert client.request("s", b"x") == ANSWERS[function]
        assert "stopping" not in command.errors()
        command.process.terminate()
        command.wait_for("stopped: ")
        assert command.process.wait(PATIENCE) == 0


@needs_plain_fork
def test_a_worker_that_dies_is_noticed_though_a_child_of_its_handler_lives_on(
    run: Commands, tmp_path: Path
) -> None:
    words = ("--heartbeat-interval", "60", "--announce-interval")
    with serving(run, tmp_path, "lives_on", *words) as (broker, command, client):
        assert isinstance(broker, MajordomoBroker)
        assert isinstance(command, Command)
        assert isinstance(client, MajordomoClient)
        assert client.request("s", b"x") == b"6"
        command.process.kill()
        wait_until(lambda: not broker.stats()["workers"], "the loss of the worker")
        assert command.descendants()


@contextmanager
def child_that_lives_on() -> Iterator[None]:
    """A child of this process that was forked and does nothing."""
    began, begin = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 warns of forks beside threads
        pid = os.fork()
    if pid == 0:
        try:
            os.write(begin, b"x")
            signal.pause()
        finally:
            os._exit(99)
    try:
        os.read(began, 1)
        yield
    finally:
        os.close(began)
        os.close(begin)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def free_port() -> int:
    """A port that stays free: below those that the system gives to whoever asks for any."""
    while True:
        port = random.randint(10_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@needs_plain_fork
@pytest.mark.parametrize("host", ["127.0.0.1", "*"])
@pytest.mark.parametrize("kind", [LRUBroker, QueueDevice])
def test_the_ports_are_free_after_stop_though_a_child_lives_on(
    impl: str, kind: Callable[..., LRUBroker | QueueDevice], host: str
) -> None:
    ends = [f"tcp://{host}:{free_port()}" for _ in range(2)]
    control = f"tcp://127.0.0.1:{free_port()}"
    with kind(*ends, control=control, impl=impl) as first, child_that_lives_on():
        first.stop()
        with kind(*ends, control=control, impl=impl) as second:
            assert second.running


@needs_plain_fork
@pytest.mark.parametrize(
    "end",
    # The second failed once in some fifty runs of a busy machine, and nobody knows why.
    ["tcp://127.0.0.1:*", pytest.param("ipc", marks=pytest.mark.long)],
)
def test_peers_notice_the_end_of_a_broker_though_a_child_lives_on(
    impl: str, peers: Peers, tmp_path: Path, end: str
) -> None:
    frontend = f"ipc://{tmp_path}/front" if end == "ipc" else end
    with LRUBroker(frontend, "tcp://127.0.0.1:*", impl=impl) as broker:
        client = peers.socket(zmq.DEALER)
        monitor = client.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        monitor.rcvtimeo = int(PATIENCE * 1000)
        try:
            client.connect(broker.frontend)
            monitor.recv_multipart()
            with child_that_lives_on():
                broker.stop()
                monitor.recv_multipart()
        finally:  # or the end of the context would wait for it
            client.disable_monitor()
            monitor.close()


@needs_plain_fork
def test_a_broker_and_its_worker_go_on_beside_a_child(impl: str, peers: Peers) -> None:
    with LRUBroker("tcp://127.0.0.1:*", "tcp://127.0.0.1:*", impl=impl) as broker:
        with LRUWorker(broker.backend, bytes.upper), child_that_lives_on():
            client = peers.req(broker.frontend)
            for _ in range(3):
                client.send(b"ahoy")
                assert client.recv() == b"AHOY"
        assert broker.stats()["workers_joined"] == 1
