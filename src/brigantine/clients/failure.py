"""What a client raises when a request has no try left: which error, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..errors import Busy, Expired, NoReply, NoService
from ..wire import ErrorAnswer

__all__ = ["REFUSALS", "Try", "failure"]

#: ``error`` of a broker's answer -> what the client raises.
_RAISES: dict[str, type[NoReply]] = {"no_service": NoService, "busy": Busy, "expired": Expired}
#: The request, or what came of it, is beyond the bounds of a broker: it would be again.
TOO_LARGE = "too_large"
#: The worker has answered, but not with a reply: another one may do better, so it is asked again.
MALFORMED_REPLY = "malformed_reply"
#: The broker had no room for the reply, or for a part of it, since the client had not read what came
#: before: nothing more of it came.
SLOW_READER = "slow_reader"
#: Any other error: of a broker of a later version, or one that can't be read.
OTHER = "other"
#: The reason of an ``expired`` that no time ran out for.
STOPPED = "failed_stopped"
#: Errors that tell at once that this broker won't do it, the weightier first: the broker that is
#: busy has the service.
REFUSALS = ("busy", "no_service", TOO_LARGE)

_HEADS: dict[type[NoReply] | str, str] = {
    NoReply: "no reply after {times}",
    NoService: "no worker offers the service",
    Busy: "the request was turned away",
    TOO_LARGE: "the request or its reply is too large for the broker",
    MALFORMED_REPLY: "the worker answered with what is no reply, {times}",
    SLOW_READER: "the reply was cut off, since it was read more slowly than it came, {times}",
    OTHER: "the broker answered with an error that this client doesn't know, {times}",
    Expired: "the request expired at the broker",
    STOPPED: "the broker was stopped before the reply came",
}
#: What to do; ``{timeout}`` is the client's.
_ADVICE: dict[type[NoReply] | str, str] = {
    # The last two look like silence: what is of another protocol is dropped, and libzmq hangs up.
    NoReply: "Check that the endpoint is the clients' side of a broker that runs, that it has "
    "workers, which need less than the timeout of {timeout:g} s, that it speaks this client's "
    "protocol, and that the request is within its max_message_bytes and max_frames",
    NoService: "Check the service's name, and that its workers run (brigantine ls)",
    Busy: "Ask again later; if this lasts, start more workers",
    TOO_LARGE: "Send less at once, in requests or replies as the broker's counter tells, or give the "
    "broker a larger max_message_bytes or max_frames",
    MALFORMED_REPLY: "Look at the worker: behind the request's address a reply has an empty frame, and "
    "at least one more",
    SLOW_READER: "Read faster: don't block the thread or event loop that takes the parts, or a proxy in "
    "between. Or have the worker send fewer and larger parts, or give the broker a larger "
    "high_water_mark or peer_bytes: so many messages and bytes it keeps for one client",
    OTHER: "The broker may be of a later version than the client: see what is new in it",
    Expired: "Start more workers if requests wait for long, or give the broker a longer "
    "request_ttl if the work takes longer",
    STOPPED: "Start it again, or give the client another broker; whether the request was carried "
    "out is not known",
}


class Try(NamedTuple):
    """A try that brought no reply."""

    endpoint: str
    #: Seconds.
    waited: float
    #: The broker's error answer; ``None`` for silence.
    said: ErrorAnswer | None


def failure(tries: Sequence[Try], *, timeout: float, delivered: int) -> NoReply:
    """The error of a request of which these tries were made, ``timeout`` seconds each.

    ``delivered`` is how many parts of a stream the caller has got.  The last answer counts when it
    is one of those after which the request goes on, otherwise the weightiest refusal.
    """
    decides = tries[-1].said
    if not delivered and (decides is None or decides.error != "expired"):
        refusals = {each.said.error: each.said for each in tries if each.said}
        decides = next((refusals[each] for each in REFUSALS if each in refusals), decides)
    kind = NoReply if decides is None else _RAISES.get(decides.error, NoReply)
    each = _what_was_tried(tries)
    if delivered:
        parts = "1 part" if delivered == 1 else f"{delivered} parts"
        advice = (
            _ADVICE[SLOW_READER]
            if decides is not None and decides.error == SLOW_READER
            else "Check the worker and the broker, and that no part takes longer than the timeout of "
            f"{timeout:g} s"
        )
        words = (
            f"the stream broke off after {parts}: {each}. It can't be tried again without "
            f"giving parts twice. {advice}"
        )
    else:
        what = _what_to_say(kind, decides)
        head, advice = _HEADS[what].format(times=_times(len(tries))), _ADVICE[what]
        words = f"{head}: {each}. {advice.format(timeout=timeout)}"
    return kind(
        words,
        [(endpoint, waited) for endpoint, waited, _ in tries],
        decides.reason if decides else "",
    )


def _what_to_say(kind: type[NoReply], decides: ErrorAnswer | None) -> type[NoReply] | str:
    """The key of the words for an error of that kind, of which a broker said ``decides``."""
    if decides is not None and kind is NoReply:
        return decides.error if decides.error in _HEADS else OTHER
    if kind is Expired and decides is not None and decides.reason == STOPPED:
        return STOPPED
    return kind


def _what_was_tried(tries: Sequence[Try]) -> str:
    """The brokers in the order they were asked, each with its tries, the wait, and its words."""
    of_broker: dict[str, list[Try]] = {}
    for each in tries:
        of_broker.setdefault(each.endpoint, []).append(each)
    shown = []
    for endpoint, made in of_broker.items():
        words = dict.fromkeys(f", said {': '.join(each.said)}" for each in made if each.said)
        waited = sum(each.waited for each in made)
        shown.append(f"{endpoint} ({_times(len(made))}, waited {waited:.3g} s{''.join(words)})")
    return "; ".join(shown)


def _times(count: int) -> str:
    return "1 try" if count == 1 else f"{count} tries"
