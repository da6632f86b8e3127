"""The load of ZMTP peers counts what others lose, double and change."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable

import pytest
import zmq

from .contenders import Missing, compiled_load

#: What is passed on of a message, by its number.
Passed = Callable[[int, bytes], list[bytes]]
KINDS = {"dealer": (zmq.ROUTER,), "push": (zmq.PULL, zmq.PUSH), "pub": (zmq.XSUB, zmq.XPUB)}


def load(kind: str, passed: Passed) -> dict[str, int]:
    """Figures of a fifth of a second with a middle that passes on what the test says."""
    try:
        program = compiled_load("zmtp_load")
    except Missing as missing:
        pytest.skip(str(missing))
    with zmq.Context() as context:
        sockets = [context.socket(each) for each in KINDS[kind]]
        ports = [str(each.bind_to_random_port("tcp://127.0.0.1")) for each in sockets]
        thread = threading.Thread(target=pass_on, args=(sockets, passed))
        thread.start()
        ends = [word for pair in zip(("--port", "--backend"), ports, strict=False) for word in pair]
        done = subprocess.run(
            [program, "--kind", kind, *ends, "--clients", "2", "--workers", "3", "--window", "4",
             "--duration", "0.2", "--timeout", "0.2", "--broker-pid", str(os.getpid())],
            capture_output=True, text=True, timeout=50,
        )  # fmt: skip
        for each in sockets:
            each.linger = 0
        context.term()
        thread.join()
    figures: dict[str, int] = json.loads(done.stdout)
    assert done.returncode == (0 if figures["ok"] else 1)
    return figures


def pass_on(sockets: list[zmq.Socket[bytes]], passed: Passed) -> None:
    """Until the context ends."""
    front, back = sockets[0], sockets[-1]
    poller, number = zmq.Poller(), 0
    for each in {front, back}:
        poller.register(each, zmq.POLLIN)
    try:
        while True:
            for ready, _ in poller.poll():
                frames = ready.recv_multipart()
                if ready is back and len(sockets) == 2:
                    front.send_multipart(frames)  # a subscription
                    continue
                if int.from_bytes(frames[-1][4:8], "little") == 2**32 - 1:
                    back.send_multipart(frames)  # a probe of the load's own
                    continue
                for body in passed(number, frames[-1]):
                    back.send_multipart([*frames[:-1], body])
                number += 1
    except zmq.ContextTerminated:
        front.close()
        back.close()


@pytest.mark.parametrize("kind", KINDS)
def test_what_arrives_is_counted(kind: str) -> None:
    figures = load(kind, lambda _, body: [body])
    assert figures["ok"]
    assert (figures["lost"], figures["wrong"]) == (0, 0)
    assert figures["replies"] > 8


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_lost_is_seen(kind: str) -> None:
    figures = load(kind, lambda number, body: [body] * (number not in (10, 11)))
    assert (figures["lost"], figures["wrong"]) == (2, 0)


@pytest.mark.parametrize("kind", ["dealer", "push"])
def test_what_comes_twice_is_seen(kind: str) -> None:
    figures = load(kind, lambda number, body: [body] * (2 if number == 10 else 1))
    assert (figures["lost"], figures["wrong"]) == (0, 1)


@pytest.mark.parametrize("kind", ["dealer", "push"])
def test_what_is_changed_is_seen(kind: str) -> None:
    figures = load(kind, lambda number, body: [body[:-1] + b"\0", body] if number == 10 else [body])
    assert (figures["lost"], figures["wrong"]) == (0, 1)
