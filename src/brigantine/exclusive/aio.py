"""The exclusive pair for asyncio: one end in an event loop, the other in a thread, or in another loop."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import zmq

from ..config.pair import CONNECT_TIMEOUT, PairConfig
from ..validation.calls import ForTasks
from ..wire.body import from_frames
from .ends import End
from .shared import Call, InUse, Joining, PairShared, frames_of

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ..config.pair import PairOptions

__all__ = ["Pair"]

#: Seconds between looks for the other end to be bound, and after which a task that waits looks by itself.
BOUND_CHECK, LOOK = 0.01, 1.0


class Pair(PairShared, ForTasks):
    """:class:`brigantine.Pair` with coroutines; see there for arguments and errors::

        with brigantine.Pair.bind("inproc://steps") as there:  # for a thread
            async with await Pair.connect("inproc://steps") as here:
                print(await here.recv(timeout=1.0))

    An end is for one task at a time.  The other end may be either kind.
    """

    @classmethod
    def bind(
        cls,
        endpoint: str,
        *,
        context: zmq.Context[Any] | None = None,
        config: PairConfig | None = None,
        **options: Unpack[PairOptions],
    ) -> Self:
        """The end that stays; see :meth:`brigantine.Pair.bind`."""
        made: Self = cls._bind(endpoint, context, config, options)
        return made

    @classmethod
    async def connect(
        cls,
        endpoint: str,
        *,
        timeout: float | None = CONNECT_TIMEOUT,
        plain: bool = False,
        context: zmq.Context[Any] | None = None,
        config: PairConfig | None = None,
        **options: Unpack[PairOptions],
    ) -> Self:
        """The end that comes and goes; see :meth:`brigantine.Pair.connect`."""
        joining, limits = Joining(endpoint, timeout, context), cls._limits(config, options)
        made: Self
        if plain:
            made = cls._connect_plain(joining.name, joining.context, limits)
            return made
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while (bound := joining.bound()) is None:
            if deadline is not None and loop.time() >= deadline:
                raise joining.nobody()
            await asyncio.sleep(BOUND_CHECK)
        made = cls._meet(bound, limits)
        return made

    @classmethod
    def ends(
        cls, *, config: PairConfig | None = None, **options: Unpack[PairOptions]
    ) -> tuple[Self, Self]:
        """Both ends of a pair without a name, connected to each other."""
        made: tuple[Self, Self] = cls._ends(config, options)
        return made

    async def send(self, body: bytes | Sequence[bytes] = b"", timeout: float | None = None) -> None:
        """Send a signal, or whatever ``body`` is; see :meth:`brigantine.Pair.send`."""
        frames = frames_of(body)
        with self._in_use() as end:
            await _do(end, Call(end, timeout, frames))

    async def recv(self, timeout: float | None = None) -> bytes | list[bytes]:
        """The next message: ``bytes`` if it is one frame, else a list of them.

        What a cancelled call would have got the next one gets.
        """
        with self._in_use() as end:
            call = Call(end, timeout)
            await _do(end, call)
        return from_frames(call.message)

    def _in_use(self) -> InUse:
        return InUse(self._end, sys._getframe(1), asyncio.current_task())

    async def __aenter__(self) -> Self:
        """Raises :class:`~brigantine.errors.PairClosed` after :meth:`close`."""
        self._end.check()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


async def _do(end: End, call: Call) -> None:
    loop, changed = asyncio.get_running_loop(), asyncio.Event()
    end.listens = True
    try:
        while not call.done():
            await _change(loop, changed, end, call)
            end.wakeup.clear()
    finally:
        end.listens = False


async def _change(
    loop: asyncio.AbstractEventLoop, changed: asyncio.Event, end: End, call: Call
) -> None:
    """Wait until something has come, or it is time to look."""
    left = call.left
    sockets = end.sockets(sending=call.sending)
    watched = [end.wakeup.fileno(), *(cast(int, each.getsockopt(zmq.FD)) for each in sockets)]
    changed.clear()
    for descriptor in watched:
        loop.add_reader(descriptor, changed.set)
    try:
        # Their descriptors tell of nothing that was there before they were asked.
        if not call.done():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(changed.wait(), LOOK if left is None else min(left, LOOK))
    finally:
        for descriptor in watched:
            loop.remove_reader(descriptor)
