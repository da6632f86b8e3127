"""The bounded queue in which notices wait for the thread that logs them."""

from ...config.limits import NOTICES_WAITING as _NOTICES_WAITING

__all__ = ["NoticeQueue"]

cdef size_t NOTICES_WAITING = _NOTICES_WAITING


cdef class NoticeQueue:
    """NoticeQueue(start)\n--\n
    ``start()`` is called at the first notice: it starts who takes them, and tells whether it has.

    One thread puts, another gets; neither waits for the other.
    """

    def __cinit__(self, start):
        self.start = start
        if not self.box.open():
            raise MemoryError("no lock for notices")

    cdef int c_put(self, const string *message, int level) except -1 nogil:
        if not self.started:
            with gil:
                self.started = self.start()
        self.box.put(message[0], level, NOTICES_WAITING)
        return 0

    def put(self, bytes message, int level):
        """Keep a notice of a level of ``logging``, if there is room; never waits."""
        cdef string kept = message
        self.c_put(&kept, level)

    def leave_out(self, int level):
        """Count a notice of that level, which is not to be told."""
        self.box.leave_out(level)

    def get(self, timeout):
        """The next notice; ``None`` when none came within ``timeout`` seconds, or at other news."""
        cdef string message
        cdef bint found
        cdef long long microseconds = -1 if timeout is None else <long long>(timeout * 1e6)
        found = self.box.take(message)
        # Asked again each time: a wait that ended for a message may have taken the bell of the end, too.
        if not found and not self.box.over():
            with nogil:
                self.box.wait(microseconds)
            found = self.box.take(message)
        return <bytes>message if found else None

    @property
    def left_out(self):
        """Notices that were left out, since this was last taken."""
        return self.box.count()

    @property
    def over(self):
        """Whether nothing waits, and nothing more will come."""
        return self.box.over()

    def take_left_out(self):
        """How many were left out since this was last asked, and the highest level among them."""
        cdef int highest = 0
        cdef int64_t count = self.box.take_count(highest)
        return count, highest

    def end(self):
        """Nothing more will come."""
        self.box.end()
