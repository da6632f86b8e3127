"""NameTable of peers as small integers."""

from cython.operator cimport dereference
from libc.string cimport memcmp
from libcpp.string cimport string

from .chain cimport NIL


cdef enum:
    LONG = 256  # bytes: whatever had more keeps no memory; a routing id has 255 at most


cdef inline void give_back(string *name) noexcept nogil:
    """Empty a string, and give its memory back."""
    cdef string empty
    name.swap(empty)


cdef class NameTable:
    """A table of identities (byte strings of any length) and the index of each."""

    cdef int find(self, const char *data, size_t size) noexcept nogil:
        self.scratch.assign(data, size)
        found = self.indexes.find(self.scratch)
        if size > LONG:
            give_back(&self.scratch)
        if found == self.indexes.end():
            return NIL
        return dereference(found).second

    cdef int find_near(self, const char *data, size_t size, int guess) noexcept nogil:
        if guess != NIL and self.names[guess].size() == size:
            if memcmp(self.names[guess].data(), data, size) == 0:
                return guess
        return self.find(data, size)

    cdef int find_apart(self, const char *data, size_t size) noexcept nogil:
        self.scratch.assign(data, size)
        found = self.apart.find(self.scratch)
        if found == self.apart.end():
            return NIL
        return dereference(found).second

    cdef int add(self, const char *data, size_t size) except -1 nogil:
        cdef int index = self.take_index(data, size)
        self.indexes[self.scratch] = index
        self.is_apart[index] = False
        if size > LONG:
            give_back(&self.scratch)
        return index

    cdef int add_apart(self, const char *data, size_t size) except -1 nogil:
        cdef int index = self.take_index(data, size)
        self.apart[self.scratch] = index
        self.is_apart[index] = True
        return index

    cdef int take_index(self, const char *data, size_t size) except -1 nogil:
        """A free index for a name, which is in `scratch`, too, then."""
        cdef int index
        self.scratch.assign(data, size)
        if self.free.empty():
            index = <int>self.names.size()
            self.names.push_back(self.scratch)
            self.is_apart.push_back(False)
        else:
            index = self.free.back()
            self.free.pop_back()
            self.names[index].assign(data, size)
        return index

    cdef int forget(self, int index) except -1 nogil:
        if self.is_apart[index]:
            self.apart.erase(self.names[index])
        else:
            self.indexes.erase(self.names[index])
        if self.names[index].size() > LONG:
            give_back(&self.names[index])
        self.free.push_back(index)
        return 0

    cdef int bound(self) noexcept nogil:
        return <int>self.names.size()

    cdef bytes name(self, int index):
        return self.names[index].data()[:self.names[index].size()]
