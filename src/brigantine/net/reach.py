"""Where a name leads, for callers that can do nothing before that is known."""

from __future__ import annotations

import errno
import socket
import time

from ..errors import ConnectError
from ..system.bell import Bell
from .names import is_numeric, look_up, name_in, port_in

__all__ = ["addresses", "reach"]

#: Seconds in which one of several addresses must accept a connection to be taken.
ADDRESS_TIMEOUT = 1.0
#: Seconds until all are tried again when none has.
PAUSE = 0.1


def reach(endpoint: str, timeout: float) -> str:
    """The endpoint with numbers instead of a name, within about ``timeout`` seconds.

    Of several addresses the first that accepts connections, or the very first one when none has in
    time: whoever connects to it finds out that nobody is there.
    Raises :class:`~brigantine.errors.ConnectError` when the name has no address, or no answer came.
    """
    if is_numeric(endpoint):
        return endpoint
    deadline = time.monotonic() + timeout
    found = addresses(endpoint, timeout)
    while len(found) > 1:
        for address in found:
            left = deadline - time.monotonic()
            if left <= 0:
                return found[0]
            if _accepts(address, min(left, ADDRESS_TIMEOUT)):
                return address
        time.sleep(min(PAUSE, max(0.0, deadline - time.monotonic())))
    return found[0]


def addresses(endpoint: str, timeout: float) -> tuple[str, ...]:
    """All endpoints with numbers instead of the name, waited for at most ``timeout`` seconds.

    Raises :class:`~brigantine.errors.ConnectError` when there is none, or no answer came.
    """
    answered = Bell()
    lookup = look_up(endpoint, answered.ring)
    try:
        answered.wait(lambda: lookup.endpoints is not None, timeout)
    finally:
        lookup.cancel()
    if lookup.endpoints:
        return lookup.endpoints
    words = lookup.error or f"can't look up {name_in(endpoint)}: no answer within {timeout:g} s"
    raise ConnectError(errno.EHOSTUNREACH, words)


def _accepts(address: str, timeout: float) -> bool:
    host = name_in(address).strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.settimeout(timeout)
            probe.connect((host, int(port_in(address))))
    except OSError:
        return False
    return True
