"""Which endpoints can't be bound side by side, and which lead back to what is bound."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from ..errors import ConfigError, OptionName
from .names import name_in, port_in

__all__ = ["LOCALHOST", "check_distinct", "leads_to"]

#: Each time it is bound it is another address.
_WILDCARD = re.compile(r"(tcp://.*:(\*|0+)|ipc://\*)\Z", re.DOTALL)
#: Hosts that mean every address of the machine: of both families, of IPv4.
_ANY, _ANY_IPV4 = ("*", "::"), "0.0.0.0"
#: What this name means to every machine: who binds it is not to be reached from another one.
LOCALHOST = {"localhost": "127.0.0.1"}

_TCP = "tcp://"


def check_distinct(**endpoints: Sequence[str]) -> None:
    """Raise :class:`~brigantine.errors.ConfigError` for an endpoint that is to be bound twice.

    Checked endpoints by what each is for.  One that means any free address may occur twice.
    """
    taken: dict[str, str] = {}
    for what, several in endpoints.items():
        for endpoint in several:
            if _WILDCARD.match(endpoint):
                continue
            for other, whose in taken.items():
                _refuse_two(what, endpoint, whose, other)
            taken[endpoint] = what


def _refuse_two(what: str, endpoint: str, whose: str, other: str) -> None:
    if endpoint == other:
        twice = "twice" if whose == what else f"for {whose} as well"
        words = f"{endpoint!r} is given {twice}, and"
    elif _covers(other, endpoint) or _covers(endpoint, other):
        words = f"{endpoint!r} and {other!r} of {whose} are one address and port, which"
    else:
        return
    raise ConfigError(
        OptionName(what), f": {words} can be bound once; leave one out, or choose another"
    )


def leads_to(target: str, bound: str) -> bool:
    """Whether who connects to ``target`` reaches what is bound at ``bound``, as far as their text tells."""
    if target == bound:
        return True
    if not (target.startswith(_TCP) and bound.startswith(_TCP)):
        return False
    host = _host(target)
    if _host(bound) in (*_ANY, _ANY_IPV4):  # of this machine
        return port_in(target) == port_in(bound) and _is_here(host)
    return _covers(bound, target)


def _is_here(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _covers(one: str, other: str) -> bool:
    """Whether the first endpoint takes the address and port of the second."""
    if not (one.startswith(_TCP) and other.startswith(_TCP)) or port_in(one) != port_in(other):
        return False
    host, narrower = _host(one), _host(other)
    return host == narrower or host in _ANY or (host == _ANY_IPV4 and _is_ipv4(narrower))


def _is_ipv4(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 4
    except ValueError:
        return False


def _host(endpoint: str) -> str:
    """The host of a TCP endpoint, written in one way."""
    host = name_in(endpoint).strip("[]").partition("%")[0].lower()
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return LOCALHOST.get(host, host)
