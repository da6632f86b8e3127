"""A load generator: clients that ask and workers that answer, in one thread without the GIL.

The rooms below it: line (many peers on one socket), wire (their frames), clients and workers (what they
do), schedule (when), histogram (how long it took).
"""

from libc.stdint cimport int64_t

from ..libzmq.polling cimport pollfd
from .clients cimport CLIENT_COUNTERS, Clients
from .schedule cimport Schedule
from .workers cimport WORKER_COUNTERS, Workers
from ..structures.seqlock cimport SeqLock


cdef extern from *:
    """
    #include <atomic>
    #include <cerrno>
    #include <poll.h>
    #include <time.h>
    #if defined __linux__
    #include <sys/prctl.h>
    #endif

    // What other threads ask of the one that runs: a set of flags.
    struct Wishes {
        std::atomic<int> flags{0};
        void add(int flag) noexcept { flags.fetch_or(flag); }
        // All flags, which are taken back.
        int take() noexcept { return flags.load(std::memory_order_relaxed) ? flags.exchange(0) : 0; }
    };

    // Wait for descriptors up to `sleep` nanoseconds: a millisecond, as poll counts, is longer than
    // many a latency.  The number of those that are ready, or -1.
    static inline int brigantine_sleep(struct pollfd *fds, int count, int64_t sleep) {
    #if defined __linux__
        struct timespec time;
        time.tv_sec = (time_t)(sleep / 1000000000);
        time.tv_nsec = (long)(sleep % 1000000000);
        return ppoll(fds, (nfds_t)count, &time, NULL);
    #else
        return poll(fds, (nfds_t)count, (int)((sleep + 999999) / 1000000));
    #endif
    }

    // Let the kernel wake this thread when it asked to, and not up to 50 us later.
    static inline void brigantine_wake_in_time(void) {
    #if defined __linux__
        prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    #endif
    }
    """
    int brigantine_sleep(pollfd *fds, int count, int64_t sleep) nogil
    void brigantine_wake_in_time() nogil
    cdef cppclass Wishes nogil:
        void add(int flag) noexcept
        int take() noexcept

cdef enum:
    # Flags of Wishes.
    STOP = 1
    ANNOUNCE = 2  # READY from all workers: the broker was restarted
    # What is polled.
    CLIENTS_AT = 0
    WORKERS_AT = 1
    WAKE_AT = 2
    POLLED = 3
    # What is published: the clients' counters, those of the workers, UNSENT.
    UNSENT = 14   # CLIENT_COUNTERS + WORKER_COUNTERS
    PUBLISHED = 15


cdef class Load:
    cdef readonly Clients clients   # or None
    cdef readonly Workers workers   # or None
    cdef bint has_clients
    cdef bint has_workers
    cdef Schedule schedule              # None without clients
    cdef Wishes wishes
    cdef pollfd signals[POLLED]
    cdef object pipe                # (read, write) descriptors, owned: to wake the thread that runs
    cdef SeqLock lock               # of `published`
    cdef int64_t published[PUBLISHED]
    cdef int64_t unsent             # open loop: requests whose time had come, never sent
    cdef bint interrupted           # by stop()
    cdef int64_t requests           # to be sent after the warm-up, or NO_END
    # Nanoseconds on the monotonic clock.
    cdef int64_t warm               # when the warm-up is to end
    cdef int64_t end                # when sending is to end, or NEVER
    cdef int64_t counted_from       # when the warm-up ended; 0: not yet
    cdef int64_t ended              # when sending was over; 0: not yet
    cdef int64_t asked_to_sleep     # how long the last wait was to be, at most; a duration

    cdef int c_run(self, int64_t warmup, int64_t duration, int64_t requests) except -1 nogil
    cdef int begin(
        self, int64_t now, int64_t warmup, int64_t duration, int64_t requests
    ) except -1 nogil
    cdef void count_from_here(self, int64_t now) noexcept nogil
    cdef int obey(self, int64_t now) except -1 nogil
    cdef int finish_sending(self, int64_t now) except -1 nogil
    cdef bint turn(self, int64_t now) except -1 nogil
    cdef int pump(self, int client, int64_t now) except -1 nogil
    cdef int64_t next_deadline(self) noexcept nogil
    cdef int wait(self, int64_t until) except -1 nogil
    cdef void publish(self) noexcept nogil
