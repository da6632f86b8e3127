"""What is called in a way that can't be meant is told so at once, in the caller's own words.

Whatever an option is set to that can't work, each public class names it and the value, and raises
what is a BrigantineError: never what some line inside happens to stumble over.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import pickle
import warnings
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any, NamedTuple

import pytest

import brigantine
from brigantine import (
    AnyBroker,
    BrigantineError,
    BrokerConfig,
    BrokerStopped,
    ClientClosed,
    ConfigError,
    LazyPirateClient,
    LRUBroker,
    LRUWorker,
    MajordomoBroker,
    MajordomoClient,
    MajordomoWorker,
    ParanoidPirateBroker,
    ParanoidPirateWorker,
    QueueDevice,
    WrongUse,
    aio,
)
from brigantine.config.table import rows

ANY = "tcp://127.0.0.1:*"
TO = "tcp://127.0.0.1:9"


async def coroutine(body: bytes) -> bytes:
    return body


class Made(NamedTuple):
    """A public class and arguments with which it can be made."""

    kind: Callable[..., Any]
    right: dict[str, Any]
    #: Options that are not in its signature.
    more: tuple[str, ...] = ()

    def default(self, option: str) -> Any:
        """Of an option that is not in its signature."""
        return rows(self.kind._table)[option].default  # type: ignore[attr-defined]


FIELDS = tuple(field.name for field in fields(BrokerConfig))
SIDES = {"frontend": ANY, "backend": ANY}
LRU_WORKER = {"broker": TO, "handler": bytes.upper}
PPP_WORKER = {"brokers": TO, "handler": bytes.upper}
MDP_WORKER = {**PPP_WORKER, "service": "echo"}
CLASSES: dict[str, Made] = {
    "LRUBroker": Made(LRUBroker, SIDES, FIELDS),
    "ParanoidPirateBroker": Made(ParanoidPirateBroker, SIDES, FIELDS),
    "MajordomoBroker": Made(MajordomoBroker, SIDES, FIELDS),
    "AnyBroker": Made(AnyBroker, SIDES, FIELDS),
    "BrokerConfig": Made(BrokerConfig, {}),
    "QueueDevice": Made(QueueDevice, SIDES),
    "ForwarderDevice": Made(brigantine.ForwarderDevice, SIDES),
    "StreamerDevice": Made(brigantine.StreamerDevice, SIDES),
    "LazyPirateClient": Made(LazyPirateClient, {"brokers": TO}),
    "MajordomoClient": Made(MajordomoClient, {"brokers": TO}),
    "aio.LazyPirateClient": Made(aio.LazyPirateClient, {"brokers": TO}),
    "aio.MajordomoClient": Made(aio.MajordomoClient, {"brokers": TO}),
    "LRUWorker": Made(LRUWorker, LRU_WORKER),
    "ParanoidPirateWorker": Made(ParanoidPirateWorker, PPP_WORKER),
    "MajordomoWorker": Made(MajordomoWorker, MDP_WORKER),
    "aio.LRUWorker": Made(aio.LRUWorker, {**LRU_WORKER, "handler": coroutine}),
    "aio.ParanoidPirateWorker": Made(
        aio.ParanoidPirateWorker, {**PPP_WORKER, "handler": coroutine}
    ),
    "aio.MajordomoWorker": Made(aio.MajordomoWorker, {**MDP_WORKER, "handler": coroutine}),
}

#: What no option takes.
WRONG: tuple[Any, ...] = (
    object(), -1, -0.5, math.nan, math.inf, 10**5000, {}, {3}, len, 1j,
)  # fmt: skip
#: What the options take that are no numbers, and so is right there or wrong in another way.
TAKES: dict[str, tuple[type, ...]] = {
    "handler": (type(len),),
    "config": (),
    "context": (),
}


def options_of(made: Made) -> list[str]:
    named = [
        name
        for name, parameter in inspect.signature(made.kind).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD
    ]
    taken = made.kind.option_names() if hasattr(made.kind, "option_names") else ()
    return list(dict.fromkeys([*named, *made.more, *taken]))


@pytest.mark.parametrize("name", CLASSES)
def test_a_value_that_cannot_work_is_refused_with_the_name_of_its_option(name: str) -> None:
    made = CLASSES[name]
    for option in options_of(made):
        for value in WRONG:
            if isinstance(value, TAKES.get(option, ())):
                continue
            with pytest.raises(BrigantineError) as raised:
                made.kind(**{**made.right, option: value})
            words = str(raised.value)
            assert isinstance(raised.value, ConfigError), words
            assert option in words
            assert raised.value.option == option
            assert len(words) < 500
            elsewhere = "is an option of" in words  # and of no value here
            if not isinstance(value, (int, dict, set)) and not elsewhere:
                assert repr(value) in words


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("value", ["x", b"x", [], (), None], ids=repr)
def test_text_and_nothing_are_no_numbers(name: str, value: Any) -> None:
    made = CLASSES[name]
    for option in options_of(made):
        parameter = inspect.signature(made.kind).parameters.get(option)
        default = made.default(option) if parameter is None else parameter.default
        if isinstance(default, (int, float)):
            with pytest.raises(WrongUse, match=f"{option} must be ") as raised:
                made.kind(**{**made.right, option: value})
            assert repr(value) in str(raised.value)


@pytest.mark.parametrize("name", CLASSES)
def test_an_option_that_there_is_not_is_named_with_the_class_and_what_may_be_meant(
    name: str,
) -> None:
    made = CLASSES[name]
    for option in options_of(made):
        typed = option[:-2] + option[-1] + option[-2] if option[-2:] != "mm" else option + "x"
        if typed in options_of(made) or typed == option:
            typed = option + "x"
        with pytest.raises(WrongUse) as raised:
            made.kind(**{**made.right, typed: 1})
        assert f"{name} has no option {typed!r}; did you mean " in str(raised.value)
    with pytest.raises(WrongUse, match=r"has no option 'qqqqqq' \(help") as raised:
        made.kind(**made.right, qqqqqq=1)


@pytest.mark.parametrize("name", [each for each in CLASSES if each != "BrokerConfig"])
def test_a_missing_argument_is_told_with_the_name_of_the_public_class(name: str) -> None:
    with pytest.raises(WrongUse, match=f"{name}: missing a required"):
        CLASSES[name].kind()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (5, "an endpoint is a string such as 'tcp://127.0.0.1:5555', or a list of them, not 5"),
        (None, "an endpoint is a string such as"),
        ({TO: 1}, "an endpoint is a string such as"),
        (TO.encode(), f"not b'{TO}'; pass '{TO}'"),
        (bytearray(TO.encode()), f"; pass '{TO}'"),
        ([TO.encode()], f"an endpoint is a string, not b'{TO}'; pass '{TO}'"),
        ([TO, None], "an endpoint is a string, not None"),
        ([5], "an endpoint is a string, not 5"),
        ([], "at least one endpoint is needed"),
    ],
)
@pytest.mark.parametrize("name", [each for each in CLASSES if each != "BrokerConfig"])
def test_what_is_no_endpoint_is_told_with_what_to_pass(name: str, value: Any, words: str) -> None:
    made = CLASSES[name]
    for option in ("frontend", "backend", "control", "broker", "brokers"):
        if option not in options_of(made) or (value is None and option in ("backend", "control")):
            continue
        told = words if option != "broker" or isinstance(value, (bytes, str)) else "one endpoint"
        with pytest.raises(ConfigError) as raised:
            made.kind(**{**made.right, option: value})
        assert str(raised.value).startswith(f"{option}: ")
        assert told in str(raised.value)


@pytest.mark.parametrize("config", [{}, {"retries": 2}, "x", 5, BrokerConfig])
def test_a_config_that_is_none_is_told_with_what_to_do(config: Any) -> None:
    with pytest.raises(WrongUse, match=r"config must be a BrokerConfig, not .*LRUBroker\(\.\.\., "):
        LRUBroker(ANY, ANY, config=config)
    with pytest.raises(WrongUse, match="not both: retries"):
        LRUBroker(ANY, ANY, config=BrokerConfig(), retries=2)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BrokerConfig(request_ttl=-1), "from 0.001 to 2592000 seconds, not -1"),
        (lambda: BrokerConfig(request_ttl="x"), "a number of seconds, not 'x'"),  # type: ignore
        (lambda: BrokerConfig(queue_bytes=-1), "to 1125899906842624 bytes, not -1"),
        (lambda: BrokerConfig(queue_bytes="1MiB"), "a whole number of bytes, not '1MiB'"),  # type: ignore
        (lambda: LazyPirateClient(TO, timeout=0), "from 0.001 to 86400 seconds, not 0"),
        (lambda: LRUWorker(TO, bytes.upper, max_reply_bytes=1), "bytes, not 1"),
        (lambda: LRUWorker(TO, bytes.upper, heartbeat_interval=9999), "to 3600 seconds, not 9999"),
    ],
)
def test_a_range_has_its_unit(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        make()
    assert words in str(raised.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda n: LazyPirateClient(TO, timeout=n),
            "timeout=2500 is 41.7 minutes: it is in seconds",
        ),
        (lambda n: aio.MajordomoClient(TO, timeout=n), "For 2500 milliseconds pass 2.5"),
        (lambda n: LRUWorker(TO, bytes.upper, heartbeat_interval=n), "heartbeat_interval=2500"),
        (lambda n: BrokerConfig(drain_timeout=n), "drain_timeout=2500"),
        (lambda n: BrokerConfig(request_ttl=4 * n), "request_ttl=10000 is 2.78 hours"),
    ],
)
def test_seconds_that_look_like_milliseconds_are_warned_of_where_they_stand(
    make: Callable[[int], Any], words: str
) -> None:
    with pytest.warns(UserWarning, match="it is in seconds") as told:
        made = make(2500)
    assert words in str(told[0].message)
    assert told[0].filename == __file__
    if isinstance(made, LazyPirateClient):
        made.close()


def test_a_requests_own_timeout_is_warned_of_where_it_stands() -> None:
    with LazyPirateClient(TO, retries=0) as client:
        client.close()
        with (
            pytest.warns(UserWarning, match="it is in seconds") as told,
            pytest.raises(ClientClosed),
        ):
            client.request(b"q", timeout=30_000)
    assert told[0].filename == __file__


@pytest.mark.parametrize("value", [0.5, 2.5, 300, 999, 1800, 3600, 7200, 86400])
def test_times_that_people_mean_are_not_warned_of(value: float) -> None:
    with warnings.catch_warnings(), LazyPirateClient(TO, timeout=value):
        warnings.simplefilter("error")
        BrokerConfig(request_ttl=value, drain_timeout=value)


@pytest.fixture
def running(impl: str) -> Iterator[LRUBroker]:
    with LRUBroker(ANY, ANY, impl=impl) as broker:
        yield broker


def test_with_on_what_was_stopped_says_what_to_do(running: LRUBroker, impl: str) -> None:
    running.stop()
    with pytest.raises(BrokerStopped, match="make a new LRUBroker"), running:
        pass
    with QueueDevice(ANY, ANY, impl=impl) as device:
        device.stop()
    with pytest.raises(BrokerStopped, match=r"this device .* make a new QueueDevice"), device:
        pass
    client = LazyPirateClient(TO)
    client.close()
    with pytest.raises(ClientClosed, match="make a new one"), client:
        pass


def test_a_closed_client_of_asyncio_is_not_entered_again() -> None:
    async def main() -> None:
        client = aio.LazyPirateClient(TO)
        await client.close()
        with pytest.raises(ClientClosed, match="make a new one"):
            async with client:
                pass

    asyncio.run(main())


@pytest.mark.parametrize("name", CLASSES)
def test_with_and_async_with_are_told_apart(name: str, impl: str) -> None:
    made = CLASSES[name]
    if name == "BrokerConfig":
        return
    options = {"impl": impl} if "impl" in options_of(made) else {}
    thing = made.kind(**made.right, **options)

    async def enter() -> None:
        async with thing:
            pass

    if name.startswith("aio."):
        with pytest.raises(WrongUse, match=f"use `async with`, not `with`, or brig.*{name[4:]}"):
            thing.__enter__()
        return
    with pytest.raises(WrongUse, match="use `with`, not `async with`") as raised:
        asyncio.run(enter())
    assert (f"brigantine.aio.{name}" in str(raised.value)) == (f"aio.{name}" in CLASSES)
    if not name.endswith("Worker"):
        thing.close() if name.endswith("Client") else thing.stop()


def test_a_client_for_threads_that_is_awaited_says_which_one_to_use(running: LRUBroker) -> None:
    async def wrong() -> None:
        with LazyPirateClient(running.frontend) as client:
            await client.request(b"q")  # type: ignore[misc]

    async def right() -> bytes | list[bytes]:
        with LazyPirateClient(running.frontend) as client:
            return await asyncio.to_thread(client.request, b"q")

    with LRUWorker(running.backend, bytes.upper):
        with (
            pytest.raises(TypeError, match="await"),
            pytest.warns(RuntimeWarning, match=r"brigantine\.aio\.LazyPirateClient is for") as told,
        ):
            asyncio.run(wrong())
        assert told[0].filename == __file__
        assert asyncio.run(right()) == b"Q"


def test_a_worker_for_threads_that_is_awaited_says_which_one_to_use() -> None:
    async def wrong() -> None:
        worker = LRUWorker(TO, bytes.upper)
        worker.stop()
        await worker.run()  # type: ignore[func-returns-value]

    with (
        pytest.raises(TypeError, match="await"),
        pytest.warns(RuntimeWarning, match=r"brigantine\.aio\.LRUWorker is for asyncio"),
    ):
        asyncio.run(wrong())


@pytest.mark.parametrize("value", ["x", b"", [], -1, math.nan, math.inf, True, 1e30])
def test_how_long_to_wait_is_checked(running: LRUBroker, value: Any) -> None:
    events = running.events()
    for wait in (running.join, running.drain, events.next):
        with pytest.raises(ConfigError, match="timeout must be "):
            wait(timeout=value)
    assert running.running
    assert not running.join(0)
    assert events.next(0.0) is None


@pytest.mark.parametrize("body", ["text", None, 5, [], [b"x", "y"], {}])
@pytest.mark.parametrize("kind", [LazyPirateClient, MajordomoClient])
def test_what_cannot_be_sent_is_refused_as_an_error_of_ours(kind: Any, body: Any) -> None:
    service = () if kind is LazyPirateClient else ("echo",)
    with kind(TO) as client:
        with pytest.raises(ConfigError, match="body"):
            client.request(*service, body)
        if service:
            for name in (5, None, ["x"], "\ud800"):
                with pytest.raises(ConfigError, match="service"):
                    client.request(name, b"x")
            for obj in (object(), 1 << 70, {1, 2}):
                with pytest.raises(WrongUse, match="obj can't be sent as msgpack"):
                    client.call("echo", obj)


def test_wrong_use_is_what_python_itself_would_raise() -> None:
    error = pickle.loads(pickle.dumps(WrongUse("words")))
    assert isinstance(error, TypeError)
    assert isinstance(error, ValueError)
    assert isinstance(error, ConfigError)


@pytest.mark.parametrize("stats", [5, None, {}, [], {"accepted": 1}, "x"])
def test_a_ledger_is_that_of_a_broker(stats: Any) -> None:
    with pytest.raises(WrongUse, match=r"stats must be what a broker's stats\(\) returns, not "):
        brigantine.ledger_holds(stats)
