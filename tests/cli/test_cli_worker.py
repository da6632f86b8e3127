"""``brigantine worker``, in processes of its own, at a bare ROUTER in place of a broker."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import zmq
from commands import Command, Commands
from harness import Peers, wait_until

from brigantine.cli import main

#: A worker's module: ``gate`` says when it is at work, and answers when the file "go" is there.
MODULE = """
import os, pathlib, time

def gate(body):
    pathlib.Path(f"entered-{os.getpid()}").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.005)
    return body

def pid(body):
    return str(os.getpid()).encode()

def leave(body):
    raise {"exit": SystemExit(3), "interrupt": KeyboardInterrupt()}[body.decode()]

async def leave_task(body):
    leave(body)

def zeros(body):
    return bytes(int(body))
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A folder with a module ``jobs`` of worker functions."""
    (tmp_path / "jobs.py").write_text(MODULE)
    return tmp_path


@pytest.fixture
def fake_broker(peers: Peers) -> zmq.Socket[bytes]:
    """A bare ROUTER for workers to connect to."""
    router = peers.socket(zmq.ROUTER)
    router.bind("tcp://127.0.0.1:*")
    return router


def worker_for(router: zmq.Socket[bytes], run: Commands, folder: Path, *words: str) -> Command:
    endpoint = router.last_endpoint.decode()
    return run("worker", "lru", "--broker", endpoint, *words, cwd=folder)


def in_hand(router: zmq.Socket[bytes], folder: Path) -> None:
    """Give a ``gate`` worker a request, and wait until it is at it."""
    before = len(list(folder.glob("entered-*")))
    worker, *ready = router.recv_multipart()
    assert ready == [b"", b"READY"]
    router.send_multipart([worker, b"", b"ticket", b"", b"work"])
    wait_until(lambda: len(list(folder.glob("entered-*"))) > before, "the start of the work")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_finishes_what_it_has_in_hand(
    run: Commands, fake_broker: zmq.Socket[bytes], module: Path, number: signal.Signals
) -> None:
    command = worker_for(fake_broker, run, module, "jobs:gate")
    in_hand(fake_broker, module)
    command.process.send_signal(number)
    command.wait_for("finishing the request in hand")
    (module / "go").touch()
    assert fake_broker.recv_multipart()[1:] == [b"", b"ticket", b"", b"work"]
    assert command.finish() == (0, b"")


def test_a_second_ctrl_c_ends_a_worker_in_the_middle(
    run: Commands, fake_broker: zmq.Socket[bytes], module: Path
) -> None:
    command = worker_for(fake_broker, run, module, "jobs:gate")
    in_hand(fake_broker, module)
    command.process.send_signal(signal.SIGINT)
    command.wait_for("finishing the request in hand; a second Ctrl-C exits at once")
    command.process.send_signal(signal.SIGINT)
    assert command.finish() == (130, b"")


def test_no_sigterm_ends_a_worker_in_the_middle_not_even_in_its_last_moment(
    run: Commands, fake_broker: zmq.Socket[bytes], module: Path
) -> None:
    command = worker_for(fake_broker, run, module, "jobs:gate")
    in_hand(fake_broker, module)
    command.process.terminate()
    command.wait_for("finishing the request in hand; Ctrl-C twice exits at once")
    (module / "go").touch()
    while command.process.poll() is None:
        command.process.terminate()
    assert fake_broker.recv_multipart()[1:] == [b"", b"ticket", b"", b"work"]
    assert command.finish() == (0, b"")


def test_a_worker_process_that_dies_is_replaced(
    run: Commands, fake_broker: zmq.Socket[bytes], module: Path
) -> None:
    command = worker_for(fake_broker, run, module, "--processes", "2", "jobs:pid")

    def pid_of(ready: list[bytes]) -> int:
        fake_broker.send_multipart([ready[0], b"", b"ticket", b"", b"who are you"])
        return int(fake_broker.recv_multipart()[-1])

    ready = [fake_broker.recv_multipart() for _ in range(2)]
    first, second = map(pid_of, ready)
    assert {first, second} == set(command.descendants())
    os.kill(first, signal.SIGKILL)
    third = pid_of(fake_broker.recv_multipart())
    assert set(command.descendants()) == {second, third}
    command.process.terminate()
    assert command.finish() == (0, b"")
    assert command.descendants() == {}


@pytest.mark.parametrize("processes", ["1", "2"])
def test_replies_are_bounded_by_the_options(
    run: Commands, fake_broker: zmq.Socket[bytes], module: Path, processes: str
) -> None:
    words = ("--max-reply-bytes", "2KiB", "--max-reply-frames", "9", "--processes", processes)
    command = worker_for(fake_broker, run, module, *words, "jobs:zeros")
    worker, *_ = fake_broker.recv_multipart()

    def reply(size: int) -> list[bytes]:
        request = [worker, b"", b"ticket", b"", b"%d" % size]
        fake_broker.send_multipart(request)
        while (frames := fake_broker.recv_multipart())[0] != worker:
            pass  # READY of the other process
        return frames[4:]

    assert reply(2048) == [bytes(2048)]
    mark, report = reply(2049)
    assert (mark, b"max_reply_bytes=2048" in report) == (b"brigantine-error/1", True)
    command.process.terminate()
    assert command.finish() == (0, b"")


@pytest.mark.parametrize("function", ["leave", "leave_task"])
@pytest.mark.parametrize(
    ("body", "code", "said"),
    [(b"exit", 3, "SystemExit(3)"), (b"interrupt", 130, "KeyboardInterrupt()")],
)
def test_a_function_that_ends_its_worker_is_named_in_the_log(
    run: Commands, fake_broker: zmq.Socket[bytes], module: Path, function: str, body: bytes,
    code: int, said: str,
) -> None:  # fmt: skip
    command = worker_for(fake_broker, run, module, "--log-level", "error", f"jobs:{function}")
    worker, *_ = fake_broker.recv_multipart()
    fake_broker.send_multipart([worker, b"", b"ticket", b"", body])
    assert command.finish() == (code, b"")
    assert f"ended by {said} in handler jobs:{function}" in command.complaint()


def test_the_exit_code_of_a_function_that_ends_its_worker_is_documented(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["worker", "lru", "--help"]) == 0
    assert "calls sys.exit() or raises KeyboardInterrupt" in capsys.readouterr().out


def test_worker_processes_finish_what_they_have_in_hand(
    run: Commands, fake_broker: zmq.Socket[bytes], module: Path
) -> None:
    command = worker_for(fake_broker, run, module, "--processes", "2", "jobs:gate")
    in_hand(fake_broker, module)
    in_hand(fake_broker, module)
    command.process.terminate()
    wait_until(lambda: command.errors().count("finishing the request in hand") == 2)
    (module / "go").touch()
    assert command.finish() == (0, b"")
    for _ in range(2):
        assert fake_broker.recv_multipart()[1:] == [b"", b"ticket", b"", b"work"]


def test_no_worker_process_survives_a_second_ctrl_c(
    run: Commands, fake_broker: zmq.Socket[bytes], module: Path
) -> None:
    command = worker_for(fake_broker, run, module, "--processes", "2", "jobs:gate")
    in_hand(fake_broker, module)
    command.process.send_signal(signal.SIGINT)
    command.wait_for("finish what they have in hand; a second Ctrl-C ends them at once")
    command.process.send_signal(signal.SIGINT)
    assert command.finish() == (130, b"")
    assert command.descendants() == {}


def test_worker_processes_end_when_their_parent_is_killed(
    run: Commands, fake_broker: zmq.Socket[bytes], module: Path
) -> None:
    command = worker_for(fake_broker, run, module, "--processes", "2", "jobs:pid")
    for _ in range(2):
        fake_broker.recv_multipart()
    assert len(command.descendants()) == 2
    command.process.kill()
    command.nothing_left()
