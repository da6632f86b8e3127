"""Clients: what asks a broker.

``lazy_pirate`` and ``majordomo`` are the public ones, ``brigantine.aio`` has them for asyncio.
Below them: ``base`` (threads) and ``base_aio`` drive a ``pending`` request, which has neither socket nor
clock, nor have ``failover``, which chooses the broker, and ``failure``, what to raise; ``limits`` checks
the numbers, ``counters`` says what is counted; ``codec`` is the client's side of each protocol; ``pool``,
``pool_aio`` and ``channel`` hold the sockets; ``witness`` looks at a broker that lets a request wait, and
``sight`` has the words for what it sees.
"""
