"""The exclusive pair, for threads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import zmq

from ..config.pair import CONNECT_TIMEOUT, PairConfig
from ..system.signals import longest_wait
from ..validation.calls import ForThreads
from ..wire.body import from_frames
from .ends import End
from .rendezvous import meeting
from .shared import Call, Joining, PairShared, frames_of

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ..config.pair import PairOptions

__all__ = ["Pair"]


class Pair(PairShared, ForThreads):
    """One of two ends through which two threads of a process signal each other::

        def step(done: Pair) -> None:
            with done:
                done.send(b"ready")

        here, there = Pair.ends()
        threading.Thread(target=step, args=(there,)).start()
        with here:
            print(here.recv(timeout=1.0))

    Threads that do not know each other meet by a name: :meth:`bind`, and :meth:`connect`.  A pair has two
    ends: another one that tries to connect is refused with the reason, and may take the place of the first
    once that is closed or its thread has ended.

    An end is for one thread at a time; any thread may call :meth:`close`.  Each call takes a ``timeout`` in
    seconds (``None``: it waits for ever) and raises :class:`~brigantine.errors.PairTimeout` after it,
    with the reason.  An end to which nothing refers any more is closed.  Source:  ZeroMQ guide, chapter
    2 "Signaling Between Threads (PAIR Sockets)".
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
        """The end that stays: others connect to it, one at a time.

        - ``endpoint``: ``inproc://NAME``.
        - ``context``: the name is then one within that ``zmq.Context``, where plain PAIR sockets can
          connect, too.
        - options: those of :class:`~brigantine.PairConfig`, one by one or as ``config``.

        Raises :class:`~brigantine.errors.BindError` if the name is taken.
        """
        made: Self = cls._bind(endpoint, context, config, options)
        return made

    @classmethod
    def connect(
        cls,
        endpoint: str,
        *,
        timeout: float | None = CONNECT_TIMEOUT,
        plain: bool = False,
        context: zmq.Context[Any] | None = None,
        config: PairConfig | None = None,
        **options: Unpack[PairOptions],
    ) -> Self:
        """The end that comes and goes.

        It waits ``timeout`` seconds for the other one to be bound.  With ``plain`` it connects to a
        PAIR socket of libzmq, bound in ``context`` now or later, of which nothing is known.  Raises
        :class:`~brigantine.errors.ConnectError` at once if the other end has its peer, and
        :class:`~brigantine.errors.PairTimeout` if nobody is bound.
        """
        joining, limits = Joining(endpoint, timeout, context), cls._limits(config, options)
        made: Self
        if plain:
            made = cls._connect_plain(joining.name, joining.context, limits)
            return made
        meeting.place.wait(lambda: joining.bound() is not None, timeout)
        bound = joining.bound()
        if bound is None:
            raise joining.nobody()
        made = cls._meet(bound, limits)
        return made

    @classmethod
    def ends(
        cls, *, config: PairConfig | None = None, **options: Unpack[PairOptions]
    ) -> tuple[Self, Self]:
        """Both ends of a pair without a name, connected to each other."""
        made: tuple[Self, Self] = cls._ends(config, options)
        return made

    def send(self, body: bytes | Sequence[bytes] = b"", timeout: float | None = None) -> None:
        """Send ``body``: ``bytes``, or a list of them for several frames.

        Waits for the other end to be connected and to have room.
        Raises :class:`~brigantine.errors.PairTimeout` after ``timeout`` seconds, and
        :class:`~brigantine.errors.PairClosed` when this end was closed, or the other one for good.
        """
        frames = frames_of(body)
        with self._in_use() as end:
            self._do(end, Call(end, timeout, frames))

    def recv(self, timeout: float | None = None) -> bytes | list[bytes]:
        """The next message: ``bytes`` if it is one frame, else a list of them.

        Messages sent before the other end was closed are still read.
        Raises what :meth:`send` raises.
        """
        with self._in_use() as end:
            call = Call(end, timeout)
            self._do(end, call)
        return from_frames(call.message)

    def _do(self, end: End, call: Call) -> None:
        self._warn_in_coroutine("send" if call.sending else "recv")
        while not call.done():
            poller = zmq.Poller()
            poller.register(end.wakeup.fileno(), zmq.POLLIN)
            for socket in end.sockets(sending=call.sending):
                poller.register(socket, zmq.POLLOUT if call.sending else zmq.POLLIN)
            bounds = [each for each in (call.left, longest_wait()) if each is not None]
            poller.poll(math.ceil(min(bounds) * 1000) if bounds else None)
            end.wakeup.clear()

    def __enter__(self) -> Self:
        """Raises :class:`~brigantine.errors.PairClosed` after :meth:`close`."""
        self._end.check()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
