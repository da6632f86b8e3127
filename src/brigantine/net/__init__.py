"""Sockets and endpoints: names looked up, addresses dialled and bound, options, monitors, closing."""
