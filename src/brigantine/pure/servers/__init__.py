"""The loop of a server, and the box between it and its handlers."""
