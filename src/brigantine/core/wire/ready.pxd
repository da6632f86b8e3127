"""What a worker announces in READY: msgpack unsigned integers (see brigantine.wire.ready)."""

from libc.stdint cimport int64_t, uint64_t

cdef enum:
    MAX_CAPACITY = 65535
    MIN_INTERVAL_MS = 10
    MAX_INTERVAL_MS = 3600000
    FIXINT_MAX = 0x7F
    UINT8 = 0xCC   # and three more: 1, 2, 4 or 8 bytes follow, big end first
    UINT64 = 0xCF


cdef inline int64_t decode_uint(
    const unsigned char *data, size_t size, size_t *at, uint64_t least, uint64_t most
) noexcept nogil:
    """The number that begins at `at`, which is moved after it; -1 for anything else."""
    cdef uint64_t value = 0
    cdef size_t begin = at[0], end = begin + 1
    if begin >= size:
        return -1
    if data[begin] <= FIXINT_MAX:
        value = data[begin]
    elif UINT8 <= data[begin] <= UINT64:
        end += <size_t>1 << (data[begin] - UINT8)
        if end > size:
            return -1
        for begin in range(begin + 1, end):
            value = (value << 8) | data[begin]
    else:
        return -1
    at[0] = end
    return <int64_t>value if least <= value <= most else -1


cdef inline int decode_capacity(const unsigned char *data, size_t size) noexcept nogil:
    """The capacity that a frame holds, 1 to MAX_CAPACITY; 0 when the bytes say no such thing."""
    cdef size_t at = 0
    cdef int64_t value = decode_uint(data, size, &at, 1, MAX_CAPACITY)
    return <int>value if value > 0 and at == size else 0


cdef inline int decode_interval(const unsigned char *data, size_t size) noexcept nogil:
    """The heartbeat interval that a frame holds, in milliseconds; 0 when the bytes say no such thing."""
    cdef size_t at = 0
    cdef int64_t value = decode_uint(data, size, &at, MIN_INTERVAL_MS, MAX_INTERVAL_MS)
    return <int>value if value > 0 and at == size else 0


cdef inline bint decode_both(
    const unsigned char *data, size_t size, int *capacity, int *interval
) noexcept nogil:
    """One frame with a capacity, and an interval after it or none (0)."""
    cdef size_t at = 0
    cdef int64_t value = decode_uint(data, size, &at, 1, MAX_CAPACITY)
    if value < 0:
        return False
    capacity[0] = <int>value
    interval[0] = 0 if at == size else decode_interval(data + at, size - at)
    return at == size or interval[0] > 0
