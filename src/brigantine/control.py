"""Words that a broker's handle sends to its loop, one frame each, over an inproc PAIR.

A question is a word with a tag of ``TAG_BYTES`` behind it in the same frame.  The loop answers on the
same PAIR: the question as it came, and a frame with the answer.
"""

from __future__ import annotations

__all__ = ["DRAIN", "IGNORE", "SERVICES", "STOP", "TAG_BYTES", "WATCH", "WORKERS"]

#: Fail what is left and end.
STOP = b"STOP"
#: Shed new requests, finish those accepted, end.
DRAIN = b"DRAIN"
#: Send no more events.
IGNORE = b"IGNORE"

#: Questions.  Send events from now on; the answer is empty.
WATCH = b"WATCH"
#: What workers there are, and what services: msgpack, see docs/control.md.
WORKERS = b"WORKERS"
SERVICES = b"SERVICES"
#: What tells one question from another.
TAG_BYTES = 8
