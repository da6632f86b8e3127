"""``brigantine device``, and ``brigantine ctl`` of one."""

from __future__ import annotations

import json
import signal

import pytest
import zmq
from commands import Command, Commands
from harness import Peers, wait_until

ANY = "tcp://127.0.0.1:*"


def served(run: Commands, pattern: str, *options: str) -> tuple[Command, dict[str, str]]:
    """A device process, and its endpoints."""
    command = run("device", pattern, "--frontend", ANY, "--backend", ANY, *options)
    return command, command.ready()


def ctl(run: Commands, *words: str) -> str:
    """What ``brigantine ctl`` prints."""
    command = run("ctl", *words)
    code, out = command.finish()
    assert (code, command.errors()) == (0, "")
    return out.decode()


@pytest.mark.pairwise
@pytest.mark.parametrize(
    ("pattern", "front", "back"),
    [
        ("queue", zmq.DEALER, zmq.DEALER),
        ("forwarder", zmq.XPUB, zmq.XSUB),
        ("streamer", zmq.PUSH, zmq.PULL),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_device_runs_until_a_signal(
    run: Commands, impl: str, peers: Peers, pattern: str, front: int, back: int,
    number: signal.Signals,
) -> None:  # fmt: skip
    command, at = served(run, pattern, "--impl", impl)
    source, target = peers.socket(front, at["frontend"]), peers.socket(back, at["backend"])
    if pattern == "forwarder":
        target.send(b"\x01")
        assert source.recv() == b"\x01"
    source.send_multipart([b"a", b"message"])
    assert target.recv_multipart()[-2:] == [b"a", b"message"]
    command.process.send_signal(number)
    assert command.finish() == (0, b"")
    started_line, stopping, stopped = command.errors().splitlines()
    assert "started: <" in started_line
    assert f"{number.name}: stopping" in stopping
    assert "stopped: to_backend 1, to_backend_bytes" in stopped


def test_a_second_ctrl_c_ends_a_device_at_once_and_no_sigterm_does(
    run: Commands, impl: str, peers: Peers
) -> None:
    for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
        command, at = served(run, "streamer", "--impl", impl)
        source, target = peers.socket(zmq.PUSH, at["frontend"]), peers.socket(zmq.PULL)
        target.rcvhwm = 1
        target.connect(at["backend"])
        for _ in range(64):
            source.send(bytes(1 << 20))
        target.recv()  # and nothing more: what it has passed on keeps the device for a second
        while command.process.poll() is None:
            command.process.send_signal(number)
        assert command.finish() == (code, b"")


def test_ctl_shows_pauses_resumes_and_stops_a_device(
    run: Commands, impl: str, peers: Peers
) -> None:
    command, at = served(run, "streamer", "--control", ANY, "--impl", impl)
    source = peers.socket(zmq.PUSH, at["frontend"])
    worker = peers.socket(zmq.PULL, at["backend"])
    source.send(b"one")
    assert worker.recv() == b"one"
    table = ctl(run, "stats", at["control"])
    rows = [line.split()[:2] for line in table.splitlines()]
    # The worker may have come after the message.
    assert [row for row in rows if row[0] != "waits"] == [
        ["COUNTER", "VALUE"], ["to_backend", "1"], ["to_backend_bytes", "3"], ["to_frontend", "0"],
        ["held", "0"], ["paused", "0"], ["control_requests", "1"],
    ]  # fmt: skip
    assert "messages passed on from the frontend to the backend" in table
    paused = "paused: 1 to backend, 0 to frontend, 0 held, 1 paused\n"
    assert ctl(run, "pause", at["control"]) == paused
    source.send(b"two")
    assert not worker.poll(100)
    assert json.loads(ctl(run, "resume", at["control"], "--json"))["paused"] == 0
    assert worker.recv() == b"two"
    ended = "ended: 2 to backend, 0 to frontend, 0 held, 0 paused\n"
    assert ctl(run, "stop", at["control"]) == ended
    assert command.finish() == (0, b"")


def test_what_a_device_does_not_do_is_told(run: Commands, impl: str) -> None:
    _, at = served(run, "queue", "--control", ANY, "--impl", impl)
    command = run("ctl", "workers", at["control"])
    assert command.finish() == (1, b"")
    assert (
        "no such command: b'workers'; there are pause, resume, stats, stop" in command.complaint()
    )
    broker = run("broker", "lru", "--frontend", ANY, "--backend", ANY, "--control", ANY)
    command = run("ctl", "pause", broker.ready()["control"])
    assert command.finish() == (1, b"")
    assert "no such command: b'pause'; there are drain," in command.complaint()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--frontend", ">tcp://127.0.0.1:*"), "--frontend: 'tcp://127.0.0.1:*' can be bound but"),
        (("--frontend", "inproc://a"), "--frontend: 'inproc://a' can't be reached from another"),
        (("--frontend", ANY, "--high-water-mark", "0"), "--high-water-mark must be from 1"),
        (
            ("--frontend", ANY, "--control", "tcp://*:5"),
            "--control: 'tcp://*:5' can be reached from",
        ),
        ((), "the following arguments are required: --frontend"),
    ],
)
def test_mistakes_are_told_in_one_line(run: Commands, options: tuple[str, ...], words: str) -> None:
    command = run("device", "queue", "--backend", ANY, *options)
    assert command.finish() == (2, b"")
    assert words in command.complaint()


def test_a_bridge_from_the_command_line(run: Commands, impl: str, peers: Peers) -> None:
    inner = peers.socket(zmq.XPUB)
    inner.bind(ANY)
    front = f">{inner.last_endpoint.decode()}"
    command = run("device", "forwarder", "--frontend", front, "--backend", ANY, "--impl", impl)
    outside = peers.socket(zmq.SUB, command.ready()["backend"])
    outside.subscribe(b"a")
    assert inner.recv() == b"\x01a"
    inner.send(b"a message")
    assert outside.recv() == b"a message"


def test_the_end_of_the_parent_ends_a_device() -> None:
    command = Command(
        "device", "queue", "--frontend", ANY, "--backend", ANY, "--stop-at-eof", stdin=-1
    )
    with command:
        command.ready()
        assert command.finish(data=b"") == (0, b"")
        wait_until(lambda: "end of standard input: stopping" in command.errors())
