"""What a broker tells of its services and workers, as msgpack: see docs/control.md."""

from cython.operator cimport dereference, postincrement
from libcpp.algorithm cimport sort
from libcpp.unordered_map cimport unordered_map
from libcpp.utility cimport pair

from ..structures.chain cimport chain_has
from ..wire.messages cimport MDP01, MDP02, PPP, REQ
from .outbox cimport BACKEND
from ..wire.msgpack_writer cimport pack_array, pack_bytes, pack_map, pack_text, pack_uint

from ...config.protocols import Protocol

cdef unordered_map[int, string] PROTOCOL_NAMES
for _flag in (REQ, PPP, MDP01, MDP02):
    PROTOCOL_NAMES[<int>_flag] = <string>(<bytes>Protocol(_flag).name.encode())


cdef int pack_services(
    string *out, NameTable names, const vector[Service] *services
) except -1 nogil:
    cdef vector[string] sorted_names
    cdef const Service *service
    cdef size_t index
    known = names.indexes.begin()
    while known != names.indexes.end():
        sorted_names.push_back(dereference(postincrement(known)).first)
    sort(sorted_names.begin(), sorted_names.end())
    pack_map(out, sorted_names.size())
    for index in range(sorted_names.size()):
        pack_bytes(out, sorted_names[index].data(), sorted_names[index].size())
        service = &dereference(services)[names.indexes[sorted_names[index]]]
        pack_map(out, 3)
        pack_text(out, b"workers", 7)
        pack_uint(out, service.workers)
        pack_text(out, b"idle", 4)
        pack_uint(out, service.free.length)
        pack_text(out, b"queued", 6)
        pack_uint(out, service.queue.length)
    return 0


cdef int pack_workers(
    string *out, NameTable names, NameTable identities, const vector[Worker] *workers,
    vector[Link] *free,
) except -1 nogil:
    # Service and identity by name, the worker's side, and its index.
    cdef vector[pair[pair[string, string], pair[int, int]]] found
    cdef pair[pair[string, string], pair[int, int]] each
    cdef size_t first, last, groups = 0
    cdef int index
    for index in range(<int>dereference(workers).size()):
        if not dereference(workers)[index].lost:
            each.first.first = names.names[dereference(workers)[index].service]
            each.first.second = identities.names[index]
            each.second.first = dereference(workers)[index].side
            each.second.second = index
            found.push_back(each)
    sort(found.begin(), found.end())
    for first in range(found.size()):
        if first == 0 or found[first].first.first != found[first - 1].first.first:
            groups += 1
    pack_map(out, groups)
    first = 0
    while first < found.size():
        last = first
        while last < found.size() and found[last].first.first == found[first].first.first:
            last += 1
        pack_bytes(out, found[first].first.first.data(), found[first].first.first.size())
        pack_array(out, last - first)
        while first < last:
            index = found[first].second.second
            pack_worker(
                out, &found[first].first.second, &dereference(workers)[index],
                chain_has(free.data(), index),
            )
            first += 1
    return 0


cdef int pack_worker(
    string *out, const string *identity, const Worker *worker, bint is_free
) except -1 nogil:
    cdef const string *protocol = &PROTOCOL_NAMES[worker.protocol]
    pack_map(out, 6)
    pack_text(out, b"identity", 8)
    pack_bytes(out, identity.data(), identity.size())
    pack_text(out, b"protocol", 8)
    pack_text(out, protocol.data(), protocol.size())
    pack_text(out, b"capacity", 8)
    pack_uint(out, worker.capacity)
    pack_text(out, b"in_flight", 9)
    pack_uint(out, worker.live)
    pack_text(out, b"state", 5)
    if is_free:
        pack_text(out, b"idle", 4)
    else:
        pack_text(out, b"busy", 4)
    pack_text(out, b"side", 4)
    if worker.side == BACKEND:
        pack_text(out, b"backend", 7)
    else:
        pack_text(out, b"frontend", 8)
    return 0
