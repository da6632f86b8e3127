"""Words that the handle of a broker or device sends to its loop, one frame each, over an inproc PAIR.

A question is a word with a tag of ``TAG_BYTES`` behind it in the same frame.  The loop answers on the
same PAIR by one frame: the question as it came, and the answer behind it.
"""

from __future__ import annotations

__all__ = [
    "DRAIN",
    "IGNORE",
    "MOVE",
    "PAUSE",
    "RESUME",
    "SERVICES",
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
#: To a device, with what is to be done behind it: connect a socket elsewhere, see device_names.py.
MOVE = b"MOVE"
#: What tells one question from another.
TAG_BYTES = 8
