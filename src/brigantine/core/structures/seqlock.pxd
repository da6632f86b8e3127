"""One writer, any readers, nobody waits for the reader: a version that is odd while data change."""

from libc.stdint cimport int64_t, uint64_t


cdef extern from *:
    """
    #include <atomic>
    #include <cstring>
    #include <thread>
    #include <cstdint>

    struct SeqLock {
        std::atomic<uint64_t> version{0};
        void begin() noexcept {
            version.store(version.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
            std::atomic_thread_fence(std::memory_order_release);
        }
        void end() noexcept {
            version.store(version.load(std::memory_order_relaxed) + 1, std::memory_order_release);
        }
        // Copy `count` values as they stood together at one moment.
        void read(int64_t *to, const int64_t *from, int count) const noexcept {
            for (;;) {
                const uint64_t before = version.load(std::memory_order_acquire);
                if (!(before & 1)) {
                    for (int i = 0; i < count; ++i)
                        to[i] = static_cast<const volatile int64_t *>(from)[i];
                    std::atomic_thread_fence(std::memory_order_acquire);
                    if (version.load(std::memory_order_relaxed) == before) return;
                }
                std::this_thread::yield();
            }
        }
    };
    """
    cdef cppclass SeqLock nogil:
        void begin() noexcept
        void end() noexcept
        void read(int64_t *to, const int64_t *source, int count) noexcept
