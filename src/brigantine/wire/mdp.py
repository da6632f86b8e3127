"""Wire constants of the Majordomo Protocol 0.1 (ZeroMQ RFC 7/MDP) and 0.2 (RFC 18/MDP), and MMI (RFC 8).

    0.1   client -> broker   id [] "MDPC01" service body...
          broker -> client   id [] "MDPC01" service body...
          worker -> broker   id [] "MDPW01" 0x01 service [capacity]    READY
          broker -> worker   id [] "MDPW01" 0x02 ticket [] body...     REQUEST
          worker -> broker   id [] "MDPW01" 0x03 ticket [] body...     REPLY
          both ways          id [] "MDPW01" 0x04                       HEARTBEAT
          both ways          id [] "MDPW01" 0x05                       DISCONNECT

    0.2   client -> broker   id "MDPC02" 0x01 service body...          REQUEST
          broker -> client   id "MDPC02" 0x02 service body...          PARTIAL
          broker -> client   id "MDPC02" 0x03 service body...          FINAL
          worker -> broker   id "MDPW02" 0x01 service [capacity]       READY
          broker -> worker   id "MDPW02" 0x02 ticket [] body...        REQUEST
          worker -> broker   id "MDPW02" 0x03 ticket [] body...        PARTIAL
          worker -> broker   id "MDPW02" 0x04 ticket [] body...        FINAL
          both ways          id "MDPW02" 0x05                          HEARTBEAT
          both ways          id "MDPW02" 0x06                          DISCONNECT

Published peers differ, and are understood as long as ``strict`` is off: 0.2 with an empty frame in front,
and of clients the same with commands numbered as those of workers.  Answers are as what was asked.

          client -> broker   id [] "MDPC02" 0x02 service body...       REQUEST
          broker -> client   id [] "MDPC02" 0x03 body...               PARTIAL
          broker -> client   id [] "MDPC02" 0x04 body...               FINAL

``capacity`` is one msgpack unsigned integer, brigantine's addition: a broker that does not know it
sees a frame too many in READY only.
"""

from __future__ import annotations

__all__ = [
    "CLIENT_01",
    "CLIENT_02",
    "CLIENT_FINAL",
    "CLIENT_PARTIAL",
    "CLIENT_REQUEST",
    "DISCONNECT_01",
    "DISCONNECT_02",
    "FINAL_02",
    "HEARTBEAT_01",
    "HEARTBEAT_02",
    "MMI_FOUND",
    "MMI_NOT_FOUND",
    "MMI_NOT_IMPLEMENTED",
    "MMI_PREFIX",
    "MMI_SERVICE",
    "MMI_SERVICES",
    "MMI_STATS",
    "MMI_WORKERS",
    "PARTIAL_02",
    "READY",
    "REPLY_01",
    "REQUEST",
    "WORKER_01",
    "WORKER_02",
]

CLIENT_01 = b"MDPC01"
CLIENT_02 = b"MDPC02"
WORKER_01 = b"MDPW01"
WORKER_02 = b"MDPW02"

# 0.2, client's side
CLIENT_REQUEST = b"\x01"
CLIENT_PARTIAL = b"\x02"
CLIENT_FINAL = b"\x03"

# worker's side, both versions
READY = b"\x01"
REQUEST = b"\x02"
# 0.1
REPLY_01 = b"\x03"
HEARTBEAT_01 = b"\x04"
DISCONNECT_01 = b"\x05"
# 0.2
PARTIAL_02 = b"\x03"
FINAL_02 = b"\x04"
HEARTBEAT_02 = b"\x05"
DISCONNECT_02 = b"\x06"

#: Services that the broker answers itself.
MMI_PREFIX = b"mmi."
MMI_SERVICE = b"mmi.service"
MMI_SERVICES = b"mmi.services"
MMI_WORKERS = b"mmi.workers"
MMI_STATS = b"mmi.stats"
MMI_FOUND = b"200"
MMI_NOT_FOUND = b"404"
MMI_NOT_IMPLEMENTED = b"501"
