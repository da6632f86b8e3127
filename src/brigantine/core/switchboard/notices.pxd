"""What a broker tells a person.  Names, order and meaning: brigantine.notices.kinds.KINDS.

The gate lets few notices through, so that a crowd of broken peers fills neither the log nor the time.
"""

from libc.stdint cimport int64_t
from libcpp.string cimport string
from libcpp.vector cimport vector

from ..wire.envelope cimport Frames
from ..structures.names cimport NameTable

cpdef enum:
    NOTICE_EXPIRED
    NOTICE_DISCONNECTED
    NOTICE_LOST
    NOTICE_NOT_A_REQUEST
    NOTICE_NOT_A_COMMAND
    NOTICE_REFUSED
    NOTICE_WRONG_SIDE
    NOTICE_DIALECT
    NOTICE_FOREIGN_REQUEST
    NOTICE_SILENT
    NOTICE_NO_HANDSHAKE
    NOTICE_MISMATCHED
    NOTICE_UNEXPECTED
    NOTICE_NO_DESCRIPTORS
    NOTICE_NOT_ACCEPTED
    NOTICE_UNSERVED
    NOTICE_TAKEN_OVER
    NOTICE_UNHEARD
    NOTICE_COUNT

cdef enum:
    # Numbers of a notice, at most.
    NOTICE_NUMBERS = 4

cdef struct Notice:
    int kind
    int reason             # a counter, or NO_CAUSE of events.pxd
    const char *peer       # its routing id; NULL where there is none.  No pointer is owned
    size_t peer_size
    const char *service    # its name, cut off at EVENT_NAME_BYTES; NULL where there is none
    size_t service_size
    const char *address    # where the peer speaks from, with a NUL at the end; NULL where that is not known
    const Frames *frames   # the message as it came, routing id first; NULL where there is none
    int number_count
    int64_t numbers[NOTICE_NUMBERS]


cdef class NoticeGate:
    cdef NameTable known            # kind, reason and peer of the last notices of kinds told once
    cdef int oldest                  # index in `known` of the one to be forgotten next
    cdef string key                  # what is looked up: keeps its memory
    # Loop time at which all that were let through have been paid for: of all, and by kind.
    cdef int64_t paid
    cdef vector[int64_t] kind_paid

    # Whether a notice is new, and may be told now.  `due` is set to false where it is neither
    # told nor to be counted as left out.
    cdef bint admits(self, const Notice *notice, int64_t now, bint *due) except -1 nogil


# The level of logging of a kind.
cdef int level_of(int kind) noexcept nogil

cdef inline Notice new_notice(int kind, int reason) noexcept nogil:
    """One that tells nothing else."""
    cdef Notice made
    made.kind = kind
    made.reason = reason
    made.peer = made.service = made.address = NULL
    made.peer_size = made.service_size = 0
    made.frames = NULL
    made.number_count = 0
    return made


# Append the message of a notice: see brigantine.notices.kinds.
cdef int pack_notice(string *out, const Notice *notice) except -1 nogil
