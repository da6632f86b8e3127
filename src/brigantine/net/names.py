"""Names of hosts looked up, each in a thread that nobody waits for.

libzmq would look a name up in its one I/O thread, where one that takes seconds holds up every other
connection of the process, and would ask for IPv4 only.  So it is given numbers.
"""

from __future__ import annotations

import ipaddress
import itertools
import logging
import os
import socket
import threading
import time
from collections.abc import Callable

from ..system.signals import leave_signals_to_main_thread

__all__ = ["Lookup", "is_numeric", "look_up", "name_in", "port_in"]

#: Seconds for which a look-up that runs already answers whoever asks for the same name.
SHARED_FOR = 5.0
#: Look-ups of one name that begin so when those before have no answer: some resolvers never give one.
QUICKLY = 4
#: Seconds to the one after them, which double from one to the next; how many may run at once of one name,
#: and of all.  The last of a name begins four hours after the first.
PAUSE = 60.0
MOST_OF_A_NAME, MOST = 12, 256

_log = logging.getLogger("brigantine.names")

_TCP = "tcp://"


class Lookup:
    """The addresses of an endpoint's host, looked up in a thread.

    ``done`` is called in that thread once the answer is there; it must not block or raise.
    """

    def __init__(self, endpoint: str, done: Callable[[], object]) -> None:
        self._endpoint = endpoint
        self._done: Callable[[], object] | None = done
        #: Endpoints with numbers instead of the name, the preferred one first; ``None`` until the
        #: answer is there, and empty when there are none.
        self.endpoints: tuple[str, ...] | None = None
        #: Why there are none.
        self.error = ""
        #: When to ask again, by time.monotonic(): who asks then is told the answer of another look-up, and
        #: not that of one that hangs.
        self.stale_at = time.monotonic() + SHARED_FOR

    @property
    def stale(self) -> bool:
        """Whether it is better to ask again."""
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

    def told(self) -> set[Lookup]:
        """Those, who are told now and want it no more."""
        asked, self.asked = self.asked, set()
        return asked


class _Name:
    """The look-ups of one name that run, the newest last."""

    def __init__(self) -> None:
        self.queries: list[_Query] = []
        #: When one more may begin beside them.
        self.next_at = 0.0
        #: Whether the log knows that no more are begun.
        self.told = False

    def may_begin(self, now: float) -> bool:
        """Whether one more may begin; if not, who asks is to share the newest one's answer."""
        return len(self.queries) < MOST_OF_A_NAME and now >= self.next_at

    def began(self, query: _Query, now: float) -> None:
        """One more has begun.  Those that never end must not become many: the others follow seldom."""
        self.queries.append(query)
        seldom = len(self.queries) - QUICKLY
        self.next_at = now + (SHARED_FOR if seldom < 0 else PAUSE * 2.0**seldom)


class _Table:
    """The look-ups that run in this process."""

    def __init__(self) -> None:
        # Reentrant: a signal handler may close a client whatever it has interrupted.
        self.lock = threading.RLock()
        self.running: dict[str, _Name] = {}

    def forget(self, host: str, lookup: Lookup) -> None:
        """Somebody does not want the answer any more."""
        with self.lock:
            name = self.running.get(host)
            queries = () if name is None else tuple(name.queries)
        for query in queries:
            query.asked.discard(lookup)

    def ended(self, host: str, query: _Query, *, found: bool) -> list[Lookup]:
        """A look-up has its answer; who is to be told.

        All who wait for the name, if it has addresses; otherwise those who wait for this one.  But where
        look-ups have become seldom, any answer is news: all are told, and may ask again at once.
        """
        with self.lock:
            name = self.running.get(host) or _Name()
            told, news = [query.told()], found or len(name.queries) >= QUICKLY
            if query in name.queries:  # not where an exception out of the blue came first
                name.queries.remove(query)
            if news:
                name.next_at, name.told = 0.0, False
                told += map(_Query.told, name.queries)
            if not name.queries:
                self.running.pop(host, None)
        return list(itertools.chain.from_iterable(told))


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
    refused, deaf, now = "", False, time.monotonic()
    with _table.lock:
        name = _table.running.setdefault(host, _Name())
        if name.may_begin(now):
            refused = _begin(host, name, lookup, now)
        if name.queries and not refused:
            name.queries[-1].asked.add(lookup)
            lookup.stale_at = max(lookup.stale_at, name.next_at)
            deaf = len(name.queries) >= MOST_OF_A_NAME and now >= name.next_at and not name.told
            name.told = name.told or deaf
        if not name.queries:
            del _table.running[host]
    if deaf:
        _log.warning(
            "can't look up %s: %d look-ups have no answer, and no more are begun before one has. Mend the "
            "resolver of this machine (resolv.conf, nsswitch.conf), and start this program anew",
            host, MOST_OF_A_NAME,
        )  # fmt: skip
    if refused:
        lookup.take((), f"can't look up {host}: {refused}")
    return lookup


def _begin(host: str, name: _Name, lookup: Lookup, now: float) -> str:
    """Start the thread; why it can't be."""
    if sum(len(each.queries) for each in _table.running.values()) >= MOST:
        return f"{MOST} look-ups of other names have no answer yet"
    query = _Query(lookup)
    thread = threading.Thread(
        target=_run, args=(_table, host, query), name="brigantine-lookup", daemon=True
    )
    try:
        thread.start()
    except RuntimeError as error:  # no more threads, or Python is about to end
        return str(error)
    # The more of them hang, the longer is this one waited for.
    lookup.stale_at = now + SHARED_FOR * 2.0 ** len(name.queries)
    name.began(query, now)
    return ""


def _run(table: _Table, host: str, query: _Query) -> None:
    leave_signals_to_main_thread()
    addresses, error = _ask(host)
    for lookup in table.ended(host, query, found=bool(addresses)):
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
