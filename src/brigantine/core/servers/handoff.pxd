"""What a server's loop hands to its handlers, and what they hand back: one box between their threads.

The loop puts works in and takes answers out; handlers' threads take works and put answers.  Who puts never
waits for the other side but for as long as a push takes; a handler that streams waits where too much has
yet to be sent.

Of the threads that sleep one at a time is woken: it takes a work, and wakes the next if more is there.  So
a burst of short works is done by the thread that is awake, and a long one holds up nobody.
"""

from libc.stdint cimport int64_t, uint64_t
from libcpp.string cimport string
from libcpp.vector cimport vector

from ..wire.envelope cimport Frames
from ..sessions.sessions cimport Turn

# How an answer ends a work, or not.
cdef enum:
    A_PART = 0      # a reply, and the handler goes on
    A_REPLY = 1     # the last one
    A_NOTHING = 2   # the handler has ended without one
    A_FAILURE = 3   # it has failed: the frames tell of it
    A_PUSH = 4      # to the client of a session, beside all requests

# One hand-out, from the loop to a handler and back.  The loop's but while it is at work; it lasts as long
# as the Handoff, which outlives both: a handler that hangs may look at it when the loop is gone.
cdef struct Work:
    Turn turn
    Frames body         # the whole message; the request's frames begin at `first`
    int first
    string *key         # the session's address, as Sessions has it; owned
    uint64_t number     # the request's, of one of our clients
    int64_t bytes       # of the request
    bint ours           # its client understands heads
    bint told           # its client understands a broker's error answers
    bint delimiter      # it has sent the empty frame
    bint single         # it takes one reply
    bint over           # it has ended for its client
    int outcome         # the counter of its end, once a reply was refused; else 0

# From a handler to the loop.
cdef struct Answer:
    Work *work          # NULL for A_PUSH
    int kind
    int session         # for A_PUSH
    int64_t serial
    Frames body
    int64_t bytes

cdef extern from *:
    """
    #include <condition_variable>
    #include <cstdint>
    #include <deque>
    #include <mutex>
    #include <vector>
    #include <fcntl.h>
    #include <unistd.h>

    /* A descriptor that is readable once it was rung, until it is hushed. */
    struct BrigantineRing {
        int ends[2] = {-1, -1};

        bool open() {
            if (ends[0] >= 0) return true;
            if (pipe(ends) != 0) return false;
            for (int end : ends) {
                fcntl(end, F_SETFL, O_NONBLOCK);
                fcntl(end, F_SETFD, FD_CLOEXEC);
            }
            return true;
        }
        void close() {
            for (int &end : ends) {
                if (end >= 0) ::close(end);
                end = -1;
            }
        }
        void ring() {
            if (ends[1] >= 0 && write(ends[1], "", 1) < 0) {}
        }
        void hush() {
            char bytes[64];
            while (ends[0] >= 0 && read(ends[0], bytes, sizeof bytes) == sizeof bytes) {}
        }
    };

    struct BrigantineBox {
        std::mutex mutex;
        std::condition_variable come, room;
        std::deque<void *> works;
        std::vector<void *> answers;
        int64_t bytes = 0;           // of the answers
        int sleepers = 0, tokens = 0, waiters = 0;
        bool coming = false;         // one was woken and has not looked yet
        bool ended = false;          // nothing more is handed out
        bool asleep = false;         // the loop is to be woken
        bool armed = false;          // who waits at `taker` is to be woken
        BrigantineRing loop, taker;  // the loop's; that of an event loop which takes works

        void close() {
            loop.close();
            taker.close();
        }
        // -- works
        void wake_one() {  // with the mutex held
            if (armed) { armed = false; taker.ring(); }
            if (sleepers > tokens && !coming) { coming = true; ++tokens; come.notify_one(); }
        }
        void put_works(void *const *from, size_t count) {
            const std::lock_guard<std::mutex> guard(mutex);
            works.insert(works.end(), from, from + count);
            wake_one();
        }
        void *take_work(bool woken) {
            const std::lock_guard<std::mutex> guard(mutex);
            if (woken) coming = false;
            if (works.empty()) return nullptr;
            void *work = works.front();
            works.pop_front();
            if (!works.empty()) wake_one();
            return work;
        }
        // Sleep until there may be something; false when there never will be again.
        bool sleep() {
            std::unique_lock<std::mutex> guard(mutex);
            if (!works.empty()) return true;
            if (ended) return false;
            ++sleepers;
            come.wait(guard, [this] { return tokens > 0 || ended; });
            --sleepers;
            if (tokens > 0) --tokens;
            return !(ended && works.empty());
        }
        // An event loop is to be woken by the next work; false when there is one now.
        bool arm() {
            const std::lock_guard<std::mutex> guard(mutex);
            taker.hush();
            if (!works.empty() || ended) return false;
            armed = true;
            return true;
        }
        bool over() {
            const std::lock_guard<std::mutex> guard(mutex);
            return ended && works.empty();
        }
        void end() {
            const std::lock_guard<std::mutex> guard(mutex);
            ended = true;
            come.notify_all();
            room.notify_all();
            taker.ring();
        }
        // -- answers
        void put_answer(void *answer, int64_t size) {
            const std::lock_guard<std::mutex> guard(mutex);
            answers.push_back(answer);
            bytes += size;
            if (asleep) { asleep = false; loop.ring(); }
        }
        bool full(int64_t most) {
            const std::lock_guard<std::mutex> guard(mutex);
            return bytes > most && !ended;
        }
        void wait_for_room(int64_t most) {
            std::unique_lock<std::mutex> guard(mutex);
            ++waiters;
            room.wait(guard, [this, most] { return bytes <= most || ended; });
            --waiters;
        }
        // The loop is going to sleep; false when there are answers.
        bool lie_down() {
            const std::lock_guard<std::mutex> guard(mutex);
            if (!answers.empty()) return false;
            asleep = true;
            return true;
        }
        bool take_answers(std::vector<void *> &into) {
            const std::lock_guard<std::mutex> guard(mutex);
            asleep = false;
            into.swap(answers);
            bytes = 0;
            if (waiters) room.notify_all();
            return !into.empty();
        }
    };
    """
    cdef cppclass Ring "BrigantineRing" nogil:
        int ends[2]
        bint open()
        void hush()
    cdef cppclass Box "BrigantineBox" nogil:
        Ring loop
        Ring taker
        void close()
        void put_works(void **works, size_t count) except +
        void *take_work(bint woken)
        bint sleep()
        bint arm()
        bint over()
        void end()
        void put_answer(void *answer, int64_t size) except +
        bint full(int64_t most)
        void wait_for_room(int64_t most)
        bint lie_down()
        bint take_answers(vector[void *] &into)


cdef class Handoff


cdef class Task:
    cdef Work *work         # of `handoff`
    cdef Handoff handoff
    cdef readonly int event
    cdef readonly int64_t serial
    cdef readonly int reason
    cdef readonly object body
    cdef readonly bint single

    # Raises RuntimeError once the task has ended.
    cdef Work *of_loop(self) except NULL


cdef class Handoff:
    cdef Box *box           # owned; left alone in a forked child, where threads may stand in it for ever
    cdef int process
    cdef vector[Work *] works    # all that were made, by the loop's thread; owned

    # One more.
    cdef Work *new_work(self) except NULL nogil
    # Wait while too much has yet to be sent.
    cdef int c_wait(self) except -1
    cdef int c_put(self, Answer *answer) except -1
    cdef int put(self, Task task, int kind, object frames) except -1
    cdef Answer *new_answer(self, int kind, object frames) except NULL
    cdef Task take_work(self, bint woken)


cdef void free_answer(Answer *answer) noexcept nogil
