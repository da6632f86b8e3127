"""Frames of one message: address stack, empty delimiter, body."""

from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from zmq.backend.cython.libzmq cimport (
    zmq_msg_close,
    zmq_msg_copy,
    zmq_msg_data,
    zmq_msg_init,
    zmq_msg_init_size,
    zmq_msg_move,
    zmq_msg_size,
    zmq_msg_t,
)

from ..libzmq cimport zmqapi
from ..libzmq.zmqapi cimport brigantine_zmq

from ...config import BrokerConfig
from ...wire.envelope import (
    address_frames,
    body_frames,
    delimits,
    has_delimiter,
    message_frames,
    shown_envelope,
)
from ...errors import BadEnvelope

__all__ = ["Envelope"]

zmqapi.bind(&brigantine_zmq)

cdef enum:
    FIRST_PLACES = 4
    # Sizes that libzmq receives into a buffer which it shares among messages: beyond those that fit
    # in a zmq_msg_t (33 on all platforms), up to the size of that buffer.
    INLINE_SIZE = 33
    SHARED_BUFFER = 8192

cdef int MAX_FRAMES = BrokerConfig.max_frames
cdef int MAX_DEPTH = BrokerConfig.max_depth


cdef void frames_init(Frames *frames) noexcept nogil:
    frames.at = NULL
    frames.count = 0
    frames.capacity = 0


cdef void frames_free(Frames *frames) noexcept nogil:
    cdef int index
    for index in range(frames.capacity):
        zmq_msg_close(&frames.at[index])
    free(frames.at)
    frames_init(frames)


cdef int frames_reserve(Frames *frames, int places) except -1 nogil:
    cdef int capacity, index
    cdef zmq_msg_t *at
    if places <= frames.capacity:
        return 0
    capacity = max(places, 2 * frames.capacity, FIRST_PLACES)
    at = <zmq_msg_t *>malloc(capacity * sizeof(zmq_msg_t))
    if at == NULL:
        with gil:
            raise MemoryError()
    for index in range(capacity):
        zmq_msg_init(&at[index])
    for index in range(frames.count):
        zmq_msg_move(&at[index], &frames.at[index])
    for index in range(frames.capacity):
        zmq_msg_close(&frames.at[index])
    free(frames.at)
    frames.at = at
    frames.capacity = capacity
    return 0


cdef void frames_clear(Frames *frames) noexcept nogil:
    cdef int index
    if frames.capacity > KEPT_PLACES:
        frames_free(frames)
        return
    for index in range(frames.count):
        zmq_msg_close(&frames.at[index])
        zmq_msg_init(&frames.at[index])
    frames.count = 0


cdef int frame_set(zmq_msg_t *frame, const void *data, size_t size) except -1 nogil:
    zmq_msg_close(frame)
    if zmq_msg_init_size(frame, size) != 0:
        zmq_msg_init(frame)
        with gil:
            raise MemoryError()
    if size:
        memcpy(zmq_msg_data(frame), data, size)
    return 0


cdef int frames_move(Frames *to, zmq_msg_t *source, int count) except -1 nogil:
    cdef int index
    frames_reserve(to, to.count + count)
    for index in range(count):
        zmq_msg_move(&to.at[to.count + index], &source[index])
    to.count += count
    return 0


cdef int frames_copy(Frames *to, zmq_msg_t *source, int count) except -1 nogil:
    cdef int index
    frames_reserve(to, to.count + count)
    for index in range(count):
        zmq_msg_copy(&to.at[to.count + index], &source[index])
    to.count += count
    return 0


cdef int frames_append(Frames *frames, const void *data, size_t size) except -1 nogil:
    frames_reserve(frames, frames.count + 1)
    frame_set(&frames.at[frames.count], data, size)
    frames.count += 1
    return 0


cdef int frames_extend(Frames *frames, object parts) except -1:
    cdef bytes part
    for part in parts:
        if part is None:
            raise TypeError("a frame is bytes, not None")
        frames_append(frames, <const char *>part, len(part))
    return 0


cdef list frames_list(const Frames *frames, int start, int stop):
    cdef int index
    cdef zmq_msg_t *frame
    parts = []
    for index in range(start, stop):
        frame = &frames.at[index]
        parts.append((<const char *>zmq_msg_data(frame))[:zmq_msg_size(frame)])
    return parts


cdef int64_t frames_size(const Frames *frames, int start, int stop) noexcept nogil:
    cdef int index
    cdef int64_t size = 0
    for index in range(start, stop):
        size += <int64_t>zmq_msg_size(&frames.at[index])
    return size


cdef int frames_compact(Frames *frames, int start, int stop) except -1 nogil:
    cdef int index
    cdef size_t size
    cdef zmq_msg_t copy
    for index in range(start, stop):
        size = zmq_msg_size(&frames.at[index])
        if size <= INLINE_SIZE or size > SHARED_BUFFER:
            continue
        zmq_msg_init(&copy)
        frame_set(&copy, zmq_msg_data(&frames.at[index]), size)
        zmq_msg_move(&frames.at[index], &copy)
        zmq_msg_close(&copy)
    return 0


cdef int find_delimiter(const Frames *frames, int max_depth) noexcept nogil:
    cdef int index
    for index in range(frames.count):
        if zmq_msg_size(&frames.at[index]) == 0:
            return index if index else <int>NO_DELIMITER
        if index == max_depth:
            return TOO_DEEP
    return NO_DELIMITER


cdef class Envelope:
    """Envelope(address, body, *, delimiter=True)\n--\n\nA message of a ROUTER: address, delimiter, body.

    ``address`` is the routing id of a peer, or a stack of them (the nearest first), none of them empty;
    ``body`` is ``bytes`` for one frame or a sequence for several.  Without ``delimiter`` nothing stands
    between the two, as DEALER peers may have it.
    Source: ZeroMQ RFC 28/REQREP, "address stack" and "delimiter".
    """

    def __cinit__(self):
        frames_init(&self.parts)

    def __dealloc__(self):
        frames_free(&self.parts)

    def __init__(self, address, body, *, delimiter=True):
        """Raises ``ValueError`` for an empty address, an empty frame in it, or a body without a frame."""
        stack, rest = address_frames(address), body_frames(body)
        frames_clear(&self.parts)
        self.depth = 0
        self.delimited = delimits(delimiter)
        frames_extend(&self.parts, [*stack, *([b""] if self.delimited else []), *rest])
        self.depth = len(stack)

    @classmethod
    def parse(cls, frames, *, delimiter=True, int max_frames=MAX_FRAMES, int max_depth=MAX_DEPTH):
        """Split the frames of a message as a ROUTER received it.

        With ``delimiter`` the address ends at the first empty frame, without it is the first frame
        alone; ``None`` takes the message as it is: with a delimiter if its second frame is empty and
        more follows.  Raises :class:`~brigantine.errors.BadEnvelope` (``reason`` names the counter) for
        more than ``max_frames`` frames, more than ``max_depth`` before the delimiter, no address, no
        delimiter or no body.
        """
        cdef Envelope envelope = Envelope.__new__(cls)
        cdef int at
        frames = message_frames(frames)
        if len(frames) > max_frames:
            raise BadEnvelope("too_many_frames", f"{len(frames)} frames, at most {max_frames}")
        envelope.delimited = has_delimiter(frames, delimiter)
        frames_extend(&envelope.parts, frames)
        if not envelope.delimited:
            if len(frames) == 1 or not frames[0]:
                raise BadEnvelope("malformed", "an address and a body are needed")
            envelope.depth = 1
            return envelope
        at = find_delimiter(&envelope.parts, max_depth)
        if at == TOO_DEEP:
            raise BadEnvelope("too_deep", f"more than {max_depth} address frames")
        if at < 0 or at + 1 == envelope.parts.count:
            raise BadEnvelope("malformed", "an address, an empty frame and a body are needed")
        envelope.depth = at
        return envelope

    def rewrap(self, address):
        """Put ``address`` in the place of the address stack; the body stays as it is.

        Raises ``ValueError`` for an empty address or an empty frame in it.
        """
        cdef Frames fresh
        cdef int index, count
        stack = address_frames(address)
        frames_init(&fresh)
        try:
            frames_extend(&fresh, stack)
            count = self.parts.count - self.depth
            frames_reserve(&fresh, fresh.count + count)
        except BaseException:
            frames_free(&fresh)
            raise
        for index in range(count):
            zmq_msg_move(&fresh.at[fresh.count + index], &self.parts.at[self.depth + index])
        fresh.count += count
        frames_swap(&fresh, &self.parts)
        frames_free(&fresh)
        self.depth = len(stack)

    def wrap(self, address, *, delimiter=True):
        """A new envelope around this one, which is its body: ``address [] this envelope's frames``.

        So a broker sends a client's request on to a worker.
        :meth:`~brigantine.Envelope.unwrap` undoes it.
        """
        return type(self)(address, self.frames(), delimiter=delimiter)

    def unwrap(self, *, delimiter=True, int max_frames=MAX_FRAMES, int max_depth=MAX_DEPTH):
        """The envelope that is the body of this one.

        Arguments and errors: :meth:`~brigantine.Envelope.parse`.
        """
        return self.parse(
            self.body, delimiter=delimiter, max_frames=max_frames, max_depth=max_depth
        )

    def reply(self, body):
        """A new envelope for the sender of this one: the same address and framing, with another body."""
        return type(self)(self.address, body, delimiter=self.delimited)

    def frames(self):
        """All frames as they go to a socket: address, delimiter, body."""
        return frames_list(&self.parts, 0, self.parts.count)

    @property
    def address(self):
        """The address stack, a list of bytes."""
        return frames_list(&self.parts, 0, self.depth)

    @property
    def delimiter(self):
        """Whether an empty frame is between address and body."""
        return bool(self.delimited)

    @property
    def body(self):
        """The frames after address and delimiter, a list of bytes."""
        return frames_list(&self.parts, self.depth + self.delimited, self.parts.count)

    @property
    def size(self):
        """Bytes of all frames together."""
        return frames_size(&self.parts, 0, self.parts.count)

    def __eq__(self, other):
        if not isinstance(other, Envelope):
            return NotImplemented
        return (self.address, self.delimiter, self.body) == (
            other.address, other.delimiter, other.body
        )

    __hash__ = None

    def __repr__(self):
        return shown_envelope(self.address, self.body, delimiter=self.delimited)

    def __reduce__(self):
        return _made, (type(self), self.address, self.body, self.delimiter)


def _made(kind, address, body, delimiter):
    """An envelope that was pickled or copied."""
    return kind(address, body, delimiter=delimiter)
