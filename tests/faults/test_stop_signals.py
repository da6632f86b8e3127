"""Who stops a service signals all of its processes, more than once, and by Ctrl-C as well."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from commands import Command, Commands
from harness import PATIENCE, wait_until

from brigantine import (
    LazyPirateClient,
    LRUBroker,
    MajordomoBroker,
    MajordomoClient,
    ParanoidPirateBroker,
    ledger_holds,
)

ANY = "tcp://127.0.0.1:*"
#: ``gate`` says when it is at work, and answers when the file "go" is there.
MODULE = """
import pathlib, time

def gate(body):
    pathlib.Path(f"entered-{body.decode()}").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.005)
    return body
"""
#: Protocol -> its broker, and the words after ``brigantine worker``.
PROTOCOLS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "lru": (LRUBroker, ("lru",)),
    "ppp": (ParanoidPirateBroker, ("ppp",)),
    "mdp01": (MajordomoBroker, ("mdp", "--service", "s", "--mdp-version", "0.1")),
    "mdp02": (MajordomoBroker, ("mdp", "--service", "s", "--mdp-version", "0.2")),
}
#: What comes to the whole control group, one after the other.
SIGNALS = {
    "SIGTERM": [signal.SIGTERM],
    "SIGTERM twice": [signal.SIGTERM, signal.SIGTERM],
    "SIGTERM and Ctrl-C": [signal.SIGTERM, signal.SIGINT],
    "Ctrl-C and SIGTERM twice": [signal.SIGINT, signal.SIGTERM, signal.SIGTERM],
}
STOPPED_AT_ONCE = 130


class Service:
    """``brigantine worker`` with a request of a client in the hands of each of its processes."""

    def __init__(self, run: Commands, folder: Path, protocol: str, broker: Any, processes: int):
        (folder / "jobs.py").write_text(MODULE)
        self.folder, self.count, self.broker = folder, processes, broker
        words = ("--processes", str(processes)) if processes > 1 else ()
        self.command: Command = run(
            "worker", *PROTOCOLS[protocol][1], "--broker", broker.backend, *words, "jobs:gate",
            cwd=folder, session=True, stdin=subprocess.PIPE,
        )  # fmt: skip
        self.client: Any = (MajordomoClient if protocol.startswith("mdp") else LazyPirateClient)(
            broker.frontend, timeout=2 * PATIENCE, retries=0
        )
        self._service = ("s",) if protocol.startswith("mdp") else ()
        self._pool = ThreadPoolExecutor(processes)
        self.answers: list[Future[bytes]] = []
        self._signals = 0

    def take_work(self) -> None:
        wait_until(lambda: self.broker.stats()["workers"] == self.count, "all workers")
        for number in range(self.count):
            body = b"%d" % number
            self.answers.append(self._pool.submit(self.client.request, *self._service, body))
            wait_until((self.folder / f"entered-{number}").exists, "the start of the work")

    def signal_all(self, number: signal.Signals) -> None:
        """As systemd does; returns when each process has taken it for what it is."""
        self._signals += 1
        for pid in (self.command.process.pid, *self.command.descendants()):
            os.kill(pid, number)
        wait_until(self._heard, f"{number.name} in all processes")

    def _heard(self) -> bool:
        """A worker's process may be told by its supervisor first, and so once more often."""
        said = self.command.errors()
        workers, supervisor = map(
            said.count, ("finishing the request in hand", "the workers finish what they have")
        )
        return workers >= self._signals * self.count and supervisor == self._signals * (
            self.count > 1
        )

    def finish(self) -> int:
        """Let the work be done: how many requests got no reply."""
        (self.folder / "go").touch()
        right = 0
        for number, answer in enumerate(self.answers):
            right += answer.exception(PATIENCE) is None and answer.result() == b"%d" % number
        return self.count - right

    def close(self) -> None:
        self.client.close()
        self._pool.shutdown()


@pytest.fixture(params=[1, 3], ids=["single", "--processes 3"])
def service(
    request: pytest.FixtureRequest, run: Commands, tmp_path: Path, impl: str, protocol: str
) -> Iterator[Service]:
    with PROTOCOLS[protocol][0](ANY, ANY, impl=impl, retries=0) as broker:
        made = Service(run, tmp_path, protocol, broker, request.param)
        try:
            made.take_work()
            yield made
        finally:
            made.close()
    assert ledger_holds(broker.stats()), broker.stats()


@pytest.mark.pairwise
@pytest.mark.parametrize("signals", SIGNALS.values(), ids=SIGNALS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_in_hand_is_answered(
    service: Service, record: Any, signals: list[signal.Signals]
) -> None:
    for number in signals:
        service.signal_all(number)
    lost = service.finish()
    code, _ = service.command.finish()
    record(
        "SIGTERM to all processes of a service", in_hand=service.count, lost=lost, exit_code=code
    )
    assert (lost, code) == (0, 0)
    assert service.command.descendants() == {}


@pytest.mark.pairwise
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_second_ctrl_c_ends_all_at_once(service: Service, record: Any) -> None:
    service.signal_all(signal.SIGTERM)
    service.signal_all(signal.SIGINT)
    assert "a second Ctrl-C" in service.command.errors()
    service.command.process.send_signal(signal.SIGINT)
    code, _ = service.command.finish()
    record("SIGTERM to all processes of a service", in_hand=service.count, exit_code=code)
    assert code == STOPPED_AT_ONCE
    assert service.command.descendants() == {}
