"""Which services have most waiting."""

from cython.operator cimport dereference


cdef class Backlog:
    """The orders; who is in them, and when they are kept, is in ``queues``."""

    cdef int move(
        self, ordered[Weight, int] *order, int service, int64_t age, int64_t old, int64_t new
    ) except -1 nogil:
        if old == new:
            return 0
        if old:
            order.erase(Weight(old, age))
        if new:
            dereference(order)[Weight(new, age)] = service
        return 0

    cdef int heaviest(self, ordered[Weight, int] *order) noexcept nogil:
        return dereference(order.rbegin()).second

    cdef int drop(self) except -1 nogil:
        self.by_requests.clear()
        self.by_bytes.clear()
        self.kept = False
        self.changes = 0
        return 0
