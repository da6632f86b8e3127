"""The loops that own sockets, as in brigantine.core.loop."""
