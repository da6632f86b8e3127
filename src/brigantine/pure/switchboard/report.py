"""What a broker tells of its services and workers, as msgpack: see docs/control.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import msgpack

from ...config.protocols import Protocol
from .outbox import Side
from .records import Service, Worker

__all__ = ["pack_services", "pack_workers"]


def pack_services(services: Iterable[Service]) -> bytes:
    """``{name: {"workers": n, "idle": n, "queued": n}}``, in the order of names."""
    return _packed({
        each.name: {"workers": each.workers, "idle": len(each.free), "queued": len(each.queue)}
        for each in sorted(services, key=lambda service: service.name)
    })  # fmt: skip


def pack_workers(workers: Iterable[Worker]) -> bytes:
    """``{service: [{"identity", "protocol", "capacity", "in_flight", "state", "side"}]}``, sorted."""
    registered = [each for each in workers if not each.lost]
    found: dict[bytes, list[dict[str, Any]]] = {}
    for each in sorted(
        registered, key=lambda worker: (worker.service.name, worker.identity, worker.side)
    ):
        found.setdefault(each.service.name, []).append({
            "identity": each.identity,
            "protocol": Protocol(each.protocol).name,
            "capacity": each.capacity,
            "in_flight": each.live,
            "state": "idle" if each.key in each.service.free else "busy",
            "side": "backend" if each.side == Side.BACKEND else "frontend",
        })  # fmt: skip
    return _packed(found)


def _packed(value: object) -> bytes:
    return cast(bytes, msgpack.packb(value))
