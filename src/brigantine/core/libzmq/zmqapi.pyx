"""Fills the table of include/zmq.h from the libzmq that pyzmq loaded."""

import ctypes

import zmq
from zmq.backend.cython import _zmq

from libc.stdint cimport uintptr_t
from zmq cimport Socket
from zmq.backend.cython cimport libzmq

__all__ = ["libzmq_version"]

# Unauthenticated peers can stall older ones (CVE-2020-15166).
OLDEST = (4, 3, 3)

# In the order of the slots of brigantine_zmq_table.
SLOTS = (
    "zmq_version",
    "zmq_errno",
    "zmq_msg_init",
    "zmq_msg_init_size",
    "zmq_msg_init_data",
    "zmq_msg_send",
    "zmq_msg_recv",
    "zmq_msg_close",
    "zmq_msg_move",
    "zmq_msg_copy",
    "zmq_msg_data",
    "zmq_msg_size",
    "zmq_msg_more",
    "zmq_msg_get",
    "zmq_msg_gets",
    "zmq_getsockopt",
    "zmq_setsockopt",
    "zmq_poll",
)

cdef brigantine_zmq_table table


cdef int bind(const brigantine_zmq_table **pointer) except -1:
    pointer[0] = &table
    return 0


cdef void *handle_of(object socket) except NULL:
    if not isinstance(socket, Socket):
        raise TypeError(f"a zmq.Socket is needed, not {socket!r}")
    if socket.closed:
        raise zmq.ZMQError(zmq.ENOTSOCK)
    cdef void *handle = (<Socket>socket).handle
    # A pyzmq whose Socket is laid out otherwise than the one this was built with shows here.
    if <uintptr_t>handle != <uintptr_t>socket.underlying:
        raise ImportError(
            f"brigantine was built for another pyzmq than the {zmq.__version__} that is running; "
            "reinstall it: pip install --force-reinstall --no-cache-dir brigantine"
        )
    return handle


cdef int raise_zmq_error() except -1 nogil:
    cdef int number = libzmq.zmq_errno()
    with gil:
        raise zmq.ZMQError(number)


def libzmq_version():
    """The version of the one libzmq in this process, as ``(major, minor, patch)``."""
    cdef int major = 0, minor = 0, patch = 0
    libzmq._zmq_version(&major, &minor, &patch)
    return major, minor, patch


def _fill():
    """Look up every slot.  dlsym on pyzmq's own extension also searches the libzmq it depends on."""
    global brigantine_zmq
    if sizeof(table) != len(SLOTS) * sizeof(void *):
        raise ImportError("zmqapi.SLOTS does not match include/zmq.h")
    library = ctypes.CDLL(_zmq.__file__)
    cdef void **slots = <void **>&table
    for index, name in enumerate(SLOTS):
        try:
            function = getattr(library, name)
        except AttributeError:
            raise ImportError(
                f"{name} is not found through {_zmq.__file__}; brigantine needs pyzmq 26 or later "
                "with its Cython backend and a libzmq loaded as a shared library"
            ) from None
        slots[index] = <void *><uintptr_t>ctypes.cast(function, ctypes.c_void_p).value
    brigantine_zmq = &table
    version = libzmq_version()
    if version < OLDEST:
        found, wanted = (".".join(map(str, each)) for each in (version, OLDEST))
        raise ImportError(
            f"libzmq {found} can be stalled by any peer (CVE-2020-15166); "
            f"{wanted} or later is needed: pip install --upgrade pyzmq"
        )


_fill()
