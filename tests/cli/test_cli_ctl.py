"""``brigantine ctl``, and ``--control`` of brokers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgpack
import pytest
import zmq
from commands import Command, Commands
from harness import PATIENCE, Peers, wait_until

from brigantine import COUNTERS, SERVER_COUNTERS, MajordomoBroker, ThreadedServer

ANY = "tcp://127.0.0.1:*"
#: Must never be what ends a test.
NEVER = "3600"


@pytest.fixture
def running(impl: str) -> Iterator[MajordomoBroker]:
    with MajordomoBroker(ANY, ANY, impl=impl, control=ANY, heartbeat_interval=60.0) as made:
        yield made


def ctl(run: Commands, broker: MajordomoBroker, *words: str) -> str:
    """What ``brigantine ctl`` prints."""
    assert broker.control is not None
    command = run("ctl", words[0], broker.control, *words[1:])
    code, out = command.finish()
    assert (code, command.errors()) == (0, "")
    return out.decode()


def served(impl: str, run: Commands, *options: str) -> tuple[Command, dict[str, str]]:
    """A broker process with a control endpoint, and its endpoints."""
    ends = ("--frontend", ANY, "--backend", ANY, "--control", ANY, "--impl", impl)
    command = run("broker", "lru", *ends, *options)
    return command, command.ready()


def test_workers_and_services_are_tables(
    running: MajordomoBroker, run: Commands, peers: Peers
) -> None:
    empty = [ctl(run, running, what) for what in ("workers", "services")]
    assert empty == [
        "no workers: none is registered\n",
        "no services: no worker is registered and no request waits\n",
    ]
    for name, capacity in ((b"one", b"\x0c"), (b"\x1b\xff", b"\x01")):
        worker = peers.dealer(running.backend, identity=name)
        worker.send_multipart([b"MDPW02", b"\x01", b"echo", capacity])
    wait_until(lambda: running.stats()["workers"] == 2)
    peers.dealer(running.frontend).send_multipart([b"MDPC02", b"\x01", b"nobody's", b"x"])
    wait_until(lambda: running.stats()["queued"] == 1)
    assert ctl(run, running, "workers").splitlines() == [
        r"SERVICE  WORKER       PROTOCOL  STATE  CAPACITY  IN FLIGHT",
        r"echo     b'\x1b\xff'  MDP02     idle          1          0",
        r"echo     one          MDP02     idle         12          0",
    ]
    assert ctl(run, running, "services").splitlines() == [
        "SERVICE   WORKERS  IDLE  QUEUED",
        "echo            2     2       0",
        "nobody's        0     0       1",
    ]
    row = {"protocol": "MDP02", "state": "idle", "in_flight": 0, "side": "backend"}
    assert json.loads(ctl(run, running, "workers", "--json")) == {
        "echo": [
            {"identity": r"b'\x1b\xff'", "capacity": 1, **row},
            {"identity": "one", "capacity": 12, **row},
        ]
    }


def test_workers_at_both_sides_are_told_apart_by_a_column(
    running: MajordomoBroker, run: Commands, peers: Peers
) -> None:
    for at, endpoint in enumerate((running.backend, running.frontend), 1):
        worker = peers.dealer(endpoint, identity=b"one")
        worker.send_multipart([b"MDPW02", b"\x01", b"echo"])
        wait_until(lambda at=at: running.stats()["workers"] == at)
    assert sorted(ctl(run, running, "workers").splitlines()) == [
        "SERVICE  WORKER  SIDE      PROTOCOL  STATE  CAPACITY  IN FLIGHT",
        "echo     one     backend   MDP02     idle          1          0",
        "echo     one     frontend  MDP02     idle          1          0",
    ]


def test_names_that_look_like_those_of_others_are_told_apart(
    running: MajordomoBroker, run: Commands, peers: Peers
) -> None:
    plain, others = [b"'", b"b", b"b_"], [b"\x00", b"b'\\x00'", b'b"x"']
    for name in plain + others:
        peers.dealer(running.frontend).send_multipart([b"MDPC02", b"\x01", name, b"x"])
    wait_until(lambda: running.stats()["queued"] == len(plain + others))
    told = json.loads(ctl(run, running, "services", "--json"))
    assert set(told) == {*map(bytes.decode, plain), *map(repr, others)}
    lines = ctl(run, running, "services").splitlines()[1:]
    assert {line.split()[0] for line in lines} == set(told)


def test_stats_are_those_that_say_something_or_all_as_json(
    running: MajordomoBroker, run: Commands
) -> None:
    lines = ctl(run, running, "stats").splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["COUNTER", "VALUE"], ["accepted", "0"], ["replied", "0"], ["queued", "0"],
        ["in_flight", "0"], ["shed", "0"], ["failed", "0"], ["control_requests", "1"],
    ]  # fmt: skip
    assert lines[1].endswith(COUNTERS["accepted"])
    every = json.loads(ctl(run, running, "stats", "--json"))
    assert every == {**running.stats(), "control_requests": 2}


def test_a_server_is_shown_and_drained_as_a_broker_is(impl: str, run: Commands) -> None:
    with ThreadedServer(
        ANY, bytes.upper, impl=impl, control=ANY, drain_timeout=float(NEVER)
    ) as server:
        assert server.control is not None
        code, out = run("ctl", "stats", server.control).finish()
        [queued] = [each for each in out.decode().splitlines() if each.startswith("queued")]
        assert code == 0
        assert queued.endswith(SERVER_COUNTERS["queued"])
        code, out = run("ctl", "drain", server.control).finish()
        assert code == 0
        assert out.startswith(
            b"draining: 0 queued and 0 requests in flight; it ends when they are done, in 3600.0 s"
        )
        assert server.join(PATIENCE)


def test_drain_waits_for_the_end_and_the_broker_exits_0(
    impl: str, run: Commands, peers: Peers
) -> None:
    broker, ends = served(impl, run, "--drain-timeout", NEVER)
    assert list(ends) == ["frontend", "backend", "control"]
    worker, client = peers.worker(ends["backend"]), peers.req(ends["frontend"])
    client.send(b"work")
    work = worker.recv_multipart()
    command = run("ctl", "drain", ends["control"])
    assert command.line() == (
        "draining: 0 queued and 1 requests in flight; it ends when they are done, "
        "in 3600.0 s at the latest"
    )
    worker.send_multipart(work)
    assert client.recv() == b"work"
    code, out = command.finish()
    assert (code, out) == (
        0, b"ended: 1 accepted, 1 replied, 0 queued, 0 in flight, 0 shed, 0 failed\n"
    )  # fmt: skip
    assert broker.finish() == (0, b"")
    assert "control: drain" in broker.errors()


def test_a_drain_that_left_something_says_so_with_exit_code_1(
    impl: str, run: Commands, peers: Peers
) -> None:
    broker, ends = served(impl, run, "--drain-timeout", "0.1")
    worker = peers.worker(ends["backend"])
    peers.req(ends["frontend"]).send(b"work")
    worker.recv_multipart()
    command = run("ctl", "drain", ends["control"], "--json")
    code, out = command.finish()
    assert (code, json.loads(out)["failed_stopped"]) == (1, 1)
    assert "1 requests were not finished in time" in command.complaint()
    assert broker.finish() == (1, b"")


def test_stop_ends_a_broker_with_exit_code_0(impl: str, run: Commands) -> None:
    broker, ends = served(impl, run)
    code, out = run("ctl", "stop", ends["control"]).finish()
    assert (code, out.split()[0]) == (0, b"ended:")
    assert broker.finish() == (0, b"")


# -- trouble --------------------------------------------------------------------------------------

TO = "tcp://127.0.0.1:9"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "COMMAND"),
        (("stats",), "EP"),
        (("restart", TO), "'restart'"),
        (("stats", "127.0.0.1:9"), "must begin with tcp://"),
        (("stats", ANY), "can't be connected to"),
        (("stats", "inproc://x"), "another process"),
        (("stats", TO, "--timeout", "-1"), "--timeout must be from"),
        (("drain", TO, "--timeout", "0"), "--timeout must be from 0.001 to"),
    ],
)
def test_wrong_use_is_told_in_one_line(run: Commands, words: tuple[str, ...], said: str) -> None:
    command = run("ctl", *words)
    assert command.finish() == (2, b"")
    assert said in command.complaint().replace("not connected to", "can't be connected to")


def test_a_control_endpoint_for_all_the_world_is_refused(run: Commands) -> None:
    ends = ("--frontend", ANY, "--backend", ANY)
    command = run("broker", "lru", *ends, "--control", "tcp://*:5555")
    assert command.finish() == (2, b"")
    assert "--control: 'tcp://*:5555' can be reached from other machines" in command.complaint()


def test_silence_is_told_in_one_line_with_exit_code_1(run: Commands, peers: Peers) -> None:
    mute = peers.socket(zmq.ROUTER)
    mute.bind(ANY)
    endpoint = mute.last_endpoint.decode()
    for what in ("stats", "drain"):
        command = run("ctl", what, endpoint, "--timeout", "0.05")
        assert command.finish() == (1, b"")
        assert f"no answer from {endpoint} within 0.05 s" in command.complaint()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([b"200", b"\xc1"], "as no control endpoint does"),
        ([b"200"], "as no control endpoint does"),
        ([b"200", msgpack.packb([])], "as no control endpoint does"),
        ([b"500", msgpack.packb({})], "as no control endpoint does"),
        ([b"501", msgpack.packb({"error": "no\nway"})], "answers: no way"),
        ([b"200", msgpack.packb({b"echo": 1})], "answers workers with something else"),
    ],
)
def test_what_makes_no_sense_is_told_in_one_line(
    run: Commands, peers: Peers, answer: list[bytes], said: str
) -> None:
    other = peers.socket(zmq.ROUTER)
    other.bind(ANY)
    command = run("ctl", "workers", other.last_endpoint.decode())
    peer, delimiter, what = other.recv_multipart()
    assert (delimiter, what) == (b"", b"workers")
    other.send_multipart([peer, b"", *answer])
    assert command.finish() == (1, b"")
    assert said in command.complaint()
