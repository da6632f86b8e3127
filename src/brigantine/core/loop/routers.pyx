"""The sockets of a broker's loop: waiting for news, receiving, sending."""

import threading

import zmq

from cpython.exc cimport PyErr_SetFromErrno
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t
from zmq.backend.cython.libzmq cimport (
    ZMQ_DONTWAIT,
    ZMQ_EHOSTUNREACH,
    ZMQ_SNDMORE,
    zmq_errno,
    zmq_msg_more,
    zmq_msg_recv,
    zmq_msg_send,
    zmq_msg_t,
)

from ..libzmq cimport zmqapi
from ..libzmq.polling cimport POLLIN, check_signals, has_message, poll, pollfd
from .accounts cimport Accounts
from ..wire.envelope cimport Frames, frames_clear, frames_free, frames_init, frames_reserve
from ..switchboard.outbox cimport BACKEND, BEHIND, FRONTEND, FULL, GONE, OK, UNWEIGHED, Outbox
from ..libzmq.zmqapi cimport brigantine_zmq, handle_of, raise_zmq_error

from ...config.limits import DISCARD_BATCH as _DISCARD_BATCH
from ...config.limits import LIGHT as _LIGHT
from ...config.limits import REPLY_FRAMES

zmqapi.bind(&brigantine_zmq)

cdef int DISCARD_BATCH = _DISCARD_BATCH
cdef int64_t LIGHT = _LIGHT
cdef int64_t MILLISECOND = 1000000


cdef class Routers(Outbox):
    """Base of the loops, which hand it their sockets by :meth:`open_sockets`."""

    def __cinit__(self, *_, **__):
        cdef int index
        frames_init(&self.inbox)
        for index in range(HANDLES):
            self.handles[index] = NULL
        for index in range(SOCKETS):
            self.signals[index] = pollfd(-1, 0, 0)  # poll passes over it

    cdef int open_sockets(
        self, object frontend, object backend, object control, object config, object monitor,
        object events, object client_monitor,
    ) except -1:
        self.single = backend is None
        for name, socket in (("frontend", frontend), ("backend", backend)):
            if socket is None:
                continue
            if socket.type != zmq.ROUTER:
                raise TypeError(f"{name} must be a ROUTER socket, not {socket.type!r}")
            socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self.sockets = (frontend, backend, control, monitor, events, client_monitor)
        for index, socket in (
            (FRONTEND, frontend), (BACKEND, backend), (CONTROL, control), (MONITOR, monitor),
            (CLIENT_MONITOR, client_monitor),
        ):
            if socket is not None:
                self.handles[index] = handle_of(socket)
                self.signals[index] = pollfd(socket.getsockopt(zmq.FD), POLLIN, 0)
        self.handles[EVENTS] = NULL if events is None else handle_of(events)
        self.accounts = Accounts(config.peer_bytes)
        # One more than any message may have: by that the switchboard sees that it is too many.
        self.most_frames = config.max_frames + REPLY_FRAMES + 1
        return 0

    def __dealloc__(self):
        frames_free(&self.inbox)

    cdef int enter(self) except -1:
        self.in_main_thread = threading.current_thread() is threading.main_thread()
        return 0

    cdef int interrupted(self) except -1 nogil:
        return check_signals(self.in_main_thread)

    cdef int wait(self, int64_t sleep) except -1 nogil:
        """Instead of zmq_poll, which polls twice and asks every socket each time.

        The descriptor of a socket is readable when libzmq has put something in its mailbox, and
        using the socket may empty the mailbox without a word.  So a router that was used since it was
        found empty is asked before the sleep; the others are read until they are empty.
        """
        cdef int index, ready = 0
        for index in range(SOCKETS):
            self.news[index] = False
        for index in range(SIDES):
            if self.handles[index] != NULL and not self.quiet[index]:
                self.news[index] = has_message(self.handles[index])
                self.quiet[index] = not self.news[index]
                if self.news[index]:
                    sleep = 0
        # poll counts whole milliseconds: round up, or it would spin until the deadline.
        ready = poll(self.signals, SOCKETS, <int>((sleep + MILLISECOND - 1) // MILLISECOND))
        if ready < 0:
            if errno != EINTR:
                with gil:
                    PyErr_SetFromErrno(OSError)
            self.interrupted()
        for index in range(SOCKETS):
            if ready > 0 and self.signals[index].revents:
                self.news[index] = True
        return 0

    cdef int receive(self, int side) except -1 nogil:
        cdef Frames *inbox = &self.inbox
        cdef void *router = self.handles[side]
        frames_clear(inbox)
        self.quiet[side] = False
        while True:
            frames_reserve(inbox, inbox.count + 1)
            if zmq_msg_recv(&inbox.at[inbox.count], router, ZMQ_DONTWAIT) < 0:
                if zmq_errno() == EAGAIN and inbox.count == 0:
                    self.quiet[side] = True
                    return 0
                if zmq_errno() == EINTR:
                    self.interrupted()
                    continue
                raise_zmq_error()
            inbox.count += 1
            if not zmq_msg_more(&inbox.at[inbox.count - 1]):
                return inbox.count
            if inbox.count == self.most_frames:
                self.discarding[side] = True
                return inbox.count

    cdef int discard(self, int side) except -1 nogil:
        cdef int _turn
        cdef zmq_msg_t *frame
        frames_clear(&self.inbox)
        frames_reserve(&self.inbox, 1)
        self.inbox.count = 1
        frame = &self.inbox.at[0]
        for _turn in range(DISCARD_BATCH):
            if zmq_msg_recv(frame, self.handles[side], ZMQ_DONTWAIT) < 0:
                if zmq_errno() == EINTR:
                    self.interrupted()
                    continue
                raise_zmq_error()
            if not zmq_msg_more(frame):
                self.discarding[side] = False
                return True
        return False

    cdef int send(
        self, int side, zmq_msg_t *head, int heads, zmq_msg_t *body, int bodies,
        int64_t most=UNWEIGHED,
    ) except -1 nogil:
        cdef int socket = FRONTEND if self.single else side
        cdef void *router = self.handles[socket]
        cdef int index, number, total = heads + bodies
        cdef int flags = ZMQ_DONTWAIT | ZMQ_SNDMORE
        cdef int64_t weight = 0
        cdef zmq_msg_t *frame
        if most >= LIGHT or most == UNWEIGHED:
            weight = self.accounts.weigh(head, heads, body, bodies)
            if weight >= LIGHT and not self.accounts.admits(socket, head, weight):
                return BEHIND
        self.quiet[socket] = False
        for index in range(total):
            frame = &head[index] if index < heads else &body[index - heads]
            if index == total - 1:
                flags = ZMQ_DONTWAIT
                # The first frame is refused or none is, and then nothing is to be charged.
                if weight >= LIGHT and index > 0:
                    self.accounts.charge(frame, weight)
            while zmq_msg_send(frame, router, flags) < 0:
                number = zmq_errno()
                if number == EINTR:
                    self.interrupted()
                elif index == 0 and number == EAGAIN:
                    return FULL
                elif index == 0 and number == ZMQ_EHOSTUNREACH:
                    return GONE
                else:
                    raise_zmq_error()
        return OK
