"""What each peer has been sent and has not yet taken, in bytes of memory.

libzmq counts messages, however large they are.  So the last frame of a heavy message is wrapped into one
whose free function tells that libzmq is done with it: the peer's system has taken all of the message, or
the connection is gone and the message with it.  That function runs in an I/O thread, in the loop's, over
inproc in the receiver's, and may run after the loop has gone.  It touches what is its own, and Returns.

A heavy message costs LIGHT bytes or more.  Lighter ones are not counted: the high-water mark bounds them.
"""

from libc.stdint cimport int64_t
from libcpp.string cimport string
from libcpp.vector cimport vector
from zmq.backend.cython.libzmq cimport zmq_msg_t

from ..structures.names cimport NameTable

cdef extern from *:
    """
    #include <atomic>
    #include <cstdint>
    #include <cstdlib>
    #include "zmq.h"

    struct BrigantineReturns;

    /* A heavy message that a peer has not taken.  Owned by the frame that it follows, until that is
       freed; then by `returns`. */
    struct BrigantineCharge {
        zmq_msg_t frame;             /* the last frame as it was: what libzmq has points into it */
        BrigantineReturns *returns;
        BrigantineCharge *next;      /* among those that have come back */
        int64_t bytes;               /* what the whole message costs */
        int account;                 /* the peer's */
    };

    /* The charges that have come back to their accounts: anybody adds one, one thread takes them all.
       It lives as long as the accounts or a charge need it. */
    struct BrigantineReturns {
        std::atomic<BrigantineCharge *> last{nullptr};
        std::atomic<int64_t> bytes{0};    /* of all charges that have not come back */
        std::atomic<int64_t> holders{1};  /* the accounts, and each such charge */

        void hold(int64_t more) noexcept {
            holders.fetch_add(1, std::memory_order_relaxed);
            bytes.fetch_add(more, std::memory_order_relaxed);
        }
        bool some() const noexcept {
            return last.load(std::memory_order_relaxed) != nullptr;
        }
        BrigantineCharge *take() noexcept {
            return last.exchange(nullptr, std::memory_order_acquire);
        }
        void give(BrigantineCharge *charge) noexcept {
            bytes.fetch_sub(charge->bytes, std::memory_order_relaxed);
            charge->next = last.load(std::memory_order_relaxed);
            while (!last.compare_exchange_weak(
                charge->next, charge, std::memory_order_release, std::memory_order_relaxed)) {}
            let_go();
        }
        void let_go() noexcept {
            if (holders.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
            for (BrigantineCharge *charge = take(); charge != nullptr;) {
                BrigantineCharge *next = charge->next;
                std::free(charge);
                charge = next;
            }
            delete this;
        }
    };
    """
    cdef cppclass Returns "BrigantineReturns":
        Returns() except +
        void hold(int64_t more) noexcept nogil
        bint some() noexcept nogil
        Charge *take() noexcept nogil
        void give(Charge *charge) noexcept nogil
        void let_go() noexcept nogil
        int64_t unsent "bytes.load"() noexcept nogil
    ctypedef struct Charge "BrigantineCharge":
        zmq_msg_t frame
        Returns *returns
        Charge *next
        int64_t bytes
        int account


cdef class Accounts:
    cdef Returns *returns             # held
    cdef int64_t limit                # bytes that a peer may have to take, if it has anything
    # Peers that have something to take: by side and routing id, see find().
    cdef NameTable peers
    cdef vector[int64_t] outstanding  # bytes, by index
    cdef string key                   # the peer of the message that is being sent

    # What a message of so many frames, all of them together, costs.
    cdef int64_t weigh(
        self, zmq_msg_t *head, int heads, zmq_msg_t *body, int bodies
    ) noexcept nogil
    # Whether a peer of a side, named by the first frame of a message, may be sent one of that weight.
    cdef bint admits(self, int side, zmq_msg_t *name, int64_t weight) except -1 nogil
    # Charge the peer that was last asked for with a message of which `frame` is the last, and going to be
    # sent.  It is the same to libzmq before and after.
    cdef int charge(self, zmq_msg_t *frame, int64_t weight) except -1 nogil
    # Take off what peers have taken.
    cdef int settle(self) except -1 nogil
