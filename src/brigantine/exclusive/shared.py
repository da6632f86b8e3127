"""What the ends of a pair have in common, for threads and for asyncio: how they are made, and their end."""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

import zmq

from ..config.given import config_of
from ..config.pair import PairConfig
from ..errors import ConfigError, OptionName, PairClosed, PairTimeout, WrongUse
from ..net.arguments import patience, plain_context
from ..net.endpoints import as_endpoints
from ..validation.calls import public_name
from ..wire.body import request_frames
from .ends import BOUND, CONNECTED, End
from .rendezvous import Contexts, meeting
from .turn import Use

if TYPE_CHECKING:
    import asyncio

    from ..config.pair import PairOptions

__all__ = ["Call", "InUse", "Joining", "PairShared", "frames_of"]


def name_of(endpoint: str) -> str:
    """The endpoint of a pair, checked."""
    (checked,) = as_endpoints((endpoint,), "endpoint")
    if not checked.startswith("inproc://"):
        raise ConfigError(
            OptionName("endpoint"),
            f": {checked!r}: a pair connects threads of one process, by inproc://NAME. PAIR "
            "sockets of libzmq do not come back after a lost connection: between processes take "
            "a broker, or DEALER and ROUTER",
        )
    return checked


def key_of(endpoint: str, context: zmq.Context[Any] | None) -> tuple[int, str]:
    """By what two ends find each other."""
    return (0 if context is None else int(context.underlying), endpoint)


class PairShared:
    """One end of a pair."""

    _end: End

    @classmethod
    def _of(cls, end: End) -> Any:
        made = cls.__new__(cls)
        made._end = end
        made._finalizer = weakref.finalize(made, end.close)  # type: ignore[attr-defined]
        return made

    def __init__(self) -> None:
        name = public_name(type(self))
        raise WrongUse(f"{name} is made by {name}.bind(), {name}.connect() or {name}.ends()")

    @classmethod
    def _bind(
        cls,
        endpoint: str,
        context: zmq.Context[Any] | None,
        config: PairConfig | None,
        options: PairOptions,
    ) -> Any:
        name, limits = name_of(endpoint), cls._limits(config, options)
        context = plain_context(context)
        end = End(BOUND, name, Contexts(context), limits)
        try:
            end.bind(key_of(name, context))
            return cls._of(end)
        except BaseException:
            end.close()
            raise

    @classmethod
    def _limits(cls, config: PairConfig | None, options: PairOptions) -> PairConfig:
        return config_of(cls, PairConfig, config, options)

    @classmethod
    def _connect_plain(cls, name: str, context: zmq.Context[Any] | None, limits: PairConfig) -> Any:
        if context is None:
            raise ConfigError(
                OptionName("endpoint"),
                f": {name!r}: a plain PAIR socket is reached only within its own context; pass "
                "context= with the zmq.Context in which it is bound",
            )
        end = End(CONNECTED, name, Contexts(context), limits)
        try:
            end.connect_plain()
            return cls._of(end)
        except BaseException:
            end.close()
            raise

    @classmethod
    def _meet(cls, bound: End, limits: PairConfig) -> Any:
        """An end that is connected to this one.  Raises what :meth:`.ends.End.accept` raises."""
        end = End(CONNECTED, bound.endpoint, bound.contexts, limits)
        try:
            bound.accept(end)
            return cls._of(end)
        except BaseException:
            end.close()
            raise

    @classmethod
    def _ends(cls, config: PairConfig | None, options: PairOptions) -> Any:
        limits = cls._limits(config, options)
        bound = End(BOUND, "inproc://pair", Contexts(None), limits)
        bound.sealed = True
        first = cls._of(bound)
        return first, cls._meet(bound, limits)

    # -- what it is ---------------------------------------------------------------------------

    @property
    def endpoint(self) -> str:
        """The name by which its ends meet."""
        return self._end.endpoint

    @property
    def connected(self) -> bool:
        """Whether the other end is there, and not closed.  Of a plain socket nothing is known."""
        return self._end.is_connected

    @property
    def closed(self) -> bool:
        """Whether this end was closed."""
        return self._end.closed

    def stats(self) -> dict[str, int]:
        """Counters.

        - ``sent``, ``received``: messages.
        - ``unread``: sent messages that the other end had not read when it was closed.
        - ``drop_second``: messages of a plain socket connected in addition to the other end, dropped.
        """
        end = self._end
        return {
            "sent": end.sent, "received": end.received, "unread": end.unread,
            "drop_second": end.dropped,
        }  # fmt: skip

    def close(self) -> None:
        """Close this end.

        Messages that it has sent can still be read at the other end, which also learns how many were left
        unread here.  Any thread may call it, and again: a call of this end that waits in another thread
        raises :class:`~brigantine.errors.PairClosed` at once.
        """
        self._end.close()

    def __repr__(self) -> str:
        end = self._end
        state = "closed" if end.closed else "connected" if end.is_connected else "alone"
        return f"<{public_name(type(self))} {end.side} {state} endpoint={end.endpoint}>"

    # -- inside -------------------------------------------------------------------------------

    def _in_use(self) -> InUse:
        """The time of a call: nobody else is in one."""
        return InUse(self._end, sys._getframe(1))


class InUse(Use):
    """An end in use, for ``with``."""

    def __init__(self, end: End, frame: FrameType, task: asyncio.Task[Any] | None = None) -> None:
        super().__init__(frame, task)
        self._end = end

    def __enter__(self) -> End:
        end = self._end
        end.check()
        if not end.turn.take(self):
            raise WrongUse(
                f"another call of this end of {end.endpoint} goes on: an end is for one thread, or task, "
                "at a time"
            )
        end.owner = threading.get_ident()
        return end

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        end = self._end
        end.turn.give_back(self)
        terminated = isinstance(error, zmq.ContextTerminated)
        if terminated:
            end.close()
        elif end.closed:  # while this call went on
            end.close_sockets()
        if terminated:
            raise PairClosed(f"the context of {end.endpoint} was terminated") from None


class Call:
    """What one call waits for, and for how long."""

    def __init__(self, end: End, timeout: float | None, frames: list[bytes] | None = None) -> None:
        self.timeout = patience(timeout)
        self._end = end
        self._frames = frames
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self.message: list[bytes] = []
        self._is_done = False

    @property
    def sending(self) -> bool:
        """Whether it is to send."""
        return self._frames is not None

    def done(self) -> bool:
        """Whether it is done, now at the latest; raises where it can't be any more."""
        self._is_done = self._is_done or self._try()
        return self._is_done

    def _try(self) -> bool:
        end = self._end
        end.check()
        if self._frames is not None:
            end.refuse_gone()
            if end.try_send(self._frames):
                end.sent += 1
                return True
            return False
        if (message := end.try_recv()) is not None:
            self.message = message
            end.received += 1
            return True
        end.refuse_gone()
        return False

    @property
    def left(self) -> float | None:
        """Seconds that it may still wait; raises when there are none."""
        if self._deadline is None:
            return None
        left = self._deadline - time.monotonic()
        if left <= 0:
            assert self.timeout is not None
            raise self._end.timed_out(self.timeout, sending=self.sending)
        return left


class Joining:
    """Connecting: whom to, and how long to wait for it."""

    def __init__(
        self, endpoint: str, timeout: float | None, context: zmq.Context[Any] | None
    ) -> None:
        self.name = name_of(endpoint)
        self.timeout = patience(timeout)
        self.context = plain_context(context)
        self._key = key_of(self.name, self.context)

    def bound(self) -> End | None:
        """Who is bound there."""
        return meeting.place.bound(self._key)

    def nobody(self) -> PairTimeout:
        """What is raised when nobody is."""
        assert self.timeout is not None
        return PairTimeout(
            f"{self.name}: no Pair of this process{' and context' * (self.context is not None)} is bound "
            f"there within {self.timeout:g} s",
            "nobody",
        )


def frames_of(body: bytes | Sequence[bytes]) -> list[bytes]:
    """What is sent."""
    return request_frames(body)
