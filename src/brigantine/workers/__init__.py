"""Workers: what a broker asks.

``lru``, ``paranoid_pirate`` and ``majordomo`` are the public ones, ``aio`` the same for asyncio.  Below
them: ``base`` is what all have in common, ``heartbeat`` what those of PPP and MDP have; ``reply`` says
what a handler may answer; ``threads`` and ``tasks`` call the handler (``streams``, ``streams_aio``: one
that replies in parts, held back by ``part_credit``).  An I/O thread beside them (``io_thread``) owns the
sockets: ``req_io`` with one ``req_connection``, or ``heartbeat_io`` with a ``session`` for each broker.
A session keeps a ``connection`` and drives a ``dialog`` without socket and clock; ``codec`` is the
worker's side of each protocol; ``readiness`` knows which brokers have confirmed the worker.
"""
