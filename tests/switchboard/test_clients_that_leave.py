"""What waits of a client of ours is forgotten when its connection has closed; of nobody else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import pytest
import zmq
from harness import Peers, wait_until
from models import FRONTEND, NO_CONNECTION, Rig

from brigantine import LazyPirateClient, LRUBroker, MajordomoBroker, NoReply

OURS, OTHER = b"brigantine/1:" + b"a" * 16, b"brigantine/1:" + b"b" * 16
FOREIGN = b"somebody"
W = b"worker"


@pytest.fixture
def make(rooms: ModuleType) -> Callable[..., Rig]:
    return partial(Rig, rooms)


def ask(rig: Rig, client: bytes, connection: int, count: int = 1) -> None:
    for number in range(count):
        rig.receive(FRONTEND, [client, b"", b"%d" % number], connection)


def left(rig: Rig, connection: int) -> None:
    """A close of which the loop hears, and then it has read all."""
    rig.client_leaves(connection)


# -- the board --------------------------------------------------------------------------------


def test_what_waits_of_a_client_of_ours_is_forgotten_when_it_leaves(
    make: Callable[..., Rig],
) -> None:
    rig = make()
    rig.watch()
    rig.board.client_connected(7)
    ask(rig, OURS, 7, 3)
    ask(rig, OTHER, 8, 2)
    left(rig, 7)
    assert (rig["failed_client_left"], rig["queued"]) == (3, 2)
    assert [event[:2] for event in rig.told()] == [("failed", "failed_client_left")] * 3
    assert not rig.board.has_departures()
    left(rig, 8)
    assert (rig["failed"], rig["queued"], rig["services"]) == (5, 0, 0)
    assert rig["error_answers"] == 0, "there is nobody to be told"


@pytest.mark.parametrize(
    ("frames", "connection"),
    [
        ([FOREIGN, b"", b"x"], 7),
        ([OURS, b"", b"x"], NO_CONNECTION),
        ([b"a broker", OURS, b"", b"x"], 7),
        ([OURS, OTHER, b"", b"x"], 7),
    ],
    ids=["foreign", "inproc", "behind a broker", "behind one of ours"],
)
def test_what_waits_of_others_goes_on_waiting(
    make: Callable[..., Rig], frames: list[bytes], connection: int
) -> None:
    rig = make()
    rig.receive(FRONTEND, frames, connection)
    left(rig, 7)
    assert (rig["queued"], rig["failed"]) == (1, 0)


def test_what_a_worker_has_in_hand_goes_on(make: Callable[..., Rig]) -> None:
    rig = make()
    rig.ready(W)
    ask(rig, OURS, 7, 2)
    left(rig, 7)
    assert (rig["in_flight"], rig["failed_client_left"]) == (1, 1)


def test_a_descriptor_that_is_used_again_is_another_client(make: Callable[..., Rig]) -> None:
    """What its former owner sent well before is forgotten, what its new owner sent is not."""
    rig = make()
    ask(rig, OURS, 7, 3)
    rig.wait(0)
    rig.wait(0)
    ask(rig, OTHER, 7, 2)  # in the turn before that in which the loop hears of both
    rig.wait(0)
    rig.board.client_left(7, rig.now)
    rig.board.client_connected(7)
    assert rig["failed_client_left"] == 3
    ask(rig, OTHER, 7)
    rig.board.clients_read()
    rig.wait(0)
    rig.board.clients_caught_up()
    assert (rig["failed_client_left"], rig["queued"]) == (3, 3)
    left(rig, 7)
    assert (rig["failed_client_left"], rig["queued"]) == (6, 0)


def test_what_a_client_sent_and_is_read_after_its_end_is_forgotten(
    make: Callable[..., Rig],
) -> None:
    rig = make()
    rig.board.client_left(7, rig.now)
    rig.board.clients_caught_up()
    ask(rig, OURS, 7, 2)
    rig.board.clients_caught_up()
    assert (rig["queued"], rig.board.has_departures()) == (2, True)
    rig.board.clients_read()
    rig.board.clients_caught_up()
    assert (rig["queued"], rig["failed_client_left"]) == (0, 2)


def test_a_request_that_has_ended_is_in_nobodys_way(make: Callable[..., Rig]) -> None:
    """Slots are used again."""
    rig = make(request_ttl=1.0)
    for times in range(1, 4):
        ask(rig, OURS, 7, 3)
        left(rig, 8)
        rig.wait(1.0)
        assert rig["failed_expired_queued"] == 5 * times - 2
        ask(rig, FOREIGN, 7, 2)
        left(rig, 7)
        assert (rig["queued"], rig["failed_client_left"]) == (2, 0)
        rig.wait(1.0)


# -- over sockets -----------------------------------------------------------------------------


@pytest.fixture(params=["two sockets", "one socket"])
def running(request: pytest.FixtureRequest, impl: str) -> Any:
    anywhere = "tcp://127.0.0.1:*"
    if request.param == "one socket":
        made: Any = MajordomoBroker(anywhere, impl=impl, default_service=b"echo")
    else:
        made = LRUBroker(anywhere, anywhere, impl=impl)
    with made:
        yield made


def client(peers: Peers, broker: Any, identity: bytes) -> zmq.Socket[bytes]:
    made = peers.dealer(broker.frontend, identity=identity)
    for number in range(5):
        made.send_multipart([b"", b"%d" % number])
    return made


def test_a_broker_forgets_what_waits_of_clients_of_ours_that_have_left(
    running: Any, peers: Peers
) -> None:
    ours, foreign = client(peers, running, OURS), client(peers, running, FOREIGN)
    other = client(peers, running, OTHER)
    wait_until(lambda: running.stats()["queued"] == 15)
    ours.close(0)
    wait_until(lambda: running.stats()["failed_client_left"] == 5)
    # Most likely on the same descriptor.
    again = client(peers, running, OURS[:-1] + b"c")
    wait_until(lambda: running.stats()["queued"] == 15)
    foreign.close(0)
    again.close(0)
    wait_until(lambda: running.stats()["failed_client_left"] == 10)
    assert running.stats()["queued"] == 10, "those of the foreign client and of the other one"
    other.close(0)
    wait_until(lambda: running.stats()["queued"] == 5)


def test_what_is_sent_in_the_last_moment_is_forgotten_too(running: Any, peers: Peers) -> None:
    """More than the loop reads in a turn, and the close right after it."""
    made = peers.dealer(running.frontend, identity=OURS)
    for number in range(700):
        made.send_multipart([b"", b"%d" % number])
    made.close(10_000)
    wait_until(lambda: running.stats()["failed_client_left"] == 700)
    assert running.stats()["queued"] == 0


def test_a_drain_does_not_wait_for_clients_of_ours_that_have_left(impl: str) -> None:
    anywhere = "tcp://127.0.0.1:*"
    with LRUBroker(anywhere, anywhere, impl=impl, drain_timeout=30.0) as broker:
        with (
            LazyPirateClient(broker.frontend, timeout=0.2, retries=0) as asking,
            pytest.raises(NoReply),
        ):
            asking.request(b"nobody is there to do it")
        assert broker.drain(5.0)
        assert broker.stats()["failed_client_left"] == 1
