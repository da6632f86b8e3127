"""Clients that nobody holds any more, with sockets that an exception out of the blue has cut loose."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from brigantine import LazyPirateClient, NoReply, aio
from brigantine.clients.pool_aio import KnownAsyncSocket
from brigantine.net.contexts import KnownSocket, Sockets

NOBODY = "tcp://127.0.0.1:9"


@pytest.fixture
def collected() -> Iterator[list[bool]]:
    """Whether a collection of the garbage that the test has made has ended."""
    ended: list[bool] = []
    gc.collect()
    gc.disable()  # not before it is asked to, nor in this thread
    try:
        yield ended
    finally:
        gc.enable()


def collect(ended: list[bool]) -> None:
    collector = threading.Thread(target=lambda: ended.append(gc.collect() > 0), daemon=True)
    collector.start()
    collector.join(20.0)


def cut_loose(client: Any, pool: Any) -> None:
    """A socket that was made, and that only garbage knows of: a cycle, as a traceback may be."""
    loose = [client, *pool._make()]
    loose.append(loose)


def test_a_forgotten_client_with_a_socket_cut_loose_is_collected(collected: list[bool]) -> None:
    def forget() -> None:
        client = LazyPirateClient(NOBODY, timeout=0.01, retries=0)
        with contextlib.suppress(NoReply):
            client.request(b"x")
        cut_loose(client, client._pools[os.getpid()])

    forget()
    collect(collected)
    assert collected == [True]


def test_a_forgotten_asyncio_client_with_a_socket_cut_loose_is_collected(
    collected: list[bool],
) -> None:
    async def forget() -> None:
        client = aio.LazyPirateClient(NOBODY, timeout=0.01, retries=0)
        with contextlib.suppress(NoReply):
            await client.request(b"x")
        cut_loose(client, client._pools[0])

    asyncio.run(forget())
    collect(collected)
    assert collected == [True]


@pytest.mark.parametrize("kind", [KnownSocket, KnownAsyncSocket])
def test_a_socket_that_is_closed_or_could_not_be_made_is_not_held(kind: Any) -> None:
    async def make() -> None:
        known: Sockets = set()
        with zmq.Context() as context:
            with context.socket(zmq.DEALER, lambda *given: kind(*given, known=known)):
                assert len(known) == 1
            assert not known
        with pytest.raises(zmq.ZMQError):
            kind(context, zmq.DEALER, known=known)  # the context has ended
        assert not known

    asyncio.run(make())
