"""Limits that are no options: what is bounded all the same, whoever runs it."""

from __future__ import annotations

#: Seconds that a worker which stops waits for its broker to let it go, at the most.
LEAVE_WAIT = 1.0
#: Messages handled from one socket before the loop looks at the others (fairness between sides).
BATCH = 256
#: The same in frames, where a message may have any number of them.
BATCH_FRAMES = 4096
#: Frames of one oversized message thrown away in one turn of the loop (bounds the stall).
DISCARD_BATCH = 4096
#: The longest sleep of the loop, in seconds: how stale its idea of a pause can get.
MAX_SLEEP = 1.0
#: Seconds until a worker whose pipe was full is tried again.
FULL_RETRY = 0.02
#: Seconds until error answers that their clients had no room for are tried again, and how many of them
#: may then be refused once more before the others wait for the next time.
UNTOLD_RETRY = 1 / 32
UNTOLD_TRIES = 64
#: What those that wait may take together in bytes, and for one peer in number.
UNTOLD_BYTES = 8 * 1024 * 1024
UNTOLD_OF_PEER = 1000
#: Seconds that no turn of the loop takes: when it took longer, or longer than a heartbeat interval, the
#: process was stopped.
PAUSE = 1.0
#: Seconds that the end of a broker may take to read what its peers had said before it was asked for.
LAST_WORDS = 0.5
#: Seconds that closing sockets may take to hand over what was already sent.
LINGER = 1.0
#: Waiting requests beyond this many are copied out of libzmq's shared receive buffers (8 KiB each),
#: which a small message that waits would otherwise keep alive whole.
COMPACT_AFTER = 1024
#: Seconds, about 127 years: clocks and timeouts beyond it are mistakes, and two of them together
#: still fit in 64 bits of nanoseconds.
MAX_SECONDS = 4e9
#: Different heartbeat intervals that workers may announce at once, the broker's own included; who
#: announces one more is held to the next shorter of them.
MAX_LANES = 64
#: More requests than this at one worker are taken for a mistake.
MAX_CAPACITY = 65535
#: Least and greatest heartbeat interval that a worker may announce, in milliseconds.
ANNOUNCED_INTERVAL_MS = (10, 3_600_000)
#: Seconds that looking up the name of an endpoint to bind may take.
BIND_LOOKUP = 5.0
#: Seconds after which whoever has asked the loop something looks for its answer anyway.
ANSWER_CHECK = 0.05
#: Events of a broker that may wait between its loop and its readers, and by default at one reader.
EVENTS_WAITING = 10_000
#: How many frames and bytes more than a request a worker's message may have.  In front of a reply stands
#: the ticket in place of the client's address, and what the protocol needs: with these, the echo of
#: any request that was accepted is within the bounds.
REPLY_FRAMES = 4
REPLY_BYTES = 512
#: How much of a name an event tells: a client may name a service as it likes, at any length.
EVENT_NAME_BYTES = 255
#: What a notice to a person tells of a message: so many frames, so many bytes of each.
NOTICE_FRAMES = 8
NOTICE_BYTES = 40
#: Notices that may wait for a log handler, and peers (with what they did) of which the log knows already.
NOTICES_WAITING = 100
NOTICES_KNOWN = 1024
#: Notices of all kinds, and of one kind: how many at once, and seconds until there may be one more.
NOTICE_BURST, NOTICE_EVERY = 30, 0.2
KIND_BURST, KIND_EVERY = 10, 1.0
#: Seconds between DISCONNECT to workers that come to the clients' endpoint.
SENT_AWAY_EVERY = 1.0
#: Seconds until the log tells how many were left out.
NOTICES_COUNTED = 1.0
#: A peer where workers connect that has said nothing for so many handshake_timeouts is told of.
SILENT_HANDSHAKES = 2
#: File descriptors that are kept in reserve when all others are in use, for control and for as many peers
#: as may come before the loop has noticed; and this is at most one in so many of the limit.
DESCRIPTOR_RESERVE, DESCRIPTOR_SHARE = 1024, 8
#: Descriptors that are held for when a program has used up the reserve, too; seconds between two looks
#: at whether it has.
DESCRIPTOR_SPARES, ACCEPT_LOOK = 2, 1.0
#: Seconds between lines of the log about connections that were rejected for want of descriptors.
REJECTED_EVERY = 10.0
#: Seconds for which a Router drops what is no envelope before it looks at anything else.
JUNK_TIME = 0.01
#: Seconds for which a Router waits for a peer that does not read.
ROUTER_SEND_TIMEOUT = 1.0
#: What one waiting request costs beside its bytes, charged against ``queue_bytes``.
REQUEST_OVERHEAD = 640
#: Places in which the name of a service is kept that a waiting request is for.
NAME_COPIES = 3
#: What one last value that a forwarder keeps costs beside its frames and its topic, which is kept twice.
LAST_VALUE_OVERHEAD = 192
#: What one frame that waits costs beside its bytes (libzmq's own record of it).
FRAME_OVERHEAD = 128
#: Bytes: a message that costs less is not counted against ``peer_bytes``, the high-water mark bounds those.
LIGHT = 4096
