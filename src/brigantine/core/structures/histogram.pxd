"""A histogram of times whose error is bounded by a share of the value (HDR), in nanoseconds.

Times below 128 ns have a bucket each; every further power of two is split into 128 buckets of equal
width.  So a bucket is never wider than 1/128 (0.8 %) of the times in it, from 1 ns to 73 minutes,
and adding two histograms loses nothing.
"""

from libc.stdint cimport int64_t, uint64_t

cdef extern from *:
    """
    // Position of the highest bit that is set; `value` is not 0.
    static inline int brigantine_high_bit(uint64_t value) { return 63 - __builtin_clzll(value); }
    """
    int brigantine_high_bit(uint64_t value) noexcept nogil

cdef enum:
    SUB_BITS = 7
    SUB_BUCKETS = 128      # 1 << SUB_BITS
    VALUE_BITS = 42        # longer times are counted in the last bucket, and known by `high`
    BUCKETS = 4608         # (VALUE_BITS - SUB_BITS + 1) * SUB_BUCKETS


cdef inline int bucket_of(int64_t value) noexcept nogil:
    """The bucket of a time, which is not negative."""
    cdef int octave
    if value < SUB_BUCKETS:
        return <int>value
    if value >> VALUE_BITS:
        return BUCKETS - 1
    octave = brigantine_high_bit(<uint64_t>value) - SUB_BITS
    return octave * SUB_BUCKETS + <int>(value >> octave)


cdef inline int64_t bucket_low(int bucket) noexcept nogil:
    """The least time in a bucket; that of the bucket after the last is its upper end."""
    cdef int octave = bucket // SUB_BUCKETS - 1
    if octave <= 0:
        return bucket
    return <int64_t>(bucket - octave * SUB_BUCKETS) << octave


cdef class Histogram:
    cdef int64_t counts[BUCKETS]
    cdef readonly int64_t count  # times recorded
    cdef int64_t low             # the shortest, exact; stale while count is 0
    cdef int64_t high            # the longest, exact; stale while count is 0
    cdef double total            # sum of all, nanoseconds

    cdef void note(self, int64_t value) noexcept nogil
    cdef void c_clear(self) noexcept nogil
