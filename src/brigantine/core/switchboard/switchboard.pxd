"""The state machine of the broker: frames and `now` in, frames out.  No socket, no clock, no GIL.

What it knows, and what holds between two calls: board.pxd.
"""

from libc.stdint cimport int64_t
from libcpp.string cimport string

from .board cimport Board
from ..wire.envelope cimport Frames


cdef class Switchboard(Board):
    # Handle one message as the ROUTER on `side` received it.  Takes what it needs out of `frames`.
    # Requests are handed to workers in c_tick, which must follow the last message.
    # NEEDS_CONNECTIONS: nothing was done, it depends on which connections have opened and closed up to now;
    # tell all of them, and hand the message in again with `synced`.
    cdef int c_take(
        self, int side, Frames *frames, int64_t now, int connection, bint synced
    ) except -1 nogil
    cdef int take_large(
        self, int side, Frames *frames, int64_t now, int connection, bint synced
    ) except -1 nogil
    # Do what is due: fail requests, give up workers, send heartbeats, try full pipes again.
    cdef int c_tick(self, int64_t now) except -1 nogil
    # When c_tick has something to do, or -1.
    cdef int64_t c_next_deadline(self) noexcept nogil
    # Count what the loop saw by itself.
    cdef void note(self, int counter) noexcept nogil
    cdef int c_connection_opened(self, int connection, int64_t now) except -1 nogil
    # Its worker gets nothing more, and is lost in c_caught_up.
    # `side` is one of SIDES of brigantine.wire.loop.
    cdef int c_mismatched(self, const char *side, int64_t now) except -1 nogil
    cdef int c_connection_closed(self, int connection, int64_t now) except -1 nogil
    cdef int close_connection(self, int connection) except -1 nogil
    # The same of clients.  What waits of one is forgotten when it is sure that it came on that connection:
    # when nothing was left unread where clients are, and then all was told of connections.
    cdef int c_client_connected(self, int connection) except -1 nogil
    cdef int c_client_left(self, int connection, int64_t now) except -1 nogil
    cdef bint c_has_departures(self) noexcept nogil
    cdef int c_clients_read(self) noexcept nogil
    cdef int c_clients_caught_up(self) except -1 nogil
    # Whether a worker's connection is gone, and c_caught_up has yet to come.
    cdef bint c_has_leaving(self) noexcept nogil
    # On a side (or ANY_SIDE) nothing is left unread: what was closed there before that is over.
    cdef int c_caught_up(self, int side) except -1 nogil
    # Whether a worker is registered where clients are, which have a socket of their own.
    cdef bint c_has_fronted(self) noexcept nogil
    cdef bint c_drained(self) noexcept nogil
    # Append what there is, as msgpack: see report.pxd.
    cdef int c_pack_services(self, string *out) except -1 nogil
    cdef int c_pack_workers(self, string *out) except -1 nogil
    # Fail what is left; with goodbyes, say so to peers that understand it.
    cdef int c_abort(self, bint goodbyes) except -1 nogil
