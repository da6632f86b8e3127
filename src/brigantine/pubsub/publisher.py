"""Publishers: messages under topics, numbered so that subscribers know what they have missed."""

from __future__ import annotations

import atexit
import os
import socket as posix_socket
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import zmq
import zmq.utils.garbage  # registers its hook: see _close_all()

from ..config.given import config_of
from ..config.pubsub import PublisherConfig
from ..devices.ends import as_ends, check_loop
from ..errors import NotReady, PublisherClosed
from ..net.arguments import patience, plain_context
from ..net.overlap import check_distinct
from ..system.patched import refuse_patched
from ..validation.calls import ForThreads, called_rightly, public_name
from ..validation.values import number
from ..wire.msgpack_body import packed
from .counters import PUBLISHER_COUNTERS
from .publisher_io import PublisherIO
from .subscriber import checked_count
from .topics import as_body, as_name, as_topic

__all__ = ["Publisher", "PublisherBase"]

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ..config.pubsub import PublisherOptions

#: Bytes that tell publishers apart which nobody has named.
_NAME_BYTES = 4
#: What is closed when Python exits, unless it was before.
_open: weakref.WeakSet[PublisherIO] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Give what was published its time to leave, before pyzmq ends the thread that tells what has left.

    The last hook that was registered is called first, and that of pyzmq is registered by an import above.
    That of ``weakref.finalize`` may be called later.
    """
    left = tuple(_open)
    for each in left:
        each.stop()
    for each in left:
        each.cut()


class PublisherBase:
    """Base of the publishers for threads and for tasks."""

    def __init__(
        self,
        endpoints: str | Sequence[str],
        name: str | None,
        config: PublisherConfig | None,
        context: zmq.Context[Any] | None,
        options: PublisherOptions,
    ) -> None:
        refuse_patched(public_name(type(self)))
        self.config: PublisherConfig = config_of(type(self), PublisherConfig, config, options)
        ends = as_ends(endpoints, "endpoints", shared=context is not None)
        bound = [end.endpoint for end in ends if not end.connects]
        check_distinct(endpoints=bound)
        check_loop("endpoints", ends, bound)
        #: How subscribers know it.
        self.name = _some_name() if name is None else as_name(name)
        self._process = os.getpid()
        self._stats = dict.fromkeys(PUBLISHER_COUNTERS, 0)
        self._io = PublisherIO(ends, self.name, self.config, plain_context(context), self._stats)
        # Also when Python exits: what was published has its time to leave.
        self._finalizer = weakref.finalize(self, self._io.cut)
        _open.add(self._io)
        try:
            self._io.start()
        except BaseException:  # also Ctrl-C: nobody gets this one to close it
            self._io.cut()
            raise

    @property
    def endpoint(self) -> str:
        """The actual endpoint (the first of several), with ``>`` in front if it is connected to."""
        return self.endpoints[0]

    @property
    def endpoints(self) -> tuple[str, ...]:
        """All actual endpoints, in the order they were given."""
        return self._io.ends.endpoints

    def stats(self) -> dict[str, int]:
        """Counters, see :data:`brigantine.PUBLISHER_COUNTERS`."""
        io = self._io
        keeper = io.keeper
        return {
            **self._stats,
            **({} if keeper is None else keeper.stats()),
            "subscribers": io.subscribers.count,
            "topics": len(io.numbering),
            "topics_forgotten": io.numbering.forgotten,
            "waiting": io.waiting,
            "connections_rejected": io.ends.rejected,
        }

    def __repr__(self) -> str:
        state = "closed" if self._io.ended else "open"
        name = public_name(type(self))
        return f"<{name} {state} name={self.name!r} endpoints={','.join(self.endpoints)}>"

    def _checked(self, topic: bytes | str, body: bytes) -> tuple[bytes, bytes]:
        self._check_process()
        return as_topic(topic), as_body(body, self.config.max_message_bytes)

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise PublisherClosed(
                f"this publisher runs in process {self._process}, not in this forked child; make one here"
            )

    def _check_open(self) -> None:
        self._check_process()
        if self._io.ended:
            raise PublisherClosed("the publisher is closed; make a new one")

    def _ready(self, subscribers: int) -> bool:
        return self._io.ended or self._io.subscribers.count >= subscribers

    def _come(self, subscribers: int, timeout: float | None) -> int:
        """How many subscribers there are, after the wait for that.  Raises what wait_ready() does."""
        self._check_open()
        count = self._io.subscribers.count
        if count >= subscribers:
            return count
        raise NotReady(
            f"{self!r}: wanted {subscribers} or more subscribers of brigantine"
            f"{'' if timeout is None else f' within {timeout:g} s'}, there are {count}",
            count,
            (),
        )

    def _close(self, linger: float | None) -> int:
        if linger is not None:
            number("linger", linger, 0.0, PublisherConfig.bounds("linger")[1])
        if os.getpid() != self._process:
            return 0
        self._io.cut(linger)
        self._finalizer.detach()
        return self._stats["unsent"]


class Publisher(PublisherBase, ForThreads):
    """Publishes messages under topics::

        with Publisher("tcp://127.0.0.1:5556") as publisher:
            publisher.publish("weather.berlin", b"21 C")

    - ``endpoints``: one or several.  Each is bound, or connected to if it begins with ``>``, for instance
      to a :class:`~brigantine.ForwarderDevice`.
    - ``name``: the name by which subscribers know the publisher, also after a restart; by default one is
      made up.
    - ``context``: the ``zmq.Context`` of inproc endpoints.
    - options: those of :class:`~brigantine.PublisherConfig`, one by one or as ``config``.

    A subscriber that does not keep up misses messages and delays nobody; their numbers tell it how many.
    Any SUB socket can read the messages (docs/pubsub.md).  Any thread may call every method, and a
    signal handler all but :meth:`wait_ready`.

    Raises :class:`~brigantine.errors.ConfigError` for an option or endpoint that can't work,
    :class:`~brigantine.errors.BindError` for one that can't be bound.
    Source: ZeroMQ guide, chapters 1 "Getting the Message Out" and 5.
    """

    @called_rightly
    def __init__(
        self,
        endpoints: str | Sequence[str],
        *,
        name: str | None = None,
        config: PublisherConfig | None = None,
        context: zmq.Context[Any] | None = None,
        **options: Unpack[PublisherOptions],
    ) -> None:
        super().__init__(endpoints, name, config, context, options)

    def publish(self, topic: bytes | str, body: bytes) -> None:
        """Publish a message.  Topics as ``str`` are sent as UTF-8.

        Returns once the publisher's thread has the message, which is at once unless ``queue_limit``
        messages or ``queue_bytes`` wait for that thread.

        Raises :class:`~brigantine.errors.PublisherClosed`, and
        :class:`~brigantine.errors.ConfigError` for a topic or body that can't be sent.
        """
        message = self._checked(topic, body)
        if self._io.put(*message):
            return
        self._warn_in_coroutine("publish")
        self._stats["waits"] += 1
        while not self._io.put(*message):
            self._io.bells.wait(lambda: self._io.room(*message), None)

    def publish_object(self, topic: bytes | str, obj: object) -> None:
        """:meth:`publish` ``obj`` as msgpack; ``message.object()`` at the subscriber gives it back.

        Raises :class:`~brigantine.errors.WrongUse` if it can't be.
        """
        self.publish(topic, packed(obj))

    def wait_ready(self, timeout: float | None = None, subscribers: int = 1) -> int:
        """Wait until this many brigantine subscribers have subscribed to all their topics; return how many.

        What is published after that reaches them.  Those connected through a forwarder count, too.

        Raises :class:`~brigantine.errors.NotReady`, a ``TimeoutError``, when they have not within
        ``timeout`` seconds (``None``: it waits for ever), and
        :class:`~brigantine.errors.PublisherClosed`.
        """
        self._warn_in_coroutine("wait_ready")
        patience(timeout)
        checked_count("subscribers", subscribers)
        self._check_open()
        self._io.bells.wait(lambda: self._ready(subscribers), timeout)
        return self._come(subscribers, timeout)

    def close(self, linger: float | None = None) -> int:
        """Send what was published, and give it ``linger`` seconds to leave (``None``: the option's).

        Returns for how many messages it is unknown whether they have left for all subscribers: 0 if all
        have left.  May be called again.  In a forked child it does nothing.
        """
        return self._close(linger)

    def __enter__(self) -> Self:
        """Raises :class:`~brigantine.errors.PublisherClosed` after :meth:`close`."""
        self._check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _some_name() -> str:
    """A name that no other publisher has."""
    host = "".join(each for each in posix_socket.gethostname() if each.isprintable())[:64]
    return f"{host or 'publisher'}-{os.getpid()}-{os.urandom(_NAME_BYTES).hex()}"
