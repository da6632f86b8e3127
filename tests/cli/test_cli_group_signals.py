"""Signals that come to all processes of a service at once: systemd, containers, terminals, wrappers."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import zmq
from commands import Command, Commands
from harness import Peers, wait_until

#: ``gate`` says when it is at work, and answers when the file "go" is there.
MODULE = """
import os, pathlib, time

def gate(body):
    pathlib.Path(f"entered-{body.decode()}").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.005)
    return body
"""
COUNT = 2
NEVER = "3600"
#: What each worker's process says when it is told to stop, and what their supervisor does.
IN_HAND, ALL_IN_HAND = "finishing the request in hand", "the workers finish what they have in hand"
SECOND = "; a second Ctrl-C"
ANY = "tcp://127.0.0.1:*"


class Service:
    """``brigantine worker lru`` with a request in the hands of each of its processes."""

    def __init__(self, run: Commands, peers: Peers, folder: Path, *words: str, count: int) -> None:
        (folder / "jobs.py").write_text(MODULE)
        self.folder, self.count = folder, count
        self.router = peers.socket(zmq.ROUTER)
        self.router.bind("tcp://127.0.0.1:*")
        endpoint = self.router.last_endpoint.decode()
        self.command: Command = run(
            "worker", "lru", "--broker", endpoint, *words, "jobs:gate", cwd=folder, session=True,
            stdin=subprocess.PIPE,
        )  # fmt: skip
        for number in range(count):
            peer, *ready = self.router.recv_multipart()
            assert ready == [b"", b"READY"]
            self.router.send_multipart([peer, b"", b"ticket", b"", b"%d" % number])
            entered = folder / f"entered-{number}"
            wait_until(entered.exists, "the start of the work")
        self.children = [*self.command.descendants()]

    def wait_for(self, words: str, times: int) -> None:
        wait_until(lambda: self.command.errors().count(words) >= times, f"{words!r} x {times}")

    def all_answered(self) -> None:
        """Let the work be done; all that was in hand is answered, and the exit code is 0."""
        (self.folder / "go").touch()
        bodies = {self.router.recv_multipart()[-1] for _ in range(self.count)}
        assert bodies == {b"%d" % number for number in range(self.count)}
        assert self.command.finish() == (0, b"")
        assert self.command.descendants() == {}


@pytest.fixture
def service(run: Commands, peers: Peers, tmp_path: Path) -> Service:
    """Three processes under one."""
    made = Service(run, peers, tmp_path, "--processes", str(COUNT), count=COUNT)
    assert len(made.children) == COUNT
    return made


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("first", ["supervisor", "workers"])
def test_a_stop_signal_to_a_whole_control_group_finishes_what_is_in_hand(
    service: Service, first: str, number: signal.Signals
) -> None:
    pids = [service.command.process.pid, *service.children]
    for pid in pids if first == "supervisor" else reversed(pids):
        os.kill(pid, number)
    service.wait_for(IN_HAND, COUNT)
    service.all_answered()


@pytest.mark.parametrize("first", ["supervisor", "workers"])
def test_it_does_so_however_far_apart_the_signals_arrive(service: Service, first: str) -> None:
    groups = [[service.command.process.pid], service.children]
    for group in groups if first == "supervisor" else reversed(groups):
        for pid in group:
            os.kill(pid, signal.SIGTERM)
        service.wait_for(IN_HAND, COUNT)
    service.all_answered()


def test_a_stop_signal_to_the_process_group_finishes_what_is_in_hand(service: Service) -> None:
    os.killpg(service.command.process.pid, signal.SIGTERM)
    service.wait_for(IN_HAND, COUNT)
    service.all_answered()


def test_sigterm_finishes_what_is_in_hand_however_often_it_comes(service: Service) -> None:
    for times in range(1, 4):
        for pid in (service.command.process.pid, *service.children):
            os.kill(pid, signal.SIGTERM)
        service.wait_for(IN_HAND, times * COUNT)
        service.wait_for(ALL_IN_HAND, times)
    assert SECOND not in service.command.errors(), "none of them was a Ctrl-C"
    service.all_answered()


def test_the_first_ctrl_c_after_sigterm_finishes_what_is_in_hand(service: Service) -> None:
    for times, number in enumerate((signal.SIGTERM, signal.SIGINT, signal.SIGTERM), 1):
        for pid in (service.command.process.pid, *service.children):
            os.kill(pid, number)
        service.wait_for(IN_HAND, times * COUNT)
        service.wait_for(ALL_IN_HAND, times)
    assert service.command.errors().count(SECOND) > COUNT, "all have told it"
    service.all_answered()


@pytest.mark.parametrize("before", [(), (signal.SIGTERM,)], ids=["alone", "after SIGTERM"])
@pytest.mark.parametrize("whole", [True, False], ids=["control group", "process group"])
def test_a_second_ctrl_c_ends_all_at_once(
    service: Service, before: tuple[signal.Signals, ...], whole: bool
) -> None:
    group = (service.command.process.pid, *(service.children if whole else ()))
    for times, number in enumerate((*before, signal.SIGINT), 1):
        for pid in group:
            os.kill(pid, number)
        service.wait_for(ALL_IN_HAND, times)
        service.wait_for(IN_HAND, times * COUNT if whole else COUNT)
    for pid in group:
        with contextlib.suppress(ProcessLookupError):  # the command may have ended it already
            os.kill(pid, signal.SIGINT)
    assert service.command.finish() == (130, b"")
    assert service.command.descendants() == {}


def test_a_restart_signal_to_a_whole_control_group_replaces_each_worker_once(
    service: Service,
) -> None:
    for pid in (service.command.process.pid, *service.children):
        os.kill(pid, signal.SIGHUP)
    service.wait_for("each worker is replaced", 1)
    service.wait_for(IN_HAND, COUNT)
    (service.folder / "go").touch()
    said = [service.router.recv_multipart()[2:] for _ in range(2 * COUNT)]
    assert sorted(said) == sorted(
        [[b"READY"]] * COUNT + [[b"ticket", b"", b"%d" % number] for number in range(COUNT)]
    )
    service.command.process.terminate()
    assert service.command.finish() == (0, b"")


def test_a_parent_that_signals_and_lets_go_of_the_input_finishes_what_is_in_hand(
    run: Commands, peers: Peers, tmp_path: Path
) -> None:
    service = Service(run, peers, tmp_path, "--stop-at-eof", count=1)
    stdin = service.command.process.stdin
    assert stdin is not None
    stdin.close()
    service.command.process.stdin = None
    service.wait_for(IN_HAND, 1)
    service.command.process.terminate()
    service.all_answered()


@pytest.mark.skipif(shutil.which("timeout") is None, reason="needs timeout(1)")
@pytest.mark.parametrize("words", [(), ("--processes", "1")])
def test_timeout_which_signals_its_child_twice_finishes_what_is_in_hand(
    run: Commands, peers: Peers, tmp_path: Path, words: tuple[str, ...]
) -> None:
    service = Service(run, peers, tmp_path, *words, count=1)
    for _ in range(2):  # as timeout(1): to the child, and to the group
        os.killpg(service.command.process.pid, signal.SIGTERM)
    service.wait_for(IN_HAND, 1)
    service.all_answered()


def test_one_process_is_supervised_where_processes_are_asked_for(
    run: Commands, peers: Peers, tmp_path: Path
) -> None:
    service = Service(run, peers, tmp_path, "--processes", "1", count=1)
    (child,) = service.children
    os.kill(child, signal.SIGKILL)
    assert service.router.recv_multipart()[1:] == [b"", b"READY"]
    service.command.process.terminate()
    assert service.command.finish() == (0, b"")


def test_a_worker_that_is_still_importing_ends_with_its_supervisor(
    run: Commands, tmp_path: Path
) -> None:
    code = "import os, pathlib, time\nif pathlib.Path('one').exists(): pathlib.Path('two').touch()"
    code += "\nif pathlib.Path('two').exists(): time.sleep(3600)\npathlib.Path('one').touch()\n"
    (tmp_path / "slow.py").write_text(f"{code}def f(body): return body\n")
    words = ("--broker", "tcp://127.0.0.1:1", "--processes", "1", "slow:f")
    command = run("worker", "lru", *words, cwd=tmp_path)
    wait_until((tmp_path / "two").exists, "the import in the worker's process")
    command.process.terminate()
    assert command.finish() == (0, b"")


@pytest.mark.parametrize("rest", ["the end of its input", "both signals of timeout(1)"])
def test_a_broker_that_is_told_twice_drains_once(
    run: Commands, peers: Peers, impl: str, rest: str
) -> None:
    command = run(
        "broker", "lru", "--frontend", ANY, "--backend", ANY, "--impl", impl, "--drain-timeout",
        NEVER, "--stop-at-eof", session=True, stdin=subprocess.PIPE,
    )  # fmt: skip
    ends = command.ready()
    worker, client = peers.worker(ends["backend"]), peers.req(ends["frontend"])
    client.send(b"work")
    request = worker.recv_multipart()
    if rest == "the end of its input":
        stdin = command.process.stdin
        assert stdin is not None
        stdin.close()
        command.wait_for("draining")
        command.process.stdin = None
    else:
        os.killpg(command.process.pid, signal.SIGTERM)
    os.killpg(command.process.pid, signal.SIGTERM)
    command.wait_for("draining")
    worker.send_multipart(request)
    assert client.recv() == b"work"
    assert command.finish() == (0, b"")
