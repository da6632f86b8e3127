"""``brigantine broker``, in a process of its own."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import fields

import pytest
from commands import Command, Commands
from harness import PATIENCE, Peers, wait_until

from brigantine import BrokerConfig
from brigantine.cli import main
from brigantine.cli.options import add_config_options, options_from
from brigantine.config.table import rows

ANY = "tcp://127.0.0.1:*"
#: Must never be what ends a test.
NEVER = "3600"


@pytest.fixture
def broker_command(run: Commands, impl: str) -> Callable[..., Command]:
    """``broker_command(*options)`` runs a broker of the implementation under test."""

    def start(*options: str, **more: object) -> Command:
        sides = ("--frontend", ANY, "--backend", ANY)
        return run("broker", "lru", *sides, "--impl", impl, *options, **more)

    return start


def test_a_broker_says_once_where_it_can_be_used(run: Commands, impl: str, peers: Peers) -> None:
    command = run(
        "broker", "lru", "--frontend", ANY, "--frontend", ANY, "--backend", ANY, "--impl", impl
    )
    endpoints = command.ready()
    assert list(endpoints) == ["frontend", "backend"]
    frontends = endpoints["frontend"].split(",")
    assert len(set(frontends)) == 2
    worker = peers.worker(endpoints["backend"])
    for number, frontend in enumerate(frontends):
        client = peers.req(frontend)
        client.send(b"%d" % number)
        worker.send_multipart(worker.recv_multipart())
        assert client.recv() == b"%d" % number
    command.process.terminate()
    assert command.finish() == (0, b""), "more than one line on standard output"
    assert f"<LRUBroker {impl} running" in command.errors()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_what_was_accepted(
    broker_command: Callable[..., Command], peers: Peers, number: signal.Signals
) -> None:
    command = broker_command("--drain-timeout", NEVER)
    endpoints = command.ready()
    worker, client = peers.worker(endpoints["backend"]), peers.req(endpoints["frontend"])
    client.send(b"work")
    ticket, empty, work = worker.recv_multipart()
    command.process.send_signal(number)
    command.wait_for("draining")
    worker.send_multipart([ticket, empty, work.upper()])
    assert client.recv() == b"WORK"
    assert command.finish() == (0, b"")
    assert "replied 1" in command.errors()
    assert "failed" not in command.errors()


@pytest.mark.parametrize("sigterms", [0, 2])
def test_a_second_ctrl_c_stops_at_once_and_nothing_before_it(
    broker_command: Callable[..., Command], peers: Peers, sigterms: int
) -> None:
    command = broker_command("--drain-timeout", NEVER)
    endpoints = command.ready()
    worker, client = peers.worker(endpoints["backend"]), peers.req(endpoints["frontend"])
    client.send(b"work")
    worker.recv_multipart()
    for times in range(1, sigterms + 1):
        command.process.terminate()
        said = "SIGTERM: draining; Ctrl-C twice stops at once"
        wait_until(lambda times=times, said=said: command.errors().count(said) == times)
    command.process.send_signal(signal.SIGINT)
    command.wait_for("SIGINT: draining; a second Ctrl-C stops at once")
    command.process.send_signal(signal.SIGINT)
    assert command.finish() == (130, b"")
    assert "stopping without waiting for 0 queued and 1 requests in flight" in command.errors()
    assert "failed_stopped 1" in command.errors()


def test_a_broker_can_stop_with_the_process_that_holds_its_input(
    broker_command: Callable[..., Command],
) -> None:
    command = broker_command("--stop-at-eof", stdin=subprocess.PIPE)
    command.ready()
    assert command.process.stdin is not None
    command.process.stdin.write(b"what is written does not matter\n")
    command.process.stdin.close()
    command.process.stdin = None
    assert command.finish() == (0, b"")
    assert "end of standard input: draining" in command.errors()


def test_a_broker_that_ends_by_itself_says_so_and_exits_1(
    run: Commands, impl: str, peers: Peers
) -> None:
    program = f"""
import sys
import brigantine.{impl} as rooms
from brigantine.cli import main

class Loop(rooms.Loop):
    def __init__(self, frontend, *others):
        self.clients = frontend

    def run(self):
        self.clients.poll()
        raise MemoryError("out of luck")

rooms.Loop = Loop
sys.exit(main())
"""
    words = ("broker", "lru", "--frontend", ANY, "--backend", ANY, "--impl", impl)
    command = run(*words, "--log-level", "error", program=program)
    client = peers.req(command.ready()["frontend"])
    client.send(b"the last straw")
    assert command.finish() == (1, b"")
    assert command.complaint() == ("brigantine: the broker ended with MemoryError('out of luck')")


def test_a_drain_that_takes_too_long_is_cut_off(
    broker_command: Callable[..., Command], peers: Peers
) -> None:
    command = broker_command("--drain-timeout", "0.1")
    endpoints = command.ready()
    worker, client = peers.worker(endpoints["backend"]), peers.req(endpoints["frontend"])
    client.send(b"work")
    worker.recv_multipart()
    command.process.terminate()
    assert command.finish(timeout=BrokerConfig.drain_timeout / 2) == (1, b"")
    assert "failed_stopped 1" in command.errors()
    assert "brigantine: the broker ended with 1 accepted requests unfinished" in command.errors()


def test_a_broker_goes_on_when_nobody_reads_its_output(
    broker_command: Callable[..., Command],
) -> None:
    read, write = os.pipe()
    os.close(read)
    command = broker_command(stdout=write)
    os.close(write)
    command.wait_for("going on without the ready line")
    command.process.terminate()
    assert command.process.wait(PATIENCE) == 0


#: Defaults that are sizes, as they are typed and shown; a count is no size, be it a power of two.
SIZES = {"queue_bytes": "256MiB", "max_message_bytes": "16MiB", "peer_bytes": "64MiB"}


def test_every_limit_is_an_option() -> None:
    assert list(rows(BrokerConfig)) == [field.name for field in fields(BrokerConfig)]
    parser = argparse.ArgumentParser()
    add_config_options(parser, BrokerConfig())
    assert options_from(parser.parse_args([]), rows(BrokerConfig)) == {}
    assert options_from(parser.parse_args(["--strict"]), rows(BrokerConfig)) == {"strict": True}
    for option, value in (("--workers-at-frontend", True), ("--no-workers-at-frontend", False)):
        assert options_from(parser.parse_args([option]), rows(BrokerConfig)) == {
            "workers_at_frontend": value
        }
    for field in fields(BrokerConfig):
        if field.name in ("strict", "workers_at_frontend"):
            continue
        option = "--" + field.name.replace("_", "-")
        usual = {"heartbeat_interval": 1.0, "retries": 0}.get(field.name, field.default)
        changed = usual + 1
        given = options_from(parser.parse_args([option, str(changed)]), rows(BrokerConfig))
        assert given == {field.name: changed}
        assert type(given[field.name]) is type(usual)
        own = {"heartbeat_interval": "each protocol's own", "retries": "the broker's own)", **SIZES}
        told = own.get(field.name, f"{field.default})")
        assert f"(default {told}" in " ".join(parser.format_help().split())


@pytest.mark.parametrize(
    ("text", "value"), [("65536", 65536), ("64KiB", 65536), ("3mib", 3 << 20), ("2 GiB", 2 << 30)]
)
def test_sizes_may_have_a_unit(text: str, value: int) -> None:
    parser = argparse.ArgumentParser()
    add_config_options(parser, BrokerConfig())
    assert options_from(parser.parse_args(["--queue-bytes", text]), rows(BrokerConfig)) == {
        "queue_bytes": value
    }


@pytest.mark.parametrize(
    ("pattern", "option", "default"),
    [
        ("lru", "--heartbeat-interval SECONDS", "10.0"),
        ("ppp", "--heartbeat-interval SECONDS", "1.0"),
        ("mdp", "--heartbeat-interval SECONDS", "2.5"),
        ("any", "--heartbeat-interval SECONDS", "each protocol's own: REQ 10, PPP 1, MDP 2.5"),
        ("mdp", "--retries N", "1"),
        ("any", "--retries N", "0"),
    ],
)
def test_help_tells_the_defaults_of_that_broker(
    capsys: pytest.CaptureFixture[str], pattern: str, option: str, default: str
) -> None:
    assert main(["broker", pattern, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    _, _, behind = text.rpartition(option)
    assert behind.partition("(default ")[2].startswith(f"{default})")
