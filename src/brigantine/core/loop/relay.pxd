"""What a device does: passes messages from each side to the other, as they are."""

from libc.stdint cimport int64_t
from zmq.backend.cython.libzmq cimport zmq_msg_t, zmq_pollitem_t

from ..structures.last_values cimport LastValues
from .accounts cimport Accounts
from .capture cimport Capture
from ..structures.seqlock cimport SeqLock

cdef enum:
    # Sockets by their side, and what is polled beside them.  A way leads from the side of its number to
    # the other one.
    FRONTEND = 0
    BACKEND = 1
    CONTROL = 2
    HANDLES = 3
    WAYS = 2
    # What tells of connections, of both sides and where copies go, is polled by its descriptor: that
    # costs no look at a socket.
    WATCHES = WAYS + 1
    MOST_ITEMS = HANDLES + WATCHES

cpdef enum:
    # In the order of brigantine.counters.DEVICE_COUNTERS.
    TO_BACKEND
    TO_BACKEND_BYTES
    TO_FRONTEND
    TO_FRONTEND_BYTES
    DROP_UNROUTABLE
    DROP_PEER_FULL
    DROP_PEER_BEHIND
    DROP_MALFORMED
    DROP_STOPPED
    WAITS
    HELD
    UNSENT_BYTES  # known to the accounts, see stats()
    PAUSED
    LAST_VALUES  # this and the next are known to the keeper, see devices.py
    LAST_VALUES_BYTES
    LAST_VALUES_EVICTED
    LAST_VALUES_ASKED
    LAST_VALUES_SENT
    CAPTURED
    DROP_CAPTURE
    CONNECTIONS_REJECTED  # counted by brigantine.net.descriptors, outside of the core
    ACCEPTS_FAILED  # counted by brigantine.net.accepting, outside of the core
    CONTROL_REQUESTS  # counted by the control endpoint, outside of the core
    DROP_CONTROL      # likewise
    COUNTER_COUNT


cdef class Relay:
    cdef object sockets               # keeps alive what the handles are of
    cdef object move                  # connects a socket elsewhere, at MOVE; see device_names.py
    cdef void *handles[HANDLES]
    cdef bint leads[WAYS]             # whether messages can go that way
    cdef bint routes[WAYS]            # whether a ROUTER is at its end
    cdef zmq_msg_t frames[WAYS]       # owned: the frame that is on its way
    cdef bint held[WAYS]              # it is the first of a message that has found no room
    cdef list watches                 # ConnectionWatch of the sides that are bound
    cdef int signals[WATCHES]         # their descriptors: readable when there is news
    cdef int items                    # what is polled in all
    cdef bint captures                # copies are wanted
    cdef Capture capture
    cdef Accounts accounts            # of the peers of a ROUTER
    cdef object keeper                # who answers questions for last values, if anybody does
    cdef LastValues values            # and what it has; None without one
    cdef int64_t count[COUNTER_COUNT]
    cdef SeqLock lock                 # odd while counters change: see stats()
    cdef int passed                   # frames of a turn, beside the first ones of messages
    cdef bint stopping
    cdef bint in_main_thread          # the sockets are used there, so Ctrl-C must be looked for

    cdef int c_run(self) except -1 nogil
    cdef int wait(self, zmq_pollitem_t *items) except -1 nogil
    # Pass on what had come before the end was asked for, and whose sender counts on it.
    cdef int read_last_words(self) except -1 nogil
    # Pass on up to BATCH messages; whether there may be more.
    cdef int forward(self, int way) except -1 nogil
    # The next frame of a way; whether there was one.
    cdef bint receive(self, int way) except -1 nogil
    # The next frame of a message of which there are more.
    cdef int receive_rest(self, int way) except -1 nogil
    cdef int empty(self, int way) noexcept nogil
    # Send the frame of a way: 0, or EAGAIN, or EHOSTUNREACH.
    cdef int send(self, int way, bint more) except -1 nogil
    # What subscribers say is for the keeper first; whether it has dealt with it, as with a question.
    cdef bint asked(self, int way) except -1 nogil
    # Pass on the message whose first frame is there, or drop it; false when it is held.
    cdef bint pass_on(self, int way) except -1 nogil
    # The frames after the first, which was sent; whether all of them were.
    cdef bint pass_rest(self, int way, int64_t size) except -1 nogil
    # A frame was sent, or not: so its copy.
    cdef int copied(self, int result, bint first, bint more) except -1 nogil
    cdef void passed_on(self, int way, int64_t size) noexcept nogil
    # Throw away the rest of a message, and count why.
    cdef int drop(self, int way, int reason) except -1 nogil
    # What is held when the end comes goes nowhere.
    cdef int let_go(self) noexcept nogil
    # There is news of connections.
    cdef int read_watch(self, int index) except -1 nogil
    cdef int read_control(self) except -1 nogil
    cdef int asked_to_move(self, zmq_msg_t *word) except -1 nogil
    cdef int interrupted(self) except -1 nogil
    cdef void note(self, int counter, int64_t more) noexcept nogil
