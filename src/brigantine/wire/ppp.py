"""Wire constants of the Paranoid Pirate Protocol (ZeroMQ RFC 6/PPP).

worker -> broker   id 0x01                   READY; first message of every conversation
worker -> broker   id 0x01+msgpack uint      READY with a capacity (brigantine's addition)
both ways          id 0x02                   HEARTBEAT
broker -> worker   id ticket [] body...      REQUEST
worker -> broker   id ticket [] body...      REPLY
"""

from __future__ import annotations

__all__ = ["HEARTBEAT", "HEARTBEAT_WORD", "READY", "READY_WORD"]

READY = b"\x01"
HEARTBEAT = b"\x02"
#: In place of these bytes some published workers and queues have the words.
READY_WORD = b"READY"
HEARTBEAT_WORD = b"HEARTBEAT"
