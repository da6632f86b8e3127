"""The options of a broker's sockets: how it learns that a peer is not there any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import zmq

from brigantine import AnyBroker, BrokerConfig, LRUBroker, ParanoidPirateBroker
from brigantine.net import sockets as made_by
from brigantine.net.sockets import backend_router, control_router, frontend_router

CONFIG = BrokerConfig(heartbeat_interval=1.5, liveness=4)
#: 41 days of silence, of which a socket option holds 24.8.
LONGEST: dict[str, Any] = {"heartbeat_interval": 3600, "liveness": 1000}
HANDSHAKE = 1.25
MOST = 2**31 - 1
ROUTERS: dict[str, Callable[..., zmq.Socket[bytes]]] = {
    "frontend": frontend_router,
    "backend": partial(backend_router, pings=False),
    "pinging backend": partial(backend_router, pings=True),
    "control": control_router,
}


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    with zmq.Context() as made:
        yield made


def test_workers_that_cant_heartbeat_are_pinged(context: zmq.Context[Any]) -> None:
    with backend_router(context, CONFIG, pings=True) as socket:
        assert (socket.heartbeat_ivl, socket.heartbeat_timeout) == (3120, 2880)


def test_workers_that_heartbeat_cost_no_timer_each(context: zmq.Context[Any]) -> None:
    with backend_router(context, CONFIG, pings=False) as socket:
        assert socket.heartbeat_ivl == 0
        # A machine that has vanished: a minute idle and four probes, or as long with something under way.
        keepalive = (
            socket.tcp_keepalive_idle,
            socket.tcp_keepalive_intvl,
            socket.tcp_keepalive_cnt,
        )
        assert (socket.tcp_keepalive, keepalive) == (1, (60, 15, 4))
        assert socket.tcp_maxrt == 120_000


def test_clients_are_not_pinged(context: zmq.Context[Any]) -> None:
    with frontend_router(context, CONFIG) as socket:
        assert (socket.heartbeat_ivl, socket.tcp_keepalive) == (0, 1)


@pytest.mark.parametrize("name", ROUTERS)
def test_a_peer_has_a_time_of_its_own_for_the_handshake(
    context: zmq.Context[Any], name: str
) -> None:
    config = BrokerConfig(**LONGEST, handshake_timeout=HANDSHAKE)
    with ROUTERS[name](context, config) as socket:
        assert socket.handshake_ivl == HANDSHAKE * 1000


@pytest.mark.parametrize("name", ROUTERS)
def test_the_longest_silence_that_can_be_configured_fits(
    context: zmq.Context[Any], name: str
) -> None:
    with ROUTERS[name](context, BrokerConfig(**LONGEST)) as socket:
        assert (socket.heartbeat_ivl > 0) == (name == "pinging backend")
        assert socket.heartbeat_ivl + max(0, socket.heartbeat_timeout) <= MOST


@pytest.mark.parametrize("kind", [LRUBroker, ParanoidPirateBroker, AnyBroker])
def test_a_broker_starts_with_the_longest_silence(impl: str, kind: type[LRUBroker]) -> None:
    ends = ("tcp://127.0.0.1:*",) * 2
    with kind(*ends, impl=impl, control="tcp://127.0.0.1:*", **LONGEST) as broker:
        assert broker.running


class Remembering(zmq.Context[zmq.Socket[bytes]]):
    """Knows every socket that was made."""

    def socket(self, *args: Any, **options: Any) -> zmq.Socket[bytes]:
        made = super().socket(*args, **options)
        self.__dict__.setdefault("made", []).append(made)
        return made


@pytest.mark.parametrize("name", ROUTERS)
def test_a_socket_that_does_not_take_an_option_is_closed(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(made_by, "_milliseconds", lambda _: MOST + 1)
    context = Remembering()
    with pytest.raises(OverflowError):
        ROUTERS[name](context, CONFIG)
    [socket] = context.__dict__["made"]
    assert socket.closed
    context.term()  # would wait for one that is open
