"""Where gevent or eventlet has replaced threads, nothing of ours is made: the program would freeze."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from brigantine import (
    LazyPirateClient,
    LRUBroker,
    LRUWorker,
    MajordomoBroker,
    MajordomoClient,
    MajordomoWorker,
    ParanoidPirateWorker,
    QueueDevice,
    aio,
)

END = "tcp://127.0.0.1:1"
ANY = "tcp://127.0.0.1:*"


async def answer(body: bytes) -> bytes:
    return body


MADE: dict[str, Callable[[], Any]] = {
    "LRUBroker": lambda: LRUBroker(ANY, ANY),
    "MajordomoBroker": lambda: MajordomoBroker(ANY),
    "QueueDevice": lambda: QueueDevice(ANY, ANY),
    "LRUWorker": lambda: LRUWorker(END, bytes.upper),
    "ParanoidPirateWorker": lambda: ParanoidPirateWorker(END, bytes.upper),
    "MajordomoWorker": lambda: MajordomoWorker(END, "s", bytes.upper),
    "LazyPirateClient": lambda: LazyPirateClient(END),
    "MajordomoClient": lambda: MajordomoClient(END),
    "aio.LRUWorker": lambda: aio.LRUWorker(END, answer),
    "aio.MajordomoWorker": lambda: aio.MajordomoWorker(END, "s", answer),
    "aio.MajordomoClient": lambda: aio.MajordomoClient(END),
}


def patch(monkeypatch: pytest.MonkeyPatch, who: str, *replaced: str) -> None:
    """Have it look as if ``who`` had replaced these modules."""
    name, asked = {
        "gevent": ("gevent.monkey", "is_module_patched"),
        "eventlet": ("eventlet.patcher", "is_monkey_patched"),
    }[who]
    module = ModuleType(name)
    setattr(module, asked, lambda each: each in replaced)
    monkeypatch.setitem(sys.modules, name, module)


def close(made: Any) -> None:
    """Let go of whatever it is."""
    if hasattr(made, "close"):
        end = made.close()
        if end is not None:
            asyncio.run(end)
    else:
        made.stop()


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize(
    ("who", "replaced"),
    [("gevent", "threading"), ("gevent", "thread"), ("gevent", "queue"), ("eventlet", "thread")],
)
def test_it_refuses_with_a_word(
    monkeypatch: pytest.MonkeyPatch, name: str, who: str, replaced: str
) -> None:
    patch(monkeypatch, who, replaced, "socket")
    with pytest.raises(
        TypeError, match=rf"^{name} runs in threads of its own, and {who} has repla"
    ):
        MADE[name]()


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("who", ["gevent", "eventlet"])
def test_what_does_no_harm_is_let_be(monkeypatch: pytest.MonkeyPatch, name: str, who: str) -> None:
    patch(monkeypatch, who, "socket", "ssl")
    close(MADE[name]())
