"""The protocols that a broker can be told to speak, and how often their peers send heartbeats."""

from __future__ import annotations

from enum import IntFlag

__all__ = ["INTERVALS", "MDP_INTERVAL", "PPP_INTERVAL", "Protocol"]

#: Seconds between the heartbeats of PPP, and of MDP, as all programs of the ZeroMQ guide have them.
PPP_INTERVAL, MDP_INTERVAL = 1.0, 2.5


class Protocol(IntFlag):
    """How a peer speaks; also a set of those that a broker allows."""

    #: A client with no header (REQ, or a DEALER that sends the empty frame), or a REQ worker.
    REQ = 1
    #: Paranoid Pirate, ZeroMQ RFC 6.
    PPP = 2
    #: Majordomo, ZeroMQ RFC 7.
    MDP01 = 4
    #: Majordomo, ZeroMQ RFC 18.
    MDP02 = 8


#: Seconds between heartbeats, where nobody says otherwise.  Those of REQ workers are ZMTP's: what they
#: cost grows with the square of the workers.
INTERVALS: dict[Protocol, float] = {
    Protocol.REQ: 10.0,
    Protocol.PPP: PPP_INTERVAL,
    Protocol.MDP01: MDP_INTERVAL,
    Protocol.MDP02: MDP_INTERVAL,
}
