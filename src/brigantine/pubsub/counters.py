"""The counters of publishers and subscribers: names, and what they mean."""

from __future__ import annotations

__all__ = ["PUBLISHER_COUNTERS", "SUBSCRIBER_COUNTERS"]

#: name -> meaning.  A gauge goes up and down, the others only grow.
PUBLISHER_COUNTERS: dict[str, str] = {
    "published": "messages handed to libzmq, whether anybody has subscribed or not",
    "published_bytes": "bytes in their topics and bodies",
    "heartbeats": "heartbeats sent, while one of our subscribers is there",
    "welcomes": "answers to brigantine subscribers that have subscribed",
    "waits": "times that publish() found no room and waited",
    "stalls": "times that a message waited for a subscriber that did not keep up (stall_timeout)",
    "cut_off": "subscribers whose connection was ended then, as all others waited for them",
    "drop_stalled": "messages that full subscribers missed then, as it was not known who they are",
    "topics_forgotten": "topics forgotten to stay within max_topics; each begins a new epoch when used",
    "drop_malformed": "what came from the subscribers' side and is no subscription",
    "drop_subscribers": "brigantine subscribers beyond those that are told apart; they get all messages",
    "last_values": "gauge: topics whose last message is kept",
    "last_values_bytes": "gauge: what these take, with what keeping them costs",
    "last_values_evicted": "topics given up to stay within last_values and last_values_bytes",
    "last_values_asked": "questions for last values that were answered",
    "last_values_sent": "messages in these answers",
    "subscribers": "gauge: brigantine subscribers whose subscriptions were read, through forwarders too",
    "topics": "gauge: topics whose messages are numbered",
    "waiting": "gauge: messages that wait for the publisher's thread",
    "unsent": "messages of which it is not known, after close(), that all of them have left",
    "connections_rejected": "connections closed at once, as the process had no file descriptors for them",
}

#: The same for subscribers.
SUBSCRIBER_COUNTERS: dict[str, str] = {
    "received": "messages put into the queue for the reader",
    "missed": "messages that never came, told by the numbers of those that did, and by heartbeats",
    "shed": "messages thrown away as the reader's queue was full",
    "conflated": "messages replaced by a later one of their topic before they were read (conflate)",
    "unnumbered": "messages received of publishers that don't number theirs: what is missed is unknown",
    "last_values": "messages of them that were asked for as the last values of their topics",
    "duplicates": "messages dropped since they, or later ones of their topic, had come before",
    "restarts": "publishers that restarted under their name",
    "renumbered": "topics whose numbers started over, because their publisher had forgotten them",
    "heartbeats": "heartbeats heard",
    "silences": "times that nothing was heard for too long where a heartbeat was due",
    "failovers": "times that another endpoint was moved to",
    "connects": "connections made, handshake included",
    "disconnects": "connections lost",
    "drop_unwanted": "messages that came for topics no longer subscribed",
    "drop_malformed": "messages of our own topics that can't be read, and of too many frames",
    "waiting": "gauge: messages that wait for the reader",
    "waiting_bytes": "gauge: what they take, with what holding them costs",
    "publishers": "gauge: publishers known by name",
    "topics": "gauge: topics of publishers of which the last number is known",
}
