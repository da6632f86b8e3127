"""The little of msgpack that the broker's own answers need."""

from libc.stdint cimport int64_t
from libcpp.string cimport string


cdef void pack_map(string *out, size_t entries) noexcept nogil
cdef void pack_array(string *out, size_t entries) noexcept nogil
cdef void pack_nil(string *out) noexcept nogil
cdef void pack_uint(string *out, int64_t value) noexcept nogil
cdef void pack_text(string *out, const char *data, size_t size) noexcept nogil
cdef void pack_bytes(string *out, const char *data, size_t size) noexcept nogil
