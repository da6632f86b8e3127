"""Frames of one message: address stack, empty delimiter, body.  Bounded; moves, never copies.

Ownership: every one of the `capacity` places of `Frames.at` is an initialised zmq_msg_t at all
times, so a place can be received into, moved from, sent from (which empties it) and closed without
asking first.  Who owns a Frames struct frees it with frames_free.
"""

from libc.stdint cimport int64_t
from libc.string cimport memcmp, strlen
from zmq.backend.cython.libzmq cimport (
    zmq_msg_close,
    zmq_msg_data,
    zmq_msg_init,
    zmq_msg_size,
    zmq_msg_t,
)

cdef enum:
    # What find_delimiter answers when there is none to be used.
    NO_DELIMITER = -1
    TOO_DEEP = -2
    # Places that an emptied Frames keeps for its next message; more are given back.
    KEPT_PLACES = 16

cdef struct Frames:
    zmq_msg_t *at   # owned; NULL while capacity is 0
    int count       # places that hold the message
    int capacity    # places


cdef void frames_init(Frames *frames) noexcept nogil
# Close all messages and free the places.
cdef void frames_free(Frames *frames) noexcept nogil
# Make room for `places` frames in all.
cdef int frames_reserve(Frames *frames, int places) except -1 nogil
# Close all messages; keep some places for the next message.
cdef void frames_clear(Frames *frames) noexcept nogil
# Append a frame with a copy of `size` bytes.
cdef int frames_append(Frames *frames, const void *data, size_t size) except -1 nogil
# Append Python bytes objects.
cdef int frames_extend(Frames *frames, object parts) except -1
# Frames [start, stop) as a list of bytes objects.
cdef list frames_list(const Frames *frames, int start, int stop)
# Bytes of frames [start, stop) together.
cdef int64_t frames_size(const Frames *frames, int start, int stop) noexcept nogil
# Replace the frames [start, stop) that libzmq may keep in a shared receive buffer by own copies.
cdef int frames_compact(Frames *frames, int start, int stop) except -1 nogil
# A frame with a copy of `size` bytes, in a place that is initialised.
cdef int frame_set(zmq_msg_t *frame, const void *data, size_t size) except -1 nogil
# Move `count` frames of `source`, which are left empty, to the end of a message.
cdef int frames_move(Frames *to, zmq_msg_t *source, int count) except -1 nogil
# Append copies of `count` frames; what is large is shared, not copied.
cdef int frames_copy(Frames *to, zmq_msg_t *source, int count) except -1 nogil
# Index of the empty frame that ends the address stack of 1 to max_depth frames, or NO_DELIMITER
# (no frame is empty, or none comes before it) or TOO_DEEP.
cdef int find_delimiter(const Frames *frames, int max_depth) noexcept nogil


cdef inline const char *data_of(zmq_msg_t *frame) noexcept nogil:
    return <const char *>zmq_msg_data(frame)


cdef inline size_t frame_size(const Frames *frames, int index) noexcept nogil:
    return zmq_msg_size(&frames.at[index])


cdef inline bint frame_is(
    const Frames *frames, int index, const char *bytes_, size_t size
) noexcept nogil:
    """Whether a frame holds just these bytes."""
    cdef zmq_msg_t *frame = &frames.at[index]
    return zmq_msg_size(frame) == size and memcmp(zmq_msg_data(frame), bytes_, size) == 0


cdef inline bint frame_is_word(const Frames *frames, int index, const char *word) noexcept nogil:
    """Whether a frame holds just this word of a protocol, a C string."""
    return frame_is(frames, index, word, strlen(word))


cdef inline bint frame_is_byte(const Frames *frames, int index, unsigned char byte) noexcept nogil:
    """Whether a frame holds this byte and no other."""
    return frame_is(frames, index, <const char *>&byte, 1)


cdef inline int frame_set_byte(zmq_msg_t *frame, unsigned char byte) except -1 nogil:
    """A frame with one byte, in a place that is initialised."""
    return frame_set(frame, &byte, 1)


cdef inline bint frame_starts(
    const Frames *frames, int index, const char *bytes_, size_t size
) noexcept nogil:
    """Whether a frame begins with these bytes."""
    cdef zmq_msg_t *frame = &frames.at[index]
    return zmq_msg_size(frame) >= size and memcmp(zmq_msg_data(frame), bytes_, size) == 0


cdef inline void frame_empty(zmq_msg_t *frame) noexcept nogil:
    """Make a frame empty; after a send it is already, which costs one look."""
    if zmq_msg_size(frame) != 0:
        zmq_msg_close(frame)
        zmq_msg_init(frame)


cdef inline void frames_swap(Frames *one, Frames *other) noexcept nogil:
    cdef Frames kept = one[0]
    one[0] = other[0]
    other[0] = kept


cdef class Envelope:
    cdef Frames parts      # address, delimiter if it has one, body
    cdef int depth         # frames of the address
    cdef bint delimited    # an empty frame follows the address
