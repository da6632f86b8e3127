"""``brigantine request mdp`` and ``brigantine ls``: what comes out, and how it ends."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import msgpack
import pytest
from commands import Command, Commands
from doubles import RawBroker
from harness import PATIENCE, Peers, wait_until
from mdp_doubles import FINAL, HEADS, PARTIAL, asked, mdp_broker, raw_worker, say

from brigantine import MajordomoBroker
from brigantine.wire.req import error_reply


@pytest.fixture
def running(impl: str) -> Iterator[MajordomoBroker]:
    with mdp_broker(impl) as broker:
        yield broker


def ask(run: Commands, endpoint: str, *words: str, **options: object) -> Command:
    return run("request", "mdp", "--broker", endpoint, *words, **options)


def listed(run: Commands, endpoint: str, *words: str) -> Command:
    return run("ls", "--broker", endpoint, *words)


# -- request mdp ----------------------------------------------------------------------------------


def test_a_request_goes_to_its_service_and_the_reply_to_standard_output(
    running: MajordomoBroker, run: Commands
) -> None:
    binary = bytes(range(256)) * 300
    with raw_worker(running, "grüße".encode(), capacity=4):
        first = ask(run, running.frontend, "grüße", "hallo, ñ")
        second = ask(
            run, running.frontend, "--mdp-version", "0.1", "grüße", "-", stdin=subprocess.PIPE
        )
        third = ask(run, running.frontend, "grüße")
        assert first.finish() == (0, "hallo, ñ".encode())
        assert second.finish(data=binary) == (0, binary)
        assert third.finish() == (0, b"")
    assert first.errors() + second.errors() + third.errors() == ""


def test_parts_are_written_as_they_come(raw: RawBroker, run: Commands) -> None:
    command = ask(run, raw.endpoint, "svc", "q")
    peer = asked(raw, b"svc", b"q")
    say(raw, peer, PARTIAL, b"svc", b"one\n")
    assert command.line() == "one"  # while the reply goes on
    say(raw, peer, PARTIAL, b"svc", b"two", b"three")
    say(raw, peer, FINAL, b"svc", b"end")
    assert command.finish() == (0, b"\ntwo\nthree\nend")


def test_a_failing_worker_is_told_in_one_line_behind_the_parts(
    running: MajordomoBroker, run: Commands
) -> None:
    report = error_reply(ValueError("no"))
    with raw_worker(running, b"svc", lambda _: [[b"part"], report]):
        command = ask(run, running.frontend, "svc", "q")
        assert command.finish() == (1, b"part")
    assert command.complaint() == "brigantine: svc: ValueError: no"


def test_silence_is_told_in_one_line_with_exit_code_1(raw: RawBroker, run: Commands) -> None:
    limits = ("--timeout", "0.05", "--retries", "1")
    for command in (ask(run, raw.endpoint, *limits, "svc"), listed(run, raw.endpoint, *limits)):
        assert command.finish() == (1, b"")
        assert "no reply after 2 tries" in command.complaint()
        assert raw.endpoint in command.complaint()


def test_parts_on_a_terminal_end_with_a_line_end_also_when_the_stream_fails(
    raw: RawBroker, run: Commands
) -> None:
    near, far = os.openpty()
    try:
        command = ask(run, raw.endpoint, "svc", "q", stdout=far)
        peer = asked(raw, b"svc", b"q")
        say(raw, peer, PARTIAL, b"svc", b"one")
        say(raw, peer, FINAL, b"svc", *error_reply(RuntimeError("halfway")))
        assert command.process.wait(PATIENCE) == 1
        assert os.read(near, 100) == b"one\r\n"
    finally:
        os.close(near)
        os.close(far)
    assert command.complaint() == "brigantine: svc: RuntimeError: halfway"


@pytest.mark.parametrize("words", [(), ("--mdp-version", "0.3", "svc"), ("--timeout", "0", "svc")])
def test_wrong_use_is_told_in_one_line_with_exit_code_2(
    run: Commands, words: tuple[str, ...]
) -> None:
    command = ask(run, "tcp://127.0.0.1:1", *words)
    assert command.finish() == (2, b"")
    assert command.complaint().startswith("brigantine: ")


# -- ls -------------------------------------------------------------------------------------------


def test_an_empty_broker_is_told_as_one(running: MajordomoBroker, run: Commands) -> None:
    code, out = listed(run, running.frontend).finish()
    assert code == 0
    assert out.decode().splitlines() == [
        "no services: no worker is registered and no request waits",
        "",
        "workers:  0 known, 0 idle, 0 busy, 0 joined, 0 lost",
        "requests: 3 accepted, 3 replied, 0 queued, 0 in flight, 0 shed, 0 failed",
    ]


@pytest.mark.parametrize("version", ["0.1", "0.2"])
def test_services_workers_and_queues_are_a_table(
    running: MajordomoBroker, run: Commands, peers: Peers, version: str
) -> None:
    client = peers.dealer(running.frontend)
    for _ in range(12):
        client.send_multipart([*HEADS["0.2"], b"nobody's", b"q"])
    wait_until(lambda: running.stats()["queued"] == 12, "the requests")
    with (
        raw_worker(running, b"echo"),
        raw_worker(running, b"echo"),
        raw_worker(running, b"\x1b\xff"),
    ):
        code, out = listed(run, running.frontend, "--mdp-version", version).finish()
    assert code == 0
    assert out.decode().splitlines() == [
        r"SERVICE      WORKERS  IDLE  QUEUED",
        r"b'\x1b\xff'        1     1       0",
        r"echo               2     2       0",
        r"nobody's           0     0      12",
        "",
        "workers:  3 known, 3 idle, 0 busy, 3 joined, 0 lost",
        "requests: 15 accepted, 3 replied, 12 queued, 0 in flight, 0 shed, 0 failed",
    ]


@pytest.mark.parametrize(
    "body",
    [
        [b"501"],
        [b"\x80", b"two"],
        [b"\xc1"],
        [msgpack.packb([1])],
        [msgpack.packb({"text": {}})],
        [msgpack.packb({b"name": 1})],
    ],
)
def test_a_broker_that_lists_nothing_is_told_in_one_line(
    raw: RawBroker, run: Commands, body: list[bytes]
) -> None:
    command = listed(run, raw.endpoint)
    say(raw, asked(raw, b"mmi.services", b""), FINAL, b"mmi.services", *body)
    assert command.process.wait(PATIENCE) == 1
    assert "the broker answers mmi.services with" in command.complaint()


def test_a_list_that_nobody_reads_ends_without_a_traceback(raw: RawBroker, run: Commands) -> None:
    command = listed(run, raw.endpoint)
    assert command.process.stdout is not None
    command.process.stdout.close()
    for service in (b"mmi.services", b"mmi.workers", b"mmi.stats"):
        say(raw, asked(raw, service, b""), FINAL, service, msgpack.packb({}))
    assert command.process.wait(PATIENCE) == 1
    assert command.errors() == ""
