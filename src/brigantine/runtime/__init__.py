"""A loop in a thread of its own, the handle to it, and the pipe between the two."""
