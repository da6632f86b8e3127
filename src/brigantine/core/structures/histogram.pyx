"""A histogram of times whose error is bounded by a share of the value (HDR)."""

from libc.math cimport ceil
from libc.string cimport memset

from .expiry cimport nanoseconds, seconds_of

from ...config.limits import MAX_SECONDS as _MAX_SECONDS

__all__ = ["Histogram"]

cdef double MAX_SECONDS = _MAX_SECONDS


cdef class Histogram:
    """Counts of times in buckets no wider than 1/128 of the times in them, from 1 ns to 73 minutes.

    Longer times go to the last bucket.  The shortest, the longest and the mean are exact.
    """

    def __cinit__(self):
        self.c_clear()

    cdef void note(self, int64_t value) noexcept nogil:
        value = max(0, value)
        self.counts[bucket_of(value)] += 1
        if self.count == 0 or value < self.low:
            self.low = value
        if self.count == 0 or value > self.high:
            self.high = value
        self.count += 1
        self.total += <double>value

    cdef void c_clear(self) noexcept nogil:
        memset(self.counts, 0, sizeof(self.counts))
        self.count = self.low = self.high = 0
        self.total = 0.0

    def record(self, double seconds):
        """Count one time.  Raises ``ValueError`` for one that is negative or no number."""
        if not 0 <= seconds <= MAX_SECONDS:
            raise ValueError(f"a time is from 0 to {MAX_SECONDS:.0f} seconds, not {seconds!r}")
        self.note(nanoseconds(seconds))

    def quantile(self, double share):
        """The time in seconds that ``share`` (0 to 1) of all reach at most; ``None`` when empty.

        By nearest rank.  The upper end of its bucket, so never below the exact value and at most
        1/128 above it.
        """
        cdef int64_t rank, passed = 0
        cdef int bucket
        if not 0 <= share <= 1:
            raise ValueError(f"share must be from 0 to 1, not {share!r}")
        if self.count == 0:
            return None
        # A share such as 0.999 is not exact in binary: 1,000 times it must not become rank 1,000.
        rank = max(1, <int64_t>ceil(share * <double>self.count * (1 - 1e-12)))
        for bucket in range(BUCKETS):
            passed += self.counts[bucket]
            if passed >= rank:
                break
        if bucket == BUCKETS - 1:
            return seconds_of(self.high)
        return seconds_of(max(self.low, min(self.high, bucket_low(bucket + 1) - 1)))

    @property
    def min(self):
        """The shortest time in seconds; ``None`` when empty."""
        return seconds_of(self.low) if self.count else None

    @property
    def max(self):
        """The longest time in seconds; ``None`` when empty."""
        return seconds_of(self.high) if self.count else None

    @property
    def mean(self):
        """The mean in seconds; ``None`` when empty."""
        return self.total / self.count / 1e9 if self.count else None

    def add(self, Histogram other not None):
        """Count all that ``other`` has counted, too."""
        cdef int bucket
        if other.count == 0:
            return
        self.low = min(self.low, other.low) if self.count else other.low
        self.high = max(self.high, other.high) if self.count else other.high
        for bucket in range(BUCKETS):
            self.counts[bucket] += other.counts[bucket]
        self.count += other.count
        self.total += other.total

    def as_dict(self):
        """What :meth:`from_dict` takes, as JSON can hold it.  Times are whole nanoseconds.

        ``buckets`` is a list of ``[shortest time of the bucket, times counted]`` in ascending order,
        empty ones left out; beside it ``count``, ``min``, ``max`` and ``sum``.
        """
        cdef int bucket
        return {
            "count": self.count,
            "min": self.low,
            "max": self.high,
            "sum": self.total,
            "buckets": [
                [bucket_low(bucket), self.counts[bucket]]
                for bucket in range(BUCKETS)
                if self.counts[bucket]
            ],
        }

    @staticmethod
    def from_dict(saved):
        """The histogram that :meth:`as_dict` told of.

        Raises ``ValueError`` for one that can't be: a bucket that there isn't, a count that is not
        the sum of its buckets.
        """
        cdef Histogram made = Histogram()
        cdef int64_t low, count
        for low, count in saved["buckets"]:
            if low < 0 or count < 1 or bucket_low(bucket_of(low)) != low:
                raise ValueError(f"there is no bucket from {low} ns, or not with {count} times")
            made.counts[bucket_of(low)] += count
            made.count += count
        if made.count != saved["count"]:
            raise ValueError(f"the buckets hold {made.count} times, not {saved['count']}")
        made.low, made.high, made.total = saved["min"], saved["max"], saved["sum"]
        return made
