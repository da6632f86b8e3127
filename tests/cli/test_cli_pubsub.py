"""``brigantine publish`` and ``brigantine subscribe``: what comes out, and how it ends."""

from __future__ import annotations

import os
import signal
import socket as posix_socket
import subprocess
from dataclasses import fields

import pytest
from commands import Commands
from harness import PATIENCE, Peers, wait_until

from brigantine import Publisher, PublisherConfig, Subscriber, SubscriberConfig
from brigantine.cli import main
from brigantine.cli.publish import _lines, _wait_ready
from brigantine.config.table import rows
from brigantine.errors import ConfigError, NotReady

ANY = "tcp://127.0.0.1:*"


def free_endpoint(peers: Peers) -> str:
    import zmq

    with peers.context.socket(zmq.PUB) as made:
        made.bind(ANY)
        return str(made.last_endpoint.decode())


def test_what_one_command_publishes_another_prints(run: Commands, peers: Peers) -> None:
    endpoint = free_endpoint(peers)
    reader = run("subscribe", "--endpoint", endpoint, "--count", "2", "wetter.")
    writer = run("publish", "--endpoint", endpoint, "wetter.köln", stdin=subprocess.PIPE)
    assert writer.finish(data="grün\n\x00\x07\r\nzu viel\n".encode()) == (0, b"")
    assert reader.finish() == (0, "wetter.köln grün\nwetter.köln \\x00\\x07\n".encode())


def test_one_message_is_typed(run: Commands, peers: Peers) -> None:
    endpoint = free_endpoint(peers)
    reader = run("subscribe", "--endpoint", endpoint, "--long", "--count", "1", "")
    writer = run("publish", "--endpoint", endpoint, "--name", "me", "a", "a b")
    assert writer.finish() == (0, b"")
    assert reader.finish() == (0, b"me 1 a a b\n")


def test_bodies_come_as_they_are(run: Commands) -> None:
    with Publisher(ANY) as publisher:
        reader = run("subscribe", "--endpoint", publisher.endpoint, "--raw", "--count", "2", "a")
        publisher.wait_ready(10)
        publisher.publish("a", bytes(range(256)))
        publisher.publish("a", b"")
        assert reader.finish() == (0, bytes(range(256)) + b"\n\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_both_in_good_order(run: Commands, peers: Peers, number: int) -> None:
    with Publisher(ANY) as publisher:
        reader = run("subscribe", "--endpoint", publisher.endpoint, "a")
        publisher.wait_ready(10)
        publisher.publish("a", b"x")
        assert reader.line() == "a x"
        reader.process.send_signal(number)
        assert reader.finish() == (0, b"")
    endpoint = free_endpoint(peers)
    writer = run("publish", "--endpoint", endpoint, "a", stdin=subprocess.PIPE)
    with Subscriber(endpoint, "a") as subscriber:
        subscriber.wait_ready(30)
        writer.process.send_signal(number)
        assert writer.process.wait(10) == 0


def is_bound(endpoint: str) -> bool:
    host, port = endpoint.removeprefix("tcp://").split(":")
    with posix_socket.socket() as made:
        return made.connect_ex((host, int(port))) == 0


def test_a_message_that_a_signal_kept_back_is_told(run: Commands, peers: Peers) -> None:
    endpoint = free_endpoint(peers)
    wait_until(lambda: not is_bound(endpoint), "the end of who had that port")
    writer = run("publish", "--endpoint", endpoint, "a", "x")
    wait_until(lambda: is_bound(endpoint), "a publisher, which has taken over signals")
    writer.process.send_signal(signal.SIGTERM)
    code, _ = writer.finish()
    assert (code, "the message was not published" in writer.errors()) == (1, True)


def test_less_than_no_subscriber_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["publish", "--endpoint", ANY, "--subscribers", "-1", "a", "x"]) == 2
    assert "--subscribers: '-1' is not 0 or more" in capsys.readouterr().err


def test_what_is_missed_and_bad_silence_are_told(run: Commands, peers: Peers) -> None:
    import msgpack
    import zmq

    pub = peers.context.socket(zmq.XPUB)
    peers.sockets.append(pub)
    pub.bind(ANY)
    endpoint = pub.last_endpoint.decode()
    reader = run("subscribe", "--endpoint", endpoint, "--heartbeat-interval", "0.1", "a")
    missing = {b"\x01a", b"\x01\0brigantine.beat"}
    wait_until(lambda: missing.discard(pub.recv()) or not missing)
    for number in (1, 5):
        pub.send_multipart([b"a", b"x", msgpack.packb(["them", 1, number])])
        assert reader.line() == "a x"
    reader.wait_for("missed 3 of them under a")
    pub.close(0)
    reader.wait_for("nothing is heard for")
    reader.process.terminate()
    assert reader.finish() == (0, b"")


def test_nothing_in_time_is_exit_code_1(run: Commands) -> None:
    with Publisher(ANY) as publisher:
        reader = run("subscribe", "--endpoint", publisher.endpoint, "--timeout", "0.2", "a")
        assert reader.finish() == (1, b"")
        assert reader.complaint() == "brigantine: no message came for 0.2 s"
    writer = run("publish", "--endpoint", ANY, "--timeout", "0.2", "a", "x")
    assert writer.finish() == (1, b"")
    assert "wanted 1 or more subscribers of brigantine within 0.2 s, there are 0" in (
        writer.complaint()
    )


def test_nobody_is_waited_for_who_need_not_be(run: Commands) -> None:
    assert run("publish", "--endpoint", ANY, "--subscribers", "0", "a", "x").finish() == (0, b"")


def test_who_is_waited_for_in_vain_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """SUB sockets of other programs are there, say, and a person wonders why nothing comes."""
    monkeypatch.setattr("brigantine.cli.publish._TOLD_AFTER", 0.01)
    with Publisher("tcp://127.0.0.1:*") as publisher, pytest.raises(NotReady):
        _wait_ready(publisher, 2, 0.02)
    words = capsys.readouterr().err
    assert "waiting for subscribers of brigantine: wanted are 2, there are 0" in words
    assert "--subscribers 0" in words


def test_nobody_reads_the_output_any_more(run: Commands) -> None:
    with Publisher(ANY) as publisher:
        read, write = os.pipe()
        reader = run("subscribe", "--endpoint", publisher.endpoint, "a", stdout=write)
        os.close(write)
        publisher.wait_ready(10)
        os.close(read)
        publisher.publish("a", b"x")
        assert reader.process.wait(10) == 1
        assert reader.errors() == ""


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("publish", "--endpoint", "tcp://x", "a"), "must be tcp://HOST:PORT"),
        (("publish", "--endpoint", "inproc://x", "a"), "can't be reached from another process"),
        (("publish", "--endpoint", ANY, "--linger", "-1", "a"), "--linger must be from 0 to 86400"),
        (("publish", "--endpoint", ANY, "--name", "", "a"), "--name must be 1 to 255 characters"),
        (("subscribe", "--endpoint", ANY, "a"), "can be bound but not connected to"),
        (("subscribe", "--endpoint", "tcp://h:1"), "TOPIC"),
        (
            ("subscribe", "--endpoint", "tcp://h:1", "--liveness", "1", "a"),
            "--liveness must be from 2",
        ),
        (("subscribe", "--endpoint", "tcp://h:1", "--raw", "--long", "a"), "not allowed with"),
    ],
)
def test_wrong_use_is_named_and_exit_code_2(
    words: tuple[str, ...], complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    told = capfd.readouterr().err
    assert complaint in told
    assert told.count("\n") == 1


def piped(data: bytes) -> int:
    """A descriptor from which that is read, and then the end."""
    read, write = os.pipe()
    os.write(write, data)
    os.close(write)
    return read


def test_a_line_has_no_more_bytes_than_a_message_may_have() -> None:
    assert [*_lines(piped(b"a\n\nabcd\r\nabcd"), 4)] == [b"a", b"", b"abcd", b"abcd"]
    for long in (b"abcde\n", b"abcde\r\n", b"abcde", b"abcde\r"):
        lines = _lines(piped(b"a\n" + long), 4)
        assert next(lines) == b"a"
        with pytest.raises(ConfigError, match="line 2 of standard input has more than 4 bytes"):
            next(lines)


def test_a_line_without_end_is_refused_before_it_has_come(run: Commands) -> None:
    command = run(
        "publish", "--endpoint", ANY, "--subscribers", "0", "--max-message-bytes", "1024", "a",
        stdin=subprocess.PIPE,
    )  # fmt: skip
    assert command.process.stdin is not None
    command.process.stdin.write(bytes(2000))
    command.process.stdin.flush()
    assert command.process.wait(PATIENCE) == 2
    assert command.complaint().endswith("or raise --max-message-bytes")


def test_every_option_of_the_tables_has_help() -> None:
    for table in (PublisherConfig, SubscriberConfig):
        assert [each.name for each in fields(table)] == list(rows(table))
        assert all(row.says for row in rows(table).values())


def test_last_values_are_kept_and_asked_for(run: Commands, peers: Peers) -> None:
    endpoint = free_endpoint(peers)
    writer = run(
        "publish", "--endpoint", endpoint, "--subscribers", "0", "--last-values", "10", "a",
        stdin=subprocess.PIPE,
    )  # fmt: skip
    assert writer.process.stdin is not None
    writer.process.stdin.write(b"old\n")
    writer.process.stdin.flush()
    with Subscriber(endpoint, "a") as subscriber:
        subscriber.wait_ready(10)
        reader = run("subscribe", "--endpoint", endpoint, "--last-values", "--count", "1", "a")
        assert reader.finish() == (0, b"a old\n")
