"""The compiled core: one state machine and its loop, running without the GIL."""

import warnings

with warnings.catch_warnings():
    # Built against the oldest supported pyzmq: a later one has grown its Socket at the end, which
    # Cython warns of and zmqapi.handle_of() checks.
    warnings.filterwarnings("ignore", r"zmq\.backend\.cython\._zmq\.\w+ size changed")
    from .libzmq import zmqapi as _zmqapi  # noqa: F401  (before any module that calls libzmq)

from .loop.loop import Loop
from .loop.notice_queue import NoticeQueue
from .loop.relay import Relay
from .servers.handoff import Handoff
from .servers.loop import ServerLoop
from .sessions.sessions import Sessions
from .structures.expiry import ExpiryQueue
from .structures.last_values import LastValues
from .structures.lru import LRUQueue
from .structures.tickets import TicketTable
from .switchboard.switchboard import Switchboard
from .wire.envelope import Envelope

__all__ = [
    "Envelope",
    "ExpiryQueue",
    "Handoff",
    "LRUQueue",
    "LastValues",
    "Loop",
    "NoticeQueue",
    "Relay",
    "ServerLoop",
    "Sessions",
    "Switchboard",
    "TicketTable",
]
