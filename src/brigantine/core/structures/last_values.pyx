"""The last message of each topic, for those who come late."""

from cython.operator cimport dereference, preincrement
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy
from libcpp.map cimport map
from libcpp.string cimport string

from .chain cimport NIL, Link, chain_append, chain_init, chain_remove

from ...config.limits import LAST_VALUE_OVERHEAD as _OVERHEAD

__all__ = ["LastValues"]

cdef int64_t OVERHEAD = _OVERHEAD
cdef enum:
    SIZE_BYTES = 8  # in front of each frame

ctypedef map[string, int].iterator Position


cdef class LastValues:
    """LastValues(most, most_bytes)\n--\n
    The last message of each topic, at most ``most`` of them in ``most_bytes`` bytes.

    Where there would be more, that goes whose topic has had no message for longest.  A message of a single
    frame has no topic to keep it by, and one that begins with a NUL is no program's.  Used by one
    thread; ``topic_count``, ``held_bytes`` and ``evicted`` may be read by any.
    """

    def __cinit__(self, int most, int64_t most_bytes):
        self.most = most
        self.most_bytes = most_bytes
        chain_init(&self.order)

    def keep(self, frames):
        """A message has passed."""
        cdef bytes frame
        cdef const char *data
        cdef int index
        for index, frame in enumerate(frames):
            data = frame
            if index:
                self.add(data, len(frame))
            else:
                self.begin(data, len(frame), len(frames) > 1)
        self.end()

    def page(self, bytes prefix, bytes after, int most, int64_t most_bytes):
        """Messages under topics that begin so, sorted by topic; those after ``after``, if there is one.

        Returns them, each a list of frames, and whether there are more: ``most`` messages of ``most_bytes``
        together are enough for once, one is always given.
        """
        cdef string begin = prefix if after is None or after < prefix else after
        cdef Position position = self.places.lower_bound(begin)
        cdef int64_t size = 0
        cdef list found = []
        if after is not None and position != self.places.end():
            if dereference(position).first == <string>after:
                preincrement(position)
        while position != self.places.end():
            topic = <bytes>dereference(position).first
            if not topic.startswith(prefix):
                break
            if found and (len(found) >= most or size >= most_bytes):
                return found, True
            frames = self._frames(dereference(position).second)
            size += len(topic) + sum([len(each) for each in frames])
            found.append([topic, *frames])
            preincrement(position)
        return found, False

    def _frames(self, int place):
        cdef const char *data = self.kept[place].data()
        cdef size_t left = self.kept[place].size()
        cdef uint64_t size
        cdef list found = []
        while left:
            memcpy(&size, data, SIZE_BYTES)
            found.append(data[SIZE_BYTES:SIZE_BYTES + size])
            data += SIZE_BYTES + size
            left -= SIZE_BYTES + size
        return found

    cdef int begin(self, const char *data, size_t size, bint more) except -1 nogil:
        self.keeping = more and not (size and data[0] == 0)
        if self.keeping:
            self.topic.assign(data, size)
            self.frames.clear()
        return 0

    cdef int add(self, const char *data, size_t size) except -1 nogil:
        cdef uint64_t length = size
        if self.keeping:
            self.frames.append(<const char *>&length, SIZE_BYTES)
            self.frames.append(data, size)
        return 0

    cdef int end(self) except -1 nogil:
        if self.keeping:
            self.keeping = False
            self.put()
        return 0

    cdef int put(self) except -1 nogil:
        cdef int place
        cdef Link link
        cdef int64_t cost = OVERHEAD + 2 * <int64_t>self.topic.size() + <int64_t>self.frames.size()
        cdef Position position = self.places.find(self.topic)
        if position != self.places.end():
            place = dereference(position).second
            chain_remove(&self.order, self.links.data(), place)
            self.held_bytes -= <int64_t>self.kept[place].size()
            self.held_bytes += <int64_t>self.frames.size()
        elif self.most == 0:
            return 0
        else:
            if self.vacant.empty():
                place = <int>self.topics.size()
                link.prev = link.next = NIL
                self.topics.push_back(self.topic)
                self.kept.push_back(self.frames)
                self.links.push_back(link)
            else:
                place = self.vacant.back()
                self.vacant.pop_back()
                self.topics[place] = self.topic
            self.places[self.topic] = place
            self.topic_count += 1
            self.held_bytes += cost
        self.kept[place].swap(self.frames)
        if self.kept[place].capacity() > 2 * self.kept[place].size() + SIZE_BYTES:
            self.kept[place].shrink_to_fit()
        chain_append(&self.order, self.links.data(), place)
        while self.topic_count > self.most or self.held_bytes > self.most_bytes:
            self.evict(self.order.head)
        return 0

    cdef int evict(self, int place) except -1 nogil:
        cdef int64_t cost = OVERHEAD + 2 * <int64_t>self.topics[place].size()
        cost += <int64_t>self.kept[place].size()
        chain_remove(&self.order, self.links.data(), place)
        self.places.erase(self.topics[place])
        self.topics[place] = string()
        self.kept[place] = string()
        self.vacant.push_back(place)
        self.held_bytes -= cost
        self.topic_count -= 1
        self.evicted += 1
        return 0
