"""What is bound for an endpoint: libzmq is given numbers, and all of the machine is both families."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import NamedTuple

from ..config.limits import BIND_LOOKUP
from ..errors import BindError, ConnectError
from .names import is_numeric, name_in
from .overlap import LOCALHOST
from .reach import addresses

__all__ = ["NOT_HERE", "Way", "shown_as", "ways_to_bind"]

#: Why the next way is to be tried, and not to be told that this one has failed.
NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENODEV)

_ANY = "*"
#: How libzmq tells that all of the machine is bound, in both families; and what everybody can connect to.
_BOTH, _SHOWN = "tcp://[::]:", "tcp://0.0.0.0:"


class Way(NamedTuple):
    """What libzmq is to bind, and whether its option for IPv6 is on."""

    endpoint: str
    ipv6: bool


def ways_to_bind(endpoint: str) -> list[Way]:
    """What to bind for an endpoint: the first that this machine has.

    ``*`` is both families, or IPv4 where there is no other.  Of the addresses of a name those of IPv4 come
    first, as everybody can connect to them.  Raises :class:`~brigantine.errors.BindError` for a name
    that can't be looked up.
    """
    if not endpoint.startswith("tcp://"):
        return [Way(endpoint, ipv6=False)]
    host = name_in(endpoint)
    if host == _ANY:
        return [Way(endpoint, ipv6=True), Way(endpoint, ipv6=False)]
    if is_numeric(endpoint):
        return [Way(endpoint, _is_ipv6(host))]
    if any(host == name for _, name in socket.if_nameindex()):
        return [Way(endpoint, ipv6=False), Way(endpoint, ipv6=True)]
    if host in LOCALHOST:
        port = endpoint.rpartition(":")[2]
        return [
            Way(f"tcp://{LOCALHOST[host]}:{port}", ipv6=False),
            Way(f"tcp://[::1]:{port}", ipv6=True),
        ]
    try:
        found = addresses(endpoint, BIND_LOOKUP)
    except ConnectError as error:
        raise BindError(
            errno.ENODEV,
            f"can't bind {endpoint}: this machine has no such network interface, and {error.strerror}",
        ) from None
    return sorted((Way(each, _is_ipv6(name_in(each))) for each in found), key=lambda way: way.ipv6)


def shown_as(endpoint: str, real: str) -> str:
    """The real endpoint as it is shown: one that everybody can connect to, without an option for IPv6."""
    if endpoint.startswith(f"tcp://{_ANY}:") and real.startswith(_BOTH):
        return _SHOWN + real.removeprefix(_BOTH)
    return real


def _is_ipv6(host: str) -> bool:
    return ipaddress.ip_address(host.strip("[]")).version == 6
