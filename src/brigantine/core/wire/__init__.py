"""Frames and commands: the envelope, and a codec for each protocol."""

# Compares the codecs' bytes with those of brigantine.wire: without that, nothing here may be used.
from . import codec as codec
