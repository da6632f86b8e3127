"""The last message of each topic, for those who come late."""

from libc.stdint cimport int64_t
from libcpp.map cimport map
from libcpp.string cimport string
from libcpp.vector cimport vector

from .chain cimport Chain, Link


cdef class LastValues:
    cdef int most                  # topics
    cdef int64_t most_bytes        # what they may take in all
    cdef map[string, int] places   # topic -> place; sorted, so that a list can be gone on with
    cdef vector[string] topics     # by place
    cdef vector[string] kept       # by place: the frames after the topic, each with its size in front
    cdef vector[Link] links        # by place
    cdef vector[int] vacant        # places that are free again
    cdef Chain order               # head: the topic that has had no message for longest
    cdef readonly int64_t topic_count
    cdef readonly int64_t held_bytes    # what they take
    cdef readonly int64_t evicted  # topics given up to stay within the bounds
    # The message that passes right now.
    cdef bint keeping
    cdef string topic
    cdef string frames

    # A message begins with this frame; kept are those of several frames, whose topic is a program's.
    cdef int begin(self, const char *data, size_t size, bint more) except -1 nogil
    cdef int add(self, const char *data, size_t size) except -1 nogil
    # All of it has passed.
    cdef int end(self) except -1 nogil
    cdef int put(self) except -1 nogil
    cdef int evict(self, int place) except -1 nogil
