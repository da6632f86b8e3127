"""A ROUTER that speaks in envelopes: what nobody can get is an error or a counter, never silence."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import logging
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import zmq
from aio_doubles import run
from harness import PATIENCE, Peers, wait_until

import brigantine
from brigantine import Envelope, Router, Unroutable, aio
from brigantine.counters import ROUTER_COUNTERS
from brigantine.net.descriptors import DescriptorReserve

TCP = "tcp://127.0.0.1:*"


class Driven:
    """A Router of either kind, called as one for threads."""

    def __init__(self, kind: type[Any], endpoint: str, options: dict[str, Any]) -> None:
        self.router = kind(endpoint, **options)
        self._loop = asyncio.new_event_loop()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.router, name)
        if not callable(value):
            return value

        def call(*arguments: Any, **options: Any) -> Any:
            answer = value(*arguments, **options)
            return self._loop.run_until_complete(answer) if inspect.isawaitable(answer) else answer

        return call

    def end(self) -> None:
        self.close()
        self._loop.close()


Make = Callable[..., Any]


@pytest.fixture(params=[Router, aio.Router], ids=["threads", "asyncio"])
def make(request: pytest.FixtureRequest, impl: str) -> Iterator[Make]:
    """``make(endpoint, **options)``: a Router of each kind, closed before the context of ``peers``."""
    request.getfixturevalue("peers")
    made: list[Driven] = []

    def start(endpoint: str = TCP, **options: Any) -> Driven:
        made.append(Driven(request.param, endpoint, {"impl": impl, **options}))
        return made[-1]

    yield start
    for each in made:
        each.end()


def received(router: Any) -> Any:
    envelope = router.receive(PATIENCE)
    assert envelope is not None, "nothing came"
    return envelope


@pytest.mark.parametrize(("kind", "delimiter"), [(zmq.REQ, True), (zmq.DEALER, False)])
def test_requests_come_as_envelopes_and_are_answered_in_their_framing(
    make: Make, peers: Peers, kind: int, delimiter: bool, rooms: ModuleType
) -> None:
    router = make()
    client = peers.socket(kind, router.endpoint, b"client")
    client.send_multipart([b"hello", b"there"])
    envelope = received(router)
    assert type(envelope) is rooms.Envelope
    assert (envelope.address, envelope.body) == ([b"client"], [b"hello", b"there"])
    assert envelope.delimiter is delimiter
    assert router.send(envelope.reply(b"world")) is True
    assert client.recv_multipart() == [b"world"]
    assert (router.stats()["received"], router.stats()["sent"]) == (1, 1)


@pytest.mark.parametrize("transport", ["tcp", "ipc", "inproc"])
def test_an_address_that_nobody_has_is_an_error(
    make: Make, peers: Peers, transport: str, tmp_path: Any
) -> None:
    endpoint = {"tcp": TCP, "ipc": f"ipc://{tmp_path}/r", "inproc": "inproc://r"}[transport]
    router = make(endpoint, context=peers.context if transport == "inproc" else None)
    with pytest.raises(Unroutable, match='nobody is connected whose address is "gone"') as raised:
        router.send(Envelope(b"gone", b"x"))
    assert raised.value.address == b"gone"
    assert isinstance(raised.value, OSError)
    for error in (pickle.loads(pickle.dumps(raised.value)), copy.copy(raised.value)):
        assert (error.address, str(error)) == (b"gone", str(raised.value))
    assert router.stats()["drop_unroutable"] == 1
    # It goes on: nothing of that message is left.
    client = peers.req(router.endpoint)
    client.send(b"hello")
    router.send(received(router).reply(b"world"))
    assert client.recv() == b"world"


def test_or_it_is_counted_by_choice(make: Make) -> None:
    router = make(unroutable="count")
    for count in (1, 2, 3):
        assert router.send(Envelope(b"gone", b"x")) is False
        assert router.stats()["drop_unroutable"] == count
    assert router.stats()["sent"] == 0


def test_a_peer_that_has_left_is_not_there(make: Make, peers: Peers) -> None:
    router = make()
    client = peers.dealer(router.endpoint, identity=b"c")
    client.send(b"hello")
    envelope = received(router)
    client.close()

    def refused() -> bool:
        try:
            router.send(envelope.reply(b"x"))
        except Unroutable:
            return True
        return False

    wait_until(refused, "the end of the connection is known")


def test_a_peer_that_does_not_read_is_waited_for_and_then_told_of(make: Make, peers: Peers) -> None:
    router = make(high_water_mark=1)
    client = peers.dealer(router.endpoint, identity=b"c", rcvhwm=1)
    client.send(b"hello")
    large = received(router).reply(bytes(1 << 20))

    def fill() -> None:
        for _ in range(100):
            router.send(large, timeout=0.05)

    with pytest.raises(TimeoutError, match=r'"c" has taken nothing for 0.05 s.*high_water_mark'):
        fill()
    sent, dropped = router.stats()["sent"], router.stats()["drop_peer_full"]
    assert dropped == 1
    # It reads again: what was handed over is all there, and there is room.
    for _ in range(sent):
        client.recv()
    assert router.send(Envelope(b"c", b"last", delimiter=False), timeout=PATIENCE)
    assert client.recv() == b"last"


def test_or_that_is_counted_by_choice_without_a_wait(make: Make, peers: Peers) -> None:
    router = make(high_water_mark=1, unroutable="count")
    client = peers.dealer(router.endpoint, identity=b"c", rcvhwm=1)
    client.send(b"hello")
    large = received(router).reply(bytes(1 << 20))
    outcomes = [router.send(large, timeout=PATIENCE) for _ in range(200)]
    assert outcomes.count(False) == router.stats()["drop_peer_full"] > 0
    assert outcomes.count(True) == router.stats()["sent"]
    # Others are not affected.
    other = peers.req(router.endpoint)
    other.send(b"hello")
    assert router.send(received(router).reply(b"world"))
    assert other.recv() == b"world"


def test_nothing_in_time_is_none(make: Make) -> None:
    router = make()
    assert router.receive(0) is None
    assert router.receive(0.01) is None


@pytest.mark.parametrize(
    ("message", "delimiter", "counter"),
    [
        ([b"x"], True, "drop_malformed"),
        ([b""], True, "drop_malformed"),
        ([b"x", b""], True, "drop_malformed"),
        ([b"", *[b"x"] * 300], None, "drop_too_many_frames"),
        ([b"x"] * 100_000, False, "drop_too_many_frames"),
        ([b"hop"] * 20, True, "drop_too_deep"),
    ],
    ids=["no delimiter", "no body", "no end", "many", "very many", "deep"],
)
def test_what_is_no_envelope_is_dropped_counted_and_logged_once(
    make: Make, peers: Peers, caplog: pytest.LogCaptureFixture, message: list[bytes],
    delimiter: bool | None, counter: str,
) -> None:  # fmt: skip
    router = make(delimiter=delimiter)
    hostile = peers.dealer(router.endpoint, identity=b"hostile")
    with caplog.at_level(logging.WARNING, "brigantine.router"):
        for _ in range(3):
            hostile.send_multipart(message)
        hostile.send_multipart([b"", b"good"])
        assert received(router).body[-1] == b"good"
    stats = router.stats()
    assert stats[counter] == 3
    assert stats["received"] == 1
    [line] = caplog.messages
    assert '"hostile"' in line
    assert counter in line


class Flood:
    """A socket for which somebody always has another message that is no envelope."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._until = time.monotonic() + PATIENCE

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def getsockopt(self, option: int) -> Any:
        answers = {int(zmq.EVENTS): zmq.POLLIN, int(zmq.RCVMORE): 0}
        return answers[option] if option in answers else self._socket.getsockopt(option)

    def recv(self, _flags: int) -> bytes:
        assert time.monotonic() < self._until, "nothing else is looked at"
        return b"junk"

    def poll(self, *_: int) -> int:
        return zmq.POLLIN


@pytest.fixture
def flooded(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Has a router read from a Flood."""

    def begin(router: Any) -> None:
        monkeypatch.setattr(router._router, "socket", Flood(router._router.socket))

    return begin


def test_a_flood_of_what_is_no_envelope_keeps_no_call_beyond_its_time_limit(
    make: Make, flooded: Callable[[Any], None]
) -> None:
    router = make(delimiter=True)
    flooded(router.router)
    assert router.receive(0.02) is None
    assert router.stats()["drop_malformed"] > 0


def test_nor_does_it_keep_other_tasks_from_their_turn(flooded: Callable[[Any], None]) -> None:
    async def main() -> None:
        async with aio.Router(TCP, delimiter=True) as router:
            flooded(router)
            receives = asyncio.create_task(router.receive())
            while not router.stats()["drop_malformed"]:
                await asyncio.sleep(0)
            receives.cancel()
            with pytest.raises(asyncio.CancelledError):
                await receives

    run(main())


def test_the_log_stays_bounded_with_any_number_of_peers(make: Make, peers: Peers) -> None:
    router = make(delimiter=True)
    hostile = peers.socket(zmq.ROUTER)
    hostile.connect_rid = b"r"
    hostile.connect(router.endpoint)

    def told() -> int:
        return len(router.router._router._told)

    router.router._router._told.update((b"%d" % each, "x") for each in range(1024))
    wait_until(lambda: _sends(hostile, [b"r", b"junk"]), "the connection")
    assert router.receive(0.5) is None
    assert told() <= 1024
    assert router.stats()["drop_malformed"] == 1


def _sends(socket: Any, message: list[bytes]) -> bool:
    socket.router_mandatory = 1
    try:
        socket.send_multipart(message)
    except zmq.ZMQError:
        return False
    return True


def test_waiting_for_an_envelope_ends_when_one_comes(make: Make, peers: Peers) -> None:
    router = make()
    client = peers.req(router.endpoint)
    threading.Timer(0.05, client.send, [b"late"]).start()
    began = time.monotonic()
    assert received(router).body == [b"late"]
    assert time.monotonic() - began < PATIENCE / 2


def test_the_counters_all_have_a_meaning(make: Make) -> None:
    assert list(make().stats()) == list(ROUTER_COUNTERS)


def test_a_closed_router_says_so_and_its_endpoint_is_free(make: Make) -> None:
    router = make()
    endpoint = router.endpoint
    router.close()
    router.close()
    for call in (lambda: router.receive(0), lambda: router.send(Envelope(b"a", b"b"))):
        with pytest.raises(brigantine.BrokerStopped, match="closed"):
            call()
    assert make(endpoint).endpoint == endpoint
    assert router.stats()["received"] == 0


def test_a_caller_s_context_goes_on(make: Make, peers: Peers) -> None:
    first = make(context=peers.context)
    endpoint = first.endpoint
    first.close()
    assert not peers.context.closed
    assert make(endpoint, context=peers.context).endpoint == endpoint


def test_a_forgotten_router_is_closed(impl: str) -> None:
    router = Router(TCP, impl=impl)
    endpoint = router.endpoint
    del router
    gc.collect()
    Router(endpoint, impl=impl).close()


def test_a_forked_child_has_no_right_to_it(impl: str) -> None:
    with Router(TCP, impl=impl) as router:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                try:
                    router.receive(0)
                except brigantine.BrokerStopped:
                    code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert router.receive(0) is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"unroutable": "drop"}, "unroutable must be 'raise' or 'count', not 'drop'"),
        ({"delimiter": "yes"}, "delimiter must be True, False or None, not 'yes'"),
        ({"max_frames": 0}, "max_frames must be from 4"),
        ({"impl": "fast"}, "impl must be 'core' or 'pure'"),
        ({"context": 7}, "context must be a zmq.Context"),
        ({"unroutabel": "count"}, "did you mean unroutable?"),
    ],
)
def test_what_cannot_be_meant_is_named(make: Make, options: dict[str, Any], words: str) -> None:
    with pytest.raises(brigantine.ConfigError) as raised:
        make(**options)
    assert words in str(raised.value)


def test_only_envelopes_are_sent(make: Make) -> None:
    with pytest.raises(brigantine.WrongUse, match=r"send\(\) takes an Envelope"):
        make().send([b"a", b"", b"b"])


def test_an_endpoint_in_use_is_named(make: Make) -> None:
    with pytest.raises(brigantine.BindError, match="in use"):
        make(make().endpoint)


def test_one_task_at_a_time_receives() -> None:
    async def two() -> None:
        async with aio.Router(TCP) as router:
            first = asyncio.ensure_future(router.receive(PATIENCE))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another task receives"):
                await router.receive(0)
            first.cancel()

    asyncio.run(two())


def test_closing_ends_a_task_that_receives() -> None:
    async def ends() -> None:
        router = aio.Router(TCP)
        waiting = asyncio.ensure_future(router.receive())
        await asyncio.sleep(0)
        await router.close()
        with pytest.raises(brigantine.BrokerStopped):
            await waiting

    asyncio.run(ends())


def test_a_task_that_sends_keeps_none_that_receives_from_its_envelope() -> None:
    """Sending, too, takes from the socket's descriptor what tells of messages."""

    async def both() -> None:
        async with aio.Router(TCP) as router:
            with Peers() as peers:
                client = peers.dealer(router.endpoint, identity=b"c")
                for number in range(200):
                    waiting = asyncio.ensure_future(router.receive(PATIENCE))
                    await asyncio.sleep(0)
                    client.send(b"%d" % number)
                    while not waiting.done():
                        if router.stats()["received"]:
                            await router.send(Envelope(b"c", b"x", delimiter=False))
                            client.recv()
                        await asyncio.sleep(0)
                    envelope = await waiting
                    assert envelope is not None
                    assert envelope.body == [b"%d" % number]

    asyncio.run(asyncio.wait_for(both(), 60))


def test_with_and_async_with_are_told_apart() -> None:
    router = aio.Router(TCP)
    with pytest.raises(brigantine.WrongUse, match="use `async with`"), router:  # type: ignore[attr-defined]
        pass
    asyncio.run(router.close())


def test_who_gets_a_descriptor_of_the_reserve_is_hung_up_on_and_told_of(
    peers: Peers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Though the program does not look at its router."""
    monkeypatch.setattr(DescriptorReserve, "begins", lambda _: 0)
    with Router("tcp://127.0.0.1:*") as router:
        peers.socket(zmq.DEALER, router.endpoint)
        wait_until(lambda: router.stats()["connections_rejected"] > 0)
        wait_until(lambda: "out of file descriptors: closed" in caplog.text)


def test_a_socket_that_does_not_fit_is_told_of(
    peers: Peers, caplog: pytest.LogCaptureFixture
) -> None:
    with Router("tcp://127.0.0.1:*") as router:

        def told() -> bool:
            peers.socket(
                zmq.PUSH, router.endpoint
            )  # the first to notice may have been the last one
            return "the ROUTER that is bound there takes" in caplog.text

        wait_until(told)


@pytest.mark.parametrize("context", [None, zmq.Context])
def test_no_thread_of_a_closed_router_is_left(context: type[zmq.Context[Any]] | None) -> None:
    before = threading.active_count()
    made = None if context is None else context()
    for _ in range(2):
        Router("tcp://127.0.0.1:*", context=made).close()
    assert threading.active_count() == before
    if made is not None:
        made.term()
