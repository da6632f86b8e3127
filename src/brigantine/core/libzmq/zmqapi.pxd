"""pyzmq's Cython API, bound to the libzmq that pyzmq itself loaded (see include/zmq.h).

Every module that calls a zmq_* function does this once, at its top, before any other use:

    zmqapi.bind(&brigantine_zmq)
"""

cdef extern from "zmq.h" nogil:
    ctypedef struct brigantine_zmq_table:
        pass
    # This module's pointer to the one table of the process.
    const brigantine_zmq_table *brigantine_zmq
    # What zmq_msg_get answers for the descriptor a message came on.
    int ZMQ_SRCFD
    int ETERM

# Point a module's `brigantine_zmq` at the filled table.
cdef int bind(const brigantine_zmq_table **pointer) except -1

# The C handle of an open pyzmq socket.  Raises TypeError for anything else, ZMQError (ENOTSOCK) for
# a closed one.  The handle is good as long as the caller keeps `socket` and does not close it.
cdef void *handle_of(object socket) except NULL

# Raise zmq.ZMQError for the present zmq_errno().  Call it before anything else can change errno.
cdef int raise_zmq_error() except -1 nogil
