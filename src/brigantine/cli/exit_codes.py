"""The exit codes of the command line."""

from __future__ import annotations

__all__ = ["DONE", "FAILED", "INTERRUPTED", "SIGNALLED", "WRONG_USE"]

DONE = 0
#: It could not be done: no reply, a worker's error, a broker that ended by itself, or that left
#: accepted requests unfinished.
FAILED = 1
#: It was asked for in a way that can't work: an option, an endpoint, a module.
WRONG_USE = 2
#: A process that a signal ended exits with this plus the signal's number (the shell's custom).
SIGNALLED = 128
#: Ctrl-C: 128 + SIGINT.
INTERRUPTED = 130
