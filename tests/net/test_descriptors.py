"""What happens when a process has no file descriptors left for its peers."""

from __future__ import annotations

import os
import re
import signal
import socket as posix_socket
import threading
import time
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq
from commands import Command, Commands
from harness import Peers, wait_until

import brigantine.net.descriptors
from brigantine import LRUBroker, ThreadedServer
from brigantine.config.protocols import Protocol
from brigantine.net.descriptors import LENT, DescriptorReserve
from brigantine.notices.kinds import Notice, describe
from brigantine.notices.lookalikes import Here

ANY = "tcp://127.0.0.1:*"
#: Both limits, so that the command can't raise the soft one.
LIMIT = 64
PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}))
from brigantine.cli import main
sys.exit(main(sys.argv[1:]))
"""
#: The same; at SIGUSR1 it uses up all descriptors, and at SIGUSR2 it gives them back.
GREEDY = """
import os, signal
files = []
def use_up(*_):
    try:
        while True:
            files.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
def give_back(*_):
    while files:
        os.close(files.pop())
signal.signal(signal.SIGUSR1, use_up)
signal.signal(signal.SIGUSR2, give_back)
"""
CROWD = 100
#: Descriptors of a command to which hardly anybody is connected are fewer.
FEW = LIMIT * 5 // 8
SAID = "out of file descriptors: closed"
NOT_ACCEPTED = "out of file descriptors: connections wait"
#: Rejections that are looked at, and what they may take of one CPU.  What they cost is a twentieth;
#: a listener that can't accept takes all that there is.
MANY, SHARE = 500, 0.5
#: Commands, and the sockets that may connect to each side.
SIDES: dict[tuple[str, str], dict[str, int]] = {
    ("broker", "lru"): {"frontend": zmq.DEALER, "backend": zmq.DEALER},
    ("broker", "mdp"): {"frontend": zmq.DEALER, "backend": zmq.DEALER},
    ("device", "queue"): {"frontend": zmq.REQ, "backend": zmq.REP},
    ("device", "forwarder"): {"frontend": zmq.PUB, "backend": zmq.SUB},
    ("device", "streamer"): {"frontend": zmq.PUSH, "backend": zmq.PULL},
}


def begin(
    run: Commands, impl: str, *words: str, ends: tuple[str, str] = (ANY, ANY), hard: int = LIMIT
) -> tuple[Command, dict[str, str]]:
    frontend, backend = ends
    command = run(
        *words, "--frontend", frontend, "--backend", backend, "--control", ANY,
        program=PROGRAM.format(limit=hard), env={"BRIGANTINE_IMPL": impl},
    )  # fmt: skip
    return command, command.ready()


def crowd(
    peers: Peers, endpoint: str, *, kind: int = zmq.DEALER, count: int = CROWD
) -> list[zmq.Socket[bytes]]:
    return [peers.socket(kind, endpoint) for _ in range(count)]


def greedy(run: Commands, impl: str, *words: str, **ends: str) -> tuple[Command, dict[str, str]]:
    """A command that can use up its own descriptors, and where it is."""
    options = [word for name, end in ends.items() for word in (f"--{name}", end)]
    command = run(
        *words, *options, "--control", ANY,
        program=GREEDY + PROGRAM.format(limit=LIMIT), env={"BRIGANTINE_IMPL": impl},
    )  # fmt: skip
    return command, command.ready()


def use_up(command: Command) -> None:
    """Return when it has no descriptor left."""
    command.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: open_files(command) == LIMIT, "the last descriptor")


def open_files(command: Command) -> int:
    return len(os.listdir(f"/proc/{command.process.pid}/fd"))


def leave(many: list[zmq.Socket[bytes]], command: Command) -> None:
    """Close the crowd, and wait until that has reached the command."""
    for each in many:
        each.close()
    wait_until(lambda: open_files(command) < FEW, "free descriptors")


def stats(control: zmq.Socket[bytes]) -> dict[str, int]:
    control.send(b"stats")
    status, body = control.recv_multipart()
    assert status == b"200"
    counters: dict[str, int] = msgpack.unpackb(body)
    return counters


def cpu_seconds(command: Command) -> float:
    fields = Path(f"/proc/{command.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rejected(control: zmq.Socket[bytes], more_than: int = 0) -> int:
    return int(
        wait_until(
            lambda: (
                count if (count := stats(control)["connections_rejected"]) > more_than else None
            ),
            f"more than {more_than} rejected connections",
        )
    )


@pytest.mark.pairwise
@pytest.mark.parametrize("side", ["frontend", "backend"])
@pytest.mark.parametrize("words", SIDES, ids="-".join)
def test_without_descriptors_it_says_so_counts_answers_control_and_does_not_spin(
    run: Commands, peers: Peers, impl: str, words: tuple[str, str], side: str
) -> None:
    command, ends = begin(run, impl, *words)
    crowd(peers, ends[side], kind=SIDES[words][side])
    command.wait_for(SAID)
    line = next(line for line in command.errors().splitlines() if SAID in line)
    assert re.search(rf"closed .* connections? at once, as \d+ of the {LIMIT} that this", line)
    assert "ulimit -n" in line
    assert "LimitNOFILE=" in line
    control = peers.req(ends["control"])  # it comes when all others are in use
    before = rejected(control)
    spent, began = cpu_seconds(command), time.monotonic()
    rejected(control, before + MANY)
    assert (cpu_seconds(command) - spent) / (time.monotonic() - began) < SHARE
    # Limited in rate: these are hundreds.
    assert command.errors().count(SAID) <= 2
    ctl = run("ctl", "stats", ends["control"])
    code, out = ctl.finish()
    assert code == 0
    assert b"connections_rejected" in out


@pytest.mark.long
@pytest.mark.parametrize("side", ["frontend", "backend"])
@pytest.mark.parametrize("words", SIDES, ids="-".join)
def test_a_program_that_uses_up_the_reserve_itself_is_told_and_costs_no_cpu(
    run: Commands, peers: Peers, impl: str, words: tuple[str, str], side: str
) -> None:
    command, ends = greedy(run, impl, *words, frontend=ANY, backend=ANY)
    before = peers.req(ends["control"])
    assert stats(before)["accepts_failed"] == 0
    files = open_files(command)
    use_up(command)
    many = crowd(peers, ends[side], kind=SIDES[words][side])
    command.wait_for(NOT_ACCEPTED)
    line = next(line for line in command.errors().splitlines() if NOT_ACCEPTED in line)
    assert f"all {LIMIT} that this process may have are in use" in line
    assert "ulimit -n" in line
    assert stats(before)["accepts_failed"] > 0
    # Who waited is hung up on, so nothing is left for libzmq to try over and over.
    count = rejected(before, CROWD)
    spent, began = cpu_seconds(command), time.monotonic()
    rejected(before, count + MANY)
    assert (cpu_seconds(command) - spent) / (time.monotonic() - began) < SHARE
    assert command.errors().count(NOT_ACCEPTED) <= 2
    code, out = run("ctl", "stats", ends["control"]).finish()
    assert (code, b"accepts_failed" in out) == (0, True)
    command.process.send_signal(signal.SIGUSR2)
    for each in many:
        each.close()
    # Many looks, as one connection may be there that is about to be closed.
    wait_until(lambda: {open_files(command) for _ in range(200)} == {files}, "what was lent")
    # Nobody is hung up on any more.
    count = stats(before)["connections_rejected"]
    many = crowd(peers, ends[side], kind=SIDES[words][side], count=5)
    wait_until(lambda: open_files(command) == files + 5, "five connections")
    assert stats(before)["connections_rejected"] == count


def test_one_socket_and_a_second_control_client_do_the_same(
    run: Commands, peers: Peers, impl: str
) -> None:
    command, ends = greedy(run, impl, "broker", "mdp", frontend=ANY)
    before = peers.req(ends["control"])
    assert stats(before)["accepts_failed"] == 0
    use_up(command)
    first = peers.req(ends["control"])
    assert stats(first)["accepts_failed"] > 0
    crowd(peers, ends["control"], count=3)
    crowd(peers, ends["frontend"])
    rejected(before, rejected(before) + CROWD)
    assert stats(first)["accepts_failed"] > 0


@pytest.mark.long
def test_a_program_that_takes_what_was_lent_is_counted_by_the_second(
    run: Commands, peers: Peers, impl: str
) -> None:
    command, ends = greedy(run, impl, "broker", "lru", frontend=ANY, backend=ANY)
    before = peers.req(ends["control"])
    assert stats(before)["accepts_failed"] == 0
    use_up(command)
    many = crowd(peers, ends["frontend"])

    def taken(more_than: int) -> bool:
        command.process.send_signal(signal.SIGUSR1)
        return stats(before)["accepts_failed"] > more_than

    wait_until(lambda: taken(3), "seconds in which nobody was accepted")
    assert command.errors().count(NOT_ACCEPTED) == 1
    command.process.send_signal(signal.SIGUSR2)
    leave(many, command)
    worker, client = peers.worker(ends["backend"]), peers.req(ends["frontend"])
    client.send(b"question")
    worker.send_multipart(worker.recv_multipart())
    assert client.recv() == b"question"


def test_what_is_kept_back_is_given_back_at_the_end(impl: str) -> None:
    files = len(os.listdir("/dev/fd"))
    threads = threading.active_count()
    with LRUBroker(ANY, ANY, impl=impl), LRUBroker(ANY, ANY, impl=impl):
        names = [each.name for each in threading.enumerate()]
        assert names.count("brigantine-accepting") == 1
    assert len(os.listdir("/dev/fd")) == files
    assert threading.active_count() == threads


def test_one_socket_for_clients_and_workers_does_the_same(
    run: Commands, peers: Peers, impl: str
) -> None:
    command = run(
        "broker", "mdp", "--frontend", ANY, "--control", ANY,
        program=PROGRAM.format(limit=LIMIT), env={"BRIGANTINE_IMPL": impl},
    )  # fmt: skip
    ends = command.ready()
    many = crowd(peers, ends["frontend"])
    command.wait_for(SAID)
    control = peers.req(ends["control"])
    rejected(control, rejected(control) + CROWD)
    leave(many, command)
    client = peers.req(ends["frontend"])
    client.send_multipart([b"MDPC01", b"mmi.service", b"echo"])
    assert client.recv_multipart()[-1] == b"404"


def test_a_device_that_follows_names_does_the_same_for_the_side_that_is_bound(
    run: Commands, peers: Peers, impl: str
) -> None:
    server = peers.socket(zmq.REP)
    port = server.bind_to_random_port("tcp://127.0.0.1")
    behind = f">tcp://localhost:{port}"
    command, ends = begin(run, impl, "device", "queue", ends=(ANY, behind))
    client = peers.req(ends["frontend"])
    client.send(b"question")
    server.send(server.recv())
    assert client.recv() == b"question"
    crowd(peers, ends["frontend"])
    command.wait_for(SAID)
    rejected(peers.req(ends["control"]))
    client.send(b"question")
    server.send(server.recv())
    assert client.recv() == b"question"


@pytest.mark.parametrize("end", [ANY, "ipc://{}/{}", "ipc://@{1}"], ids=["tcp", "ipc", "abstract"])
def test_who_was_there_is_served_all_the_while_and_who_comes_later_when_others_have_gone(
    run: Commands, peers: Peers, impl: str, end: str, tmp_path: Path
) -> None:
    names = (end.format(tmp_path, f"{side}-{os.getpid()}-{impl}") for side in ("front", "back"))
    command, ends = begin(
        run, impl, "broker", "lru", ends=(next(names), next(names)), hard=4 * LIMIT
    )
    worker, client = peers.worker(ends["backend"]), peers.req(ends["frontend"])

    def serve() -> None:
        frames = worker.recv_multipart()
        worker.send_multipart(frames)

    def ask(asker: zmq.Socket[bytes]) -> None:
        asker.send(b"question")
        serve()
        assert asker.recv() == b"question"

    ask(client)
    # One after the other: over ipc no more may come at once than the reserve has room for, see
    # descriptors.py.
    control = peers.req(ends["control"])
    many: list[zmq.Socket[bytes]] = []
    while not (count := stats(control)["connections_rejected"]):
        files = open_files(command)
        many += crowd(peers, ends["frontend"], count=1)
        wait_until(
            lambda: open_files(command) > files or stats(control)["connections_rejected"],  # noqa: B023
            "a connection",
        )
    many += crowd(peers, ends["frontend"], count=4)
    for _ in range(5):
        ask(client)
        count = rejected(control, count)
    late = peers.req(ends["frontend"])
    rejected(control, count + 2 * len(many[-5:]))
    leave(many, command)
    ask(late)
    ask(client)


def test_a_crowd_of_control_connections_leaves_room_for_those_that_are_there(
    run: Commands, peers: Peers, impl: str
) -> None:
    command, ends = begin(run, impl, "broker", "lru")
    control = peers.req(ends["control"])
    many = crowd(peers, ends["control"])
    command.wait_for(SAID)
    before = rejected(control)
    rejected(control, before + CROWD)
    leave(many, command)
    client, worker = peers.req(ends["frontend"]), peers.worker(ends["backend"])
    client.send(b"question")
    worker.send_multipart(worker.recv_multipart())
    assert client.recv() == b"question"
    assert stats(peers.req(ends["control"]))["replied"] == 1


def test_the_limit_is_what_it_is_now(run: Commands, peers: Peers, impl: str) -> None:
    resource = pytest.importorskip("resource")
    hard = 4 * LIMIT
    command, ends = begin(run, impl, "broker", "lru", hard=hard)
    control = peers.req(ends["control"])
    pid = command.process.pid
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (LIMIT, hard))
    crowd(peers, ends["frontend"])
    rejected(control)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
    wait_until(lambda: open_files(command) > CROWD, "all connections")
    worker, client = peers.worker(ends["backend"]), peers.req(ends["frontend"])
    client.send(b"question")
    worker.send_multipart(worker.recv_multipart())
    assert client.recv() == b"question"


def test_the_log_is_told_now_and_then_with_all_that_was_closed_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Notice] = []
    with posix_socket.create_server(("127.0.0.1", 0)) as listener:
        address: Any = listener.getsockname()
        reserve = DescriptorReserve(lambda: [f"tcp://127.0.0.1:{address[1]}"], told.append)

        def reject() -> None:
            with posix_socket.create_connection(address), listener.accept()[0] as accepted:
                reserve.reject(accepted.fileno())

        monkeypatch.setattr(brigantine.net.descriptors, "REJECTED_EVERY", 3600.0)
        for _ in range(5):
            reject()
        monkeypatch.setattr(brigantine.net.descriptors, "REJECTED_EVERY", 0.0)
        reject()
    assert [each.numbers[0] for each in told] == [1, 5]
    assert reserve.rejected == 6
    first, second = (describe(each, Here((), (), Protocol(0))) for each in told)
    assert "closed a connection at once" in first
    assert "closed 5 connections at once" in second


def test_nothing_is_closed_but_connections_to_its_own_endpoints() -> None:
    told: list[Notice] = []
    with posix_socket.create_server(("127.0.0.1", 0)) as listener, open(os.devnull) as file:
        address: Any = listener.getsockname()
        mine = posix_socket.create_connection(address)
        accepted, _ = listener.accept()
        ours = DescriptorReserve(lambda: [f"tcp://127.0.0.1:{address[1]}"], told.append)
        other = DescriptorReserve(
            lambda: ["tcp://127.0.0.1:1", "ipc:///x", "inproc://x"], told.append
        )
        with mine, accepted:
            for reserve in (other, ours):
                reserve.reject(file.fileno())
                reserve.reject(mine.fileno())
            other.reject(accepted.fileno())
            assert (ours.rejected, other.rejected, told) == (0, 0, [])
            mine.sendall(b"still open")
            assert accepted.recv(100) == b"still open"
            ours.reject(accepted.fileno())
            assert mine.recv(100) == b""
            assert ours.rejected == 1
            assert [each.kind for each in told] == ["no_descriptors"]
            closed = accepted.fileno()
        ours.reject(closed)
        assert ours.rejected == 1


def test_a_server_hangs_up_on_whoever_has_a_descriptor_that_was_lent(
    peers: Peers, impl: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brigantine.net.descriptors, "_still_lent", lambda: True)
    with ThreadedServer(ANY, bytes.upper, impl=impl) as server:

        def rejected() -> bool:
            LENT[0] = 1  # the thread that looks takes it back: there are others
            peers.socket(zmq.DEALER, server.frontend)
            return server.stats()["connections_rejected"] > 0

        try:
            wait_until(rejected, "a connection that is hung up on")
        finally:
            LENT[0] = 0
