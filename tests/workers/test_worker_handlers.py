"""Handlers that can't work are refused when the worker is made, not at the first request."""

from __future__ import annotations

import functools
import hashlib
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from brigantine import LRUWorker, MajordomoClient, MajordomoWorker, ParanoidPirateWorker, aio
from brigantine.broker.patterns import MajordomoBroker
from brigantine.errors import WorkerFailed

END = "tcp://127.0.0.1:1"
KINDS: dict[str, Callable[[Any], Any]] = {
    "lru": lambda handler: LRUWorker(END, handler),
    "ppp": lambda handler: ParanoidPirateWorker(END, handler),
    "mdp": lambda handler: MajordomoWorker(END, "s", handler),
}
AIO_KINDS: dict[str, Callable[[Any], Any]] = {
    "lru": lambda handler: aio.LRUWorker(END, handler),
    "ppp": lambda handler: aio.ParanoidPirateWorker(END, handler),
    "mdp": lambda handler: aio.MajordomoWorker(END, "s", handler),
}


def none() -> bytes:
    return b""


def two(_body: bytes, _other: bytes) -> bytes:
    return b""


def by_keyword(*, body: bytes) -> bytes:
    return body


def one_and_keyword(body: bytes, *, other: int) -> bytes:
    return body * other


class Method:
    def none(self) -> bytes:
        return b""

    def one(self, body: bytes) -> bytes:
        return body

    def __call__(self, body: bytes, other: bytes) -> bytes:
        return body + other


@functools.wraps(two)
def decorated(body: bytes) -> bytes:
    return two(body, b"")


WRONG = [none, two, by_keyword, one_and_keyword, Method().none, Method.one, Method(), lambda: b""]
RIGHT = [
    bytes.upper, bytes, zlib.compress, hashlib.sha256, Method().one, decorated, lambda *all_: all_[0],
    functools.partial(two, _other=b""), functools.partial(two, b""), lambda body, _more=None: body,
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("handler", WRONG, ids=map(str, range(len(WRONG))))
def test_a_handler_that_does_not_take_one_body_is_refused(kind: str, handler: Any) -> None:
    with pytest.raises(TypeError, match=r"one argument, the request's body; .* can't be called so"):
        KINDS[kind](handler)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("handler", RIGHT, ids=map(str, range(len(RIGHT))))
def test_whatever_can_take_one_body_is_a_handler(kind: str, handler: Any) -> None:
    KINDS[kind](handler)


@pytest.mark.parametrize("kind", AIO_KINDS)
@pytest.mark.parametrize("handler", [none, two, by_keyword])
def test_so_it_is_with_coroutine_functions(kind: str, handler: Any) -> None:
    async def wrong_none() -> bytes:
        return b""

    async def wrong_two(_body: bytes, _other: bytes) -> bytes:
        return b""

    async def wrong_keyword(*, body: bytes) -> bytes:
        return body

    async def right(body: bytes) -> bytes:
        return body

    wrong = {none: wrong_none, two: wrong_two, by_keyword: wrong_keyword}[handler]
    with pytest.raises(TypeError, match=r"one argument, the request's body"):
        AIO_KINDS[kind](wrong)
    AIO_KINDS[kind](right)


@pytest.mark.parametrize("kind", KINDS)
def test_an_async_handler_in_a_worker_for_threads_names_the_class_for_asyncio(kind: str) -> None:
    async def handler(body: bytes) -> bytes:
        return body

    for each in (handler, functools.partial(handler)):
        with pytest.raises(TypeError, match=r"brigantine\.aio\.\w+Worker is for these"):
            KINDS[kind](each)


def test_a_generator_where_there_are_no_parts_is_refused() -> None:
    def parts(body: bytes) -> Any:
        yield body

    with pytest.raises(TypeError, match=r"generator function .* PPP and MDP take these"):
        KINDS["lru"](parts)
    KINDS["ppp"](parts)
    KINDS["mdp"](parts)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (7, "must be bytes or a sequence of bytes, not int"),
        (None, "must be bytes or a sequence of bytes, not NoneType"),
        ("text", "encode it first"),
        ([1], "item 0 of the list is int"),
        (
            "coroutine",
            r"brigantine.aio.MajordomoWorker is for handlers that are coroutine functions",
        ),
    ],
)
def test_what_can_not_be_sent_is_told_to_the_client(answer: Any, said: str) -> None:
    async def coroutine() -> bytes:
        return b""

    def handler(_: bytes) -> Any:
        return coroutine() if answer == "coroutine" else answer

    with (
        MajordomoBroker("tcp://127.0.0.1:*") as broker,
        MajordomoWorker(broker.backend, "s", handler),
        MajordomoClient(broker.frontend) as client,
        pytest.raises(WorkerFailed, match=said),
    ):
        client.request("s", b"")
