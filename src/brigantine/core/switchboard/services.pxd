"""Services by name: created when needed, forgotten when nobody needs them."""

from .board cimport Board
from ..structures.chain cimport chain_append, chain_has
from ..wire.envelope cimport Frames, data_of, frame_size
from ..wire.messages cimport NONE, Command
from .records cimport Service, Worker

# The service of that name, made known if need be; NIL beyond the bound.  The bound is for clients, who
# can name any number of services: a worker has a connection.
cdef int find_service(Board board, const char *name, size_t size, bint by_worker) except -2 nogil
# A worker or a request needs it no longer.
cdef int leave_service(Board board, int service) except -1 nogil
# Whether nobody offers the service of that name.
cdef bint is_vacant(Board board, const char *name, size_t size) noexcept nogil


cdef inline void service_name(
    Board board, const Frames *frames, const Command *command, const char **name, size_t *size
) noexcept nogil:
    """The service that a request or a READY is for."""
    if command.service == NONE:
        name[0] = board.default_service.data()
        size[0] = board.default_service.size()
    else:
        name[0] = data_of(&frames.at[command.service])
        size[0] = frame_size(frames, command.service)


cdef inline void mark_dirty(Board board, int service) noexcept nogil:
    """A request or a worker of this service may go on: see dispatch.dispatch_all."""
    if not chain_has(board.dirty_links.data(), service):
        chain_append(&board.dirty_services, board.dirty_links.data(), service)


cdef inline void take_place(Board board, int index) noexcept nogil:
    """A worker holds one more."""
    cdef Worker *worker = &board.workers[index]
    cdef Service *service = &board.services[worker.service]
    if worker.occupied == 0:
        service.unoccupied -= 1
    worker.occupied += 1
    service.in_hand += 1


cdef inline void give_places(Board board, int index, int places) noexcept nogil:
    """A worker holds this many less."""
    cdef Worker *worker = &board.workers[index]
    cdef Service *service = &board.services[worker.service]
    if worker.occupied and worker.occupied == places:
        service.unoccupied += 1
    worker.occupied -= places
    service.in_hand -= places
