"""What a broker tells a person, by ``logging``: kinds, their message, and the sentence of each.

The loop puts a notice into a bounded queue as one msgpack list,
``[place in KINDS, place in COUNTERS or nil, peer, service, address, numbers, frames in all, frames]``,
each frame as ``[size, first bytes]``.  :mod:`brigantine.notices.log` takes it from there.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple, cast

import msgpack

from ..config.limits import NOTICE_BYTES, NOTICE_FRAMES
from ..counters import COUNTERS
from ..wire.loop import SIDES
from ..wire.mdp import CLIENT_02, REQUEST, WORKER_02
from ..wire.shown import shown, shown_frames
from ..wire.unpacking import unpacked
from .lookalikes import Here, advice, belongs, clients_connect, says_ready

__all__ = ["KINDS", "Notice", "describe", "level", "pack_notice", "unpack_notice"]


class Kind(NamedTuple):
    """How notices of a kind are told."""

    level: int
    #: Of one peer and reason the first only.
    once: bool


#: The order is the order of the compiled core's enum.
KINDS: dict[str, Kind] = {
    # a worker is gone; numbers: see _expired
    "expired": Kind(logging.WARNING, once=False),
    "disconnected": Kind(logging.INFO, once=False),
    "lost": Kind(logging.INFO, once=False),
    # a message was dropped, from the clients' and from the workers' side
    "not_a_request": Kind(logging.WARNING, once=True),
    "not_a_command": Kind(logging.WARNING, once=True),
    # a READY was refused
    "refused": Kind(logging.WARNING, once=True),
    # a worker at the clients' endpoint
    "wrong_side": Kind(logging.WARNING, once=True),
    # a peer that speaks a published dialect, and is understood
    "dialect": Kind(logging.INFO, once=True),
    # a plain request that looks like something else, and was passed on all the same
    "foreign_request": Kind(logging.WARNING, once=True),
    # a peer has been connected where workers are, and has said nothing; numbers: for how long
    "silent": Kind(logging.WARNING, once=False),
    # a connection where workers are has closed before its handshake was done
    "no_handshake": Kind(logging.WARNING, once=True),
    # one of a socket whose type can't be connected to a ROUTER; the peer is the side
    "mismatched": Kind(logging.WARNING, once=True),
    # a command or reply of a peer that is no registered worker: usual after a restart or an expiry
    "unexpected": Kind(logging.INFO, once=True),
    # connections were closed; limited in rate by who tells it
    "no_descriptors": Kind(logging.WARNING, once=False),
    # connections could not even be accepted; likewise
    "not_accepted": Kind(logging.WARNING, once=False),
    # a message to a server was dropped; a second connection has come with the address of a session
    "unserved": Kind(logging.WARNING, once=True),
    "taken_over": Kind(logging.WARNING, once=True),
    # a server has closed connections; limited in rate by who tells it
    "unheard": Kind(logging.WARNING, once=False),
}

_NAMES = tuple(KINDS)
_PLACES = {name: at for at, name in enumerate(KINDS)}
_REASONS = tuple(COUNTERS)
_REASON_PLACES = {name: at for at, name in enumerate(COUNTERS)}


class Notice(NamedTuple):
    """Something that a person should know."""

    #: One of :data:`KINDS`.
    kind: str
    #: The counter that says why, or ``None``.
    reason: str | None = None
    #: Routing id of the peer.
    peer: bytes | None = None
    #: Name of the service, cut off at ``EVENT_NAME_BYTES``.
    service: bytes | None = None
    #: Where the peer speaks from, as libzmq knows it.
    address: str | None = None
    #: Numbers of this kind: see its sentence.
    numbers: Sequence[int] = ()
    #: Frames of the message as they came, without the routing id: the first ones, each cut off, with
    #: its real size; and how many there were.
    frames: Sequence[tuple[int, bytes]] = ()
    frame_count: int = 0


def cut(frames: Sequence[bytes]) -> list[tuple[int, bytes]]:
    """As much of a message as a notice tells."""
    return [(len(frame), frame[:NOTICE_BYTES]) for frame in frames[:NOTICE_FRAMES]]


def pack_notice(notice: Notice) -> bytes:
    """The message of a notice."""
    reason = None if notice.reason is None else _REASON_PLACES[notice.reason]
    address = None if notice.address is None else notice.address.encode()
    fields = (
        _PLACES[notice.kind], reason, notice.peer, notice.service, address, notice.numbers,
        notice.frame_count, notice.frames,
    )  # fmt: skip
    return cast(bytes, msgpack.packb(fields))


def unpack_notice(message: bytes) -> Notice:
    """The notice of a message."""
    kind, reason, peer, service, address, numbers, count, frames = unpacked(message)
    return Notice(
        _NAMES[kind],
        None if reason is None else _REASONS[reason],
        peer,
        service,
        None if address is None else address.decode(errors="backslashreplace"),
        numbers,
        [(size, first) for size, first in frames],
        count,
    )


def level(notice: Notice) -> int:
    """The level of ``logging`` for a notice."""
    return KINDS[notice.kind].level


def describe(notice: Notice, here: Here) -> str:
    """The sentence for a person."""
    return _SENTENCES[notice.kind](notice, here)


def _who(notice: Notice) -> str:
    """``"w1" at 10.0.0.7``."""
    peer = "a peer" if notice.peer is None else shown(notice.peer)
    return f"{peer} at {notice.address}" if notice.address else peer


def _worker(notice: Notice) -> str:
    """``worker "w1" at 10.0.0.7 of service "echo"``."""
    of = f" of service {shown(notice.service)}" if notice.service else ""
    return f"worker {_who(notice)}{of}"


def _expired(notice: Notice, _here: Here) -> str:
    """Numbers: how long it was silent, how often it was heard after READY, how long it lived until its
    last word, and the longest time between two; times in nanoseconds.
    """
    silence, heard, lived, longest = notice.numbers
    said = f"{_worker(notice)} expired: nothing was heard from it for {_seconds(silence)}"
    if heard:
        usual, most = _seconds(lived // heard), _seconds(longest)
        said += f"; before, it was heard every {usual} on average, at most {most} apart"
    return f"{said}. If it lives, have it beat more often, or raise heartbeat_interval or liveness here"


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e9:.3g} s" if nanoseconds < 1e12 else f"{nanoseconds / 1e9:,.0f} s"


def _disconnected(notice: Notice, _here: Here) -> str:
    return f"{_worker(notice)} has left: it said DISCONNECT"


#: Why a worker is gone whose connection did not close.
_LOSSES = {
    "ready_again": "it said READY anew",
    "drop_malformed_worker": "it sent what is no command of its protocol",
}


def _lost(notice: Notice, _here: Here) -> str:
    why = _LOSSES.get(notice.reason or "", "its connection closed")
    return f"{_worker(notice)} is gone: {why}"


def _message(notice: Notice) -> str:
    return shown_frames(notice.frames, notice.frame_count)


#: Reasons that say themselves what is wrong with a message, and what to do.
_BEYOND = {
    "drop_too_large": "It is larger than max_message_bytes allows: send less, or raise it here",
    "drop_too_many_frames": "It has more frames than max_frames allows: send fewer, or raise it here",
}


def _why(notice: Notice, here: Here, *, from_worker: bool) -> str:
    if notice.reason in _BEYOND:
        return _BEYOND[notice.reason]
    return advice(notice.frames, here, from_worker=from_worker)


def _not_a_request(notice: Notice, here: Here) -> str:
    return (
        f"dropped a message to the clients' endpoint from {_who(notice)}: {_message(notice)}. "
        f"{_why(notice, here, from_worker=False)}"
    )


def _not_a_command(notice: Notice, here: Here) -> str:
    return (
        f"dropped a message to the workers' endpoint from {_who(notice)}: {_message(notice)}. "
        f"{_why(notice, here, from_worker=True)}"
    )


def _refused(notice: Notice, _here: Here) -> str:
    if notice.reason == "drop_ready_gone":
        return f"READY of {_worker(notice)} came after its connection had closed"
    return (
        f"READY of {_worker(notice)} was refused: names that begin with mmi. are the broker's own. "
        "Serve another name"
    )


def _wrong_side(notice: Notice, here: Here) -> str:
    return (
        f"a worker has come to the clients' endpoint: {_message(notice)} from {_who(notice)}. Nothing "
        f"that it says there is taken for a request. {belongs(notice.frames, here)}"
    )


def _dialect(notice: Notice, _here: Here) -> str:
    said = [first for _, first in notice.frames]
    client = CLIENT_02 in said and WORKER_02 not in said[: said.index(CLIENT_02)]
    what = (
        "READY and HEARTBEAT as words" if notice.frame_count == 1 else "MDP 0.2 with an empty frame"
    )
    if client and REQUEST in said[said.index(CLIENT_02) + 1 :][:1]:
        what += ", REQUEST as 0x02 and replies without the service"
    whose = "client" if client else "worker"
    return (
        f"{whose} {_who(notice)} speaks a dialect ({what}): {_message(notice)}. It is understood and "
        "answered in kind; strict=True refuses it"
    )


def _foreign_request(notice: Notice, here: Here) -> str:
    looks = advice(notice.frames, here, from_worker=False)
    return (
        f"passed on as a request what may be none, from {_who(notice)}: {_message(notice)}. {looks}"
    )


def _silent(notice: Notice, here: Here) -> str:
    """Numbers: nanoseconds since it connected."""
    return (
        f"{_who(notice)} has been connected to the workers' endpoint for {_seconds(notice.numbers[0])} "
        f"without a READY. {says_ready(here)}"
    )


def _no_handshake(_notice: Notice, here: Here) -> str:
    return (
        "a connection to the workers' endpoint closed before its handshake was done (told once). So ends "
        "that of a REP socket, which can't be a worker, that of a program that does not speak ZeroMQ, "
        f"and that of one with other security. {says_ready(here)}"
    )


def _mismatched(notice: Notice, here: Here) -> str:
    clients = notice.peer == SIDES[0]
    side, endpoints = ("clients", here.frontends) if clients else ("workers", here.backends)
    return (
        f"a connection to the {side}' endpoint ({', '.join(endpoints)}) has ended in its handshake, which "
        "was of a socket whose type does not fit (told once a side). A ROUTER is bound there, and takes "
        "REQ, DEALER and ROUTER; a REP socket, say, can't be connected to it (brigantine check ROUTER). "
        f"{clients_connect(here) if clients else says_ready(here)}"
    )


def _unexpected(notice: Notice, here: Here) -> str:
    return (
        f"dropped what {_who(notice)} said, which is no worker registered here: {_message(notice)}. A "
        "worker that expired, or that was there before this broker was started, connects anew by "
        f"itself; if this one does not: {says_ready(here)}"
    )


def _no_descriptors(notice: Notice, _here: Here) -> str:
    """Numbers: connections closed since this was last told, descriptors in use, the limit, the reserve."""
    rejected, used, limit, reserve = notice.numbers
    connections = "a connection" if rejected == 1 else f"{rejected:,} connections"
    return (
        f"out of file descriptors: closed {connections} at once, as {used:,} of the {limit:,} that this "
        f"process may have are in use, and the last {reserve:,} are a reserve. {_RAISE}"
    )


def _not_accepted(notice: Notice, _here: Here) -> str:
    """Numbers: seconds in which this was so, the limit."""
    failed, limit = notice.numbers
    return (
        f"out of file descriptors: connections wait that can't be accepted (in {failed:,} s up to now), as "
        f"all {limit:,} that this process may have are in use. Have it close files. {_RAISE}"
    )


_RAISE = "Raise the limit (ulimit -n, LimitNOFILE= of systemd, prlimit --nofile while it runs)"


def _unserved(notice: Notice, here: Here) -> str:
    looks = _BEYOND.get(notice.reason or "", "") or (
        "Clients of a server send a request's body, with the empty frame in front of it or without"
    )
    return (
        f"dropped a message to {here.frontends[0]} from {_who(notice)}: {_message(notice)}. {looks}"
    )


def _taken_over(notice: Notice, _here: Here) -> str:
    return (
        f"the session of {_who(notice)} was closed, and another one opened: another connection has come "
        "with the same address, as a client does that reconnects and has a routing id of its own"
    )


def _unheard(notice: Notice, here: Here) -> str:
    """Numbers: connections closed since this was last told."""
    more, whose = notice.numbers[0] - 1, f" of {notice.address}" if notice.address else ""
    others = f", and {more:,} more since this was last told" * (more > 0)
    return (
        f"closed a connection{whose} to {here.frontends[0]}, by which no message came in unheard_timeout"
        f"{others}. Its client is silent, or has the routing id of another one that is connected: let "
        "libzmq choose them. It connects again"
    )


_SENTENCES = {
    "unheard": _unheard,
    "unserved": _unserved,
    "taken_over": _taken_over,
    "no_descriptors": _no_descriptors,
    "not_accepted": _not_accepted,
    "silent": _silent,
    "no_handshake": _no_handshake,
    "mismatched": _mismatched,
    "unexpected": _unexpected,
    "wrong_side": _wrong_side,
    "dialect": _dialect,
    "foreign_request": _foreign_request,
    "expired": _expired,
    "disconnected": _disconnected,
    "lost": _lost,
    "not_a_request": _not_a_request,
    "not_a_command": _not_a_command,
    "refused": _refused,
}
