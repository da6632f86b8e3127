"""Words that the handle of a broker or device sends to its loop, one frame each, over an inproc PAIR.

A question is a word followed by a tag of ``TAG_BYTES`` in the same frame.  The loop answers on the
same PAIR by one frame: the question unchanged, and the answer after it.
"""

from __future__ import annotations

__all__ = [
    "DRAIN",
    "IGNORE",
    "MOVE",
    "PAUSE",
    "RESUME",
    "SERVICES",
    "SIDES",
    "STOP",
    "TAG_BYTES",
    "WATCH",
    "WORKERS",
]

#: A broker: fail what is left and end.  A device: end.
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
#: To a device: pass nothing on until RESUME; go on.  The answers are empty.
PAUSE = b"PAUSE"
RESUME = b"RESUME"
#: To a device, followed by what is to be done: connect a socket elsewhere, see device_names.py.
MOVE = b"MOVE"
#: What tells one question from another.
TAG_BYTES = 8

#: In place of a peer in a notice of what has happened on a side: clients', workers'.
SIDES = (b"clients", b"workers")
