"""Doubles for the tests of Majordomo's clients: brokers, and raw workers that do as they are told."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import zmq
from doubles import RawBroker
from harness import PATIENCE, wait_until

from brigantine import MajordomoBroker
from brigantine.clients.majordomo import MajordomoClient

EMPTY = b""
CLIENT_01, CLIENT_02 = b"MDPC01", b"MDPC02"
WORKER_01, WORKER_02 = b"MDPW01", b"MDPW02"
#: How the frames of a request begin, and where the service stands in them.
HEADS = {"0.1": [EMPTY, CLIENT_01], "0.2": [CLIENT_02, b"\x01"]}
#: How the frames of the (last) reply begin.
FINALS = {"0.1": [EMPTY, CLIENT_01], "0.2": [CLIENT_02, b"\x03"]}

#: Commands of replies of MDP 0.2.
PARTIAL, FINAL = b"\x02", b"\x03"

#: What a raw worker answers to a body: the parts, the last of which is the FINAL.
Answer = Callable[[list[bytes]], Sequence[list[bytes]]]


def echo(body: list[bytes]) -> Sequence[list[bytes]]:
    """One part: the body."""
    return [body]


@contextmanager
def mdp_broker(impl: str, **options: object) -> Iterator[MajordomoBroker]:
    """A broker with two sockets, on free ports."""
    any_port = "tcp://127.0.0.1:*"
    with MajordomoBroker(any_port, any_port, impl=impl, **options) as broker:
        yield broker


@contextmanager
def raw_worker(
    broker: MajordomoBroker, service: bytes, answer: Answer = echo, *, capacity: int = 1
) -> Iterator[None]:
    """A worker of MDP 0.2 in a thread, written from the RFC, with a capacity if above 1."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    stopped = threading.Event()

    def serve() -> None:
        with context.socket(zmq.DEALER) as socket:
            socket.linger = 0
            socket.rcvtimeo = 100
            socket.connect(broker.backend)
            more = [bytes([capacity])] if capacity > 1 else []
            socket.send_multipart([WORKER_02, b"\x01", service, *more])
            while not stopped.is_set():
                with contextlib.suppress(zmq.Again):
                    _, says, *rest = socket.recv_multipart()
                    if says == b"\x02":
                        _reply(socket, rest[0], answer(rest[2:]))
                        continue
                socket.send_multipart([WORKER_02, b"\x05"])

    joined = broker.stats()["workers_joined"]
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        wait_until(lambda: broker.stats()["workers_joined"] > joined, "the worker's READY")
        yield
    finally:
        stopped.set()
        thread.join(PATIENCE)
        context.term()


def _reply(socket: zmq.Socket[bytes], ticket: bytes, parts: Sequence[list[bytes]]) -> None:
    for part in parts[:-1]:
        socket.send_multipart([WORKER_02, b"\x03", ticket, EMPTY, *part])
    socket.send_multipart([WORKER_02, b"\x04", ticket, EMPTY, *parts[-1]])


def asked(raw: RawBroker, service: bytes, *body: bytes) -> bytes:
    """Receive a request of MDP 0.2 that must be this one; the client's routing id."""
    peer, frames = raw.receive()
    assert frames == [CLIENT_02, b"\x01", service, *body]
    return peer


def say(raw: RawBroker, peer: bytes, command: bytes, service: bytes, *body: bytes) -> None:
    """Send a reply of MDP 0.2."""
    raw.send(peer, CLIENT_02, command, service, *body)


@contextmanager
def client_maker() -> Iterator[Callable[..., MajordomoClient]]:
    """A function that makes clients, patient ones unless told otherwise; all are closed at the end."""
    made: list[MajordomoClient] = []

    def make(*arguments: Any, **options: Any) -> MajordomoClient:
        made.append(MajordomoClient(*arguments, **{"timeout": PATIENCE, **options}))
        return made[-1]

    try:
        yield make
    finally:
        for each in made:
            each.close()
