"""When a worker that was started is registered, and how that is waited for."""

from __future__ import annotations

import asyncio
import copy
import pickle
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType, ModuleType
from typing import Any

import pytest
from commands import Commands
from dialects import DIALECTS, TalkRig
from harness import Peers, wait_until
from heartbeat_doubles import BEAT, HeartbeatBroker, unstarted
from models import BACKEND

from brigantine import (
    LazyPirateClient,
    LRUBroker,
    LRUWorker,
    MajordomoBroker,
    MajordomoClient,
    MajordomoWorker,
    NotReady,
    ParanoidPirateBroker,
    ParanoidPirateWorker,
    aio,
)

ANY = "tcp://127.0.0.1:*"
OURS = b"brigantine/1:0123456789abcdef"
TIMES = 50
#: Seconds after which a client is told at once that a service has no start_worker.
GRACE = 0.1
NEVER = 60.0


def nobody() -> str:
    """An endpoint at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"tcp://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def old(impl: str) -> Iterator[MajordomoBroker]:
    """A broker that no longer waits for the workers of services that it does not know."""
    with MajordomoBroker(ANY, ANY, impl=impl, service_grace=GRACE) as broker:
        with MajordomoClient(broker.frontend, timeout=NEVER) as client:

            def refused() -> bool:
                begun = time.monotonic()
                assert client.request("mmi.service", b"s") == b"404"
                with pytest.raises(Exception, match="no worker"):
                    client.request("s", b"")
                return time.monotonic() - begun < 0.05

            wait_until(refused, "the end of the grace")
        yield broker


@pytest.mark.parametrize("version", ["0.1", "0.2"])
def test_a_worker_in_a_with_block_can_be_asked_at_once(old: MajordomoBroker, version: Any) -> None:
    with MajordomoClient(old.frontend) as client:
        for _ in range(TIMES):
            with MajordomoWorker(old.backend, "s", bytes.upper, version=version):
                assert client.request("s", b"ahoy") == b"AHOY"


@pytest.mark.parametrize("version", ["0.1", "0.2"])
def test_so_can_one_for_asyncio(old: MajordomoBroker, version: Any) -> None:
    async def upper(body: bytes) -> bytes:
        return body.upper()

    async def main() -> None:
        async with aio.MajordomoClient(old.frontend) as client:
            for _ in range(TIMES):
                async with aio.MajordomoWorker(old.backend, "s", upper, version=version):
                    assert await client.request("s", b"ahoy") == b"AHOY"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("kind", "worker"), [(LRUBroker, LRUWorker), (ParanoidPirateBroker, ParanoidPirateWorker)]
)
def test_so_can_those_without_services(impl: str, kind: Any, worker: Any) -> None:
    with kind(ANY, ANY, impl=impl) as broker, LazyPirateClient(broker.frontend) as client:
        for _ in range(TIMES // 5):
            with worker(broker.backend, bytes.upper) as running:
                assert running.wait_ready() == 1
                assert client.request(b"ahoy") == b"AHOY"


@pytest.mark.parametrize("dialect", ["PPP", "MDP01", "MDP02"])
def test_a_broker_answers_ready_of_ours_by_a_heartbeat_before_any_request(
    rooms: ModuleType, dialect: str
) -> None:
    rig = TalkRig(rooms, DIALECTS[dialect])
    rig.request(b"client", b"first")
    [beat, job] = rig.join(OURS)
    said = DIALECTS[dialect]
    assert beat[:2] == (BACKEND, said.command(OURS, said.heartbeat))
    assert job[:2] == (BACKEND, said.job(OURS, job.ticket, b"first"))
    assert rig["heartbeats"] == 1


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("identity", [b"worker", b"", b"brigantine/2:w", OURS[:12]])
def test_nobody_else_gets_one(rooms: ModuleType, dialect: str, identity: bytes) -> None:
    rig = TalkRig(rooms, DIALECTS[dialect])
    assert rig.join(identity) == []
    assert rig["heartbeats"] == 0


def test_req_workers_of_ours_get_none(rooms: ModuleType) -> None:
    rig = TalkRig(rooms, DIALECTS["REQ"])
    assert rig.join(OURS) == []


KINDS: dict[str, Callable[..., Any]] = {
    "lru": LRUWorker,
    "ppp": ParanoidPirateWorker,
    "mdp": lambda broker, handler, **options: MajordomoWorker(broker, "s", handler, **options),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_broker_may_come_after_its_worker(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", "brigantine.worker")
    brokers = {"lru": LRUBroker, "ppp": ParanoidPirateBroker, "mdp": MajordomoBroker}
    ends = [nobody(), nobody()]
    begun = time.monotonic()
    with KINDS[kind](ends[1], bytes.upper, ready_timeout=0.2) as worker:
        assert time.monotonic() - begun >= 0.2
        assert f"is not yet confirmed by {ends[1]}" in caplog.text
        with pytest.raises(NotReady, match=r"1 of 1 brokers .* within 0.01 s, and 0 have") as error:
            worker.wait_ready(0.01)
        assert isinstance(error.value, TimeoutError)
        for same in (pickle.loads(pickle.dumps(error.value)), copy.copy(error.value)):
            assert (str(same), same.confirmed, same.missing) == (str(error.value), 0, (ends[1],))
        with brokers[kind](*ends):  # type: ignore[operator]
            assert worker.wait_ready() == 1
        wait_until(lambda: worker.stats()["disconnects"], "the loss of the broker")
        with pytest.raises(NotReady):
            worker.wait_ready(0)


def test_one_broker_of_several_is_enough_to_begin(
    impl: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "brigantine.worker")
    dead = nobody()
    with MajordomoBroker(ANY, impl=impl) as one, MajordomoBroker(ANY, impl=impl) as two:
        ends = [dead, one.backend, two.backend]
        with MajordomoWorker(ends, "s", bytes.upper, ready_timeout=NEVER) as worker:
            assert f"{dead} (" in caplog.text
            assert worker.wait_ready(NEVER, brokers=2) == 2
            with pytest.raises(NotReady) as error:
                worker.wait_ready(0.5, brokers=3)
            assert (error.value.confirmed, error.value.missing) == (2, (dead,))
            assert "nobody accepts connections there" in str(error.value)


@pytest.mark.parametrize("wire", ["ppp", "0.1", "0.2"])
def test_a_foreign_broker_confirms_by_anything_but_disconnect(
    peers: Peers, start_worker: Callable[..., Any], wire: str
) -> None:
    raw = HeartbeatBroker(peers, wire=wire)
    worker = start_worker(wire, raw.endpoint, bytes.upper, reconnect_min=0.01)
    peer = raw.ready()
    wait_until(lambda: worker.stats()["connects"], "the connection")
    with pytest.raises(NotReady, match="connected, but READY was not answered"):
        worker.wait_ready(0.05)
    if raw.wire["disconnect"] is not None:
        raw.say(peer, "disconnect")
        peer = raw.ready()
        with pytest.raises(NotReady):
            worker.wait_ready(0)
    raw.say(peer, "heartbeat")
    assert worker.wait_ready() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_that_nobody_waits_for_is_not_told_of_as_late(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "brigantine.worker")
    with KINDS[kind](nobody(), bytes.upper, ready_timeout=0):
        pass
    assert "not yet confirmed" not in caplog.text


def test_a_worker_that_has_ended_is_not_waited_for() -> None:
    worker = MajordomoWorker(nobody(), "s", bytes.upper, ready_timeout=0)
    with worker:
        waiting = threading.Timer(0, worker.stop)
        waiting.start()
        with pytest.raises(NotReady, match="it has ended"):
            worker.wait_ready()
        waiting.join()


def test_so_it_is_with_asyncio() -> None:
    async def main() -> None:
        worker = aio.MajordomoWorker(nobody(), "s", echo, ready_timeout=0)
        async with worker:
            asyncio.get_running_loop().call_soon(worker.stop)
            with pytest.raises(NotReady, match="it has ended"):
                await worker.wait_ready()

    async def echo(body: bytes) -> bytes:
        return body

    asyncio.run(main())


def test_waiting_leaves_the_event_loop_alone_and_can_be_cancelled() -> None:
    async def echo(body: bytes) -> bytes:
        return body

    async def main() -> None:
        end = nobody()
        worker = aio.MajordomoWorker(end, "s", echo, ready_timeout=NEVER)
        entering = asyncio.ensure_future(worker.__aenter__())
        for _ in range(3):
            await asyncio.sleep(0)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        assert worker._task is not None
        assert worker._task.done()

    asyncio.run(main())


class Interrupted(Exception):
    """Raised by a signal handler."""


@pytest.mark.parametrize("kind", KINDS)
def test_start_that_is_interrupted_leaves_no_worker(kind: str) -> None:
    def interrupt(_: int, __: FrameType | None) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    worker = KINDS[kind](nobody(), bytes.upper, ready_timeout=NEVER)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(Interrupted):
            worker.start()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert worker._thread is not None
    worker._thread.wait(10)
    assert not worker._thread.running


@pytest.mark.parametrize("kind", KINDS)
def test_a_signal_handler_may_stop_a_worker_that_begins(kind: str) -> None:
    worker = KINDS[kind](nobody(), bytes.upper, ready_timeout=NEVER)
    before = signal.signal(signal.SIGALRM, lambda *_: worker.stop())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        worker.start()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    worker.stop()


@pytest.mark.parametrize(
    ("brokers", "said"),
    [
        (0, "brokers must be from 1 to 1"),
        (2, "from 1 to 1"),
        ("1", "a whole number"),
        (1.0, "whole"),
    ],
)
def test_more_brokers_than_there_are_can_not_be_waited_for(brokers: Any, said: str) -> None:
    worker = unstarted("ppp", nobody(), bytes.upper)
    with pytest.raises(ValueError, match=said):
        worker.wait_ready(0, brokers=brokers)


def test_the_constructor_connects_to_nobody(peers: Peers) -> None:
    raw = HeartbeatBroker(peers, wire="ppp")
    made = [partial(unstarted, "ppp", raw.endpoint)(bytes.upper) for _ in range(3)]
    assert not raw.socket.poll(BEAT * 1000)
    assert made


def test_the_ready_line_tells_how_many_brokers_have_confirmed(impl: str, run: Commands) -> None:
    with ParanoidPirateBroker(ANY, ANY, impl=impl) as broker:
        words = ("--broker", broker.backend, "--broker", nobody(), "brigantine.handlers:echo")
        command = run("worker", "ppp", *words)
        assert command.line() == "ready brokers=1/2"
        assert broker.stats()["workers"] == 1
        command = run("worker", "ppp", "--processes", "2", *words)
        assert [command.line() for _ in range(2)] == ["ready brokers=1/2"] * 2


def test_the_ready_line_comes_without_any_broker(run: Commands) -> None:
    words = ("--broker", nobody(), "--ready-timeout", "0.1", "brigantine.handlers:echo")
    command = run("worker", "lru", *words)
    assert command.line() == "ready brokers=0/1"
    assert "is not yet confirmed by" in command.errors()
    command.process.terminate()
    assert command.finish() == (0, b"")
