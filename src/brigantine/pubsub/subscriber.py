"""Subscribers: receive what is published under their topics, and know how much they have missed."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import zmq

from ..config.given import config_of
from ..config.pubsub import MOST_PUBLISHERS, SubscriberConfig
from ..errors import NotReady, SubscriberClosed
from ..net.arguments import as_targets, patience, plain_context
from ..system.patched import refuse_patched
from ..validation.calls import ForThreads, called_rightly, public_name
from ..validation.values import whole
from .counters import SUBSCRIBER_COUNTERS
from .inbox import AllOfThem, LatestOnly
from .message import Message
from .subscriber_io import SubscriberIO
from .topics import as_topic, as_topics

__all__ = ["Subscriber", "SubscriberBase"]

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ..config.pubsub import SubscriberOptions


class SubscriberBase:
    """Base of the subscribers for threads and for tasks."""

    def __init__(
        self,
        endpoints: str | Sequence[str],
        topics: bytes | str | Iterable[bytes | str],
        config: SubscriberConfig | None,
        context: zmq.Context[Any] | None,
        options: SubscriberOptions,
    ) -> None:
        refuse_patched(public_name(type(self)))
        self.config: SubscriberConfig = config_of(type(self), SubscriberConfig, config, options)
        self.endpoints = as_targets(endpoints, "endpoints", shared=context is not None)
        self._process = os.getpid()
        kind = LatestOnly if self.config.conflate else AllOfThem
        self._inbox = kind(self.config.queue_limit, self.config.queue_bytes)
        self._stats = dict.fromkeys(SUBSCRIBER_COUNTERS, 0)
        self._io = SubscriberIO(
            self.endpoints, as_topics(topics), self.config, plain_context(context), self._stats,
            self._inbox,
        )  # fmt: skip
        # Also when Python exits.
        self._finalizer = weakref.finalize(self, self._io.cut)
        try:
            self._io.start()
        except BaseException:  # such as Ctrl-C: nobody gets this one to close it
            self._io.cut()
            raise

    def subscribe(self, topic: bytes | str) -> None:
        """Also receive topics that begin with these bytes; ``b""`` means all.  Twice is the same as once.

        Returns at once; :meth:`wait_ready` waits until that has arrived.
        Raises :class:`~brigantine.errors.SubscriberClosed`.
        """
        self._check_open()
        self._io.change(as_topic(topic), wanted=True)

    def unsubscribe(self, topic: bytes | str) -> None:
        """Stop receiving these.  Messages that already wait for the reader are still delivered.

        Raises :class:`~brigantine.errors.SubscriberClosed`.
        """
        self._check_open()
        self._io.change(as_topic(topic), wanted=False)

    def stats(self) -> dict[str, int]:
        """Counters, see :data:`brigantine.SUBSCRIBER_COUNTERS`."""
        inbox, gaps = self._inbox, self._io.hearing.gaps
        return {
            **self._stats,
            "conflated": getattr(inbox, "conflated", 0),
            "waiting": inbox.waiting,
            "waiting_bytes": inbox.waiting_bytes,
            "publishers": gaps.publishers,
            "topics": gaps.topics,
        }

    def missed(self) -> dict[str, int]:
        """How many messages of each publisher were missed, by its name, if there are any."""
        return self._io.hearing.gaps.missed()

    def __repr__(self) -> str:
        state = "open" if self._inbox.ended is None else "closed"
        name = public_name(type(self))
        return f"<{name} {state} endpoints={','.join(self.endpoints)}>"

    def _check_open(self) -> None:
        if os.getpid() != self._process:
            raise SubscriberClosed(
                f"this subscriber runs in process {self._process}, not in this forked child; make one here"
            )
        self._inbox.check()

    def _ready(self, publishers: int) -> bool:
        return self._inbox.ended is not None or self._io.upstream.ready(publishers)

    def _confirmed(self, publishers: int, timeout: float | None) -> int:
        """How many publishers have confirmed, after the wait for that.  Raises what wait_ready() does."""
        self._check_open()
        confirmed = self._io.upstream.confirmed
        if self._io.upstream.ready(publishers):
            return confirmed
        within = "" if timeout is None else f" within {timeout:g} s"
        raise NotReady(
            f"{self!r}: {publishers} publishers should have read its subscriptions{within}, and "
            f"{confirmed} have: {self._io.words()}",
            confirmed,
            () if confirmed else self.endpoints,
        )


def checked_count(name: str, value: int) -> int:
    """``value`` unchanged, if that many can be waited for."""
    return whole(name, value, 1, MOST_PUBLISHERS)


class Subscriber(SubscriberBase, ForThreads):
    """Receives messages whose topics begin with given bytes::

        with Subscriber("tcp://127.0.0.1:5556", "weather.") as subscriber:
            for message in subscriber:
                print(message.topic, message.body, message.missed)

    ``endpoints`` are publishers, or forwarders with any number of publishers connected to them: the first
    is followed, the others are its spares, in this order (docs/pubsub.md).  ``topics`` are how topics
    begin; ``b""`` takes all.  ``context`` is for inproc.  The options are those of
    :class:`~brigantine.SubscriberConfig`, one by one or as ``config``.

    A separate thread reads all the time into a bounded queue, so a reader that pauses delays nobody and is
    not taken for dead.  Any thread may call every method, and a signal handler :meth:`close`.

    Raises :class:`~brigantine.errors.ConfigError` for an option, endpoint or topic that can't work.
    Source: ZeroMQ guide, chapters 1 "Getting the Message Out" and 5.
    """

    @called_rightly
    def __init__(
        self,
        endpoints: str | Sequence[str],
        topics: bytes | str | Iterable[bytes | str],
        *,
        config: SubscriberConfig | None = None,
        context: zmq.Context[Any] | None = None,
        **options: Unpack[SubscriberOptions],
    ) -> None:
        super().__init__(endpoints, topics, config, context, options)

    def recv(self, timeout: float | None = None) -> Message | None:
        """The next message; ``None`` after ``timeout`` seconds without one: nothing was published.

        Raises :class:`~brigantine.errors.NoPublisher` when nothing is heard from any publisher, once for
        each such silence, and :class:`~brigantine.errors.SubscriberClosed`.
        """
        self._warn_in_coroutine("recv")
        patience(timeout)
        self._check_open()
        return self._inbox.get(timeout)

    def __iter__(self) -> Iterator[Message]:
        """Messages as they come, until it is closed.  Raises what :meth:`recv` raises otherwise."""
        while True:
            try:
                message = self.recv()
            except SubscriberClosed:
                if os.getpid() != self._process:
                    raise
                return
            if message is not None:
                yield message

    def wait_ready(self, timeout: float | None = None, publishers: int = 1) -> int:
        """Wait until this many publishers have read all subscriptions made so far; return how many have.

        What they publish after that arrives.  Only publishers of brigantine say that they have read, also
        through a forwarder.

        Raises :class:`~brigantine.errors.NotReady`, a ``TimeoutError``, when they have not within
        ``timeout`` seconds (``None``: it waits for ever), and
        :class:`~brigantine.errors.SubscriberClosed`.
        """
        self._warn_in_coroutine("wait_ready")
        patience(timeout)
        checked_count("publishers", publishers)
        self._check_open()
        self._inbox.bells.wait(lambda: self._ready(publishers), timeout)
        return self._confirmed(publishers, timeout)

    def close(self) -> None:
        """Close.  Threads that wait in :meth:`recv` get SubscriberClosed at once.  May be called again.

        In a forked child it does nothing.
        """
        if os.getpid() == self._process:
            self._io.cut()
            self._finalizer.detach()

    def __enter__(self) -> Self:
        """Raises :class:`~brigantine.errors.SubscriberClosed` after :meth:`close`."""
        self._check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
