"""The compiled core: one state machine and its loop, running without the GIL."""

import warnings

with warnings.catch_warnings():
    # Built against the oldest supported pyzmq: a later one has grown its Socket at the end, which
    # Cython warns of and zmqapi.handle_of() checks.
    warnings.filterwarnings("ignore", r"zmq\.backend\.cython\._zmq\.\w+ size changed")
    from . import zmqapi as _zmqapi  # noqa: F401  (before any module that calls libzmq)

from .envelope import Envelope
from .expiry import ExpiryQueue
from .loop import Loop
from .lru import LRUQueue
from .notice_queue import NoticeQueue
from .relay import Relay
from .sessions import Sessions
from .switchboard import Switchboard
from .tickets import TicketTable

__all__ = [
    "Envelope",
    "ExpiryQueue",
    "LRUQueue",
    "Loop",
    "NoticeQueue",
    "Relay",
    "Sessions",
    "Switchboard",
    "TicketTable",
]
