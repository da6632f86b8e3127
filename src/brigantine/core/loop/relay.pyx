"""The loop of a device: frames from one side to the other, with back-pressure, counters and pause."""

import threading

import zmq

from libc.errno cimport EAGAIN, EINTR
from libc.stdint cimport int64_t
from libc.string cimport memcmp
from libcpp.string cimport string
from zmq.backend.cython.libzmq cimport (
    ZMQ_DONTWAIT,
    ZMQ_EHOSTUNREACH,
    ZMQ_POLLIN,
    ZMQ_POLLOUT,
    ZMQ_SNDMORE,
    zmq_errno,
    zmq_msg_close,
    zmq_msg_data,
    zmq_msg_init,
    zmq_msg_more,
    zmq_msg_recv,
    zmq_msg_send,
    zmq_msg_size,
    zmq_msg_t,
    zmq_poll,
    zmq_pollitem_t,
)

from ..libzmq cimport zmqapi
from ..libzmq.polling cimport check_signals
from .accounts cimport Accounts
from .capture cimport COPY_TAKEN, COPY_MISSED, Capture
from ..structures.clock cimport monotonic
from ..structures.expiry cimport nanoseconds
from .commands cimport is_word
from ..libzmq.zmqapi cimport brigantine_zmq, handle_of, raise_zmq_error

from ...config.limits import BATCH as _BATCH
from ...config.limits import BATCH_FRAMES as _BATCH_FRAMES
from ...config.limits import FRAME_OVERHEAD as _FRAME_OVERHEAD
from ...config.limits import LAST_WORDS as _LAST_WORDS
from ...config.limits import LIGHT as _LIGHT
from ...config import BrokerConfig
from ...config.limits import MAX_SLEEP
from ...wire.loop import MOVE as _MOVE
from ...wire.loop import PAUSE as _PAUSE
from ...wire.loop import RESUME as _RESUME
from ...wire.loop import STOP as _STOP
from ...wire.loop import TAG_BYTES as _TAG_BYTES
from ...counters import DEVICE_COUNTERS
from ...net.sockets import check_sides

__all__ = ["Relay"]

zmqapi.bind(&brigantine_zmq)

cdef int BATCH = _BATCH
cdef int BATCH_FRAMES = _BATCH_FRAMES
cdef int64_t FRAME_OVERHEAD = _FRAME_OVERHEAD
cdef int64_t LAST_WORDS = nanoseconds(_LAST_WORDS)
cdef int64_t LIGHT = _LIGHT
cdef int64_t PEER_BYTES = BrokerConfig.peer_bytes
cdef long SLEEP_MS = round(MAX_SLEEP * 1000)
cdef string STOP = _STOP
cdef string MOVE = _MOVE
cdef string PAUSE = _PAUSE
cdef string RESUME = _RESUME
cdef size_t TAG_BYTES = _TAG_BYTES


cdef class Relay:
    """Relay(frontend, backend, control, peer_bytes=67108864, move=None, watches=(), keeper=None, \
capture=None)\n--\n
    Passes messages between two sides until told to stop, without the GIL.

    ROUTER and DEALER (both ways), XSUB and XPUB (messages one way, subscriptions the other), or PULL
    and PUSH (one way).  The sockets are the caller's and used by :meth:`run` alone while it runs.
    ``control`` is a PAIR that receives words of ``brigantine.wire.loop``: STOP, and the questions PAUSE,
    RESUME and MOVE.  What follows the last is given to ``move``, which answers it: it may use
    the sockets, too.

    A message for which the other side has no room waits, and nothing after it is read meanwhile; what a
    ROUTER can't take, for one peer of many, is dropped and counted, and so is what comes for one that
    has yet to take more than ``peer_bytes``.  ``watches``, one for each side at most, are
    ``brigantine.net.descriptors.ConnectionWatch``, and read here.  ``keeper``, for XSUB and XPUB, is a
    ``brigantine.devices.keeper.Keeper``: its values keep what passes, and it answers who asks for them.
    ``capture`` is a PUB with XPUB_NODROP, or a PUSH, that gets a copy of what is passed on, as far as it
    has room.

    Raises ``TypeError`` for any other pair of sockets.
    """

    def __cinit__(
        self, frontend, backend, control, int64_t peer_bytes=PEER_BYTES, move=None, watches=(),
        keeper=None, capture=None,
    ):
        cdef int way, index
        self.accounts = Accounts(peer_bytes)
        for way in range(WAYS):
            zmq_msg_init(&self.frames[way])
            self.held[way] = False
        check_sides(frontend, backend)
        self.sockets = (frontend, backend, control)
        self.move = move
        self.captures = capture is not None
        self.capture = Capture(capture) if capture is not None else None
        self.handles[FRONTEND] = handle_of(frontend)
        self.handles[BACKEND] = handle_of(backend)
        self.handles[CONTROL] = handle_of(control)
        self.watches = list(watches)
        self.keeper = keeper
        if keeper is not None:
            self.values = keeper.values
        self.items = HANDLES + len(self.watches)
        for index in range(len(self.watches)):
            self.signals[index] = self.watches[index].monitor.fd
        self.leads[FRONTEND] = True
        self.leads[BACKEND] = backend.type != zmq.PUSH
        self.routes[FRONTEND] = False
        self.routes[BACKEND] = frontend.type == zmq.ROUTER

    def __dealloc__(self):
        cdef int way
        for way in range(WAYS):
            zmq_msg_close(&self.frames[way])

    def stats(self):
        """All counters, see ``brigantine.counters.DEVICE_COUNTERS``; may be called from any thread."""
        cdef int64_t count[COUNTER_COUNT]
        with nogil:
            self.lock.read(count, self.count, COUNTER_COUNT)
        count[UNSENT_BYTES] = self.accounts.returns.unsent()
        return {name: count[index] for index, name in enumerate(DEVICE_COUNTERS)}

    def run(self):
        """Pass messages on until STOP."""
        self.in_main_thread = threading.current_thread() is threading.main_thread()
        with nogil:
            try:
                self.c_run()
            finally:
                self.let_go()

    cdef int c_run(self) except -1 nogil:
        cdef int way, index
        cdef zmq_pollitem_t items[MOST_ITEMS]
        for index in range(HANDLES):
            items[index].socket = self.handles[index]
            items[index].fd = 0
        for index in range(HANDLES, self.items):
            # libzmq signals a message to a socket only once the socket was found empty.
            self.read_watch(index - HANDLES)
            items[index].socket = NULL
            items[index].fd = self.signals[index - HANDLES]
            items[index].events = ZMQ_POLLIN
        items[CONTROL].events = ZMQ_POLLIN
        while not self.stopping:
            # Only what there is something to do about, so that no poll returns for nothing: a side that
            # has no room is not asked for messages to it.
            for index in range(WAYS):
                items[index].events = 0
            if not self.count[PAUSED]:
                for way in range(WAYS):
                    if self.held[way]:
                        items[1 - way].events |= ZMQ_POLLOUT
                    elif self.leads[way]:
                        items[way].events |= ZMQ_POLLIN
            self.wait(items)
            for index in range(HANDLES, self.items):
                if items[index].revents:
                    self.read_watch(index - HANDLES)
            if items[CONTROL].revents:
                self.read_control()
                continue
            for way in range(WAYS):
                if self.held[way]:
                    if items[1 - way].revents & ZMQ_POLLOUT and self.pass_on(way):
                        self.forward(way)
                elif items[way].revents & ZMQ_POLLIN:
                    self.forward(way)
        return self.read_last_words()

    cdef int read_last_words(self) except -1 nogil:
        # Replies, tasks and what is published; not requests, whose replies would find nobody.
        cdef int way = BACKEND if self.routes[BACKEND] else FRONTEND
        cdef int64_t began = monotonic()
        while not (self.count[PAUSED] or self.held[way]) and self.forward(way):
            if monotonic() - began > LAST_WORDS:
                break
        return 0

    cdef int wait(self, zmq_pollitem_t *items) except -1 nogil:
        # A side that is not asked for anything is looked at now and then all the same: libzmq frees what
        # peers that have gone leave when its socket is used.
        while zmq_poll(items, self.items, SLEEP_MS) < 0:
            if zmq_errno() != EINTR:
                raise_zmq_error()
            self.interrupted()
        return 0

    cdef int forward(self, int way) except -1 nogil:
        cdef int _turn
        self.passed = 0
        for _turn in range(BATCH):
            if not self.receive(way) or not self.pass_on(way):
                return 0
            if self.passed > BATCH_FRAMES:  # it takes as long as many messages
                break
        return 1

    cdef bint pass_on(self, int way) except -1 nogil:
        cdef zmq_msg_t *frame = &self.frames[way]
        cdef bint more = zmq_msg_more(frame)
        cdef int64_t size = zmq_msg_size(frame)
        cdef int result
        if self.values is not None:
            if way == BACKEND and self.asked(way):
                return True
            if way == FRONTEND:
                self.values.begin(<const char *>zmq_msg_data(frame), size, more)
        if self.routes[way] and not more:
            self.drop(way, DROP_MALFORMED)
            return True
        # What it weighs shows at its end only: the last one goes beyond the limit.
        if self.routes[way] and not self.accounts.admits(way, frame, 0):
            self.drop(way, DROP_PEER_BEHIND)
            return True
        if self.captures:
            self.capture.keep(frame)
        result = self.send(way, more)
        if self.captures:
            self.copied(result, True, more)
        if result == EAGAIN and not self.routes[way]:
            if not self.held[way]:
                self.held[way] = True
                self.lock.begin()
                self.count[HELD] += 1
                self.count[WAITS] += 1
                self.lock.end()
            return False
        if self.held[way]:
            self.held[way] = False
            self.note(HELD, -1)
        if result:
            self.drop(way, DROP_PEER_FULL if result == EAGAIN else DROP_UNROUTABLE)
            return True
        if more and not self.pass_rest(way, size):
            self.note(DROP_UNROUTABLE, 1)
            self.empty(way)
            return True
        if not more:
            self.passed_on(way, size)
        return True

    cdef bint pass_rest(self, int way, int64_t size) except -1 nogil:
        cdef zmq_msg_t *frame = &self.frames[way]
        cdef bint more = True, whole = True
        cdef int64_t weight = FRAME_OVERHEAD + size
        while more:
            self.receive_rest(way)
            more = zmq_msg_more(frame)
            size += zmq_msg_size(frame)
            if self.values is not None and way == FRONTEND:
                self.values.add(<const char *>zmq_msg_data(frame), zmq_msg_size(frame))
            weight += FRAME_OVERHEAD + <int64_t>zmq_msg_size(frame)
            if self.captures:
                self.capture.keep(frame)
            if not more and weight >= LIGHT and self.routes[way]:
                self.accounts.charge(frame, weight)
            # The peer may go in the middle: then libzmq takes what is left, and throws it away.
            if self.send(way, more):
                whole = False
            if self.captures:
                self.copied(0, False, more)
        if self.values is not None and way == FRONTEND:
            self.values.end()
        if whole:
            self.passed_on(way, size)
        return whole

    cdef bint asked(self, int way) except -1 nogil:
        cdef const char *said = <const char *>zmq_msg_data(&self.frames[way])
        cdef size_t size = zmq_msg_size(&self.frames[way])
        cdef bint dealt_with
        with gil:
            dealt_with = self.keeper.hear(said[:size])
        if dealt_with:
            while zmq_msg_more(&self.frames[way]):
                self.receive_rest(way)
            self.empty(way)
        return dealt_with

    cdef int copied(self, int result, bint first, bint more) except -1 nogil:
        cdef int done
        if result:
            self.capture.forget()
            return 0
        done = self.capture.passed(first, more)
        if done & COPY_TAKEN:
            self.note(CAPTURED, 1)
        if done & COPY_MISSED:
            self.note(DROP_CAPTURE, 1)
        return 0

    cdef void passed_on(self, int way, int64_t size) noexcept nogil:
        self.lock.begin()
        self.count[TO_BACKEND if way == FRONTEND else TO_FRONTEND] += 1
        self.count[TO_BACKEND_BYTES if way == FRONTEND else TO_FRONTEND_BYTES] += size
        self.lock.end()

    cdef int drop(self, int way, int reason) except -1 nogil:
        while zmq_msg_more(&self.frames[way]):
            self.receive_rest(way)
        self.note(reason, 1)
        return self.empty(way)

    cdef int let_go(self) noexcept nogil:
        cdef int way
        for way in range(WAYS):
            if self.held[way]:
                self.held[way] = False
                self.note(HELD, -1)
                self.note(DROP_STOPPED, 1)
            self.empty(way)

    # -- sockets ------------------------------------------------------------------------------

    cdef bint receive(self, int way) except -1 nogil:
        while zmq_msg_recv(&self.frames[way], self.handles[way], ZMQ_DONTWAIT) < 0:
            if zmq_errno() == EAGAIN:
                return False
            if zmq_errno() != EINTR:
                raise_zmq_error()
            self.interrupted()
        return True

    cdef int receive_rest(self, int way) except -1 nogil:
        """libzmq has all frames of a message when it gives the first."""
        self.passed += 1
        if not self.receive(way):
            raise_zmq_error()
        return 0

    cdef int empty(self, int way) noexcept nogil:
        """Give back the memory of a frame that goes nowhere."""
        zmq_msg_close(&self.frames[way])
        return zmq_msg_init(&self.frames[way])

    cdef int send(self, int way, bint more) except -1 nogil:
        cdef int flags = ZMQ_DONTWAIT | (ZMQ_SNDMORE if more else 0)
        while zmq_msg_send(&self.frames[way], self.handles[1 - way], flags) < 0:
            if zmq_errno() == EAGAIN:
                return EAGAIN
            if zmq_errno() == ZMQ_EHOSTUNREACH:
                return ZMQ_EHOSTUNREACH
            if zmq_errno() != EINTR:
                raise_zmq_error()
            self.interrupted()
        return 0

    cdef int interrupted(self) except -1 nogil:
        return check_signals(self.in_main_thread)

    cdef int read_watch(self, int index) except -1 nogil:
        with gil:
            self.watches[index].read()
        return 0

    cdef int read_control(self) except -1 nogil:
        cdef zmq_msg_t word
        zmq_msg_init(&word)
        try:
            while zmq_msg_recv(&word, self.handles[CONTROL], ZMQ_DONTWAIT) < 0:
                if zmq_errno() == EAGAIN:
                    return 0
                if zmq_errno() != EINTR:
                    raise_zmq_error()
                self.interrupted()
            if is_word(&word, &STOP, 0):
                self.stopping = True
                return 0
            if is_word(&word, &PAUSE, TAG_BYTES):
                self.note(PAUSED, 1 - self.count[PAUSED])
            elif is_word(&word, &RESUME, TAG_BYTES):
                self.note(PAUSED, -self.count[PAUSED])
            else:
                return self.asked_to_move(&word)
            # The answer is empty.  Nobody takes the answers where there is no room for them.
            zmq_msg_send(&word, self.handles[CONTROL], ZMQ_DONTWAIT)
        finally:
            zmq_msg_close(&word)
        return 0

    cdef int asked_to_move(self, zmq_msg_t *word) except -1 nogil:
        cdef const char *said = <const char *>zmq_msg_data(word)
        cdef size_t size = zmq_msg_size(word)
        if size < MOVE.size() + TAG_BYTES or memcmp(said, MOVE.data(), MOVE.size()):
            return 0
        with gil:
            if self.move is None:
                return 0
            question = said[:size]
            answer = self.move(question[MOVE.size():size - TAG_BYTES])
            try:
                self.sockets[CONTROL].send(question + answer, ZMQ_DONTWAIT)
            except zmq.Again:  # nobody takes the answers
                pass
        return 0

    cdef void note(self, int counter, int64_t more) noexcept nogil:
        self.lock.begin()
        self.count[counter] += more
        self.lock.end()
