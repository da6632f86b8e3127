"""The options of a broker, for type checkers: the fields of BrokerConfig, none of which is required.

A type checker can't derive them; tests/project/test_typing.py says when the two differ.
"""

from __future__ import annotations

from typing import TypedDict

__all__ = ["BrokerOptions"]


class BrokerOptions(TypedDict, total=False):
    """What a broker takes by name, each as in :class:`~brigantine.BrokerConfig`.

    For functions of one's own that pass them on: ``def start(**options: Unpack[BrokerOptions])``.
    """

    heartbeat_interval: float | None
    liveness: int
    queue_limit: int
    max_services: int
    busy_liveness: int
    queue_bytes: int
    request_ttl: float
    retries: int | None
    service_grace: float
    handshake_timeout: float
    max_message_bytes: int
    max_frames: int
    max_depth: int
    high_water_mark: int
    peer_bytes: int
    io_threads: int
    drain_timeout: float
    strict: bool
    workers_at_frontend: bool | None
