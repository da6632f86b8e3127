"""What readers of a broker's events are told."""

from ..wire.msgpack_writer cimport pack_array, pack_bytes, pack_nil, pack_uint

cdef enum:
    FIELDS = 6


cdef int pack_event(string *out, const Event *event, int64_t at, int64_t missed) except -1 nogil:
    pack_array(out, FIELDS)
    pack_uint(out, at)
    pack_uint(out, event.kind)
    pack_name(out, event.worker, event.worker_size)
    pack_name(out, event.service, event.service_size)
    if event.reason == NO_CAUSE:
        pack_nil(out)
    else:
        pack_uint(out, event.reason)
    pack_uint(out, missed)
    return 0


cdef void pack_name(string *out, const char *name, size_t size) noexcept nogil:
    if name == NULL:
        pack_nil(out)
    else:
        pack_bytes(out, name, size)
