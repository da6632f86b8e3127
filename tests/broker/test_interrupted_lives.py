"""Ctrl-C at every moment of a life: what it leaves can be stopped, and then nothing is left.

Real signals at moments spread over each life, for only these come where Python lets them come.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from queue import SimpleQueue
from typing import Any

import pytest
import zmq
from strikes import Struck, handler_that_raises, nothing_left, struck_outside_coroutines, sweep

from brigantine import (
    BrokerStopped,
    ClientClosed,
    LazyPirateClient,
    LRUBroker,
    LRUWorker,
    MajordomoBroker,
    MajordomoClient,
    MajordomoWorker,
    NoReply,
    NoService,
    ParanoidPirateBroker,
    ParanoidPirateWorker,
    QueueDevice,
    aio,
)
from brigantine.config.load import Plan
from brigantine.control.client import ControlClient
from brigantine.load.generator import Generator
from brigantine.runtime.handle import LoopHandle
from brigantine.system.background import Background
from brigantine.workers import io_thread

ANY = "tcp://127.0.0.1:*"
#: Seconds after which a program that is still there, and was struck outside of coroutines, is ended.
LOST_AFTER = 2.0

pytestmark = [
    # What strikes a ``__del__`` is told by Python, and can be told to nobody else.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
]


class Left:
    """What a life has made, in whatever state it is now."""

    def __init__(self) -> None:
        self.made: list[Any] = []
        #: What others have made, by id().
        self._others = {id(each) for each in handles()}

    def keep(self, made: Any) -> Any:
        self.made.append(made)
        return made

    def stop(self) -> None:
        """Stop it, and whatever constructor an exception has left at its very end."""
        for each in self.made:
            (each.close if hasattr(each, "close") else each.stop)()
            if isinstance(each, LoopHandle):
                assert not each.running
        self.made.clear()
        for each in handles():
            if id(each) not in self._others and hasattr(each, "_finalizer"):
                each.stop()


def handles() -> list[LoopHandle]:
    return [each for each in gc.get_objects() if isinstance(each, LoopHandle)]


Live = Callable[..., None]


@pytest.fixture(params=[8, pytest.param(1000, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def live(request: pytest.FixtureRequest) -> Live:
    """``live(life)`` strikes at so many moments of that life."""
    return partial(_live, moments=request.param)


def _live(life: Callable[[Left], object], moments: int, *, files: bool = True) -> None:
    """Strike at so many moments of the life.

    ``files``: none may be left.  A context of pyzmq, an event loop or a pair of sockets that is struck
    while Python makes it leaves those that it has opened.
    """
    left = Left()
    with nothing_left(files=files), handler_that_raises():
        assert sweep(lambda: life(left), left.stop, moments) > 0


def the_whole_of_a_broker(kind: Callable[..., Any], impl: str) -> Callable[[Left], None]:
    def life(left: Left) -> None:
        broker = left.keep(kind(ANY, ANY, impl=impl, control=ANY))
        broker.stats()
        broker.workers()
        with broker.events() as events:
            broker.services()
            events.next(0.0)
            broker.join(0.001)
            broker.drain()

    return life


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(LRUBroker, marks=pytest.mark.long),
        pytest.param(ParanoidPirateBroker, marks=pytest.mark.long),
        MajordomoBroker,
    ],
)
def test_a_broker_can_be_stopped_whatever_was_interrupted(live: Live, impl: str, kind: Any) -> None:
    live(the_whole_of_a_broker(kind, impl))


def test_a_device_can_be_stopped_whatever_was_interrupted(live: Live, impl: str) -> None:
    def life(left: Left) -> None:
        device = left.keep(QueueDevice(ANY, ANY, impl=impl))
        device.pause()
        device.resume()
        device.stats()
        device.join(0.001)
        device.stop()

    live(life)


def test_a_broker_in_a_context_of_the_callers_leaves_it_usable(live: Live, impl: str) -> None:
    with zmq.Context() as context, context.socket(zmq.PAIR):  # which starts its threads

        def life(left: Left) -> None:
            with LRUBroker(ANY, ANY, impl=impl, context=context) as broker:
                left.keep(broker)
                with broker.events():
                    broker.workers()

        live(life)
        with LRUBroker("inproc://front", "inproc://back", impl=impl, context=context) as broker:
            assert broker.workers() == {}


BROKERS: dict[str, Callable[..., Any]] = {
    "lru": LRUBroker,
    "ppp": ParanoidPirateBroker,
    "mdp": MajordomoBroker,
}
WORKERS: dict[str, Callable[[str], Any]] = {
    "lru": lambda endpoint: LRUWorker(endpoint, bytes.upper),
    "ppp": lambda endpoint: ParanoidPirateWorker(endpoint, bytes.upper, capacity=3),
    "mdp": lambda endpoint: MajordomoWorker(endpoint, "s", bytes.upper, capacity=3),
}


@pytest.fixture
def served(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A broker that nothing strikes."""
    with BROKERS[request.param](ANY, ANY) as broker:
        yield broker


@pytest.mark.parametrize(
    ("served", "what"), [(what, what) for what in WORKERS], indirect=["served"]
)
def test_a_worker_can_be_stopped_whatever_was_interrupted(
    live: Live, served: Any, what: str
) -> None:
    def life(left: Left) -> None:
        with left.keep(WORKERS[what](served.backend)):
            served.join(0.005)

    live(life)


def stop_after(seconds: float, worker: Any) -> None:
    threading.Event().wait(seconds)
    worker.stop()


@pytest.mark.parametrize(
    ("served", "what"), [(what, what) for what in WORKERS], indirect=["served"]
)
def test_a_worker_in_run_can_be_stopped_whatever_was_interrupted(
    live: Live, served: Any, what: str
) -> None:
    def life(left: Left) -> None:
        worker = left.keep(WORKERS[what](served.backend))
        # Not threading.Timer, whose start() a strike may leave with a lock of its own in disorder.
        timer = Background(partial(stop_after, 0.005, worker), "timer")
        timer.start()
        worker.run()

    live(life, files=False)


class StruckAtTheEnd(SimpleQueue[Any]):
    """A queue in which the main thread is the first that takes None, and is struck with it in its hand."""

    def __init__(self) -> None:
        self._struck = threading.Event()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if threading.current_thread() is not threading.main_thread():
            self._struck.wait()
        if (item := super().get(block, timeout)) is None and not self._struck.is_set():
            self._struck.set()
            raise Struck
        return item


@pytest.mark.parametrize(("served", "what"), [("ppp", "ppp"), ("mdp", "mdp")], indirect=["served"])
def test_threads_of_a_worker_end_though_the_one_was_struck_that_learned_of_the_end(
    monkeypatch: pytest.MonkeyPatch, served: Any, what: str
) -> None:
    monkeypatch.setattr(io_thread, "SimpleQueue", StruckAtTheEnd)
    with nothing_left(files=False):
        worker = WORKERS[what](served.backend)

        def stop() -> None:
            worker.wait_ready(10.0)
            worker.stop()

        Background(stop, "stops").start()
        with pytest.raises(Struck):
            worker.run()


@contextlib.contextmanager
def answers() -> Iterator[None]:
    """How requests may end here, struck or not."""
    with contextlib.suppress(NoReply, NoService, ClientClosed, BrokerStopped):
        yield


@pytest.mark.parametrize("served", ["mdp"], indirect=True)
def test_a_client_can_be_closed_whatever_was_interrupted(live: Live, served: Any) -> None:
    with MajordomoWorker(served.backend, "s", bytes.upper):

        def life(left: Left) -> None:
            with left.keep(MajordomoClient(served.frontend, timeout=1.0)) as client, answers():
                client.request("s", b"x")
                list(client.stream("s", b"x"))
                client.request("s", b"x")

        live(life, files=False)


@pytest.mark.parametrize("served", ["lru"], indirect=True)
def test_a_client_that_gets_no_answer_can_be_closed_whatever_was_interrupted(
    live: Live, served: Any
) -> None:
    def life(left: Left) -> None:
        brokers = [served.frontend, "tcp://127.0.0.1:9"]
        client = left.keep(LazyPirateClient(brokers, timeout=0.003, retries=2, backoff=0.001))
        with client, answers():
            client.request(b"x")

    live(life, files=False)


class WakeUpLost(KeyboardInterrupt):
    """No other kind of exception leaves a callback: asyncio logs what any other raises, and goes on."""


async def outlives_lost_wake_ups(program: Coroutine[Any, Any, None]) -> None:
    """Run the program; end it from outside where asyncio itself has lost what it waits for.

    It does where a strike falls into a callback, such as that of the timer of ``asyncio.sleep``, or between
    two of them, where it has taken a task's next step out of its list and not begun with it.  Then no
    coroutine can end, ours or the caller's.  Where a coroutine was struck, none is ended here.
    """
    loop = asyncio.get_running_loop()

    def look() -> None:
        # Again and again: asyncio.run waits once more, for the tasks that it has cancelled.
        loop.call_later(LOST_AFTER, look)
        if struck_outside_coroutines():
            raise WakeUpLost

    loop.set_exception_handler(lambda *_: None)  # which would log each strike
    loop.call_later(LOST_AFTER, look)
    await program


@pytest.mark.parametrize("served", ["mdp"], indirect=True)
def test_asyncio_peers_can_be_stopped_whatever_was_interrupted(live: Live, served: Any) -> None:
    async def shout(body: bytes) -> bytes:
        await asyncio.sleep(0.001)
        return body.upper()

    async def program(left: Left) -> None:
        worker = aio.MajordomoWorker(served.backend, "s", shout, capacity=3)
        left.keep(worker)
        client = aio.MajordomoClient(served.frontend, timeout=0.1, retries=0)
        async with worker, client:
            with answers():
                await client.request("s", b"x")
                await asyncio.gather(*(client.request("s", b"x") for _ in range(3)))

    def life(left: Left) -> None:
        with contextlib.suppress(WakeUpLost):
            asyncio.run(outlives_lost_wake_ups(program(left)))

    live(life, files=False)


@pytest.mark.parametrize("served", ["mdp"], indirect=True)
def test_a_load_can_be_ended_whatever_was_interrupted(live: Live, served: Any) -> None:
    plan = Plan(
        pattern="mdp", frontend=served.frontend, backend=served.backend,
        clients=3, workers=3, service="s", requests=50,
    )  # fmt: skip

    def life(left: Left) -> None:
        with left.keep(Generator(plan)) as generator:
            generator.run()

    live(life, files=False)


def test_a_control_client_can_be_closed_whatever_was_interrupted(live: Live, impl: str) -> None:
    with LRUBroker(ANY, ANY, impl=impl, control=ANY) as broker:

        def life(left: Left) -> None:
            assert broker.control is not None
            with left.keep(ControlClient(broker.control)) as client:
                client.send("stats")
                client.receive(1.0)

        live(life, files=False)


def test_what_strikes_is_what_comes_out(impl: str) -> None:
    """Not an error of ours about a state that it has left."""
    with LRUBroker(ANY, ANY, impl=impl) as broker:

        def look() -> None:
            for _ in range(30):
                broker.workers()
                broker.stats()

        with handler_that_raises():
            sweep(look, lambda: None, 300)
        assert broker.workers() == {}
