"""The errors that a client raises: when no try is left, and when the worker failed."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import Busy, Expired, NoReply, NoService, Try, WorkerFailed, named
from ..wire.req import ErrorAnswer, raise_if_error
from .codec import ClientCodec, Reply, Says
from .sight import Sight, advice, words

__all__ = ["REFUSALS", "checked", "failure"]

#: Frames of a worker's error report.
ERROR_FRAMES = 2

#: ``error`` of a broker's answer -> what the client raises.
_RAISES: dict[str, type[NoReply]] = {"no_service": NoService, "busy": Busy, "expired": Expired}
#: The request, or what came of it, is beyond the bounds of a broker: it would be again.
TOO_LARGE = "too_large"
#: The broker does not speak the client's protocol, and so it will be.
OTHER_PROTOCOL = "other_protocol"
REPLY_TOO_LARGE = "reply_too_large"
#: What the reason of such an answer begins with where it was the request.
REQUEST_DROPPED = "drop_"
#: The worker has answered, but not with a reply: another one may do better, so it is asked again.
MALFORMED_REPLY = "malformed_reply"
#: The broker had no room for the reply, or for a part of it, since the client had not read what came
#: before: nothing more of it came.
SLOW_READER = "slow_reader"
#: The worker was lost in the middle of its reply, or where that can't be told from its beginning.
WORKER_LOST = "worker_lost"
#: Any other error: of a broker of a later version, or one that can't be read.
OTHER = "other"
#: The reason of an ``expired`` that no time ran out for.
STOPPED = "failed_stopped"
#: Errors that tell at once that this broker won't do it, the weightier first: the broker that is
#: busy has the service.
REFUSALS = ("busy", "no_service", TOO_LARGE, OTHER_PROTOCOL)

_HEADS: dict[type[NoReply] | str, str] = {
    NoReply: "no reply after {times}",
    NoService: "no worker offers the service",
    Busy: "the request was turned away",
    TOO_LARGE: "the request of {size} bytes in {frames} frames is too large for the broker{limits}",
    REPLY_TOO_LARGE: "the reply is too large for the broker{limits}",
    OTHER_PROTOCOL: "the broker does not speak this client's protocol ({protocol})",
    MALFORMED_REPLY: "the worker answered with what is no reply, {times}",
    SLOW_READER: "the reply was cut off, since it was read more slowly than it came, {times}",
    WORKER_LOST: "the broker lost the worker before the end of its reply, {times}",
    OTHER: "the broker answered with an error that this client doesn't know, {times}",
    Expired: "the request expired at the broker",
    STOPPED: "the broker was stopped before the reply came",
}
#: Options of a broker that set its bounds, and what they count.
_LIMITS = {
    "max_message_bytes": "bytes",
    "max_frames": "frames",
    "queue_bytes": "bytes for all joined replies",
}
#: What to do about an answer; about silence: see sight.py.
_ADVICE: dict[type[NoReply] | str, str] = {
    NoService: "Check the service's name, and that its workers run (brigantine ls)",
    Busy: "Ask again later; if this lasts, start more workers",
    TOO_LARGE: "Send less at once, or give the broker a larger max_message_bytes or max_frames",
    REPLY_TOO_LARGE: "Have the worker answer with less at once, or give the broker a larger "
    "max_message_bytes or max_frames",
    OTHER_PROTOCOL: "Use the client of its protocol, or the endpoint of the right broker",
    MALFORMED_REPLY: "Look at the worker: behind the request's address a reply has an empty frame, and "
    "at least one more",
    SLOW_READER: "Read faster: don't block the thread or event loop that takes the parts, or a proxy in "
    "between. Or have the worker send fewer and larger parts, or give the broker a larger "
    "high_water_mark or peer_bytes: so many messages and bytes it keeps for one client",
    WORKER_LOST: "Look at the worker's end and at the network between it and the broker; whether the "
    "request was carried out is not known",
    OTHER: "The broker may be of a later version than the client: see what is new in it",
    Expired: "Start more workers if requests wait for long, or give the broker a longer "
    "request_ttl if the work takes longer",
    STOPPED: "Start it again, or give the client another broker; whether the request was carried "
    "out is not known",
}


def checked(reply: Reply, service: bytes | None) -> Reply:
    """``reply`` unless it reports an error: then :class:`~brigantine.errors.WorkerFailed`.

    The report is the end of a reply, after joined PARTIALs if any; a PARTIAL is no report.
    """
    if reply.says is Says.FINAL:
        try:
            raise_if_error(reply.body[-ERROR_FRAMES:])
        except WorkerFailed as error:
            raise WorkerFailed(error.kind, error.detail, service) from None
    return reply


def failure(
    tries: Sequence[Try],
    *,
    codec: ClientCodec,
    timeout: float,
    delivered: int,
    frames: Sequence[bytes],
) -> NoReply:
    """The error of a request of which these tries were made, ``timeout`` seconds each.

    ``delivered`` is how many parts of a stream the caller has got.  The last answer counts when it
    is one of those after which the request goes on, otherwise the weightiest refusal.  ``frames`` are
    what was sent.
    """
    answers = [
        None if each.said is None else ErrorAnswer(*each.said, tuple(each.limits.items()))
        for each in tries
    ]
    decides = answers[-1]
    if not delivered and (decides is None or decides.error != "expired"):
        refusals = {each.error: each for each in answers if each}
        decides = next((refusals[each] for each in REFUSALS if each in refusals), decides)
    kind = NoReply if decides is None else _RAISES.get(decides.error, NoReply)
    figures = {
        "timeout": timeout, "size": sum(map(len, frames)), "frames": len(frames),
        "times": _times(len(tries)), "protocol": codec.protocol, "limits": _limits(decides),
    }  # fmt: skip
    if delivered:
        text = _broken_off(tries, decides, delivered, timeout)
    else:
        what = _what_to_say(kind, decides)
        to_do = _about_silence(tries) if what is NoReply else _ADVICE[what]
        text = _filled(_HEADS[what], figures) + f": {_what_was_tried(tries)}. "
        text += _filled(to_do, figures)
    service = codec.service
    if service is not None:
        text = f"{named(service)}: {text}"
    return kind(text, tries, decides.reason if decides else "", service)


def _limits(decides: ErrorAnswer | None) -> str:
    """The broker's bounds, behind what was beyond them; nothing where it has not told."""
    if decides is None or not decides.limits:
        return ""
    shown = ", ".join(f"{value} {_LIMITS.get(name, '')} ({name})" for name, value in decides.limits)
    address = (
        ", the client's address included" if decides.reason.startswith(REQUEST_DROPPED) else ""
    )
    return f", which takes at most {shown}{address}"


def _broken_off(
    tries: Sequence[Try], decides: ErrorAnswer | None, delivered: int, timeout: float
) -> str:
    parts = "1 part" if delivered == 1 else f"{delivered} parts"
    advice = (
        _ADVICE[decides.error]
        if decides is not None and decides.error in (SLOW_READER, WORKER_LOST)
        else "Check the worker and the broker, and that no part takes longer than the timeout of "
        f"{timeout:g} s"
    )
    return (
        f"the stream broke off after {parts}: {_what_was_tried(tries)}. It can't be tried again without "
        f"giving parts twice. {advice}"
    )


def _about_silence(tries: Sequence[Try]) -> str:
    """What to do about what was seen of each broker at its last try."""
    last = {each.endpoint: Sight(each.seen) for each in tries}
    by_advice: dict[str, list[str]] = {}
    for endpoint, sight in last.items():
        if sight is Sight.ANSWERED:
            continue
        by_advice.setdefault(advice(sight), []).append(endpoint)
    if len(by_advice) == 1:
        return next(iter(by_advice))
    # The places to be filled in are those of the advice alone.
    return ". ".join(f"{_plain(', '.join(at))}: {what}" for what, at in by_advice.items())


def _filled(text: str, figures: dict[str, object]) -> str:
    return text.format(**figures)


def _plain(text: str) -> str:
    """``text`` as one that ``format`` leaves alone."""
    return text.replace("{", "{{").replace("}", "}}")


def _what_to_say(kind: type[NoReply], decides: ErrorAnswer | None) -> type[NoReply] | str:
    """The key of the words for an error of that kind, of which a broker said ``decides``."""
    if decides is not None and decides.error == TOO_LARGE:
        return TOO_LARGE if decides.reason.startswith(REQUEST_DROPPED) else REPLY_TOO_LARGE
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
        came = dict.fromkeys(_what_came(each) for each in made)
        told = "".join(f", {each}" for each in came if each)
        waited = sum(each.waited for each in made)
        shown.append(f"{endpoint} ({_times(len(made))}, waited {waited:.3g} s{told})")
    return "; ".join(shown)


def _what_came(each: Try) -> str:
    if each.said:
        return f"said {': '.join(each.said)}"
    sight = Sight(each.seen)
    # Where a name leads nowhere, why is more than that.
    told = sight in (Sight.UNRESOLVED, Sight.UNKNOWN, Sight.MISMATCHED) and each.trouble
    return told or words(sight)


def _times(count: int) -> str:
    return "1 try" if count == 1 else f"{count} tries"
