"""The protocols that a broker can be told to speak."""

from __future__ import annotations

from enum import IntFlag

__all__ = ["Protocol"]


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
