"""The worker queue: free workers, the least recently used first."""

from .chain cimport NIL, chain_has, chain_init, chain_off
from .names cimport NameTable

__all__ = ["LRUQueue"]


cdef class LRUOrder:
    """The order itself, on worker indexes."""

    def __cinit__(self):
        chain_init(&self.chain)

    cdef int reserve(self, int bound) except -1 nogil:
        if self.links.size() < <size_t>bound:
            self.links.resize(bound, chain_off())
        return 0

    cdef bint ready(self, int worker) noexcept nogil:
        return lru_ready(&self.chain, self.links.data(), worker)

    cdef int next(self) noexcept nogil:
        return lru_next(&self.chain, self.links.data())

    cdef bint remove(self, int worker) noexcept nogil:
        return lru_remove(&self.chain, self.links.data(), worker)

    cdef bint has(self, int worker) noexcept nogil:
        return chain_has(self.links.data(), worker)


cdef class LRUQueue:
    """LRUQueue()\n--\n\nFree workers by identity; every operation is O(1)."""

    def __cinit__(self):
        self.identities = NameTable()
        self.order = LRUOrder()

    def ready(self, bytes identity not None):
        """Append a worker.  ``False``, and no change, when it is in the queue already."""
        cdef int worker = self.identities.find(identity, len(identity))
        if worker != NIL:
            return False
        worker = self.identities.add(identity, len(identity))
        self.order.reserve(worker + 1)
        return self.order.ready(worker)

    def push_front(self, bytes identity not None):
        """Put a worker at the head, as its turn is not over.  ``False`` when it is there already."""
        cdef int worker = self.identities.find(identity, len(identity))
        if worker != NIL:
            return False
        worker = self.identities.add(identity, len(identity))
        self.order.reserve(worker + 1)
        lru_push_front(&self.order.chain, self.order.links.data(), worker)
        return True

    def next(self):
        """Take out and return the least recently used worker; ``None`` when no worker is free."""
        cdef int worker = self.order.next()
        if worker == NIL:
            return None
        identity = self.identities.name(worker)
        self.identities.forget(worker)
        return identity

    def head(self):
        """The least recently used worker, left where it is; ``None`` when no worker is free."""
        cdef int worker = self.order.chain.head
        return None if worker == NIL else self.identities.name(worker)

    def remove(self, bytes identity not None):
        """Take a worker out wherever it is.  ``False`` when it is not in the queue."""
        cdef int worker = self.identities.find(identity, len(identity))
        if worker == NIL:
            return False
        self.order.remove(worker)
        self.identities.forget(worker)
        return True

    def __len__(self):
        return self.order.chain.length

    def __contains__(self, identity):
        if not isinstance(identity, bytes):
            return False
        return self.identities.find(<bytes>identity, len(<bytes>identity)) != NIL

    def __iter__(self):
        """The identities, least recently used first."""
        cdef int worker = self.order.chain.head
        identities = []
        while worker != NIL:
            identities.append(self.identities.name(worker))
            worker = self.order.links[worker].next
        return iter(identities)
