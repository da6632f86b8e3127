"""What the thread of an AsyncClient lives through."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from typing import Any

import pytest
import zmq
from harness import wait_until

from brigantine import AsyncClient, AsyncServer, ClientClosed, NoReply
from brigantine.servers import async_client_aio, client_thread
from brigantine.servers.client_thread import ClientThread


def test_a_client_without_file_descriptors_tries_again_and_says_so(
    impl: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, refused = client_thread._make, threading.Event()

    def without(context: Any) -> Any:
        if refused.is_set():
            raise zmq.ZMQError(errno.EMFILE)
        return make(context)

    with AsyncServer("tcp://127.0.0.1:*", lambda _, body: body, impl=impl) as server:
        monkeypatch.setattr(client_thread, "_make", without)
        with AsyncClient(server.frontend) as client:
            assert client.request(b"x") == b"x"
            refused.set()
            client._line.order(lambda _: setattr(client._line.talk, "spoilt", True))
            wait_until(lambda: client._line._dialing and client._line._dialing.trouble)
            with pytest.raises(NoReply, match=r"can't open a socket to .*: Too many open files"):
                client.request(b"x", timeout=0.01)
            refused.clear()
            assert client.request(b"x") == b"x"
            assert client.session == 2


def test_a_server_that_cannot_be_asked_whose_it_is_is_not_taken_for_foreign(
    impl: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked again: what it says next may be that it is ours."""
    found, asked = client_thread.asked_for_ready, []

    def busy(endpoint: str, limit: float) -> dict[str, bytes] | None:
        asked.append(endpoint)
        if len(asked) == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return None if len(asked) == 2 else found(endpoint, limit)

    monkeypatch.setattr(client_thread, "asked_for_ready", busy)
    monkeypatch.setattr(client_thread, "ASK_AGAIN", 0.02)
    with (
        AsyncServer("tcp://127.0.0.1:*", lambda _, body: body, impl=impl) as server,
        AsyncClient(server.frontend) as client,
    ):
        assert client.request(b"x") == b"x"
        assert client.session == 1
        assert len(asked) == 3


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (None, "does not answer when it is asked whose server it is .foreign=True or False"),
        (errno.EMFILE, "can't ask whose server it is: .*Too many open files"),
    ],
)
def test_requests_say_that_nobody_tells_whose_server_it_is(
    impl: str, monkeypatch: pytest.MonkeyPatch, error: int | None, words: str
) -> None:
    def never(_endpoint: str, _limit: float) -> None:
        if error is not None:
            raise OSError(error, os.strerror(error))

    monkeypatch.setattr(client_thread, "asked_for_ready", never)
    with (
        AsyncServer("tcp://127.0.0.1:*", lambda _, body: body, impl=impl) as server,
        AsyncClient(server.frontend) as client,
    ):
        wait_until(lambda: client._line._unknown)
        with pytest.raises(NoReply, match=words):
            client.request(b"x", timeout=0.01)
        assert server.stats()["accepted"] == 0


def test_an_order_that_comes_when_the_thread_has_ended_is_refused() -> None:
    """It has looked for orders for the last time, but has not quite ended."""
    line = ClientThread("tcp://127.0.0.1:1", None, None, foreign=True, delimiter=False)
    line.start()
    wait_until(lambda: line._dialing)
    line.order(lambda _: None)
    line._over = True
    with pytest.raises(ClientClosed):
        line.order(lambda _: None)
    line.close()


def test_what_comes_when_an_event_loop_has_ended_is_dropped() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(RuntimeError) as closed:
        loop.call_soon_threadsafe(print)

    class Ending:
        """It was not closed, a moment ago."""

        def is_closed(self) -> bool:
            return False

        def call_soon_threadsafe(self, *_: Any) -> None:
            raise closed.value

    async_client_aio._in_loop(Ending(), print)  # type: ignore[arg-type]
