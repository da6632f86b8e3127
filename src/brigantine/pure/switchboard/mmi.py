"""Services that the broker answers itself: ``mmi.service`` (RFC 8/MMI), and ours, as msgpack maps.

mmi.service    body: a service name     "200" (has workers) or "404"
mmi.services   {name: {"workers": n, "idle": n, "queued": n}}, names as bytes
mmi.workers    {"known": n, "idle": n, "busy": n, "joined": n, "lost": n}
mmi.stats      {counter: n}, see brigantine.counters
mmi.*          "501"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import msgpack

from ...wire.mdp import (
    MMI_FOUND,
    MMI_NOT_FOUND,
    MMI_NOT_IMPLEMENTED,
    MMI_PREFIX,
    MMI_SERVICE,
    MMI_SERVICES,
    MMI_STATS,
    MMI_WORKERS,
)
from .records import Service
from .report import pack_services

__all__ = ["answer_mmi", "is_mmi"]


def is_mmi(name: bytes) -> bool:
    """Whether a service is the broker's own."""
    return name.startswith(MMI_PREFIX)


def answer_mmi(
    name: bytes,
    body: Sequence[bytes],
    services: Mapping[bytes, Service],
    counters: Mapping[str, int],
) -> bytes:
    """The body of the reply to a request for the service ``name``, which begins with ``mmi.``."""
    if name == MMI_SERVICE:
        service = services.get(body[0])
        return MMI_FOUND if service is not None and service.workers else MMI_NOT_FOUND
    if name == MMI_SERVICES:
        return pack_services(services.values())
    if name == MMI_WORKERS:
        known, idle = counters["workers"], counters["workers_idle"]
        return _packed({
            "known": known, "idle": idle, "busy": known - idle,
            "joined": counters["workers_joined"], "lost": counters["workers_lost"],
        })  # fmt: skip
    if name == MMI_STATS:
        return _packed(dict(counters))
    return MMI_NOT_IMPLEMENTED


def _packed(value: object) -> bytes:
    return cast(bytes, msgpack.packb(value))
