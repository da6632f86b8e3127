"""The bounded queue in which notices wait for the thread that logs them.

Who puts (the loop's thread, without the GIL) waits for nobody but for as long as a push takes.
"""

from libc.stdint cimport int64_t
from libcpp.string cimport string


cdef extern from *:
    """
    #include <Python.h>
    #include <deque>
    #include <mutex>
    #include <string>
    #include <cstdint>

    /* The bell is a lock of Python's, which needs no GIL, no descriptor, and nothing after a fork.  It is
       free while there is news that nobody has looked at. */
    struct NoticeBox {
        std::mutex mutex;
        std::deque<std::string> waiting;
        int64_t left_out = 0;
        int highest = 0;  // level among them
        bool ended = false;
        bool rung = false;
        PyThread_type_lock bell = nullptr;

        bool open() {
            bell = PyThread_allocate_lock();
            return bell && PyThread_acquire_lock(bell, NOWAIT_LOCK);
        }
        ~NoticeBox() {
            if (bell) PyThread_free_lock(bell);
        }
        void ring() {  // with the mutex held
            if (!rung) {
                rung = true;
                PyThread_release_lock(bell);
            }
        }
        void count_out(int level) {  // with the mutex held
            ++left_out;
            if (level > highest) highest = level;
        }
        void put(const std::string &message, int level, size_t most) {
            const std::lock_guard<std::mutex> guard(mutex);
            if (waiting.size() >= most) count_out(level);
            else waiting.push_back(message);
            ring();
        }
        void leave_out(int level) {
            const std::lock_guard<std::mutex> guard(mutex);
            count_out(level);
            if (left_out == 1) ring();
        }
        void end() {
            const std::lock_guard<std::mutex> guard(mutex);
            ended = true;
            ring();
        }
        bool take(std::string &message) {
            const std::lock_guard<std::mutex> guard(mutex);
            if (waiting.empty()) return false;
            message.swap(waiting.front());
            waiting.pop_front();
            return true;
        }
        // Wait for news, at most so many microseconds; below 0 for ever.
        void wait(long long microseconds) {
            if (PyThread_acquire_lock_timed(bell, microseconds, 0) == PY_LOCK_ACQUIRED) {
                const std::lock_guard<std::mutex> guard(mutex);
                rung = false;
            }
        }
        int64_t count() {
            const std::lock_guard<std::mutex> guard(mutex);
            return left_out;
        }
        int64_t take_count(int &level) {
            const std::lock_guard<std::mutex> guard(mutex);
            const int64_t count = left_out;
            level = highest;
            left_out = highest = 0;
            return count;
        }
        bool over() {
            const std::lock_guard<std::mutex> guard(mutex);
            return ended && waiting.empty();
        }
    };
    """
    cdef cppclass NoticeBox nogil:
        bint open()
        void put(const string &message, int level, size_t most) except +
        void leave_out(int level)
        void end()
        bint take(string &message)
        void wait(long long microseconds)
        int64_t count()
        int64_t take_count(int &level)
        bint over()


cdef class NoticeQueue:
    cdef NoticeBox box
    cdef object start
    cdef bint started

    # Keep a notice of a level of logging, if there is room.  The first time this takes the GIL, to
    # start who takes them.
    cdef int c_put(self, const string *message, int level) except -1 nogil
