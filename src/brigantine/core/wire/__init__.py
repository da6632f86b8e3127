"""Frames and commands: the envelope, and a codec for each protocol."""
