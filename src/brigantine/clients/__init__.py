"""Clients: what asks a broker.

``lazy_pirate`` and ``majordomo`` are the public ones, ``brigantine.aio`` has them for asyncio.
Below them: ``shell`` (threads) and ``shell_aio`` drive a ``dialog``, which has neither socket nor
clock, nor have ``roster``, which knows whom to ask, and ``failure``, what to raise; ``codec`` is the
client's side of each protocol; ``pool``, ``pool_aio`` and ``channel`` hold the sockets.
"""
