"""The worker queue: free workers, the least recently used first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

__all__ = ["LRUQueue"]

Key = TypeVar("Key", bound=Hashable)


class LRUQueue(Generic[Key]):
    """Free workers by identity; every operation is O(1).

    An OrderedDict, not a dict: taking the first key out of a dict again and again scans over the
    places of all that were taken before.
    """

    __slots__ = ("_order",)

    def __init__(self) -> None:
        self._order: OrderedDict[Key, None] = OrderedDict()

    def ready(self, identity: Key) -> bool:
        """Append a worker.  ``False``, and no change, when it is in the queue already."""
        if identity in self._order:
            return False
        self._order[identity] = None
        return True

    def push_front(self, identity: Key) -> bool:
        """Put a worker at the head, as its turn is not over.  ``False`` when it is there already."""
        if identity in self._order:
            return False
        self._order[identity] = None
        self._order.move_to_end(identity, last=False)
        return True

    def next(self) -> Key | None:
        """Take out and return the least recently used worker; ``None`` when no worker is free."""
        return self._order.popitem(last=False)[0] if self._order else None

    def head(self) -> Key | None:
        """The least recently used worker, left where it is; ``None`` when no worker is free."""
        return next(iter(self._order), None)

    def remove(self, identity: Key) -> bool:
        """Take a worker out wherever it is.  ``False`` when it is not in the queue."""
        if identity not in self._order:
            return False
        del self._order[identity]
        return True

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, identity: object) -> bool:
        return identity in self._order

    def __iter__(self) -> Iterator[Key]:
        """The identities, least recently used first."""
        return iter(list(self._order))
