"""What a broker has where nobody says otherwise: each its own, and each protocol's timing."""

from __future__ import annotations

import dataclasses
import pickle
from types import ModuleType

import pytest
from harness import Peers, wait_until
from models import BACKEND, Rig

from brigantine import (
    AnyBroker,
    BrokerConfig,
    ConfigError,
    LRUBroker,
    MajordomoBroker,
    ParanoidPirateBroker,
)
from brigantine.broker.base import Broker
from brigantine.config.protocols import Protocol

ALL = Protocol.REQ | Protocol.PPP | Protocol.MDP01 | Protocol.MDP02
OWN = [
    (LRUBroker, 10.0, 0),
    (ParanoidPirateBroker, 1.0, 0),
    (MajordomoBroker, 2.5, 1),
    (AnyBroker, None, 0),
]
READY = {
    "ppp": [b"\x01"],
    "mdp01": [b"", b"MDPW01", b"\x01", b"echo"],
    "mdp02": [b"MDPW02", b"\x01", b"echo"],
}


@pytest.mark.parametrize(("kind", "interval", "retries"), OWN)
def test_a_config_leaves_a_broker_its_own_defaults(
    kind: type[Broker], interval: float | None, retries: int
) -> None:
    config = BrokerConfig(queue_limit=7)
    for each in (config, pickle.loads(pickle.dumps(config)), dataclasses.replace(config)):
        with kind("inproc://f", "inproc://b", config=each) as broker:
            assert broker.config == kind.options(queue_limit=7)
            assert broker.config.heartbeat_interval == interval
            assert (broker.config.retries, broker.config.queue_limit) == (retries, 7)


@pytest.mark.parametrize(("kind", "interval", "retries"), OWN)
def test_what_a_config_says_holds_for_every_broker(
    kind: type[Broker], interval: float | None, retries: int
) -> None:
    said = BrokerConfig(heartbeat_interval=4.0, retries=0)
    assert kind.options(heartbeat_interval=4.0, retries=0) == said
    with kind("inproc://f", "inproc://b", config=said) as broker:
        assert broker.config == said, (interval, retries)


def test_none_leaves_an_option_to_the_broker_and_no_other_option_takes_it() -> None:
    assert MajordomoBroker.options(retries=None, heartbeat_interval=None).retries == 1
    with pytest.raises(ConfigError, match="liveness"):
        BrokerConfig(liveness=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("said", "silence"), [("ppp", 3.0), ("mdp01", 7.5), ("mdp02", 7.5)])
def test_one_broker_keeps_the_time_of_each_protocol(
    rooms: ModuleType, said: str, silence: float
) -> None:
    rig = Rig(rooms, protocols=ALL, services=(b"", b"echo"))
    rig.receive(BACKEND, [b"other", b"", b"READY"])
    rig.receive(BACKEND, [b"w", *READY[said]])
    assert rig.board.next_deadline() == silence / 3, "a HEARTBEAT into each interval of silence"
    rig.wait(silence - 0.25)
    assert rig["workers"] == 2
    rig.wait(0.25)
    assert (rig["workers"], rig["workers_expired"]) == (1, 1)


@pytest.mark.parametrize("said", READY)
def test_an_interval_that_is_set_holds_for_every_protocol(rooms: ModuleType, said: str) -> None:
    rig = Rig(rooms, protocols=ALL, services=(b"", b"echo"), heartbeat_interval=0.5)
    rig.receive(BACKEND, [b"w", *READY[said]])
    assert rig.board.next_deadline() == 0.5
    rig.wait(1.5)
    assert rig["workers_expired"] == 1


def test_an_announced_interval_is_before_both(rooms: ModuleType) -> None:
    rig = Rig(rooms, protocols=ALL, services=(b"", b"echo"))
    rig.receive(BACKEND, [b"w", *READY["mdp01"], b"\x01", b"\xcd\x01\xf4"])
    assert rig.board.next_deadline() == 0.5


@pytest.mark.parametrize("said", ["mdp01", "mdp02"])
def test_a_busy_worker_is_held_to_its_protocol_too(rooms: ModuleType, said: str) -> None:
    rig = Rig(rooms, protocols=ALL, services=(b"", b"echo"), busy_liveness=4, retries=0)
    rig.receive(BACKEND, [b"w", *READY[said]])
    rig.receive(0, [b"c", b"", b"MDPC01", b"echo", b"x"])
    rig.wait(9.75)
    assert rig["workers"] == 1
    rig.wait(0.25)
    assert rig["workers_expired"] == 1


def test_a_service_without_workers_has_a_grace_of_its_own(impl: str, peers: Peers) -> None:
    with MajordomoBroker(
        "tcp://127.0.0.1:*", impl=impl, service_grace=0.1, heartbeat_interval=60.0
    ) as broker:
        client = peers.dealer(broker.frontend, identity=b"brigantine/1:c")
        client.send_multipart([b"MDPC02", b"\x01", b"nobody", b"x"])
        assert b"no_service" in client.recv_multipart()[-1]
        wait_until(lambda: broker.stats()["failed_no_service"] == 1)
    assert BrokerConfig().service_grace == 2.0
