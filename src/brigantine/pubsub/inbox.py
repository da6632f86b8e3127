"""Where messages wait between a subscriber's thread and its readers: bounded in messages and in bytes."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import replace

from ..config.pubsub import MESSAGE_OVERHEAD
from ..errors import SubscriberClosed
from ..system.bells import Bells
from .message import Message

__all__ = ["AllOfThem", "Inbox", "LatestOnly", "Outage", "closed"]


class Outage:
    """An error among the messages, for one reader, unless its cause is over by then."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.over = False


class Inbox(ABC):
    """Filled by one thread, emptied by any number of threads and tasks.

    Takes no lock: where an exception out of the blue strikes a reader nothing is left locked.
    """

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self._limit, self._limit_bytes = limit, limit_bytes
        #: Rung when something has come, or may have changed.
        self.bells = Bells()
        #: Nothing comes any more, and why.
        self.ended: BaseException | None = None

    # -- the subscriber's thread --------------------------------------------------------------

    @abstractmethod
    def put(self, message: Message) -> bool:
        """Add a message; false where there is no room."""

    @abstractmethod
    def tell(self, outage: Outage) -> None:
        """Add an error."""

    def end(self, why: BaseException) -> None:
        """Nothing more comes: readers get ``why``, what they had not read is void."""
        if self.ended is None:
            self.ended = why
        self.bells.ring()

    # -- readers ------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise what has ended it, if anything has."""
        if isinstance(self.ended, SubscriberClosed):
            raise SubscriberClosed(str(self.ended))  # one of its own for each that is told
        if self.ended is not None:
            raise self.ended

    @property
    @abstractmethod
    def waiting(self) -> int:
        """Messages that wait."""

    @property
    @abstractmethod
    def waiting_bytes(self) -> int:
        """What they take."""

    @abstractmethod
    def _take(self) -> Message | Outage | None:
        """What waits first, if anything does."""

    def _next(self) -> Message | None:
        while True:
            self.check()
            found = self._take()
            if not isinstance(found, Outage):
                return found
            if not found.over:
                raise found.error

    def _come(self) -> bool:
        return self.ended is not None or self.waiting > 0

    def get(self, timeout: float | None) -> Message | None:
        """Wait for a message, at most ``timeout`` seconds; ``None`` when none came.

        Raises what was told, and what has ended it.
        """
        message = self._next()
        if message is not None or timeout == 0:
            return message
        deadline = None if timeout is None else time.monotonic() + timeout
        while message is None:
            left = None if deadline is None else deadline - time.monotonic()
            if (left is not None and left <= 0) or not self.bells.wait(self._come, left):
                break
            message = self._next()  # another reader may have been faster
        return message

    async def get_async(self, timeout: float | None) -> Message | None:
        """The same for a task."""
        message = self._next()
        if message is not None or timeout == 0:
            return message
        deadline = None if timeout is None else time.monotonic() + timeout
        while message is None:
            left = None if deadline is None else deadline - time.monotonic()
            if (left is not None and left <= 0) or not await self.bells.wait_async(
                self._come, left
            ):
                break
            message = self._next()
        return message


def _size(message: Message) -> int:
    return MESSAGE_OVERHEAD + sum(map(len, message.frames))


class AllOfThem(Inbox):
    """Every message, in its order.  One for which there is no room is not taken."""

    def __init__(self, limit: int, limit_bytes: int) -> None:
        super().__init__(limit, limit_bytes)
        #: Each with the bytes of all that were put in before it: what waits shows at the first one.
        self._items: deque[tuple[int, Message | Outage]] = deque()
        self._put_bytes = 0

    @property
    def waiting(self) -> int:
        """Messages that wait."""
        return len(self._items)

    @property
    def waiting_bytes(self) -> int:
        """What they take."""
        try:
            return self._put_bytes - self._items[0][0]
        except IndexError:
            return 0

    def put(self, message: Message) -> bool:
        """Add a message; false where there is no room."""
        size = _size(message)
        waiting = len(self._items)
        # One message always may, or one that is larger than the limit never could.
        if waiting and (waiting >= self._limit or self.waiting_bytes + size > self._limit_bytes):
            return False
        self._items.append((self._put_bytes, message))
        self._put_bytes += size
        self.bells.ring()
        return True

    def tell(self, outage: Outage) -> None:
        """Add an error."""
        self._items.append((self._put_bytes, outage))
        self.bells.ring()

    def _take(self) -> Message | Outage | None:
        try:
            return self._items.popleft()[1]
        except IndexError:
            return None


class LatestOnly(Inbox):
    """Of each topic the latest message, in the order in which topics first had something new.

    A message is whole, unlike with ZMQ_CONFLATE, which keeps the last frame.
    """

    def __init__(self, limit: int, limit_bytes: int) -> None:
        super().__init__(limit, limit_bytes)
        # Reentrant: a signal handler may read in a thread that is just reading.
        self._lock = threading.RLock()
        self._order: deque[bytes | Outage] = deque()
        self._latest: dict[bytes, Message] = {}
        self._bytes = 0
        #: Messages that were replaced.
        self.conflated = 0

    @property
    def waiting(self) -> int:
        """Messages that wait."""
        return len(self._order)

    @property
    def waiting_bytes(self) -> int:
        """What they take."""
        return self._bytes

    def put(self, message: Message) -> bool:
        """Add a message, instead of an older one of its topic; false where there is no room."""
        size = _size(message)
        with self._lock:
            older = self._latest.get(message.topic)
            more = size - (0 if older is None else _size(older))
            if older is None and len(self._latest) >= self._limit:
                return False
            if self._latest and self._bytes + more > self._limit_bytes:
                return False
            if older is None:
                self._order.append(message.topic)
            else:
                self.conflated += 1
                message = _with_missed_of(older, message)
            self._latest[message.topic] = message
            self._bytes += more
        self.bells.ring()
        return True

    def tell(self, outage: Outage) -> None:
        """Add an error."""
        self._order.append(outage)
        self.bells.ring()

    def _take(self) -> Message | Outage | None:
        with self._lock:
            if not self._order:
                return None
            topic = self._order.popleft()
            if isinstance(topic, Outage):
                return topic
            message = self._latest.pop(topic)
            self._bytes -= _size(message)
            return message


def _with_missed_of(older: Message, message: Message) -> Message:
    """A message that takes the place of an older one: what was missed before that was before this, too."""
    if older.publisher != message.publisher or older.missed == 0:
        return message
    if older.missed is None or message.missed is None:
        return replace(message, missed=None)
    return replace(message, missed=message.missed + older.missed)


def closed(what: str = "the subscriber is closed; make a new one") -> SubscriberClosed:
    """What readers of a closed subscriber get."""
    return SubscriberClosed(what)
