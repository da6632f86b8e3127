"""What a broker tells of its services and workers, as msgpack: see docs/control.md."""

from libcpp.string cimport string
from libcpp.vector cimport vector

from ..structures.chain cimport Link
from ..structures.names cimport NameTable
from .records cimport Service, Worker

# {name: {"workers": n, "idle": n, "queued": n}}, in the order of names.
cdef int pack_services(
    string *out, NameTable names, const vector[Service] *services
) except -1 nogil
# {service: [{"identity": id, "protocol": name, "capacity": n, "in_flight": n, "state": word,
# "side": word}]}, in the order of names; `free` are the links of those that could take a request now.
cdef int pack_workers(
    string *out, NameTable names, NameTable identities, const vector[Worker] *workers,
    vector[Link] *free,
) except -1 nogil
