"""The workers for asyncio, under the same names as those for threads."""

from __future__ import annotations

from ..handlers import AsyncHandler, AsyncStreamHandler
from .dialog import Job
from .lru import LRUBase
from .majordomo import MajordomoBase
from .paranoid_pirate import ParanoidPirateBase
from .req_connection import Request
from .streams_aio import StreamingTasks
from .tasks import TaskWorker

__all__ = ["LRUWorker", "MajordomoWorker", "ParanoidPirateWorker"]


class LRUWorker(LRUBase[AsyncHandler], TaskWorker[Request]):
    """:class:`brigantine.LRUWorker` with a coroutine function; see there for the other arguments::

        async def shout(body: bytes) -> bytes:
            return body.upper()

        await LRUWorker("tcp://127.0.0.1:5556", shout).run()

    The handler is awaited in a task of the event loop on which :meth:`run` runs, one at a time.  A separate
    thread holds the connection, so the handler may block the loop for as long as it likes without the
    broker noticing.  A handler that is cancelled, other than by cancelling :meth:`run`, has failed like
    one that raises any other error: it is logged, the client is told, and the worker continues.

    A worker runs once: ``await worker.run()``, or ``async with worker:``.
    Raises ``TypeError`` for a handler that is no coroutine function.
    """


class ParanoidPirateWorker(ParanoidPirateBase[AsyncHandler], TaskWorker[Job]):
    """:class:`brigantine.ParanoidPirateWorker` with a coroutine function; see there for the other
    arguments::

        async def shout(body: bytes) -> bytes:
            return body.upper()

        async with ParanoidPirateWorker("tcp://127.0.0.1:5556", shout, capacity=100):
            ...

    Up to ``capacity`` handlers run at once, each in a task of the event loop on which :meth:`run` runs.  A
    separate thread sends the heartbeats, so a handler that blocks the loop only delays the others, and does
    not make the worker look dead.

    A handler that is cancelled, other than by cancelling :meth:`run`, has failed like one that raises any
    other error: it is logged, the client is told, and the worker continues.

    A worker runs once: ``await worker.run()``, or ``async with worker:``.
    Raises ``TypeError`` for a handler that is no coroutine function.
    """


class MajordomoWorker(MajordomoBase[AsyncStreamHandler | AsyncHandler], StreamingTasks):
    """:class:`brigantine.MajordomoWorker` with a coroutine function, or an async generator function;
    see there for the other arguments::

        async def count(body: bytes) -> AsyncIterator[bytes]:
            for number in range(int(body)):
                yield str(number).encode()

        await MajordomoWorker("tcp://127.0.0.1:5555", "count", count, capacity=100).run()

    Each value that an async generator yields goes to the client at once, as a PARTIAL.  It can't return a
    value, so the FINAL is one empty frame that only ends the reply.  With ``version="0.1"``, which has no
    parts, all values are joined into one reply.

    Up to ``capacity`` handlers run at once, each in a task of the event loop on which :meth:`run` runs.  A
    separate thread sends the heartbeats, so a handler that blocks the loop only delays the others, and does
    not make the worker look dead.

    A handler that is cancelled, other than by cancelling :meth:`run`, has failed like one that raises any
    other error: it is logged, the client is told, and the worker continues.

    A worker runs once: ``await worker.run()``, or ``async with worker:``.
    Raises ``TypeError`` for a handler that is neither.
    """
