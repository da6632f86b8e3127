"""The worker queue: free workers, the least recently used first.

This is where the LRU order is kept: a chain of worker indexes, the next worker at its head.
"""

from libcpp.vector cimport vector

from .chain cimport Chain, Link, chain_append, chain_has, chain_pop, chain_prepend, chain_remove
from .names cimport NameTable


cdef inline bint lru_ready(Chain *order, Link *links, int worker) noexcept nogil:
    """Append a worker; false, and no change, when it is in the order already."""
    if chain_has(links, worker):
        return False
    chain_append(order, links, worker)
    return True


cdef inline void lru_push_front(Chain *order, Link *links, int worker) noexcept nogil:
    """Put a worker that is not in the order at its head: its turn is not over."""
    chain_prepend(order, links, worker)


cdef inline int lru_next(Chain *order, Link *links) noexcept nogil:
    """Take out and return the least recently used worker; NIL when none is free."""
    return chain_pop(order, links)


cdef inline bint lru_remove(Chain *order, Link *links, int worker) noexcept nogil:
    """Take a worker out wherever it is; false when it is not in the order."""
    if not chain_has(links, worker):
        return False
    chain_remove(order, links, worker)
    return True


cdef class LRUOrder:
    cdef Chain chain           # head: the worker that became ready longest ago
    cdef vector[Link] links    # by worker index

    # Make room for the worker indexes below `bound`.
    cdef int reserve(self, int bound) except -1 nogil
    cdef bint ready(self, int worker) noexcept nogil
    cdef int next(self) noexcept nogil
    cdef bint remove(self, int worker) noexcept nogil
    cdef bint has(self, int worker) noexcept nogil


cdef class LRUQueue:
    cdef NameTable identities
    cdef LRUOrder order
