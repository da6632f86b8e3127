"""The loops that own sockets: of a broker, and of a device."""
