"""The counters of brokers and devices: names, meanings, and the ledger of a broker's requests.

Both implementations keep exactly these, in this order.  A *gauge* goes up and down; the others only
grow.  At every moment a broker has ``accepted == replied + queued + in_flight + shed + failed``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .errors import OptionName, WrongUse
from .validation.values import shown

__all__ = [
    "COUNTERS",
    "DEVICE_COUNTERS",
    "LEDGER",
    "ROUTER_COUNTERS",
    "SERVER_COUNTERS",
    "check_places",
    "ledger_holds",
]

#: name -> meaning, in the order of the compiled core's enum.
COUNTERS: dict[str, str] = {
    # the ledger of requests
    "accepted": "well-formed requests taken from clients",
    "replied": "replies handed to libzmq for the client that asked",
    "queued": "gauge: requests waiting for a worker",
    "in_flight": "gauge: requests at a worker, or whose worker was lost and may still answer",
    "shed": "requests that the broker gave up to stay within its limits (sum of shed_*)",
    "failed": "requests that got no reply for another reason (sum of failed_*)",
    # why a request was shed
    "shed_queue_full": "the queue held queue_limit requests; this one was of the service with the most",
    "shed_queue_bytes": "the queue held queue_bytes bytes; this request was of the service with the most",
    "shed_services": "there were max_services services, and the request was for another",
    "shed_draining": "the broker was draining",
    "shed_client_full": "a reply or a part of it met the high-water mark of a client that does not read",
    "shed_client_bytes": "the client had yet to receive peer_bytes bytes",
    # why a request failed
    "failed_expired_queued": "request_ttl ran out before a worker was free",
    "failed_expired_in_flight": "request_ttl ran out before the worker answered",
    "failed_no_service": "no worker offers the service, and the client wants to be told (docs/mdp.md)",
    "failed_client_gone": "the reply came, but the client had disconnected",
    "failed_client_left": "a waiting client of brigantine left, or any client within a reply in parts",
    "failed_partials_too_large": "joined PARTIALs exceeded a message's limits or, in total, queue_bytes",
    "failed_reply_too_large": "the reply exceeded a message's limits and was dropped",
    "failed_reply_malformed": "the worker's answer was no reply: it had no delimiter, or no body",
    "failed_worker_lost": "the worker was lost before the end of a reply that may come in parts",
    "failed_stopped": "the broker stopped before the reply came",
    # messages dropped; none of them is in the ledger
    "drop_malformed_request": "from a client: no empty delimiter, or no body",
    "drop_too_deep": "from a client: more than max_depth address frames",
    "drop_malformed_worker": "from a worker: not a message of the protocol",
    "drop_too_many_frames": "more than max_frames frames (a reply: 4 more, for its head)",
    "drop_too_large": "frames of more than max_message_bytes in total (a reply: 512 more)",
    "drop_reply_unknown": "a reply whose ticket this broker never issued",
    "drop_reply_late": "a reply to a request that had failed or had been given to another worker",
    "drop_reply_duplicate": "a second reply to a request that was already answered",
    "drop_reply_foreign": "a reply from a worker that does not hold the request",
    "drop_ready_gone": "a READY whose connection had already closed",
    "drop_ready_refused": "a READY for a service of the broker's own (mmi.*)",
    "drop_unexpected": "HEARTBEAT, DISCONNECT or a reply from a peer that is no registered worker",
    "drop_wrong_side": "a worker's message at the clients' endpoint, where workers are not served",
    "drop_partial_shed": "a PARTIAL that its client had no room for; its request ended with it",
    "drop_error_answer": "an error answer whose client had left, or had no room during request_ttl",
    # what happened to workers
    "workers": "gauge: workers known and not lost",
    "workers_idle": "gauge: workers that could take a request now",
    "workers_joined": "workers that registered",
    "workers_lost": "workers that are no longer registered, for whatever reason",
    "workers_expired": "workers lost because nothing was heard from them in time",
    "workers_disconnected": "workers lost because they sent DISCONNECT",
    "disconnects": "DISCONNECT sent to workers that broke the protocol",
    "heartbeats": "HEARTBEAT sent",
    "partials": "PARTIALs passed on or joined",
    "services": "gauge: services known",
    "error_answers": "error answers to clients that ask to be told: of requests shed, failed or dropped",
    "error_answers_waiting": "gauge: error answers that wait until their clients have room",
    "mmi": "requests that the broker answered itself",
    "ready_again": "READY from a worker that was already ready or busy",
    "worker_full": "sends refused by the high-water mark of a worker; the next one was tried",
    "worker_behind": "sends refused because the worker had yet to receive peer_bytes; the next was tried",
    "retries_given_up": "requests that lost their retries, because others at workers took up queue_bytes",
    "redispatched": "requests sent to another worker after theirs was lost",
    # the broker itself
    "queued_bytes": "gauge: bytes charged to waiting requests",
    "unsent_bytes": "gauge: bytes of messages of 4 KiB and more that peers have yet to receive",
    "pauses": "times the process had been suspended, and the gap was not counted",
    "events_missed": "events that slow readers of broker.events() did not get",
    "connections_rejected": "connections closed at once, because file descriptors had run out",
    "accepts_failed": "seconds in which a connection could not be accepted: no descriptor was left",
    "control_requests": "well-formed requests on the control endpoint",
    "drop_control": "other messages on the control endpoint, and answers that were lost",
}

#: The same for devices, in the order of relay.pxd.
DEVICE_COUNTERS: dict[str, str] = {
    "to_backend": "messages passed on from the frontend to the backend",
    "to_backend_bytes": "bytes in them, over all frames",
    "to_frontend": "messages passed on from the backend to the frontend (a forwarder: subscriptions)",
    "to_frontend_bytes": "bytes in them, over all frames",
    "drop_unroutable": "messages dropped because their peer is not connected, or has gone",
    "drop_peer_full": "messages dropped because their peer does not read (high-water mark)",
    "drop_peer_behind": "messages dropped because their peer had yet to receive peer_bytes",
    "drop_malformed": "messages dropped because they name a peer but have nothing for it",
    "drop_stopped": "messages that were waiting for room when the device was stopped",
    "waits": "times a message found no room on the other side, so that all after it waited",
    "held": "gauge: messages that now wait like this, at most one for each side",
    "unsent_bytes": "gauge: bytes of messages of 4 KiB and more that a queue's clients have yet to receive",
    "paused": "gauge: 1 while the device is paused",
    "last_values": "gauge: topics whose last message a forwarder keeps",
    "last_values_bytes": "gauge: bytes that these take, overhead included",
    "last_values_evicted": "topics dropped to stay within last_values and last_values_bytes",
    "last_values_asked": "requests for last values that were answered",
    "last_values_sent": "messages in these answers",
    "captured": "copies handed to libzmq for the capture endpoint",
    "drop_capture": "copies that a PUSH had no room for; of a PUB: times an observer began to miss copies",
    "connections_rejected": COUNTERS["connections_rejected"],
    "accepts_failed": COUNTERS["accepts_failed"],
    # with a control endpoint
    "control_requests": COUNTERS["control_requests"],
    "drop_control": COUNTERS["drop_control"],
}

#: The same for a server: what ``stats()`` returns of an AsyncServer and of a ThreadedServer.  The order is
#: that of the compiled core's ``ServerCounter`` enum.
SERVER_COUNTERS: dict[str, str] = {
    # the ledger of requests
    "accepted": "well-formed requests taken from clients",
    "replied": "requests whose handler has ended, all its replies handed to libzmq",
    "queued": "gauge: requests waiting for a handler",
    "in_flight": "gauge: requests at a handler",
    "shed": "requests that the server gave up to stay within its limits (sum of shed_*)",
    "failed": "requests that got no reply, or not all of it, for another reason (sum of failed_*)",
    # why a request was shed
    "shed_queue_full": "queue_limit requests were waiting",
    "shed_queue_bytes": "queue_bytes bytes were waiting",
    "shed_session_full": "session_requests requests of that session were waiting",
    "shed_session_bytes": "session_bytes bytes of that session were waiting",
    "shed_sessions": "max_sessions sessions were open, and the request belonged to none of them",
    "shed_draining": "the server was draining",
    "shed_client_full": "a reply met the high-water mark of a client that does not read",
    "shed_client_bytes": "the client had yet to receive peer_bytes bytes",
    # why a request failed
    "failed_expired_queued": "request_ttl ran out before a handler was free",
    "failed_expired_in_flight": "request_ttl ran out while the handler was running",
    "failed_client_gone": "the reply came, but the client had disconnected",
    "failed_handler": "the handler raised, or ended its thread: the client was told",
    "failed_stopped": "the server stopped before the reply came",
    # messages that are in no ledger
    "drop_malformed_request": "no body, or an address frame that is no address",
    "drop_too_deep": "more than max_depth address frames",
    "drop_too_many_frames": "more than max_frames frames",
    "drop_too_large": "frames of more than max_message_bytes in total",
    "drop_reply_late": "replies that came after their request had ended, or their session had closed",
    "lost_session": "requests and heartbeats for a session that is not open: the client was told",
    # sessions
    "sessions": "gauge: sessions that are open, or still have a handler running",
    "sessions_opened": "sessions that were opened",
    "sessions_closed": "sessions that have ended (sum of closed_*)",
    "closed_timeout": "the client was silent for session_timeout",
    "closed_left": "the client said that it leaves",
    "closed_replaced": "another connection came with the same address",
    "closed_stopped": "the server stopped",
    "sessions_refused": "sessions not opened, because max_sessions were open",
    # what passed besides
    "replies": "messages handed to libzmq for clients, including those that answer no request",
    "heartbeats": "messages with which AsyncClients only say that they are there",
    "pauses": "times the process had been suspended",
    "unsent_bytes": "gauge: bytes of messages of 4 KiB and more that clients have yet to receive",
    # counted around the loop
    "connections_unheard": "connections that were closed because nothing came by them in unheard_timeout",
    "handler_errors": "exceptions that handlers and callbacks have raised",
    "threads": "gauge: threads that can take a request",
    "threads_replaced": "threads that were replaced, because they had ended or were given up",
    "threads_hung": "threads given up, because a handler ran for longer than request_ttl",
    "connections_rejected": COUNTERS["connections_rejected"],
    "accepts_failed": COUNTERS["accepts_failed"],
    # with a control endpoint
    "control_requests": COUNTERS["control_requests"],
    "drop_control": COUNTERS["drop_control"],
}

#: The same for :class:`brigantine.Router`.
ROUTER_COUNTERS: dict[str, str] = {
    "received": "envelopes that were received",
    "sent": "envelopes that were handed to the peer with their address",
    "drop_unroutable": "envelopes for an address that no peer has, raised as Unroutable or only counted",
    "drop_peer_full": "envelopes for a peer that does not read (high-water mark), raised or only counted",
    "drop_malformed": "messages received that are no envelope",
    "drop_too_many_frames": "messages received with more than max_frames frames",
    "drop_too_deep": "messages received with more than max_depth address frames",
    "connections_rejected": COUNTERS["connections_rejected"],
    "accepts_failed": COUNTERS["accepts_failed"],
}

#: The names whose sum is ``accepted``.
LEDGER = ("replied", "queued", "in_flight", "shed", "failed")


def ledger_holds(stats: Mapping[str, int]) -> bool:
    """Whether every accepted request of a ``stats()`` mapping is accounted for, reason by reason.

    No count may be negative: two errors in opposite directions would cancel out.
    Raises :class:`~brigantine.errors.WrongUse` for anything else.
    """
    if not isinstance(stats, Mapping) or not {"accepted", *LEDGER} <= stats.keys():
        raise WrongUse(
            OptionName("stats"), f" must be what a broker's stats() returns, not {shown(stats)}"
        )
    shed = sum(value for name, value in stats.items() if name.startswith("shed_"))
    failed = sum(value for name, value in stats.items() if name.startswith("failed_"))
    return (
        min(stats.values()) >= 0
        and stats["accepted"] == sum(stats[name] for name in LEDGER)
        and stats["shed"] == shed
        and stats["failed"] == failed
    )


def check_places(
    where: str, enum: Mapping[str, object], names: Iterable[str], count: str, prefix: str = ""
) -> None:
    """Raise ``ImportError`` unless an enum of the core numbers the ``names`` from 0 on, in their order.

    ``enum`` is what stands in a module with a ``cpdef enum``: names in capitals, with ``prefix``.
    ``count`` is the one that follows the last of them.
    """
    place = -1
    for place, name in enumerate(names):
        found = enum.get(prefix + name.upper())
        if found != place:
            raise ImportError(f"{prefix}{name.upper()} of {where} is {found!r}, not {place}")
    if enum.get(count) != place + 1:
        raise ImportError(f"{count} of {where} is {enum.get(count)!r}, not {place + 1}")
