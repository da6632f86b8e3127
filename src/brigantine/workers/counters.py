"""What a worker counts."""

from __future__ import annotations

__all__ = ["HEARTBEAT_STATS", "REQ_STATS"]

#: Of a REQ worker: name -> meaning.  At rest requests == replies + discarded_replies.
REQ_STATS: dict[str, str] = {
    "requests": "requests handed to the handler",
    "replies": "replies handed to libzmq",
    "errors": "requests on which the handler raised, or returned what can't be sent",
    "discarded_replies": "replies to a connection that had ended: the broker's ticket was void",
    "discarded_requests": "requests not begun when their connection ended, or this worker",
    "drop_malformed": "messages from the broker that were no requests",
    "drop_excess": "requests from a broker that sent far more than one at a time",
    "connects": "connections made, handshake included",
    "disconnects": "connections lost, and handshakes that failed",
    "readies": "READY said, or to be said as soon as the connection stands",
}

#: Of a worker of PPP or MDP: name -> meaning.  At rest requests == replies + discarded_replies.
HEARTBEAT_STATS: dict[str, str] = {
    "requests": "requests handed to the handler",
    "replies": "replies handed to libzmq, the last part of each",
    "partials": "parts of replies handed to libzmq, without the last ones",
    "errors": "requests on which the handler raised, or returned what can't be sent",
    "discarded_replies": "replies to a connection that had ended: the broker's ticket was void",
    "discarded_requests": "requests not begun when their connection ended, or that came after stop",
    "drop_malformed": "messages from a broker that are none of the protocol",
    "drop_excess": "requests from a broker that sent far more than the capacity",
    "connects": "connections made, handshake included",
    "disconnects": "connections that ended before the worker did, and handshakes that failed",
    "expired": "connections that were closed because the broker was silent",
    "dismissed": "connections that were closed because the broker said DISCONNECT",
    "readies": "READY said, or to be said as soon as the connection stands",
    "heartbeats": "heartbeats sent",
}
