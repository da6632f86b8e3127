"""Deadlines of workers, each at its own distance."""

from .chain cimport NIL, chain_append, chain_has, chain_init, chain_off, chain_remove
from .expiry cimport nanoseconds

from ...config.limits import MAX_LANES as _MAX_LANES

cdef size_t MAX_LANES = _MAX_LANES


cdef class IntervalDeadlines:
    """The deadlines themselves, on small integers."""

    def __cinit__(self, double timeout):
        self.add_lane(nanoseconds(timeout))

    cdef int add_lane(self, int64_t timeout) except -1 nogil:
        cdef Lane fresh
        fresh.timeout = timeout
        fresh.members = 0
        chain_init(&fresh.chain)
        self.lanes.push_back(fresh)
        return <int>self.lanes.size() - 1

    cdef int reserve(self, int bound) except -1 nogil:
        if self.links.size() < <size_t>bound:
            self.deadlines.resize(bound, 0)
            self.lane_of.resize(bound, 0)
            self.links.resize(bound, chain_off())
        return 0

    cdef int assign(self, int index, int64_t timeout) except -1 nogil:
        cdef int lane = self.find_lane(timeout)
        self.lane_of[index] = lane
        self.lanes[lane].members += 1
        return 0

    cdef int find_lane(self, int64_t timeout) except -1 nogil:
        cdef int lane, empty = NIL, below = NIL, least = 0
        if timeout == 0:
            return 0
        for lane in range(<int>self.lanes.size()):
            if lane and self.lanes[lane].members == 0:
                if empty == NIL:
                    empty = lane
                continue
            if self.lanes[lane].timeout == timeout:
                return lane
            if self.lanes[lane].timeout < self.lanes[least].timeout:
                least = lane
            if self.lanes[lane].timeout < timeout and (
                below == NIL or self.lanes[lane].timeout > self.lanes[below].timeout
            ):
                below = lane
        if empty != NIL:
            self.lanes[empty].timeout = timeout
            return empty
        if self.lanes.size() < MAX_LANES:
            return self.add_lane(timeout)
        # The next shorter distance: in time for a waiting peer, if a little early.
        return least if below == NIL else below

    cdef void release(self, int index) noexcept nogil:
        self.remove(index)
        self.lanes[self.lane_of[index]].members -= 1

    cdef void refresh(self, int index, int64_t now) noexcept nogil:
        cdef Lane *lane = &self.lanes[self.lane_of[index]]
        if chain_has(self.links.data(), index):
            chain_remove(&lane.chain, self.links.data(), index)
        self.deadlines[index] = now + lane.timeout
        chain_append(&lane.chain, self.links.data(), index)

    cdef void remove(self, int index) noexcept nogil:
        if chain_has(self.links.data(), index):
            chain_remove(&self.lanes[self.lane_of[index]].chain, self.links.data(), index)

    cdef int expired(self, int64_t now) noexcept nogil:
        cdef size_t lane
        cdef int index
        for lane in range(self.lanes.size()):
            index = self.lanes[lane].chain.head
            if index != NIL and self.deadlines[index] <= now:
                chain_remove(&self.lanes[lane].chain, self.links.data(), index)
                return index
        return NIL

    cdef int64_t next_deadline(self) noexcept nogil:
        cdef int64_t due = -1
        cdef size_t lane
        cdef int index
        for lane in range(self.lanes.size()):
            index = self.lanes[lane].chain.head
            if index != NIL and (due < 0 or self.deadlines[index] < due):
                due = self.deadlines[index]
        return due
