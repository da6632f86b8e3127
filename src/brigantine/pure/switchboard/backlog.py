"""Which services have most waiting.

Kept only from when the queue meets one of its bounds until it is half empty again: for a broker that
is well it costs a look at a flag.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from .records import Service

__all__ = ["Backlog", "Heaviest"]

#: Stale entries of a heap that are no burden.
_STALE = 64


class Heaviest:
    """Services by their weight; of equals, the one that was made known last is the heaviest."""

    __slots__ = ("_heap", "_weights")

    def __init__(self) -> None:
        #: By age: the service, and what it weighs.
        self._weights: dict[int, tuple[Service, int]] = {}
        #: (-weight, -age); stale where that is not what it weighs.
        self._heap: list[tuple[int, int]] = []

    def put(self, service: Service, weight: int) -> None:
        """Set the weight of a service; 0 takes it out."""
        if weight == self.weight(service):
            return
        if not weight:
            del self._weights[service.age]
            return
        self._weights[service.age] = service, weight
        heappush(self._heap, (-weight, -service.age))
        if len(self._heap) > 2 * len(self._weights) + _STALE:
            self._heap = [(-weight, -age) for age, (_, weight) in self._weights.items()]
            heapify(self._heap)

    def weight(self, service: Service) -> int:
        """What a service weighs; 0 where it is not in."""
        return self._weights.get(service.age, (service, 0))[1]

    def heaviest(self) -> Service:
        """The heaviest; there must be one."""
        while True:
            weight, age = self._heap[0]
            service, now = self._weights.get(-age, (None, 0))
            if service is not None and now == -weight:
                return service
            heappop(self._heap)

    def clear(self) -> None:
        """Forget all."""
        self._weights.clear()
        self._heap.clear()


class Backlog:
    """The services whose last waiting request never was at a worker.

    Who is in it, and when it is kept, is in ``queues``.
    """

    __slots__ = ("by_bytes", "by_requests", "changes", "kept")

    def __init__(self) -> None:
        #: What follows is up to date.
        self.kept = False
        #: Of it, since it is.
        self.changes = 0
        #: By how many requests they have waiting, and by the bytes charged to these.
        self.by_requests = Heaviest()
        self.by_bytes = Heaviest()

    def drop(self) -> None:
        """Forget all of them."""
        self.by_requests.clear()
        self.by_bytes.clear()
        self.kept = False
        self.changes = 0
