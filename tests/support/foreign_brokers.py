"""Brokers that are not ours: minimal ones in raw pyzmq, shaped like those of the ZeroMQ guide."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import zmq
from harness import PATIENCE

EMPTY = b""
ANY = "tcp://127.0.0.1:*"
#: Seconds between two looks at whether to stop.
TICK = 0.02

Message = list[bytes]


class Foreign:
    """What all have in common: two bound ROUTERs (or one) in a thread."""

    def __init__(self, *, one_socket: bool = False) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.front = self._bound()
        self.back = self.front if one_socket else self._bound()
        self.frontend, self.backend = (
            socket.getsockopt_string(zmq.LAST_ENDPOINT) for socket in (self.front, self.back)
        )
        self.error: BaseException | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def _bound(self) -> zmq.Socket[bytes]:
        socket = self.context.socket(zmq.ROUTER)
        socket.linger = 0
        socket.backlog = 4096
        socket.bind(ANY)
        return socket

    def _serve(self) -> None:
        poller = zmq.Poller()
        for socket in {self.front, self.back}:
            poller.register(socket, zmq.POLLIN)
        try:
            while not self._stopping.is_set():
                for socket, _ in poller.poll(int(TICK * 1000)):
                    message = socket.recv_multipart()
                    if socket is self.front and self.front is not self.back:
                        self.from_client(message)
                    else:
                        self.from_worker(message)
                self.tick(time.monotonic())
        except BaseException as error:
            self.error = error

    def from_client(self, message: Message) -> None:
        raise NotImplementedError

    def from_worker(self, message: Message) -> None:
        raise NotImplementedError

    def tick(self, now: float) -> None:
        """Do what is due."""

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(PATIENCE)
        self.context.destroy(0)
        if self.error is not None:
            raise self.error


class LoadBalancer(Foreign):
    """As lbbroker: REQ workers, which say READY once and are free again with each reply."""

    def __init__(self) -> None:
        super().__init__()
        self.free: deque[bytes] = deque()
        self.waiting: deque[Message] = deque()
        self.known: set[bytes] = set()

    def from_client(self, message: Message) -> None:
        self.waiting.append(message)
        self._dispatch()

    def from_worker(self, message: Message) -> None:
        worker, empty, client, *rest = message
        assert empty == EMPTY
        assert worker not in self.free, "said READY while free"
        self.free.append(worker)
        self.known.add(worker)
        if client != b"READY":
            self.front.send_multipart([client, *rest])
        self._dispatch()

    def _dispatch(self) -> None:
        while self.free and self.waiting:
            self.back.send_multipart([self.free.popleft(), EMPTY, *self.waiting.popleft()])


class PirateQueue(LoadBalancer):
    """As ppqueue: workers that are not heard from for three intervals are thrown out."""

    interval = 0.1
    liveness = 6

    def __init__(self) -> None:
        super().__init__()
        self.heard: dict[bytes, float] = {}
        self.expired = 0
        self.heartbeat_at = 0.0

    def from_worker(self, message: Message) -> None:
        worker, *rest = message
        self.heard[worker] = time.monotonic()
        self.known.add(worker)
        if len(rest) == 1:
            assert rest[0] in (b"\x01", b"\x02"), rest
        else:
            self.front.send_multipart(rest)
        # Whatever it said: as in the guide, that it is free follows.
        if worker in self.free:
            self.free.remove(worker)
        self.free.append(worker)
        self._dispatch()

    def _dispatch(self) -> None:
        while self.free and self.waiting:
            self.back.send_multipart([self.free.popleft(), *self.waiting.popleft()])

    def tick(self, now: float) -> None:
        for worker in list(self.free):
            if now - self.heard[worker] > self.interval * self.liveness:
                self.free.remove(worker)
                self.expired += 1
        if now >= self.heartbeat_at:
            self.heartbeat_at = now + self.interval
            for worker in self.free:
                self.back.send_multipart([worker, b"\x02"])


class Majordomo(Foreign):
    """As mdbroker: MDP 0.1 on one socket; a worker that is not known is sent DISCONNECT."""

    interval = 0.1
    liveness = 6

    def __init__(self) -> None:
        super().__init__(one_socket=True)
        self.services: dict[bytes, bytes] = {}
        self.heard: dict[bytes, float] = {}
        self.free: deque[bytes] = deque()
        self.waiting: deque[tuple[bytes, Message]] = deque()
        self.expired = self.disconnected = 0
        self.heartbeat_at = 0.0

    def from_worker(self, message: Message) -> None:
        sender, empty, header, *rest = message
        assert empty == EMPTY
        if header == b"MDPC01":
            self.waiting.append((rest[0], [sender, EMPTY, *rest[1:]]))
        else:
            assert header == b"MDPW01", header
            self._worker_says(sender, rest[0], rest[1:])
        self._dispatch()

    def _worker_says(self, worker: bytes, command: bytes, rest: Message) -> None:
        known = worker in self.services
        if command == b"\x05":
            self._forget(worker)
            self.disconnected += 1
        elif known == (command == b"\x01"):
            self._forget(worker)
            self.front.send_multipart([worker, EMPTY, b"MDPW01", b"\x05"])
        else:
            self.heard[worker] = time.monotonic()
            if command == b"\x01":
                (self.services[worker],) = rest
                self.free.append(worker)
            elif command == b"\x03":
                client, _, *body = rest
                head = [client, EMPTY, b"MDPC01", self.services[worker]]
                self.front.send_multipart([*head, *body])
                self.free.append(worker)
            else:
                assert command == b"\x04", command

    def _forget(self, worker: bytes) -> None:
        self.services.pop(worker, None)
        if worker in self.free:
            self.free.remove(worker)

    def _dispatch(self) -> None:
        while self.free and self.waiting:
            service, request = self.waiting.popleft()
            worker = self.free.popleft()
            assert self.services[worker] == service
            self.front.send_multipart([worker, EMPTY, b"MDPW01", b"\x02", *request])

    def tick(self, now: float) -> None:
        for worker in list(self.free):
            if now - self.heard[worker] > self.interval * self.liveness:
                self._forget(worker)
                self.expired += 1
        if now >= self.heartbeat_at:
            self.heartbeat_at = now + self.interval
            for worker in self.free:
                self.front.send_multipart([worker, EMPTY, b"MDPW01", b"\x04"])


class Scripted(Foreign):
    """Answers clients itself, as a function says: requests so far, and what to send now.

    The function gets every message of a client and returns the messages to be sent.
    """

    def __init__(self, answer: Callable[[Message], list[Message]]) -> None:
        super().__init__()
        self.answer = answer

    def from_client(self, message: Message) -> None:
        for reply in self.answer(message):
            self.front.send_multipart(reply)


@contextmanager
def blind_proxy() -> Iterator[tuple[str, str]]:
    """``zmq.proxy`` of ROUTER and DEALER: its frontend and backend."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    front, back, control = (context.socket(kind) for kind in (zmq.ROUTER, zmq.DEALER, zmq.PAIR))
    for socket in (front, back):
        socket.bind(ANY)
    control.bind("inproc://control")
    ends = tuple(socket.getsockopt_string(zmq.LAST_ENDPOINT) for socket in (front, back))
    thread = threading.Thread(
        target=zmq.proxy_steerable, args=(front, back, None, control), daemon=True
    )
    thread.start()
    try:
        yield ends[0], ends[1]
    finally:
        with context.socket(zmq.PAIR) as steer:
            steer.connect("inproc://control")
            steer.send(b"TERMINATE")
            thread.join(PATIENCE)
        context.destroy(0)
