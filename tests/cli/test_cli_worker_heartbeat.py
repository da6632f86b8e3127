"""``brigantine worker ppp`` and ``worker mdp`` in processes of their own, and SIGHUP for any worker."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path

import pytest
import zmq
from commands import Command, Commands
from doubles import EMPTY, RawBroker
from harness import Peers, wait_until
from heartbeat_doubles import HeartbeatBroker

from brigantine import MajordomoBroker

#: A module whose functions tell which version of it they are of.
MODULE = """
import os, pathlib, time

VERSION = b"{version}"

def version(body):
    return [VERSION, str(os.getpid()).encode()]

def gate(body):
    with open("entered", "ab") as entered:
        entered.write(b".")
    while not pathlib.Path("go").exists():
        time.sleep(0.005)
    return VERSION
"""
PATTERNS = {
    "ppp": ("ppp",),
    "0.1": ("mdp", "--service", "service", "--mdp-version", "0.1"),
    "0.2": ("mdp", "--service", "service"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module ``jobs``, version 1."""
    write(tmp_path, "1")
    return tmp_path


def write(folder: Path, version: str) -> None:
    """Put the module there; a length of its own, so that no cached bytecode is taken for it."""
    source = MODULE.format(version=version) + "#" * int(version)
    (folder / "jobs.py").write_text(source)


def entered(folder: Path) -> int:
    """How many requests were begun."""
    file = folder / "entered"
    return file.stat().st_size if file.exists() else 0


def serve(run: Commands, folder: Path, wire: str, *words: str) -> Command:
    pattern, *options = PATTERNS[wire]
    return run("worker", pattern, *options, "--liveness", "1000", *words, cwd=folder)


@pytest.mark.parametrize("wire", PATTERNS)
def test_it_serves_all_brokers_and_drains_at_sigterm(
    run: Commands, peers: Peers, folder: Path, wire: str
) -> None:
    brokers = [HeartbeatBroker(peers, wire=wire) for _ in range(2)]
    ends = [word for each in brokers for word in ("--broker", each.endpoint)]
    command = serve(run, folder, wire, *ends, "--capacity", "3", "jobs:gate")
    at = [each.ready("ready-3") for each in brokers]
    for broker, peer in zip(brokers, at, strict=True):
        broker.request(peer, b"q")
    # Of both: PPP has no word by which a broker would learn that a request came too late.
    wait_until(lambda: entered(folder) == len(brokers), "the start of all the work")
    command.process.terminate()
    command.wait_for("finishing the request in hand")
    (folder / "go").touch()
    for broker, peer in zip(brokers, at, strict=True):
        assert broker.reply(peer) == [b"1"]
        if broker.wire["disconnect"] is not None:
            assert broker.next() == (peer, broker.wire["disconnect"])
    assert command.finish() == (0, b"")


@pytest.mark.parametrize("processes", ["1", "2"])
def test_sighup_finishes_what_is_in_hand_and_serves_with_the_module_as_it_is_then(
    run: Commands, peers: Peers, folder: Path, processes: str
) -> None:
    broker = HeartbeatBroker(peers, wire="0.2")
    end = ("--broker", broker.endpoint, "--processes", processes)
    command = serve(run, folder, "0.2", *end, "jobs:gate")
    at = [broker.ready() for _ in range(int(processes))]
    broker.request(at[0], b"q")
    wait_until((folder / "entered").exists, "the start of the work")
    write(folder, "22")
    command.process.send_signal(signal.SIGHUP)
    command.wait_for("SIGHUP")
    (folder / "go").touch()
    said = [broker.next() for _ in range(2 * len(at) + 1)]  # two words each, and the one reply
    goodbyes = {peer for peer, frames in said if frames == broker.wire["disconnect"]}
    news = [peer for peer, frames in said if frames == broker.wire["ready"]]
    assert goodbyes == set(at)
    assert (at[0], [b"MDPW02", b"\x04", b"ticket", b"", b"1"]) in said
    for peer in news:
        broker.request(peer, b"q")
        assert broker.reply(peer) == [b"22"]
    assert len(news) == int(processes)
    command.process.terminate()
    assert command.finish() == (0, b"")
    assert command.descendants() == {}


def test_sighup_restarts_an_lru_worker_too_again_and_again(
    run: Commands, peers: Peers, folder: Path
) -> None:
    broker = RawBroker(peers)
    command = run("worker", "lru", "--broker", broker.endpoint, "jobs:version", cwd=folder)
    for version, following in itertools.pairwise(("1", "22", "333", "4444")):
        peer = broker.ready_worker()
        assert broker.ask(peer, b"q") == [version.encode(), str(command.process.pid).encode()]
        write(folder, following)
        command.process.send_signal(signal.SIGHUP)
    broker.ready_worker()
    command.process.terminate()
    assert command.finish() == (0, b"")


def test_a_module_that_no_longer_works_ends_the_worker_with_one_line(
    run: Commands, peers: Peers, folder: Path
) -> None:
    broker = HeartbeatBroker(peers, wire="ppp")
    command = serve(run, folder, "ppp", "--broker", broker.endpoint, "jobs:version")
    broker.ready()
    (folder / "jobs.py").write_text("this is no Python")
    command.process.send_signal(signal.SIGHUP)
    assert command.finish() == (2, b"")
    assert "brigantine: can't import 'jobs'" in command.errors()


def test_sigterm_during_a_restart_stops(run: Commands, peers: Peers, folder: Path) -> None:
    broker = HeartbeatBroker(peers, wire="ppp")
    command = serve(run, folder, "ppp", "--broker", broker.endpoint, "jobs:gate")
    peer = broker.ready()
    broker.request(peer, b"q")
    wait_until((folder / "entered").exists, "the start of the work")
    command.process.send_signal(signal.SIGHUP)
    command.wait_for("then restarting")
    command.process.terminate()
    command.wait_for("finishing the request in hand; Ctrl-C twice exits at once")
    (folder / "go").touch()
    assert broker.reply(peer) == [b"1"]
    assert command.finish() == (0, b"")
    assert not broker.socket.poll(0)


def test_the_end_of_the_terminal_stops_a_worker(run: Commands, peers: Peers, folder: Path) -> None:
    broker = HeartbeatBroker(peers, wire="ppp")
    near, far = os.openpty()
    os.set_inheritable(far, True)
    try:
        command = run(
            "worker", "ppp", "--liveness", "1000", "--broker", broker.endpoint, "jobs:version",
            cwd=folder, stdin=far,
        )  # fmt: skip
        broker.ready()
    finally:
        os.close(near)
        os.close(far)
    command.process.send_signal(signal.SIGHUP)
    assert command.finish() == (0, b"")
    assert not broker.socket.poll(0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ppp", "--broker", "nowhere", "f:g"), "must begin with"),
        (("ppp", "--broker", "inproc://x", "f:g"), "another process"),
        (("ppp", "--broker", "tcp://h:1", "--capacity", "0", "f:g"), "--capacity must be from 1"),
        (("ppp", "--broker", "tcp://h:1", "--capacity", "9999", "f:g"), "--capacity must be from"),
        (("ppp", "--broker", "tcp://h:*", "f:g"), "--broker: 'tcp://h:*' can be bound"),
        (
            ("ppp", "--broker", "tcp://h:1", "--heartbeat-interval", "0", "f:g"),
            "--heartbeat-interval",
        ),
        (("ppp", "--broker", "tcp://h:1", "--max-reply-frames", "0", "f:g"), "--max-reply-frames"),
        (("mdp", "--broker", "tcp://h:1", "f:g"), "--service"),
        (("mdp", "--broker", "tcp://h:1", "--service", "", "f:g"), "--service: a worker needs"),
        (("mdp", "--broker", "tcp://h:1", "--service", "mmi.x", "f:g"), "serves these itself"),
        (("mdp", "--broker", "tcp://h:1", "--service", "s", "nomodule:g"), "can't import"),
        (
            ("mdp", "--broker", "tcp://h:1", "--service", "s", "--liveness", "1", "f:g"),
            "--liveness",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line(run: Commands, words: tuple[str, ...], said: str) -> None:
    command = run("worker", *words)
    assert command.finish() == (2, b"")
    assert said in command.complaint()


@pytest.mark.parametrize("wire", PATTERNS)
def test_an_interval_may_be_longer_than_the_longest_pause_is_by_default(
    run: Commands, peers: Peers, folder: Path, wire: str
) -> None:
    broker = HeartbeatBroker(peers, wire=wire)
    words = ("--broker", broker.endpoint, "--heartbeat-interval", "3600", "jobs:version")
    command = serve(run, folder, wire, *words)
    broker.ready()
    command.process.terminate()
    assert command.finish() == (0, b"")


def test_round_trip_through_the_commands(run: Commands, peers: Peers, impl: str) -> None:
    with MajordomoBroker("tcp://127.0.0.1:*", impl=impl) as broker:
        words = ("--broker", broker.frontend, "--service", "up", "brigantine.handlers:upper")
        run("worker", "mdp", *words)
        client = peers.socket(zmq.DEALER, broker.frontend)
        client.send_multipart([b"MDPC02", b"\x01", b"up", b"abc"])
        assert client.recv_multipart() == [b"MDPC02", b"\x03", b"up", b"ABC"]
        old = peers.socket(zmq.REQ, broker.frontend)
        old.send_multipart([b"MDPC01", b"up", b"abc", EMPTY])
        assert old.recv_multipart() == [b"MDPC01", b"up", b"ABC", EMPTY]


@pytest.mark.parametrize("processes", ["1", "2"])
def test_every_process_announces_the_interval(run: Commands, peers: Peers, processes: str) -> None:
    broker = peers.socket(zmq.ROUTER)
    port = broker.bind_to_random_port("tcp://127.0.0.1")
    run(
        "worker", "ppp", "--broker", f"tcp://127.0.0.1:{port}", "--processes", processes,
        "--heartbeat-interval", "0.5", "--announce-interval", "brigantine.handlers:echo",
    )  # fmt: skip
    first: dict[bytes, bytes] = {}
    while len(first) < int(processes):
        identity, frame = broker.recv_multipart()
        first.setdefault(identity, frame)
        broker.send_multipart([identity, b"\x02"])  # a heartbeat: none has cause to come anew
    # READY, a capacity of 1, and 500 ms.
    assert set(first.values()) == {b"\x01\x01\xcd\x01\xf4"}
