"""Services by name: created when needed, forgotten when nobody needs them."""

from libc.string cimport memset

from ..structures.chain cimport NIL, chain_init, chain_off, chain_remove
from .counters cimport SERVICES
from .records cimport Service


cdef int find_service(Board board, const char *name, size_t size, bint by_worker) except -2 nogil:
    cdef Service fresh
    cdef int index = board.service_names.find(name, size)
    if index != NIL:
        return index
    if not by_worker and board.count[SERVICES] >= board.max_services:
        return NIL
    index = board.service_names.add(name, size)
    memset(&fresh, 0, sizeof(fresh))
    fresh.age = board.services_made
    board.services_made += 1
    chain_init(&fresh.free)
    chain_init(&fresh.queue)
    if <size_t>index == board.services.size():
        board.dirty_links.push_back(chain_off())
        board.services.push_back(fresh)
    board.services[index] = fresh
    board.count[SERVICES] += 1
    return index


cdef int leave_service(Board board, int service) except -1 nogil:
    board.services[service].users -= 1
    if board.services[service].users == 0:
        if chain_has(board.dirty_links.data(), service):
            chain_remove(&board.dirty_services, board.dirty_links.data(), service)
        board.service_names.forget(service)
        board.count[SERVICES] -= 1
    return 0


cdef bint is_vacant(Board board, const char *name, size_t size) noexcept nogil:
    cdef int index = board.service_names.find(name, size)
    return index == NIL or board.services[index].workers == 0
