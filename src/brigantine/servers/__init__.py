"""Servers in one process: a ROUTER for clients, handlers in threads or tasks, sessions between.

``router`` is a ROUTER socket for programs that speak in envelopes, ``router_aio`` the same for asyncio,
``router_socket`` what they have in common.
"""
