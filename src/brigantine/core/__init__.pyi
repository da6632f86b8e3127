# The names and types are those of the baseline; the implementation is compiled.
from ..pure import Envelope as Envelope
from ..pure import ExpiryQueue as ExpiryQueue
from ..pure import Handoff as Handoff
from ..pure import LastValues as LastValues
from ..pure import Loop as Loop
from ..pure import LRUQueue as LRUQueue
from ..pure import NoticeQueue as NoticeQueue
from ..pure import Relay as Relay
from ..pure import ServerLoop as ServerLoop
from ..pure import Sessions as Sessions
from ..pure import Switchboard as Switchboard
from ..pure import TicketTable as TicketTable
