"""The readable pure-Python baseline: the same names and the same behaviour as ``brigantine.core``."""

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
