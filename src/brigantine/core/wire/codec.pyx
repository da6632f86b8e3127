"""Which protocol a message is of: what is rarely said, and whether the codecs' bytes are the right ones."""

from zmq.backend.cython.libzmq cimport zmq_msg_t

from ..libzmq cimport zmqapi
from ..libzmq.zmqapi cimport brigantine_zmq
from . cimport mdp, ppp, req
from .envelope cimport frame_empty, frames_reserve

from ...wire import mdp as mdp_wire
from ...wire import ppp as ppp_wire
from ...wire import req as req_wire

zmqapi.bind(&brigantine_zmq)


def check_bytes(codec, here, wire, names):
    """Raise ``ImportError`` unless a codec has for each name just the bytes that ``wire`` has."""
    for name in names:
        value = here.get(name)
        found = value if isinstance(value, bytes) else bytes([value or 0])
        if found != getattr(wire, name):
            raise ImportError(
                f"{name} of core/wire/{codec}.pxd is {found!r}, not {getattr(wire, name)!r}"
            )


MDP_BYTES = {
    "CLIENT_01": mdp.CLIENT_01,
    "CLIENT_02": mdp.CLIENT_02,
    "CLIENT_FINAL": mdp.CLIENT_FINAL,
    "CLIENT_PARTIAL": mdp.CLIENT_PARTIAL,
    "CLIENT_REQUEST": mdp.CLIENT_REQUEST,
    "DISCONNECT_01": mdp.DISCONNECT_01,
    "DISCONNECT_02": mdp.DISCONNECT_02,
    "FINAL_02": mdp.FINAL_02,
    "HEARTBEAT_01": mdp.HEARTBEAT_01,
    "HEARTBEAT_02": mdp.HEARTBEAT_02,
    "MMI_FOUND": mdp.MMI_FOUND,
    "MMI_NOT_FOUND": mdp.MMI_NOT_FOUND,
    "MMI_NOT_IMPLEMENTED": mdp.MMI_NOT_IMPLEMENTED,
    "MMI_PREFIX": mdp.MMI_PREFIX,
    "MMI_SERVICE": mdp.MMI_SERVICE,
    "MMI_SERVICES": mdp.MMI_SERVICES,
    "MMI_STATS": mdp.MMI_STATS,
    "MMI_WORKERS": mdp.MMI_WORKERS,
    "PARTIAL_02": mdp.PARTIAL_02,
    "READY": mdp.READY,
    "REPLY_01": mdp.REPLY_01,
    "REQUEST": mdp.REQUEST,
    "WORKER_01": mdp.WORKER_01,
    "WORKER_02": mdp.WORKER_02,
}
PPP_BYTES = {
    "HEARTBEAT": ppp.HEARTBEAT,
    "HEARTBEAT_WORD": ppp.HEARTBEAT_WORD,
    "READY": ppp.READY,
    "READY_WORD": ppp.READY_WORD,
}
REQ_BYTES = {"LEAVING": req.LEAVING, "READY": req.READY, "READY_BYTE": req.READY_BYTE}

check_bytes("mdp", MDP_BYTES, mdp_wire, mdp_wire.__all__)
check_bytes("ppp", PPP_BYTES, ppp_wire, ppp_wire.__all__)
check_bytes("req", REQ_BYTES, req_wire, REQ_BYTES)
if {len(MDP_BYTES[name]) for name in ("CLIENT_01", "CLIENT_02", "WORKER_01", "WORKER_02")} != {HEADER_SIZE}:
    raise ImportError(f"a header of core/wire/mdp.pxd has not {HEADER_SIZE} bytes")


cdef int lead(Frames *head) except -1 nogil:
    cdef zmq_msg_t empty
    cdef int index
    frames_reserve(head, head.count + 1)
    frame_empty(&head.at[head.count])
    empty = head.at[head.count]
    for index in range(head.count, 1, -1):
        head.at[index] = head.at[index - 1]
    head.at[1] = empty
    head.count += 1
    return 0


cdef int heartbeat_head(
    Frames *head, const void *identity, size_t identity_size, int protocol, int dialect
) except -1 nogil:
    if protocol == PPP:
        return ppp.heartbeat_ppp(head, identity, identity_size, dialect)
    mdp.head_mdp_command(head, identity, identity_size, protocol, mdp.heartbeat_byte(protocol))
    return lead(head) if dialect == LED else 0


cdef int leaving_head(
    Frames *head, const void *identity, size_t identity_size, int protocol
) except -1 nogil:
    if protocol == REQ:
        return req.leaving_req(head, identity, identity_size)
    if protocol == PPP:
        return ppp.leaving_ppp(head, identity, identity_size)
    return mdp.leaving_mdp(head, identity, identity_size, protocol)


cdef int disconnect_head(
    Frames *head, const void *identity, size_t identity_size, int protocol, int dialect
) except -1 nogil:
    mdp.head_mdp_command(head, identity, identity_size, protocol, mdp.disconnect_byte(protocol))
    return lead(head) if dialect == LED else 0
