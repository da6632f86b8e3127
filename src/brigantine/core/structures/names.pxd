"""NameTable of peers as small integers: O(1) to find, to add and to forget."""

from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector

cdef extern from *:
    """
    #include <string>
    /* Python's hash of bytes, whose key is a secret of the process: nobody can make up names that share a
       bucket, as for std::hash.  Not noexcept, so that the table keeps each hash beside its entry. */
    static const auto brigantine_secret_hash = PyHash_GetFuncDef()->hash;
    struct BrigantineSecretHash {
        size_t operator()(const std::string &name) const {
            return (size_t)brigantine_secret_hash(name.data(), (Py_ssize_t)name.size());
        }
    };
    """
    cdef cppclass SecretHash "BrigantineSecretHash":
        SecretHash()


cdef class NameTable:
    cdef unordered_map[string, int, SecretHash] indexes  # identity -> index
    cdef unordered_map[string, int, SecretHash] apart  # those that may bear the name of one in `indexes`
    cdef vector[string] names  # index -> identity; stale where the index is free
    cdef vector[bint] is_apart
    cdef vector[int] free      # indexes to use again
    cdef string scratch        # the key of a look-up: keeps its memory, so none is taken

    # The index of an identity; NIL when it is not known.
    cdef int find(self, const char *data, size_t size) noexcept nogil
    # The same, where `guess` (an index in use, or NIL) is likely the answer: spares the look-up by hash.
    cdef int find_near(self, const char *data, size_t size, int guess) noexcept nogil
    # The same of those that were added apart: another set of names, with indexes from the same row.
    cdef int find_apart(self, const char *data, size_t size) noexcept nogil
    cdef int add_apart(self, const char *data, size_t size) except -1 nogil
    # The index of an identity that was not known.  Indexes stay below the greatest number known at once.
    cdef int add(self, const char *data, size_t size) except -1 nogil
    cdef int take_index(self, const char *data, size_t size) except -1 nogil
    # Forget an index that is in use; it will be used again.
    cdef int forget(self, int index) except -1 nogil
    # One more than the greatest index ever given out.
    cdef int bound(self) noexcept nogil
    # The identity of an index that is in use.
    cdef bytes name(self, int index)
