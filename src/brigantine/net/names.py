"""Names of hosts looked up, each in a thread that nobody waits for.

libzmq would look a name up in its one I/O thread, where one that takes seconds holds up every other
connection of the process, and would ask for IPv4 only.  So it is given numbers.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
import time
from collections.abc import Callable

from ..signals import leave_signals_to_main_thread

__all__ = ["Lookup", "is_numeric", "look_up", "name_in", "port_in"]

#: Seconds for which a look-up that runs already answers whoever asks for the same name.
SHARED_FOR = 5.0
#: Look-ups of one name, and of all, that may run at once: some resolvers never answer.
MOST_OF_A_NAME, MOST = 4, 256

_TCP = "tcp://"


class Lookup:
    """The addresses of an endpoint's host, looked up in a thread.

    ``done`` is called in that thread once the answer is there; it must not block or raise.
    """

    def __init__(self, endpoint: str, done: Callable[[], object]) -> None:
        self._endpoint = endpoint
        self._done: Callable[[], object] | None = done
        #: Endpoints with numbers in place of the name, the preferred one first; ``None`` until the
        #: answer is there, and empty when there are none.
        self.endpoints: tuple[str, ...] | None = None
        #: Why there are none.
        self.error = ""
        #: When to ask anew, by time.monotonic(): who asks then is told the answer of another look-up, and
        #: not that of one that hangs.
        self.stale_at = time.monotonic() + SHARED_FOR

    @property
    def stale(self) -> bool:
        """Whether it is better to ask anew."""
        return self.endpoints is None and time.monotonic() >= self.stale_at

    def cancel(self) -> None:
        """The answer is of no interest any more.  From any thread."""
        self._done = None
        _table.forget(name_in(self._endpoint), self)

    def take(self, addresses: tuple[str, ...], error: str) -> None:
        """The answer, from the thread that has it."""
        before, port = self._endpoint.rpartition(name_in(self._endpoint))[::2]
        self.error = error
        self.endpoints = tuple(f"{before}{each}{port}" for each in addresses)
        done = self._done
        if done is not None:
            done()


class _Query:
    """A look-up that runs, and those who want its answer."""

    def __init__(self, first: Lookup) -> None:
        self.asked = {first}
        self.began = time.monotonic()


class _Table:
    """The look-ups that run in this process."""

    def __init__(self) -> None:
        # Reentrant: a signal handler may close a client whatever it has interrupted.
        self.lock = threading.RLock()
        #: By name, the newest last.
        self.running: dict[str, list[_Query]] = {}

    def forget(self, host: str, lookup: Lookup) -> None:
        """Somebody does not want the answer any more."""
        with self.lock:
            queries = tuple(self.running.get(host, ()))
        for query in queries:
            query.asked.discard(lookup)

    def ended(self, host: str, query: _Query) -> list[Lookup]:
        """A look-up has its answer; who wants that."""
        with self.lock:
            queries = self.running.get(host, [])
            if query in queries:  # not where an exception out of the blue came first
                queries.remove(query)
            if not queries:
                self.running.pop(host, None)
            return list(query.asked)


_table = _Table()


def _after_fork() -> None:
    """A child has none of its parent's threads, and its lock may be as a thread had left it."""
    global _table
    _table = _Table()


os.register_at_fork(after_in_child=_after_fork)


def is_numeric(endpoint: str) -> bool:
    """Whether there is nothing to look up: no TCP, or an address of numbers."""
    if not endpoint.startswith(_TCP):
        return True
    try:
        ipaddress.ip_address(name_in(endpoint).strip("[]"))
    except ValueError:
        return False
    return True


def name_in(endpoint: str) -> str:
    """The host of a TCP endpoint; after the address to connect from, if that is in it."""
    return _host_and_port(endpoint)[0]


def port_in(endpoint: str) -> str:
    """The port of a TCP endpoint, as it stands there."""
    return _host_and_port(endpoint)[1]


def _host_and_port(endpoint: str) -> tuple[str, str]:
    host, _, port = endpoint.removeprefix(_TCP).rpartition(":")
    return host.rpartition(";")[2], port


def look_up(endpoint: str, done: Callable[[], object]) -> Lookup:
    """Begin to look up the name in an endpoint that is not numeric.  Never waits."""
    lookup = Lookup(endpoint, done)
    host = name_in(endpoint)
    with _table.lock:
        queries = _table.running.setdefault(host, [])
        if queries and (
            time.monotonic() - queries[-1].began < SHARED_FOR or len(queries) >= MOST_OF_A_NAME
        ):
            queries[-1].asked.add(lookup)
            # Another one is begun then, unless too many hang.
            if len(queries) < MOST_OF_A_NAME:
                lookup.stale_at = queries[-1].began + SHARED_FOR
            return lookup
        query = _Query(lookup)
        # The more of them hang, the longer.
        lookup.stale_at = query.began + SHARED_FOR * 2 ** len(queries)
        refused = _begin(host, query)
        if not refused:
            queries.append(query)
        elif not queries:
            del _table.running[host]
    if refused:
        lookup.take((), f"can't look up {host}: {refused}")
    return lookup


def _begin(host: str, query: _Query) -> str:
    """Start the thread; why it can't be."""
    if sum(map(len, _table.running.values())) >= MOST:
        return f"{MOST} look-ups of other names have no answer yet"
    thread = threading.Thread(
        target=_run, args=(_table, host, query), name="brigantine-lookup", daemon=True
    )
    try:
        thread.start()
    except RuntimeError as error:  # no more threads, or Python is about to end
        return str(error)
    return ""


def _run(table: _Table, host: str, query: _Query) -> None:
    leave_signals_to_main_thread()
    addresses, error = _ask(host)
    for lookup in table.ended(host, query):
        lookup.take(addresses, error)


def _ask(host: str) -> tuple[tuple[str, ...], str]:
    """The addresses of a host, of both families, and why there are none."""
    try:
        found = socket.getaddrinfo(host, None, socket.AF_UNSPEC, socket.SOCK_STREAM)
    except OSError as error:
        return (), f"can't look up {host}: {error.strerror or error}"
    except UnicodeError as error:  # such as a part of over 63 characters
        return (), f"can't look up {host}: {error}"
    known = dict.fromkeys(_written(family, where) for family, _, _, _, where in found)
    addresses = tuple(each for each in known if each)
    return addresses, "" if addresses else f"can't look up {host}: it has no address"


def _written(family: int, where: tuple[object, ...]) -> str:
    """An address as it stands in an endpoint; empty for one of neither family."""
    if family == socket.AF_INET:
        return str(where[0])
    if family != socket.AF_INET6:
        return ""
    scope = f"%{where[3]}" if len(where) > 3 and where[3] and "%" not in str(where[0]) else ""
    return f"[{where[0]}{scope}]"
