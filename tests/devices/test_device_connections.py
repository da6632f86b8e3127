"""The connections of a queue to brokers: each has a routing id of its own, which can be printed."""

from __future__ import annotations

import contextlib
import itertools
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from commands import started
from harness import Peers, wait_until
from name_doubles import Names, named, v4
from relay import Relay

from brigantine import LRUBroker, LRUWorker, QueueDevice

ANY = "tcp://127.0.0.1:*"
DIGITS = set(string.hexdigits.lower().encode())
#: In which test what connects to a ROUTER sees a name, or what the ROUTER is bound to.
WHERE = ["tcp", "name", "ipc", "abstract", "inproc"]


class Queues:
    """Queues behind which a ROUTER, which stands for a broker, hears who asks it."""

    def __init__(self, impl: str, peers: Peers, path: Path) -> None:
        self.impl, self.peers, self.path = impl, peers, path
        self.running = contextlib.ExitStack()

    def start(self, backend: Any, **options: Any) -> QueueDevice:
        return self.running.enter_context(QueueDevice(ANY, backend, impl=self.impl, **options))

    def router(self, endpoint: str = ANY) -> zmq.Socket[bytes]:
        made = self.peers.socket(zmq.ROUTER)
        wait_until(lambda: bindable(made, endpoint), "the endpoint")
        return made

    def asked(self, queue: QueueDevice, router: zmq.Socket[bytes]) -> bytes:
        """The routing id of who brings a request to the router.

        Clients ask until one is heard, for what is passed on to who goes at that moment is lost.
        """
        word = b"%d" % next(_words)

        def ask() -> bytes | None:
            self.peers.req(queue.frontend).send(word)
            while router.poll(100):
                frames = router.recv_multipart()
                if frames[-1] == word:
                    return frames[0]
            return None

        peer: bytes = wait_until(ask, "a request")
        return peer


_words = itertools.count()


def bindable(made: zmq.Socket[bytes], endpoint: str) -> bool:
    try:
        made.bind(endpoint)
    except zmq.ZMQError:
        return False
    return True


def at(made: zmq.Socket[bytes]) -> str:
    return made.getsockopt_string(zmq.LAST_ENDPOINT)


def printable(peer: bytes) -> bool:
    return len(peer) == 16 and set(peer) <= DIGITS


@pytest.fixture
def queues(impl: str, peers: Peers, tmp_path: Path) -> Iterator[Queues]:
    made = Queues(impl, peers, tmp_path)
    with made.running:
        yield made


@pytest.mark.parametrize("where", WHERE)
def test_the_routing_ids_of_a_queue_can_be_printed(
    queues: Queues, resolver: Names, where: str
) -> None:
    resolver.answers["broker.test"] = v4("127.0.0.1")
    endpoint = {
        "ipc": f"ipc://{queues.path}/broker",
        "abstract": f"ipc://@{queues.path.name}-{queues.impl}",
        "inproc": "inproc://broker",
    }.get(where, ANY)
    router = queues.router(endpoint)
    target = named(at(router)) if where == "name" else at(router)
    shared = {"context": queues.peers.context} if where == "inproc" else {}
    queue = queues.start(">" + target, **shared)
    assert printable(queues.asked(queue, router))


@pytest.mark.parametrize("where", ["tcp", "name", "ipc", "abstract"])
def test_they_are_used_once_whoever_ends_the_connection(
    queues: Queues, resolver: Names, where: str
) -> None:
    resolver.answers["broker.test"] = v4("127.0.0.1")
    endpoint = {
        "ipc": f"ipc://{queues.path}/broker",
        "abstract": f"ipc://@{queues.path.name}-{queues.impl}",
    }.get(where, ANY)
    router = queues.router(endpoint)
    endpoint = at(router)
    queue = queues.start(">" + (named(endpoint) if where == "name" else endpoint))
    seen = [queues.asked(queue, router)]
    for _ in range(3):
        router.close(0)
        router = queues.router(endpoint)
        seen.append(queues.asked(queue, router))
    assert all(map(printable, seen))
    assert len(set(seen)) == len(seen)


def test_a_queue_whose_old_connection_the_broker_still_holds_is_served_on_its_next(
    queues: Queues,
) -> None:
    """A ROUTER drops all that a second connection with the same routing id says, without a word."""
    router = queues.router()
    with Relay(at(router)) as relay:
        queue = queues.start(">" + relay.endpoint)
        seen = [queues.asked(queue, router)]
        for _ in range(3):
            relay.half_cut()
            seen.append(queues.asked(queue, router))
    assert len(set(seen)) == len(seen)


def test_each_of_several_connections_has_its_own(queues: Queues) -> None:
    routers = [queues.router() for _ in range(3)]
    queue = queues.start([">" + at(each) for each in routers])
    seen = {queues.asked(queue, each) for each in routers}
    assert len(seen) == 3
    assert all(map(printable, seen))


def test_what_other_connections_carry_is_untouched_by_one_that_is_made_anew(
    queues: Queues, impl: str
) -> None:
    with (
        LRUBroker(ANY, ANY, impl=impl) as broker,
        LRUWorker(broker.backend, bytes.upper),
        Relay(broker.frontend) as relay,
    ):
        # The other one is never there.
        queue = queues.start([">" + relay.endpoint, ">tcp://127.0.0.1:1"])
        client = queues.peers.req(queue.frontend)
        for _ in range(200):
            client.send(b"q")
            assert client.recv() == b"Q"
        assert relay.accepted == 1
        assert broker.stats()["replied"] == 200


def test_two_names_of_one_place_are_connected_anew_once(queues: Queues, resolver: Names) -> None:
    resolver.answers["one.test"] = resolver.answers["two.test"] = v4("127.0.0.1")
    router = queues.router()
    with Relay(at(router)) as relay:
        one, two = (">" + named(relay.endpoint, f"{each}.test") for each in ("one", "two"))
        queue = queues.start([one, two, ">" + relay.endpoint])
        seen = [queues.asked(queue, router)]
        for _ in range(3):
            relay.cut()
            seen.append(queues.asked(queue, router))
        for _ in range(20):
            assert queues.asked(queue, router) == seen[-1]
        assert relay.accepted == len(set(seen)) == len(seen)


def test_a_server_that_comes_later_is_connected_to_and_the_log_has_said_what_kept_it(
    queues: Queues, caplog: pytest.LogCaptureFixture
) -> None:
    router = queues.router()
    endpoint = at(router)
    router.close(0)
    queue = queues.start(">" + endpoint)
    said = f"nobody accepts connections at {endpoint}; trying again"
    wait_until(lambda: said in caplog.messages, "the word in the log")
    assert printable(queues.asked(queue, queues.router(endpoint)))
    assert caplog.messages.count(said) == 1


def test_a_peer_of_the_wrong_kind_is_tried_again(
    queues: Queues, caplog: pytest.LogCaptureFixture
) -> None:
    """libzmq does not do so by itself."""
    wrong = queues.peers.socket(zmq.PUB)
    wait_until(lambda: bindable(wrong, ANY), "the endpoint")
    endpoint = at(wrong)
    queue = queues.start(">" + endpoint)
    said = f"wrong socket type at {endpoint}: "
    wait_until(lambda: any(m.startswith(said) for m in caplog.messages), "the word in the log")
    wrong.close(0)
    assert printable(queues.asked(queue, queues.router(endpoint)))


def test_the_routing_id_of_a_control_client_can_be_printed(peers: Peers) -> None:
    """Who is asked may be no control endpoint, but a program that keeps ids as C strings."""
    router = peers.socket(zmq.ROUTER)
    router.bind(ANY)
    for run in started():
        run("ctl", "stats", at(router), "--timeout", "30")
        peer, *_ = router.recv_multipart()
        assert printable(peer)
