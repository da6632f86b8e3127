"""Connections that end before their handshake is done: who is bound there is asked, and told of.

libzmq does not connect sockets whose types don't fit, and says nothing.  A connection of the socket that
connects begins and ends, and over tcp and ipc the other side can be asked what it is.  Over inproc no
connection even begins: there only what this process has bound or connected through this package is known.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Iterable
from typing import Any, NamedTuple

import zmq

from ..pairs import TYPES, check, partners, type_name
from ..system.signals import leave_signals_to_main_thread
from .greeting import ASK_LIMIT, Bound, ask_bound

__all__ = [
    "LOOK",
    "Question",
    "inproc_bound",
    "inproc_connected",
    "tell",
    "tell_bound",
    "told_no_more",
    "wrong_pair",
]

#: How the words begin, where it is a socket that does not fit.
HEAD = "wrong socket type"
#: Seconds between looks whether an answer is there.
LOOK = 0.02
#: Seconds for which an answer stands: the other side is not asked more often.
_STANDS = 5.0
#: Seconds until the same is told again, if it is still so.
_TOLD_FOR = 60.0
#: Threads that ask at once; endpoints that are remembered.
_MOST_THREADS, _MOST_KNOWN = 8, 256

_log = logging.getLogger("brigantine.pairs")


class _Known(NamedTuple):
    """A socket of ours over inproc.

    Another thread may use it, so nothing is asked of it but whether it is closed.
    """

    ref: weakref.ref[zmq.Socket[Any]]
    kind: int
    bound: bool

    @property
    def is_open(self) -> bool:
        """Whether it is still there."""
        socket = self.ref()
        return socket is not None and not socket.closed


class _Asked:
    """An endpoint that is being asked, or was."""

    def __init__(self) -> None:
        self.at = time.monotonic()
        self.done = False
        self.bound: Bound | None = None


class _State:
    """What this process knows."""

    def __init__(self) -> None:
        # Reentrant: a signal handler may close or make a client whatever it has interrupted.
        self.lock = threading.RLock()
        self.asked: dict[str, _Asked] = {}
        self.threads = 0
        #: Who connects, where, and what is wrong -> when that was told.
        self.told: dict[tuple[int, str, str], float] = {}
        #: Context and endpoint -> sockets of ours that are bound there or connected to it.
        self.inproc: dict[tuple[int, str], list[_Known]] = {}
        #: How many of these there may be before those that were closed are looked for.
        self.inproc_kept = _MOST_KNOWN


_state = _State()


def _after_fork() -> None:
    """A child has none of its parent's threads, and its lock may be as a thread had left it."""
    global _state
    _state = _State()


os.register_at_fork(after_in_child=_after_fork)


class Question:
    """Who is bound at an endpoint of numbers; asked in a thread that nobody waits for, once in a while."""

    def __init__(self, kind: int, endpoint: str, address: str) -> None:
        self._kind, self._endpoint = kind, endpoint
        self._until = time.monotonic() + ASK_LIMIT
        self._asked = _ask(address)

    def answered(self, now: float) -> bool:
        """Whether the answer is there, or none will come any more."""
        return self._asked.done or now >= self._until

    def tell(self) -> str:
        """What is wrong, and what to do, told to the log; empty if nothing is known to be."""
        bound = self._asked.bound
        words = "" if bound is None else wrong_pair(self._kind, self._endpoint, bound)
        if words:
            tell(self._kind, self._endpoint, words)
        return words


def _ask(address: str) -> _Asked:
    now = time.monotonic()
    with _state.lock:
        asked = _state.asked.get(address)
        if asked is not None and now - asked.at < _STANDS:
            return asked
        asked = _Asked()
        if _state.threads >= _MOST_THREADS:
            asked.done = True
            return asked
        _remember(address, asked)
        _state.threads += 1
    thread = threading.Thread(
        target=_run, args=(_state, asked, address), name="brigantine-greeting", daemon=True
    )
    try:
        thread.start()
    except BaseException as error:
        asked.done = True
        with _state.lock:
            _state.threads -= 1
        if not isinstance(error, RuntimeError):  # that is no more threads, or Python about to end
            raise
    return asked


def _remember(address: str, asked: _Asked) -> None:
    _state.asked.pop(address, None)
    while len(_state.asked) >= _MOST_KNOWN:
        del _state.asked[next(iter(_state.asked))]
    _state.asked[address] = asked


def _run(state: _State, asked: _Asked, address: str) -> None:
    leave_signals_to_main_thread()
    try:
        asked.bound = ask_bound(address)
    finally:
        asked.done = True
        with state.lock:
            state.threads -= 1


def wrong_pair(kind: int, endpoint: str, bound: Bound) -> str:
    """What is wrong with connecting a socket of that type there; empty if nothing is known to be."""
    if bound.banner:
        return (
            f"nobody speaks ZMTP at {endpoint}: what listens there is no ZeroMQ socket, it says "
            f"{bound.banner!r}. Check the host and the port"
        )
    if bound.mechanism not in ("", "NULL"):
        return (
            f"{HEAD} at {endpoint}: the socket there asks for {bound.mechanism} security, which is not "
            "spoken here. Connect to an endpoint without it, such as one end of a tunnel"
        )
    if bound.socket_type not in TYPES:
        return ""
    verdict = check(kind, bound.socket_type)
    if verdict:
        return ""
    a = "an" if verdict.peer_type.startswith("X") else "a"
    return (
        f"{HEAD} at {endpoint}: {a} {verdict.peer_type} is bound there, and the {verdict.socket_type} of "
        f"this program can't be connected to it: {verdict.reason}. {verdict.cure}. As soon as the right "
        "one is bound there, it is connected to"
    )


def tell(kind: int, endpoint: str, words: str) -> None:
    """Log it, once for an endpoint and cause, and again after a minute if it is still so.

    ``kind`` is the type of the socket that connects.
    """
    with _state.lock:
        is_news = _is_news(kind, endpoint, words.partition(",")[0])
    if is_news:
        _log.warning("%s", words)


def _is_news(kind: int, endpoint: str, cause: str) -> bool:
    """Whether it was not told lately; then it is now."""
    now = time.monotonic()
    last = [at for (_, *what), at in _state.told.items() if what == [endpoint, cause]]
    if any(now - at < _TOLD_FOR for at in last):
        return False
    if len(_state.told) >= _MOST_KNOWN:
        _state.told.clear()
    _state.told[kind, endpoint, cause] = now
    return True


def tell_bound(kind: int, endpoints: Iterable[str]) -> None:
    """Log that a socket has come to a bound one of that type which can't be connected to it.

    Its own type and address are not known: libzmq tells nothing of it.  Where the other side was the first
    to notice, and its end of the connection came before its READY was read, there is nothing to be seen.
    """
    own, places = type_name(kind), tuple(endpoints)
    takes = ", ".join(partners(own))
    where = " or ".join(places)
    tell(
        kind,
        where,
        f"{HEAD} at {where}: the {own} that is bound there takes {takes}, and a connection has ended in "
        f"its handshake, which was of a socket that is none of these (brigantine check {own})",
    )


def told_no_more(kind: int, endpoint: str) -> None:
    """A connection to the endpoint stands: what was told is over, and news if it comes again."""
    if not _state.told:
        return
    with _state.lock:
        over = _forget_told(kind, endpoint)
    if over:
        _log.info("%s is connected to now: the right type of socket is bound there", endpoint)


def _forget_told(kind: int, endpoint: str) -> bool:
    """Forget what was told of an endpoint, and all answers; whether there was anything."""
    over = [each for each in _state.told if each[:2] == (kind, endpoint)]
    for each in over:
        del _state.told[each]
    for address in [each for each, asked in _state.asked.items() if asked.done]:
        del _state.asked[address]
    return bool(over)


# -- inproc -------------------------------------------------------------------------------------


def inproc_bound(socket: zmq.Socket[Any], endpoint: str) -> str:
    """A socket of ours is bound: what is wrong with one of ours that has connected before, in words."""
    return _inproc(socket, endpoint, binds=True)


def inproc_connected(socket: zmq.Socket[Any], endpoint: str) -> str:
    """A socket of ours connects: what is wrong with the one of ours that is bound there, in words."""
    return _inproc(socket, endpoint, binds=False)


def _inproc(socket: zmq.Socket[Any], endpoint: str, *, binds: bool) -> str:
    kind, key = int(socket.type), (socket.context.underlying, endpoint)
    with _state.lock:
        others = _kinds_at_other_end(socket, key, kind, binds)
    for other in others:
        connects, bound = (other, kind) if binds else (kind, other)
        words = wrong_pair(connects, endpoint, Bound(zmq.SocketType(bound).name, "NULL"))
        if words:
            return words
    return ""


def _kinds_at_other_end(
    socket: zmq.Socket[Any], key: tuple[int, str], kind: int, binds: bool
) -> list[int]:
    """The types of our sockets at the other end of an inproc endpoint; this one is known from now on."""
    known = [each for each in _state.inproc.get(key, []) if each.is_open]
    others = [each.kind for each in known if each.bound is not binds]
    if not any(each.ref() is socket for each in known):
        known.append(_Known(weakref.ref(socket), kind, binds))
    _state.inproc[key] = known
    if len(_state.inproc) > _state.inproc_kept:
        _forget_closed()
        # All that are left may be open: so that each look is shared by as many that have come.
        _state.inproc_kept = max(_MOST_KNOWN, 2 * len(_state.inproc))
    return others


def _forget_closed() -> None:
    for key, known in list(_state.inproc.items()):
        if not any(each.is_open for each in known):
            del _state.inproc[key]
