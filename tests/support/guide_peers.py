"""Peers as the ZeroMQ guide describes them, in plain pyzmq, with its loops and its timings.

Written from the guide's text, not from its programs: who polls for how long, when a heartbeat goes
out, and what is done about silence are the guide's; nothing of brigantine is used.  The times are
not configurable on purpose.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any

import zmq
from harness import PATIENCE

Message = list[bytes]

EMPTY = b""
LIVENESS = 3
#: Seconds: Majordomo beats each 2.5 s, and reconnects after as long; Paranoid Pirate each second.
MDP_INTERVAL = MDP_RECONNECT = 2.5
PPP_INTERVAL = 1.0
PPP_RECONNECT, PPP_RECONNECT_MAX = 1.0, 32.0
#: What a Lazy Pirate and mdclient wait for a reply, and how often they try.
CLIENT_TIMEOUT, CLIENT_TRIES = 2.5, 3

READY_PPP, HEARTBEAT_PPP = b"\x01", b"\x02"
MDP_CLIENT, MDP_WORKER = b"MDPC01", b"MDPW01"
READY, REQUEST, REPLY, HEARTBEAT, DISCONNECT = (bytes([n]) for n in range(1, 6))


class Peer:
    """A loop in a thread, ended by the end of its context."""

    def __init__(self, identity: bytes | None = None) -> None:
        self.identity = identity
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.error: BaseException | None = None
        #: What it did, by name: replies, READYs sent, peers expired.
        self.count: dict[str, int] = {"served": 0, "ready": 0, "expired": 0}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def loop(self) -> None:
        raise NotImplementedError

    def socket(self, kind: int, endpoint: str) -> zmq.Socket[bytes]:
        made = self.context.socket(kind)
        made.linger = 0
        if self.identity is not None:
            made.setsockopt(zmq.IDENTITY, self.identity)
        made.connect(endpoint)
        return made

    def pause(self, seconds: float) -> None:
        """Sleep as the guide's loops do before they connect again."""
        self._ending.wait(seconds)

    def _run(self) -> None:
        try:
            self.loop()
        except zmq.ContextTerminated:
            pass
        except BaseException as error:
            self.error = error
        finally:
            with contextlib.suppress(zmq.ZMQError):
                self.close()

    def close(self) -> None:
        """Close the loop's sockets."""

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self.context.term()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), f"{self} did not end"
        if self.error is not None:
            raise self.error


def upper(body: Message) -> Message:
    return [frame.upper() for frame in body]


class Worker(Peer):
    """One socket, opened anew whenever the broker is given up."""

    kind: int = zmq.DEALER

    def __init__(
        self,
        endpoint: str,
        identity: bytes | None = None,
        handle: Callable[[Message], Message] = upper,
    ) -> None:
        super().__init__(identity)
        self.endpoint, self.handle = endpoint, handle
        self.worker: zmq.Socket[bytes] | None = None

    def close(self) -> None:
        if self.worker is not None:
            self.worker.close(0)
            self.worker = None

    def reopen(self) -> zmq.Socket[bytes]:
        self.close()
        self.worker = self.socket(self.kind, self.endpoint)
        return self.worker


class LoadBalancedWorker(Worker):
    """spworker, and the worker of lbbroker: a REQ socket that says READY once and then replies."""

    kind = zmq.REQ
    word = b"\x01"

    def loop(self) -> None:
        worker = self.reopen()
        worker.send(self.word)
        self.count["ready"] += 1
        while True:
            client, empty, *body = worker.recv_multipart()
            assert empty == EMPTY
            self.count["served"] += 1
            worker.send_multipart([client, EMPTY, *self.handle(body)])


class ParanoidPirateWorker(Worker):
    """ppworker."""

    def loop(self) -> None:
        worker = self._ready()
        liveness, interval = LIVENESS, PPP_RECONNECT
        heartbeat_at = time.monotonic() + PPP_INTERVAL
        while True:
            if worker.poll(int(PPP_INTERVAL * 1000)):
                frames = worker.recv_multipart()
                liveness, interval = LIVENESS, PPP_RECONNECT
                if len(frames) == 3:
                    self.count["served"] += 1
                    worker.send_multipart([*frames[:2], *self.handle(frames[2:])])
                else:
                    assert frames == [HEARTBEAT_PPP], frames
            else:
                liveness -= 1
                if liveness == 0:
                    self.pause(interval)
                    interval = min(2 * interval, PPP_RECONNECT_MAX)
                    worker = self._ready()
                    liveness = LIVENESS
            if time.monotonic() > heartbeat_at:
                heartbeat_at = time.monotonic() + PPP_INTERVAL
                worker.send(HEARTBEAT_PPP)

    def _ready(self) -> zmq.Socket[bytes]:
        worker = self.reopen()
        worker.send(READY_PPP)
        self.count["ready"] += 1
        return worker


class MajordomoWorker(Worker):
    """mdworker: MDP 0.1, one service."""

    def __init__(self, endpoint: str, service: bytes, **options: Any) -> None:
        super().__init__(endpoint, **options)
        self.service = service

    def loop(self) -> None:
        worker = self._ready()
        liveness = LIVENESS
        heartbeat_at = time.monotonic() + MDP_INTERVAL
        while True:
            if worker.poll(int(MDP_INTERVAL * 1000)):
                empty, header, command, *rest = worker.recv_multipart()
                liveness = LIVENESS
                assert (empty, header) == (EMPTY, MDP_WORKER)
                if command == REQUEST:
                    client, blank, *body = rest
                    assert blank == EMPTY
                    self.count["served"] += 1
                    self._send(worker, REPLY, client, EMPTY, *self.handle(body))
                elif command == DISCONNECT:
                    worker = self._ready()
                else:
                    assert command == HEARTBEAT, command
            else:
                liveness -= 1
                if liveness == 0:
                    self.pause(MDP_RECONNECT)
                    worker = self._ready()
                    liveness = LIVENESS
            if time.monotonic() > heartbeat_at:
                self._send(worker, HEARTBEAT)
                heartbeat_at = time.monotonic() + MDP_INTERVAL

    def _ready(self) -> zmq.Socket[bytes]:
        worker = self.reopen()
        self._send(worker, READY, self.service)
        self.count["ready"] += 1
        return worker

    @staticmethod
    def _send(worker: zmq.Socket[bytes], command: bytes, *rest: bytes) -> None:
        worker.send_multipart([EMPTY, MDP_WORKER, command, *rest])


# -- brokers ----------------------------------------------------------------------------------------


class Broker(Peer):
    """One or two ROUTERs, bound before the thread starts."""

    def __init__(self, sockets: int) -> None:
        super().__init__()
        self.routers = []
        for _ in range(sockets):
            router = self.context.socket(zmq.ROUTER)
            router.linger = 0
            router.bind("tcp://127.0.0.1:*")
            self.routers.append(router)
        ends = [each.getsockopt_string(zmq.LAST_ENDPOINT) for each in self.routers]
        self.frontend, self.backend = ends[0], ends[-1]

    def close(self) -> None:
        for router in self.routers:
            router.close(0)


class SimplePirateQueue(Broker):
    """spqueue, which is lbbroker but for READY's spelling: clients are read while a worker is free."""

    def __init__(self) -> None:
        super().__init__(2)
        self.free: deque[bytes] = deque()

    def loop(self) -> None:
        front, back = self.routers
        workers, both = zmq.Poller(), zmq.Poller()
        workers.register(back, zmq.POLLIN)
        for router in (front, back):
            both.register(router, zmq.POLLIN)
        while True:
            ready = dict((both if self.free else workers).poll())
            if back in ready:
                worker, empty, client, *rest = back.recv_multipart()
                assert empty == EMPTY
                self.free.append(worker)
                if client in (b"\x01", b"READY") and not rest:
                    self.count["ready"] += 1
                else:
                    front.send_multipart([client, *rest])
            if front in ready:
                self.count["served"] += 1
                back.send_multipart([self.free.popleft(), EMPTY, *front.recv_multipart()])


class ParanoidPirateQueue(Broker):
    """ppqueue."""

    def __init__(self) -> None:
        super().__init__(2)
        #: When each free worker expires, the least recently used first.
        self.free: OrderedDict[bytes, float] = OrderedDict()

    def loop(self) -> None:
        front, back = self.routers
        workers, both = zmq.Poller(), zmq.Poller()
        workers.register(back, zmq.POLLIN)
        for router in (front, back):
            both.register(router, zmq.POLLIN)
        heartbeat_at = time.monotonic() + PPP_INTERVAL
        while True:
            ready = dict((both if self.free else workers).poll(int(PPP_INTERVAL * 1000)))
            if back in ready:
                worker, *rest = back.recv_multipart()
                self.free.pop(worker, None)
                self.free[worker] = time.monotonic() + PPP_INTERVAL * LIVENESS
                if len(rest) == 1:
                    assert rest[0] in (READY_PPP, HEARTBEAT_PPP), rest
                    self.count["ready"] += rest[0] == READY_PPP
                else:
                    front.send_multipart(rest)
                if time.monotonic() >= heartbeat_at:
                    for each in self.free:
                        back.send_multipart([each, HEARTBEAT_PPP])
                    heartbeat_at = time.monotonic() + PPP_INTERVAL
            if front in ready:
                self.count["served"] += 1
                worker, _ = self.free.popitem(last=False)
                back.send_multipart([worker, *front.recv_multipart()])
            self._purge()
            if not ready and time.monotonic() >= heartbeat_at:
                for each in self.free:
                    back.send_multipart([each, HEARTBEAT_PPP])
                heartbeat_at = time.monotonic() + PPP_INTERVAL

    def _purge(self) -> None:
        now = time.monotonic()
        for worker in [each for each, expires in self.free.items() if now > expires]:
            del self.free[worker]
            self.count["expired"] += 1


class MajordomoBroker(Broker):
    """mdbroker: MDP 0.1, clients and workers on one socket."""

    def __init__(self) -> None:
        super().__init__(1)
        self.services: dict[bytes, bytes] = {}
        #: When each free worker expires, the least recently used first, over all services.
        self.free: OrderedDict[bytes, float] = OrderedDict()
        self.requests: dict[bytes, deque[Message]] = {}

    def loop(self) -> None:
        [router] = self.routers
        heartbeat_at = time.monotonic() + MDP_INTERVAL
        while True:
            if router.poll(int(MDP_INTERVAL * 1000)):
                sender, empty, header, *rest = router.recv_multipart()
                assert empty == EMPTY
                if header == MDP_CLIENT:
                    self._from_client(sender, *rest)
                else:
                    assert header == MDP_WORKER, header
                    self._from_worker(sender, rest[0], rest[1:])
            if time.monotonic() > heartbeat_at:
                self._purge()
                for worker in self.free:
                    self._send(worker, HEARTBEAT)
                heartbeat_at = time.monotonic() + MDP_INTERVAL

    def _from_client(self, sender: bytes, service: bytes, *body: bytes) -> None:
        if service == b"mmi.service":
            found = body[-1] in self.services.values()
            answer = b"200" if found else b"404"
            self.routers[0].send_multipart([sender, EMPTY, MDP_CLIENT, service, answer])
            return
        self.requests.setdefault(service, deque()).append([sender, EMPTY, *body])
        self._dispatch(service)

    def _from_worker(self, worker: bytes, command: bytes, rest: Message) -> None:
        known = worker in self.services
        if command == READY and not known:
            self.count["ready"] += 1
            self.services[worker] = rest[0]
            self._wait(worker)
        elif command == REPLY and known:
            client, empty, *body = rest
            assert empty == EMPTY
            self.count["served"] += 1
            head = [client, EMPTY, MDP_CLIENT, self.services[worker]]
            self.routers[0].send_multipart([*head, *body])
            self._wait(worker)
        elif command == HEARTBEAT and known:
            if worker in self.free:
                self.free[worker] = time.monotonic() + MDP_INTERVAL * LIVENESS
        elif command == DISCONNECT:
            self._forget(worker)
        else:
            self._send(worker, DISCONNECT)
            self._forget(worker)

    def _wait(self, worker: bytes) -> None:
        self.free.pop(worker, None)
        self.free[worker] = time.monotonic() + MDP_INTERVAL * LIVENESS
        self._dispatch(self.services[worker])

    def _dispatch(self, service: bytes) -> None:
        self._purge()
        waiting = self.requests.get(service, ())
        for worker in [each for each in self.free if self.services[each] == service]:
            if not waiting:
                return
            del self.free[worker]
            self._send(worker, REQUEST, *waiting.popleft())

    def _purge(self) -> None:
        now = time.monotonic()
        for worker in [each for each, expires in self.free.items() if now > expires]:
            self._forget(worker)
            self.count["expired"] += 1

    def _forget(self, worker: bytes) -> None:
        self.free.pop(worker, None)
        self.services.pop(worker, None)

    def _send(self, worker: bytes, command: bytes, *rest: bytes) -> None:
        self.routers[0].send_multipart([worker, EMPTY, MDP_WORKER, command, *rest])


# -- clients ----------------------------------------------------------------------------------------


class NoAnswer(AssertionError):
    """All tries of a client were in vain."""


class LazyPirateClient:
    """lpclient: a REQ socket that is thrown away after each silence."""

    def __init__(self, endpoint: str, identity: bytes | None = None) -> None:
        self.endpoint, self.identity = endpoint, identity
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.tries = 0
        self._open()

    def _open(self) -> None:
        self.client = self.context.socket(zmq.REQ)
        self.client.linger = 0
        if self.identity is not None:
            self.client.setsockopt(zmq.IDENTITY, self.identity)
        self.client.connect(self.endpoint)

    def request(self, *body: bytes) -> Message:
        for _ in range(CLIENT_TRIES):
            self.tries += 1
            self.client.send_multipart(self._asks(body))
            if self.client.poll(int(CLIENT_TIMEOUT * 1000)):
                return self._reads(self.client.recv_multipart())
            self.client.close(0)
            self._open()
        raise NoAnswer(f"no reply from {self.endpoint}")

    def _asks(self, body: tuple[bytes, ...]) -> Message:
        return list(body)

    def _reads(self, reply: Message) -> Message:
        return reply

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.destroy(0)


class MajordomoClient(LazyPirateClient):
    """mdclient: the same for a service of MDP 0.1."""

    def __init__(self, endpoint: str, service: bytes, identity: bytes | None = None) -> None:
        super().__init__(endpoint, identity)
        self.service = service

    def _asks(self, body: tuple[bytes, ...]) -> Message:
        return [MDP_CLIENT, self.service, *body]

    def _reads(self, reply: Message) -> Message:
        assert reply[:2] == [MDP_CLIENT, self.service], reply
        return reply[2:]


def ask_all(
    endpoint: str, service: bytes, bodies: list[bytes], identity: bytes | None = None
) -> list[bytes]:
    """mdclient2: a DEALER sends all requests at once, then reads as many replies."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as client:
        client.linger = 0
        client.rcvtimeo = int(PATIENCE * 1000)
        if identity is not None:
            client.setsockopt(zmq.IDENTITY, identity)
        client.connect(endpoint)
        for body in bodies:
            client.send_multipart([EMPTY, MDP_CLIENT, service, body])
        replies = []
        for _ in bodies:
            *head, reply = client.recv_multipart()
            assert head == [EMPTY, MDP_CLIENT, service], head
            replies.append(reply)
        return replies


@contextlib.contextmanager
def all_of(*peers: Any) -> Iterator[tuple[Any, ...]]:
    """Enter several at once, and leave them in turn."""
    with contextlib.ExitStack() as stack:
        yield tuple(stack.enter_context(each) for each in peers)
