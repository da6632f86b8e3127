"""All that a switchboard knows."""

from libc.stdint cimport int64_t
from libc.string cimport memset

from .backlog cimport Backlog
from ..structures.chain cimport chain_init
from ..wire.messages cimport DIALECTS, MDP, PPP, REQ
from .counters cimport COUNTER_COUNT
from ..wire.envelope cimport frames_free, frames_init
from ..structures.expiry cimport nanoseconds
from .outbox cimport BACKEND, FRONTEND, CallableOutbox

from ...config.limits import SILENT_HANDSHAKES
from ...counters import COUNTERS
from ...wire.req import BROKER_ERRORS, broker_error


cdef int64_t SECOND = 1000000000


cdef class Board:
    """The data of a :class:`Switchboard`, which takes the same arguments."""

    def __cinit__(
        self, config, outbox, seed=0, int protocols=REQ, default_service=b""
    ):
        memset(self.count, 0, sizeof(self.count))
        frames_init(&self.head)
        frames_init(&self.scratch)
        chain_init(&self.dirty_services)
        if isinstance(outbox, Outbox):
            self.outbox = outbox
        else:
            self.outbox = CallableOutbox(outbox)
        self.max_frames = config.max_frames
        self.max_depth = config.max_depth
        self.max_message_bytes = config.max_message_bytes
        self.max_services = config.max_services
        self.queue_limit = config.queue_limit
        self.queue_bytes = config.queue_bytes
        self.retries = config.retries or 0
        self.liveness = config.liveness
        self.busy_liveness = config.busy_liveness
        self.protocols = protocols if config.strict else protocols | DIALECTS
        self.client_protocols = self.protocols & (MDP | DIALECTS)
        if default_service is not None:
            self.client_protocols |= REQ
        self.default_service = <bytes>(default_service or b"")
        self.workers_at_frontend = config.workers_at_frontend is True
        self.client_side = FRONTEND
        self.side = BACKEND
        self.tickets = TicketTable(seed)
        self.arrivals = Arrivals()
        self.request_deadlines = ExpiryOrder(config.request_ttl)
        self.error_details.resize(COUNTER_COUNT)
        for index, name in enumerate(COUNTERS):
            if name in BROKER_ERRORS:
                self.error_details[<int>index] = broker_error(name, config)[1]
        self.untold = Untold()
        self.backlog = Backlog()
        self.service_names = NameTable()
        self.identities = NameTable()
        self.blocked = LRUOrder()
        self.notices = NoticeGate()
        usual = config.interval(PPP if protocols & PPP or not protocols & MDP else MDP)
        if usual != config.interval(MDP):
            self.mdp_interval = nanoseconds(config.interval(MDP))
        self.idle_deadlines = self.busy_deadlines = IntervalDeadlines(usual * config.liveness)
        self.separate_busy = config.busy_liveness > 0
        if self.separate_busy:
            self.busy_deadlines = IntervalDeadlines(usual * config.busy_liveness)
        self.heartbeat_deadlines = IntervalDeadlines(usual)
        self.no_service_deadlines = ExpiryOrder(config.service_grace)
        spoken = [each for each in (REQ, PPP, MDP) if protocols & each]
        patience = max([config.interval(each) for each in spoken]) * config.liveness
        self.leaving = ExpiryOrder(patience)
        self.silent = ExpiryOrder(config.handshake_timeout * SILENT_HANDSHAKES)
        self.now = self.vacated = -1
        self.sent_away_at = -SECOND

    def __dealloc__(self):
        cdef size_t slot
        for slot in range(self.requests.size()):
            frames_free(&self.requests[slot].frames)
            frames_free(&self.requests[slot].partial)
        frames_free(&self.head)
        frames_free(&self.scratch)
