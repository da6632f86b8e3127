"""What a fork copies must do nothing in the child: it has neither our threads nor a right to our sockets.

Sockets that a child keeps open are what hurts: a port stays taken after the broker has ended, and a
peer does not learn that its connection is over.  libzmq marks its descriptors close-on-exec, which does
not help a child that goes on as it is, as those of ``multiprocessing`` do.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import weakref
from collections.abc import Callable, Iterable, Iterator
from types import MethodType
from typing import Any, cast

__all__ = [
    "BoundAt",
    "close_bound",
    "close_socket",
    "connections",
    "leave_to_parent",
    "listening",
    "socket_number",
]

#: Where the descriptors of this process stand.
_DESCRIPTORS = "/dev/fd"
#: How IPv6 sockets show addresses of IPv4, and hosts that stand for any.
_MAPPED = "::ffff:"
_ANY_HOST = ("0.0.0.0", "::", "*")


#: What to call in a child, by the object that it is a method of.  No ``WeakMethod``: the callback of that
#: one fails, with a message on standard error, where it comes while the interpreter ends.
_calls: dict[weakref.ref[object], Callable[[Any], object]] = {}


def leave_to_parent(let_go: Callable[[], object]) -> None:
    """Call ``let_go``, a method, in each child forked from now on, for as long as its object lives.

    An object has one such method.

    It is called right after the fork: no other thread runs, and any lock may be held for ever.
    """
    method = cast(MethodType, let_go)
    _calls[weakref.ref(method.__self__, _forget)] = method.__func__


def _forget(gone: weakref.ref[object], calls: dict[weakref.ref[object], Any] = _calls) -> None:
    calls.pop(gone, None)


def socket_number(descriptor: int) -> int:
    """What tells a socket from a later one that has got its descriptor; 0 when there is none."""
    with contextlib.suppress(OSError):
        status = os.fstat(descriptor)
        return status.st_ino if stat.S_ISSOCK(status.st_mode) else 0
    return 0


def close_socket(descriptor: int, number: int) -> None:
    """Close the socket of that descriptor, if it is still the one of that :func:`socket_number`."""
    if number and socket_number(descriptor) == number:
        with contextlib.suppress(OSError):
            os.close(descriptor)


def close_bound(endpoints: Iterable[str]) -> None:
    """Close what listens at these endpoints, and the connections that were accepted there."""
    bound = BoundAt(endpoints)
    if bound.anywhere:
        for descriptor, name in _sockets():
            if bound.has(name):
                with contextlib.suppress(OSError):
                    os.close(descriptor)


def _sockets() -> Iterator[tuple[int, object]]:
    """The sockets of this process, and the address of each on this side."""
    try:
        numbers = [int(each) for each in os.listdir(_DESCRIPTORS)]
    except (OSError, ValueError):  # no such folder on this system
        return
    for number in numbers:
        if socket_number(number):
            with contextlib.suppress(OSError):
                looked_at = socket.socket(fileno=number)
                try:
                    name = looked_at.getsockname()
                finally:
                    looked_at.detach()
                yield number, name


def listening(endpoints: Iterable[str]) -> Iterator[int]:
    """What listens at these endpoints."""
    bound = BoundAt(endpoints)
    if bound.anywhere:
        for descriptor, name in _sockets():
            if bound.has(name) and _listens(descriptor):
                yield descriptor


def connections(bound: Iterable[str], connected: Iterable[str] = ()) -> Iterator[int]:
    """Connections that were accepted where this process is bound, or made to where it is connected."""
    here, there = BoundAt(bound), BoundAt(connected)
    for descriptor, name in _sockets():
        if here.has(name):
            if not _listens(descriptor):
                yield descriptor
        elif there.anywhere:
            with contextlib.suppress(OSError):
                looked_at = socket.socket(fileno=descriptor)
                try:
                    peer = looked_at.getpeername()
                finally:
                    looked_at.detach()
                if there.has(peer):
                    yield descriptor


def _listens(descriptor: int) -> bool:
    try:
        looked_at = socket.socket(fileno=descriptor)
    except OSError:
        return False
    try:
        return bool(looked_at.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False
    finally:
        looked_at.detach()


class BoundAt:
    """The addresses that sockets have which are bound to these endpoints, and their connections."""

    def __init__(self, endpoints: Iterable[str]) -> None:
        self._paths: set[str] = set()
        self._ports: set[tuple[str, str]] = set()
        for endpoint in endpoints:
            transport, _, address = endpoint.partition("://")
            if transport == "ipc":
                self._paths.add(address)
            elif transport == "tcp":
                host, _, port = address.rpartition(":")
                host = host.strip("[]").partition("%")[0].removeprefix(_MAPPED)
                self._ports.add((host, port))

    @property
    def anywhere(self) -> bool:
        """Whether there are any."""
        return bool(self._paths or self._ports)

    def has(self, name: object) -> bool:
        """Whether this, as ``getsockname()`` tells it, is one of them."""
        if isinstance(name, bytes):  # an abstract name of Linux
            return "@" + os.fsdecode(name[1:]) in self._paths
        if isinstance(name, str):
            return name in self._paths
        if not isinstance(name, tuple) or len(name) < 2:
            return False
        host, port = str(name[0]).partition("%")[0].removeprefix(_MAPPED), str(name[1])
        return any((each, port) in self._ports for each in (host, *_ANY_HOST))


def _in_child() -> None:
    for each, let_go in list(_calls.items()):
        owner = each()
        if owner is not None:
            with contextlib.suppress(Exception):  # the program's own hooks come next
                let_go(owner)


os.register_at_fork(after_in_child=_in_child)
