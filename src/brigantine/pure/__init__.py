"""The readable pure-Python baseline: the same names and the same behaviour as ``brigantine.core``."""

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
