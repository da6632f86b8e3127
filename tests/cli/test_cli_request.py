"""``brigantine request``: what comes out, and how it ends."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq
from commands import Command, Commands
from harness import PATIENCE, Peers

from brigantine import LRUBroker
from brigantine.cli.request import _all_of
from brigantine.errors import ConfigError

ANY = "tcp://127.0.0.1:*"

#: A worker's module.
MODULE = """
def fail(body):
    raise ValueError("no, not " + body.decode())

def frames(body):
    return [body, b"", bytes(range(256))]
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
    router.bind(ANY)
    return router


def ask(run: Commands, endpoint: str, *words: str, **options: object) -> Command:
    return run("request", "lru", "--broker", endpoint, *words, **options)


def test_a_request_goes_through_all_three_commands(impl: str, run: Commands) -> None:
    sides = ("--frontend", ANY, "--backend", ANY)
    endpoints = run("broker", "lru", *sides, "--impl", impl).ready()
    run("worker", "lru", "--broker", endpoints["backend"], "brigantine.handlers:upper")
    assert ask(run, endpoints["frontend"], "grüße").finish() == (0, "GRüßE".encode())
    binary = bytes(range(256)) * 300
    command = ask(run, endpoints["frontend"], "-", stdin=subprocess.PIPE)
    assert command.finish(data=binary) == (0, binary.upper())
    assert ask(run, endpoints["frontend"], "").finish() == (0, b"")
    assert command.errors() == ""


def test_standard_input_is_read_no_further_than_a_request_may_go() -> None:
    assert _all_of(io.BytesIO(bytes(100_000)), 100_000) == bytes(100_000)
    with (
        Path("/dev/zero").open("rb") as endless,
        pytest.raises(ConfigError, match="standard input has more than 100000 bytes") as raised,
    ):
        _all_of(endless, 100_000)
    assert raised.value.option == "max_request_bytes"


def test_frames_of_a_reply_are_separated_by_line_ends(
    broker: Callable[..., LRUBroker], run: Commands, module: Path
) -> None:
    running = broker()
    run("worker", "lru", "--broker", running.backend, "jobs:frames", cwd=module)
    code, out = ask(run, running.frontend, "body").finish()
    assert (code, out) == (0, b"body\n\n" + bytes(range(256)))


def test_a_failing_worker_is_told_in_one_line_with_exit_code_1(
    broker: Callable[..., LRUBroker], run: Commands, module: Path
) -> None:
    running = broker()
    worker = run("worker", "lru", "--broker", running.backend, "jobs:fail", cwd=module)
    command = ask(run, running.frontend, "this")
    assert command.finish() == (1, b"")
    assert command.complaint() == "brigantine: ValueError: no, not this"
    assert "Traceback" in worker.errors()


def test_silence_is_told_in_one_line_with_exit_code_1(run: Commands, peers: Peers) -> None:
    mute = [peers.socket(zmq.ROUTER) for _ in range(2)]
    for socket in mute:
        socket.bind(ANY)
    first, second = (socket.last_endpoint.decode() for socket in mute)
    command = ask(run, first, "--broker", second, "--timeout", "0.5", "--retries", "2", "hello")
    assert command.finish() == (1, b"")
    assert first in command.complaint()
    assert second in command.complaint()
    assert "3 tries" in command.complaint()
    received = [len(_all_messages(socket)) for socket in mute]
    assert received == [2, 1]


def test_the_next_broker_is_asked_when_one_is_silent(
    broker: Callable[..., LRUBroker], run: Commands, peers: Peers
) -> None:
    mute = peers.socket(zmq.ROUTER)
    mute.bind(ANY)
    running = broker()
    worker = peers.worker(running.backend)
    silent = mute.last_endpoint.decode()
    command = ask(run, silent, "--broker", running.frontend, "--timeout", "0.5", "hello")
    worker.send_multipart([*worker.recv_multipart()[:2], b"here"])
    assert command.finish() == (0, b"here")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_that_can_not_be_written_is_told_in_one_line(
    run: Commands, fake_broker: zmq.Socket[bytes]
) -> None:
    with open("/dev/full", "wb") as full:
        command = ask(run, fake_broker.last_endpoint.decode(), "hello", stdout=full)
        fake_broker.send_multipart(fake_broker.recv_multipart())
        assert command.process.wait(PATIENCE) == 1
    assert "can't write to standard output: No space left" in command.complaint()


def test_a_reply_that_nobody_reads_ends_without_a_traceback(
    run: Commands, fake_broker: zmq.Socket[bytes]
) -> None:
    command = ask(run, fake_broker.last_endpoint.decode(), "hello")
    envelope = fake_broker.recv_multipart()
    assert command.process.stdout is not None
    command.process.stdout.close()
    fake_broker.send_multipart(envelope)
    assert command.process.wait(PATIENCE) == 1
    assert command.errors() == ""


def _all_messages(socket: zmq.Socket[bytes]) -> list[list[bytes]]:
    messages = []
    while socket.poll(0):
        messages.append(socket.recv_multipart())
    return messages
