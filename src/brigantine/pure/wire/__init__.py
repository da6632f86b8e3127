"""Frames and commands, as in brigantine.core.wire."""
