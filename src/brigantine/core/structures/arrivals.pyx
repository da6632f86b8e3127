"""Whose requests have come since the waiting ones were last handed out."""

from libc.string cimport memset

from .chain cimport NIL

cdef extern from *:
    """
    #include <string_view>
    static inline size_t brigantine_hash(const char *data, size_t size) {
        return std::hash<std::string_view>{}(std::string_view(data, size));
    }
    """
    size_t brigantine_hash(const char *data, size_t size) nogil


cdef class Arrivals:
    """The last request of each client, found by a hash; emptied in O(1)."""

    def __cinit__(self):
        self.round = 1
        memset(self.rounds, 0, sizeof(self.rounds))

    cdef int reserve(self, int bound) except -1 nogil:
        if self.nexts.size() < <size_t>bound:
            self.nexts.resize(bound, NIL)
            self.keys.resize(bound, 0)
        return 0

    cdef int note(self, int slot, const char *client, size_t size, int service) noexcept nogil:
        cdef size_t key = brigantine_hash(client, size) + <size_t>service
        cdef int bucket = <int>(key % BUCKETS)
        cdef int last = NIL
        cdef int before = NIL
        if self.rounds[bucket] == self.round:
            last = self.heads[bucket]
        else:
            self.rounds[bucket] = self.round
            self.heads[bucket] = NIL
        self.keys[slot] = key
        while last != NIL and self.keys[last] != key:
            before = last
            last = self.nexts[last]
        if last == NIL:
            self.nexts[slot] = self.heads[bucket]
            self.heads[bucket] = slot
            return NIL
        self.nexts[slot] = self.nexts[last]
        if before == NIL:
            self.heads[bucket] = slot
        else:
            self.nexts[before] = slot
        return last

    cdef void clear(self) noexcept nogil:
        self.round += 1
