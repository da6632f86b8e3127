"""Servers in one process: a ROUTER for clients, handlers in threads or tasks, sessions between."""
