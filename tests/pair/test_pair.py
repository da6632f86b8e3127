"""An exclusive pair: two ends, each call ends in time, a second peer is refused with a word."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import os
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import zmq
from aio_doubles import off, run
from harness import PATIENCE, wait_until

from brigantine import (
    BindError,
    ConfigError,
    ConnectError,
    Pair,
    PairClosed,
    PairTimeout,
    WrongUse,
    aio,
)

NAME = "inproc://steps"


@pytest.fixture(params=("own", "given"))
def context(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Options of both ends: within the process, or within a context of the caller's."""
    if request.param == "own":
        yield {}
        return
    with zmq.Context() as made:
        yield {"context": made}


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


def in_thread(call: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """What it returns or raises will be in the list."""
    got: list[Any] = []

    def work() -> None:
        try:
            got.append(call())
        except Exception as error:
            got.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, got


def fill(end: Pair) -> str:
    """Send until there is no room any more; why not."""
    with pytest.raises(PairTimeout) as error:
        send_on(end)
    return error.value.reason


def send_on(end: Pair) -> None:
    while True:
        end.send(b"x", 0.05)


def test_two_threads_signal_each_other(context: dict[str, Any]) -> None:
    def other() -> None:
        with Pair.connect(NAME, **context) as there:
            there.send(b"ready")
            assert there.recv(PATIENCE) == [b"go", b"", b"on"]
            there.send()

    with Pair.bind(NAME, **context) as here:
        thread, got = in_thread(other)
        assert here.recv(PATIENCE) == b"ready"
        here.send([b"go", b"", b"on"])
        assert here.recv(PATIENCE) == b""
        thread.join(PATIENCE)
        assert got == [None]
        assert here.stats() == {"sent": 1, "received": 2, "unread": 0, "drop_second": 0}


def test_both_ends_at_once_without_a_name() -> None:
    here, there = Pair.ends()
    with here, there:
        for number in range(100):
            here.send(b"%d" % number)
        assert [there.recv(0) for _ in range(100)] == [b"%d" % number for number in range(100)]
        there.close()
        with pytest.raises(PairClosed, match="the other end of inproc://pair has been closed"):
            here.recv(PATIENCE)
        with pytest.raises(PairClosed):
            here.send(b"x", PATIENCE)


def test_each_call_ends_by_its_time_limit(context: dict[str, Any]) -> None:
    began = time.monotonic()
    with pytest.raises(PairTimeout, match=r"is bound there within 0\.05 s") as error:
        Pair.connect(NAME, timeout=0.05, **context)
    assert error.value.reason == "nobody"
    with Pair.bind(NAME, high_water_mark=2, **context) as here:
        for call in (here.recv, lambda timeout: here.send(b"x", timeout)):
            with pytest.raises(PairTimeout, match=r"nobody is connected within 0\.05 s") as error:
                call(timeout=0.05)
            assert error.value.reason == "nobody"
        there = Pair.connect(NAME, **context)
        with pytest.raises(PairTimeout, match="nothing came from the other end") as error:
            here.recv(0.05)
        assert error.value.reason == "silent"
        assert fill(here) == "full"
        assert here.stats()["sent"] == 3  # the mark, and the one of the other side
        there.close()
        with pytest.raises(PairTimeout, match="nobody has come in its place") as error:
            here.recv(0.05)
        assert error.value.reason == "left"
        assert "it had not read 3 messages" in str(error.value)
        with pytest.raises(PairTimeout):
            here.send(b"x", 0.05)
    assert time.monotonic() - began < 2.0


def test_a_second_peer_is_refused_at_once_and_takes_the_place_once_it_is_free(
    context: dict[str, Any], record: Callable[..., None]
) -> None:
    with Pair.bind(NAME, **context) as here:
        first = Pair.connect(NAME, **context)
        first.send(b"of the first")
        began = time.monotonic()
        with pytest.raises(ConnectError, match="has its one peer already"):
            Pair.connect(NAME, **context)
        refused = time.monotonic() - began
        first.close()
        # The bound side has been asleep all the while.
        with Pair.connect(NAME, **context) as second:
            second.send(b"of the second")
            assert here.recv(PATIENCE) == b"of the first"
            assert here.recv(PATIENCE) == b"of the second"
            here.send(b"to the second")
            assert second.recv(PATIENCE) == b"to the second"
        record(
            "second peer of a pair, or none",
            refused_ms=refused * 1000,
            swallowed=here.stats()["unread"],
            hangs=0,
        )


def test_peers_that_come_and_go_lose_nothing(
    context: dict[str, Any], record: Callable[..., None]
) -> None:
    with Pair.bind(NAME, **context) as here:
        heard: list[bytes] = []
        for number in range(50):
            with Pair.connect(NAME, **context) as there:
                there.send(b"%d" % number)
                if number % 3 == 0:
                    heard.append(bytes(here.recv(PATIENCE)))  # type: ignore[arg-type]
        while len(heard) < 50:
            heard.append(bytes(here.recv(PATIENCE)))  # type: ignore[arg-type]
        assert heard == [b"%d" % number for number in range(50)]
        record("second peer of a pair, or none", peers=50, swallowed=0)


def test_what_was_not_read_is_told(context: dict[str, Any]) -> None:
    with Pair.bind(NAME, **context) as here:
        there = Pair.connect(NAME, **context)
        for _ in range(7):
            here.send(b"x")
        assert there.recv(PATIENCE) == b"x"
        there.close()
        assert here.stats()["unread"] == 6
        there = Pair.connect(NAME, **context)
        here.close()
        with pytest.raises(PairClosed, match=r"has been closed$"):
            there.recv(PATIENCE)
        there.close()


def test_a_thread_that_died_leaves_its_place(context: dict[str, Any]) -> None:
    with Pair.bind(NAME, **context) as here:
        kept: list[Pair] = []

        def die() -> None:
            kept.append(Pair.connect(NAME, **context))
            kept[0].send(b"last words")

        thread, _ = in_thread(die)
        thread.join(PATIENCE)
        assert here.recv(PATIENCE) == b"last words"
        with pytest.raises(PairTimeout) as error:
            here.recv(0.05)
        assert error.value.reason == "thread_ended"
        with Pair.connect(NAME, **context) as there:
            assert kept[0].closed
            there.send(b"a new one")
            assert here.recv(PATIENCE) == b"a new one"


def test_an_end_that_is_forgotten_is_closed(context: dict[str, Any]) -> None:
    Pair.bind(NAME, **context).close()  # a given context has descriptors of its own from then on
    before = open_files()
    here = Pair.bind(NAME, **context)
    Pair.connect(NAME, **context).send(b"x")
    gc.collect()
    assert here.recv(PATIENCE) == b"x"
    assert not here.connected
    del here
    gc.collect()
    Pair.bind(NAME, **context).close()
    wait_until(lambda: open_files() <= before)


@pytest.mark.parametrize("side", ["bound", "connected"])
@pytest.mark.parametrize("what", ["recv", "send"])
def test_close_ends_a_call_in_another_thread(context: dict[str, Any], side: str, what: str) -> None:
    with Pair.bind(NAME, high_water_mark=1, **context) as here:
        there = Pair.connect(NAME, high_water_mark=1, **context)
        end = {"bound": here, "connected": there}[side]
        if what == "send":
            fill(end)
        thread, got = in_thread(end.recv if what == "recv" else lambda: end.send(b"x"))
        wait_until(lambda: end._end.turn._whose)
        with pytest.raises(WrongUse, match="one thread, or task, at a time"):
            end.recv(0)
        end.close()
        thread.join(PATIENCE)
        assert isinstance(got[0], PairClosed), got
        end.close()
        there.close()


def test_the_other_end_closed_in_a_call_ends_it(context: dict[str, Any]) -> None:
    with Pair.bind(NAME, **context) as here:
        there = Pair.connect(NAME, **context)
        thread, got = in_thread(there.recv)
        wait_until(lambda: there._end.turn._whose)
        here.close()
        thread.join(PATIENCE)
        assert isinstance(got[0], PairClosed)
        there.close()


class Struck(BaseException):
    """As KeyboardInterrupt."""


def in_destructor(frame: FrameType | None) -> bool:
    """Whether Python would swallow what is raised there."""
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None


def struck(at: int, work: Callable[[], object], rooms: Collection[str] = ("exclusive",)) -> bool:
    """Do it, and raise as the so manyth function of these folders begins, as Ctrl-C may; whether so."""
    begun = 0

    def trace(frame: FrameType, _event: str, _value: object) -> None:
        nonlocal begun
        if Path(frame.f_code.co_filename).parent.name in rooms and not in_destructor(frame):
            begun += 1
            if begun == at:
                raise Struck

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except Struck:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("shell", ["threads", "asyncio"])
@pytest.mark.parametrize("what", ["send", "recv", "close"])
def test_an_end_can_be_used_and_closed_after_ctrl_c_in_any_call(what: str, shell: str) -> None:
    files, arguments = open_files(), {"send": (b"x", PATIENCE), "recv": (PATIENCE,), "close": ()}
    at, came = 0, True
    while came:
        at += 1
        here = (Pair if shell == "threads" else aio.Pair).bind(NAME)
        there = Pair.connect(NAME)
        there.send(b"x")
        came = struck(at, partial(called, here, what, *arguments[what]))
        if not here.closed:
            called(here, "send", b"y", PATIENCE)
        here.close()
        there.close()
    assert at > 3
    wait_until(lambda: gc.collect() >= 0 and open_files() <= files)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("what", ["connect", "ends"])
def test_a_pair_that_ctrl_c_keeps_from_being_made_waits_for_nothing_and_keeps_no_name(
    what: str,
) -> None:
    """It would for a socket that only the traceback refers to."""

    def make() -> None:
        with contextlib.ExitStack() as made:
            if what == "ends":
                for each in Pair.ends():
                    made.enter_context(each)
            else:
                made.enter_context(Pair.bind(NAME))
                made.enter_context(Pair.connect(NAME, timeout=PATIENCE))

    at = 1
    while struck(at, make, ("exclusive", "sugar")):  # the latter is of pyzmq
        at += 1
    assert at > 20


def called(end: Pair | aio.Pair, what: str, *arguments: object) -> None:
    done = getattr(end, what)(*arguments)
    if inspect.iscoroutine(done):
        run(done)


def test_a_terminated_context_ends_calls() -> None:
    context = zmq.Context()
    here = Pair.bind(NAME, context=context)
    there = Pair.connect(NAME, context=context)
    calls = [in_thread(here.recv), in_thread(there.recv)]
    wait_until(lambda: here._end.turn._whose and there._end.turn._whose)
    context.term()  # returns: both close their sockets
    for thread, got in calls:
        thread.join(PATIENCE)
        assert isinstance(got[0], PairClosed), got
    with pytest.raises(PairClosed):
        here.send(b"x")


def test_plain_sockets_fit_in() -> None:
    with zmq.Context() as context:
        with Pair.bind(NAME, context=context) as here, context.socket(zmq.PAIR) as plain:
            plain.linger = 0
            plain.rcvtimeo = int(PATIENCE * 1000)
            plain.connect(NAME)
            plain.send(b"from plain")
            assert here.recv(PATIENCE) == b"from plain"
            here.send(b"to plain")
            assert plain.recv() == b"to plain"
            with pytest.raises(ConnectError, match="a plain PAIR socket"):
                Pair.connect(NAME, context=context)
        with (
            context.socket(zmq.PAIR) as plain,
            Pair.connect(NAME, plain=True, context=context) as there,
        ):
            plain.linger = 0
            plain.rcvtimeo = int(PATIENCE * 1000)
            there.send(b"before it is bound")
            plain.bind(NAME)
            assert plain.recv() == b"before it is bound"
            plain.send(b"back")
            assert there.recv(PATIENCE) == b"back"
            with pytest.raises(PairTimeout):
                there.recv(0.01)


def test_a_plain_second_peer_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with (
        zmq.Context() as context,
        Pair.bind(NAME, context=context) as here,
        Pair.connect(NAME, context=context) as there,
        context.socket(zmq.PAIR) as plain,
    ):
        plain.linger = 0
        plain.connect(NAME)
        for _ in range(10):
            plain.send(b"second")
        there.send(b"first")
        assert here.recv(PATIENCE) == b"first"
        with pytest.raises(PairTimeout):
            here.recv(0.01)
        assert here.stats()["drop_second"] == 10
        assert caplog.text.count("a pair has two ends") == 1


def test_however_much_a_plain_second_peer_has_sent_is_dropped() -> None:
    most = sys.getrecursionlimit() + 100
    with (
        zmq.Context() as context,
        Pair.bind(NAME, context=context, high_water_mark=most) as here,
        Pair.connect(NAME, context=context) as there,
        context.socket(zmq.PAIR) as plain,
    ):
        plain.linger, plain.sndhwm = 0, most
        plain.connect(NAME)
        for _ in range(most):
            plain.send(b"second")
        with pytest.raises(PairTimeout):
            here.recv(0.01)
        assert here.stats()["drop_second"] == most
        there.send(b"first")
        assert here.recv(PATIENCE) == b"first"


def test_a_name_is_bound_once_and_free_after_close(context: dict[str, Any]) -> None:
    with Pair.bind(NAME, **context), pytest.raises(BindError, match="another Pair of this process"):
        Pair.bind(NAME, **context)
    with Pair.bind(NAME, **context) as here, Pair.connect(NAME, **context) as there:
        there.send(b"again")
        assert here.recv(PATIENCE) == b"again"


def test_the_other_end_may_be_bound_later(context: dict[str, Any]) -> None:
    thread, got = in_thread(lambda: Pair.connect(NAME, timeout=PATIENCE, **context))
    with Pair.bind(NAME, **context) as here:
        thread.join(PATIENCE)
        here.send(b"hello")
        assert got[0].recv(PATIENCE) == b"hello"
        got[0].close()


def test_nothing_of_ours_acts_in_a_forked_child() -> None:
    here, there = Pair.ends()
    child = os.fork()
    if not child:
        code = 1
        try:
            here.recv(0)
        except PairClosed:
            code = 0
        here.close()
        os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    there.send(b"x")
    assert here.recv(PATIENCE) == b"x"
    here.close()
    there.close()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Pair.bind("tcp://127.0.0.1:5"), ConfigError, "connects threads of one process"),
        (lambda: Pair.connect("steps"), ConfigError, "must begin with"),
        (lambda: Pair.connect(NAME, plain=True), ConfigError, "pass context="),
        (lambda: Pair.connect(NAME, timeout=-1), ConfigError, "timeout must be from 0"),
        (lambda: Pair.bind(NAME, high_water_mark=0), ConfigError, "high_water_mark must be from 1"),
        (Pair, WrongUse, r"Pair is made by Pair.bind\(\)"),
        (lambda: Pair.ends()[0].send("text"), WrongUse, "encode it first"),  # type: ignore[arg-type]
    ],
)
def test_a_mistake_is_named(call: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


# -- asyncio ------------------------------------------------------------------------------------


def test_a_thread_and_a_task_signal_each_other(context: dict[str, Any]) -> None:
    def other() -> None:
        with Pair.connect(NAME, **context) as there:
            for _ in range(100):
                there.send(there.recv(PATIENCE))

    async def main() -> None:
        async with aio.Pair.bind(NAME, **context) as here:
            thread = asyncio.create_task(off(other))
            for number in range(100):
                await here.send(b"%d" % number, PATIENCE)
                assert await here.recv(PATIENCE) == b"%d" % number
            await thread

    run(main())


def test_two_tasks_signal_each_other_and_time_out(context: dict[str, Any]) -> None:
    async def main() -> None:
        async with aio.Pair.bind(NAME, high_water_mark=1, **context) as here:
            async with await aio.Pair.connect(NAME, high_water_mark=1, **context) as there:
                waiting = asyncio.create_task(there.recv())
                await asyncio.sleep(0)
                await here.send(b"x")
                assert await waiting == b"x"
                with pytest.raises(PairTimeout):
                    await here.recv(0.02)
                for _ in range(2):
                    await here.send(b"fill")
                sending = asyncio.create_task(here.send(b"third"))
                await asyncio.sleep(0)
                assert not sending.done()
                assert [await there.recv(PATIENCE) for _ in range(3)] == [
                    b"fill",
                    b"fill",
                    b"third",
                ]
                await sending
                cancelled = asyncio.create_task(there.recv())
                await asyncio.sleep(0.01)
                cancelled.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await cancelled
                await here.send(b"after")
                assert await there.recv(PATIENCE) == b"after"
            waiting = asyncio.create_task(here.recv())
            await asyncio.sleep(0)
            async with await aio.Pair.connect(NAME, **context) as third:
                await third.send(b"third peer")
                assert await waiting == b"third peer"
        with pytest.raises(PairTimeout):
            await aio.Pair.connect(NAME, timeout=0.02, **context)

    run(main())


def test_a_task_that_waits_is_told_of_the_end() -> None:
    async def main() -> None:
        here, there = aio.Pair.ends()
        waiting = asyncio.create_task(here.recv())
        await asyncio.sleep(0.01)
        there.close()
        with pytest.raises(PairClosed):
            await waiting
        here.close()

    run(main())
