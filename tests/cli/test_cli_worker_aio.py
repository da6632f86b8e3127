"""``brigantine worker`` with coroutine functions and async generators, in processes of its own."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from commands import Command, Commands
from doubles import RawBroker
from harness import PATIENCE, Peers, wait_until
from heartbeat_doubles import HeartbeatBroker

from brigantine import MajordomoBroker, MajordomoClient, ledger_holds

MODULE = """
import asyncio, pathlib, signal

async def upper(body):
    await asyncio.sleep(0.002)
    return body.upper()

async def gate(body):
    with open("entered", "ab") as entered:
        entered.write(b".")
    while not pathlib.Path("go").exists():
        await asyncio.sleep(0.005)
    return b"{version}"

async def count(body):
    for n in range(int(body)):
        yield b"%d" % n

async def minds_signals(body):
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)
    return body
"""
PATTERNS = {
    "ppp": ("ppp",),
    "0.2": ("mdp", "--service", "service"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a module ``jobs``, version 1."""
    write(tmp_path, "1")
    return tmp_path


def write(folder: Path, version: str) -> None:
    """Put the module there; a length of its own, so that no cached bytecode is taken for it."""
    (folder / "jobs.py").write_text(MODULE.replace("{version}", version) + "#" * int(version))


def entered(folder: Path) -> int:
    """How many requests the gate has seen."""
    file = folder / "entered"
    return file.stat().st_size if file.exists() else 0


def serve(run: Commands, folder: Path, wire: str, endpoint: str, *words: str) -> Command:
    pattern, *options = PATTERNS[wire]
    return run(
        "worker", pattern, *options, "--liveness", "1000", "--broker", endpoint, *words, cwd=folder
    )


@pytest.mark.parametrize("wire", ["ppp", "0.2"])
def test_it_drains_at_sigterm(run: Commands, peers: Peers, folder: Path, wire: str) -> None:
    broker = HeartbeatBroker(peers, wire=wire)
    command = serve(run, folder, wire, broker.endpoint, "--capacity", "3", "jobs:gate")
    peer = broker.ready("ready-3")
    for n in (b"0", b"1"):
        broker.request(peer, b"q", ticket=n)
    wait_until(lambda: entered(folder) == 2, "the start of the work on both")
    command.process.terminate()
    command.wait_for("finishing the request in hand")
    (folder / "go").touch()
    assert {tuple(broker.next()[1][-3:]) for _ in range(2)} == {
        (n, b"", b"1") for n in (b"0", b"1")
    }
    if broker.wire["disconnect"] is not None:
        assert broker.next() == (peer, broker.wire["disconnect"])
    assert command.finish() == (0, b"")
    assert "aio." in command.errors()


def test_an_lru_worker_serves_and_restarts_with_the_module_as_it_is_then(
    run: Commands, peers: Peers, folder: Path
) -> None:
    (folder / "go").touch()
    broker = RawBroker(peers)
    command = run("worker", "lru", "--broker", broker.endpoint, "jobs:gate", cwd=folder)
    assert broker.ask(broker.ready_worker(), b"q") == [b"1"]
    write(folder, "22")
    command.process.send_signal(signal.SIGHUP)
    assert broker.ask(broker.ready_worker(), b"q") == [b"22"]
    command.process.terminate()
    assert command.finish() == (0, b"")


def test_a_second_ctrl_c_ends_it_in_the_middle(run: Commands, peers: Peers, folder: Path) -> None:
    broker = HeartbeatBroker(peers, wire="ppp")
    command = serve(run, folder, "ppp", broker.endpoint, "jobs:gate")
    broker.request(broker.ready(), b"q")
    wait_until((folder / "entered").exists, "the start of the work")
    for words in ("finishing the request in hand; a second Ctrl-C exits at once", ""):
        command.process.send_signal(signal.SIGINT)
        command.wait_for(words)
    assert command.finish() == (128 + signal.SIGINT, b"")


def test_a_function_that_watches_for_signals_itself_does_not_take_ours_away(
    run: Commands, peers: Peers, folder: Path
) -> None:
    broker = HeartbeatBroker(peers, wire="ppp")
    command = serve(run, folder, "ppp", broker.endpoint, "jobs:minds_signals")
    peer = broker.ready()
    broker.request(peer, b"q")
    assert broker.reply(peer) == [b"q"]
    command.process.terminate()
    assert command.finish() == (0, b"")
    assert command.errors().count("SIGTERM") == 1


def test_sigterm_under_load_loses_nothing(run: Commands, folder: Path, impl: str) -> None:
    options: dict[str, Any] = {"retries": 5, "impl": impl}
    with (
        MajordomoBroker("tcp://127.0.0.1:*", **options) as broker,
        MajordomoClient(broker.frontend, timeout=PATIENCE, retries=0) as client,
    ):
        workers = [
            serve(run, folder, "0.2", broker.frontend, "--capacity", "4", "jobs:upper")
            for _ in range(2)
        ]
        wait_until(lambda: broker.stats()["workers"] == 2, "both workers")
        replies: list[Any] = []

        def ask() -> None:
            for _ in range(40):
                replies.append(client.request("service", b"q"))  # noqa: PERF401 - it is watched

        asking = [threading.Thread(target=ask) for _ in range(8)]
        for thread in asking:
            thread.start()
        wait_until(lambda: len(replies) > 40, "the load")
        workers[0].process.terminate()
        assert workers[0].finish() == (0, b"")
        for thread in asking:
            thread.join()
        assert replies == [b"Q"] * 320
        assert ledger_holds(broker.stats())


def test_parts_of_an_async_generator_are_printed(run: Commands, folder: Path, impl: str) -> None:
    with MajordomoBroker("tcp://127.0.0.1:*", impl=impl) as broker:
        serve(run, folder, "0.2", broker.frontend, "jobs:count")
        command = run("request", "mdp", "--broker", broker.frontend, "service", "3")
        assert command.finish() == (0, b"0\n1\n2")
