"""Workers: what a broker asks.

``lru``, ``paranoid_pirate`` and ``majordomo`` are the public ones, ``aio`` the same for asyncio.  Below
them: ``base`` is what all have in common, ``reply`` what a handler may answer, ``threads`` and ``tasks``
call the handler (``streams``, ``streams_aio``: one that replies in parts), beside an I/O thread
(``io_thread``) with one ``link`` (REQ) or ``heartbeat_link`` of ``line``s (PPP, MDP) to the brokers, which
drive a ``conversation`` or a ``dialog`` without socket and clock; ``wire`` is the worker's side of each
protocol.
"""
