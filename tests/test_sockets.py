"""The options of a broker's sockets: how it learns that a peer is not there any more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from brigantine import BrokerConfig
from brigantine.sockets import backend_router, frontend_router

CONFIG = BrokerConfig(heartbeat_interval=1.5, liveness=4)


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
