"""Deadlines that all lie the same time ahead."""

from libc.math cimport floor, llround

from ...config.limits import MAX_SECONDS as _MAX_SECONDS
from ...errors import OptionName, ConfigError

from .chain cimport NIL, chain_append, chain_has, chain_init, chain_off, chain_remove
from .names cimport NameTable

__all__ = ["ExpiryQueue"]


cdef double MAX_SECONDS = _MAX_SECONDS
cdef int64_t SECOND = 1000000000


cdef int64_t nanoseconds(double seconds) noexcept nogil:
    cdef double whole = floor(seconds)
    return <int64_t>whole * SECOND + llround((seconds - whole) * SECOND)


cdef double seconds_of(int64_t nanoseconds) noexcept nogil:
    return <double>(nanoseconds // SECOND) + <double>(nanoseconds % SECOND) / SECOND


cdef int64_t moment(double now) except? -1:
    """A time from the caller."""
    if not -MAX_SECONDS <= now <= MAX_SECONDS:
        raise ValueError(f"now must be monotonic seconds, not {now!r}")
    return nanoseconds(now)


cdef class ExpiryOrder:
    """The deadlines themselves, on small integers."""

    def __cinit__(self, double timeout):
        chain_init(&self.chain)
        self.timeout = nanoseconds(timeout)

    cdef int reserve(self, int bound) except -1 nogil:
        if self.links.size() < <size_t>bound:
            self.deadlines.resize(bound, 0)
            self.links.resize(bound, chain_off())
        return 0

    cdef void refresh(self, int index, int64_t now) noexcept nogil:
        if chain_has(self.links.data(), index):
            chain_remove(&self.chain, self.links.data(), index)
        self.deadlines[index] = now + self.timeout
        chain_append(&self.chain, self.links.data(), index)

    cdef bint remove(self, int index) noexcept nogil:
        if not chain_has(self.links.data(), index):
            return False
        chain_remove(&self.chain, self.links.data(), index)
        return True

    cdef int expired(self, int64_t now) noexcept nogil:
        cdef int index = self.chain.head
        if index == NIL or self.deadlines[index] > now:
            return NIL
        chain_remove(&self.chain, self.links.data(), index)
        return index

    cdef int64_t next_deadline(self) noexcept nogil:
        if self.chain.head == NIL:
            return -1
        return self.deadlines[self.chain.head]


cdef class ExpiryQueue:
    """ExpiryQueue(timeout)\n--\n
    Keys (bytes) with a deadline ``timeout`` seconds after their last refresh.

    ``now`` is monotonic seconds and never goes back.
    Raises :class:`~brigantine.errors.ConfigError` for a timeout that makes no sense.
    """

    def __cinit__(self, double timeout):
        if not 0 < timeout <= MAX_SECONDS:
            raise ConfigError(
                OptionName("timeout"),
                f" must be above 0 and at most {MAX_SECONDS:.0f} seconds, not {timeout!r}"
            )
        self.timeout = timeout
        self.keys = NameTable()
        self.order = ExpiryOrder(timeout)

    def refresh(self, bytes key not None, double now):
        """Set the deadline of ``key``, new or known, to ``now + timeout``."""
        cdef int64_t at = moment(now)
        cdef int index = self.keys.find(key, len(key))
        if index == NIL:
            index = self.keys.add(key, len(key))
            self.order.reserve(index + 1)
        self.order.refresh(index, at)

    def remove(self, bytes key not None):
        """Forget ``key``.  ``False`` when it was not there."""
        cdef int index = self.keys.find(key, len(key))
        if index == NIL:
            return False
        self.order.remove(index)
        self.keys.forget(index)
        return True

    def sweep(self, double now):
        """Take out and return the keys whose deadline is at or before ``now``, earliest first."""
        cdef int64_t at = moment(now)
        cdef int index = self.order.expired(at)
        expired = []
        while index != NIL:
            expired.append(self.keys.name(index))
            self.keys.forget(index)
            index = self.order.expired(at)
        return expired

    def next_deadline(self):
        """The earliest deadline; ``None`` when there is no key."""
        if self.order.chain.length == 0:
            return None
        return seconds_of(self.order.next_deadline())

    def __len__(self):
        return self.order.chain.length

    def __contains__(self, key):
        if not isinstance(key, bytes):
            return False
        return self.keys.find(<bytes>key, len(<bytes>key)) != NIL
