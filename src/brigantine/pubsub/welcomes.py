"""Which publishers have read all subscriptions: asked after the subscriptions, answered by welcomes.

Subscriptions that are said one after the other arrive so, through forwarders as well.  But to a publisher
that has just come libzmq says all of them at once, in an order of its own.  So the first answer of
a publisher only tells that it is there: it is asked again, and the answer to that counts.
"""

from __future__ import annotations

import os

from ..config.pubsub import MOST_PUBLISHERS
from ..wire.pubsub import TOKEN, Header, life_of, welcome_topic, welcomed

__all__ = ["Welcomes"]

#: Seconds between two questions that no change of subscriptions has called for.
ASK_AGAIN = 0.01


class Welcomes:
    """The questions of one subscriber, and who has answered; without a socket, used by one thread."""

    def __init__(self) -> None:
        #: What tells this subscriber from all others.
        self.token = os.urandom(TOKEN // 2).hex().encode()
        self._turn = 0
        #: Under which the answers of now come.
        self.topic = b""
        self._asked_at = 0.0
        #: Subscriptions have changed; somebody new has answered.
        self._wanted = self._again = False
        #: Publisher and its life -> the last question that it has answered.
        self._answered: dict[tuple[str, int], int] = {}
        #: Those of them that have read all subscriptions of now, by name.
        self._confirmed: frozenset[str] = frozenset()
        #: Whether anybody was confirmed since; to be reset by the reader.
        self.changed = False

    @property
    def confirmed(self) -> int:
        """How many publishers have read all subscriptions of now."""
        return len(self._confirmed)

    @property
    def publishers(self) -> frozenset[str]:
        """Their names."""
        return self._confirmed

    def connect(self) -> None:
        """There is another connection, or none: nobody is known."""
        self._answered.clear()
        self.begin()

    def begin(self) -> None:
        """Subscriptions change: nobody has read them."""
        self._confirmed = frozenset()
        self._wanted = True

    def due_at(self) -> float | None:
        """When to call :meth:`ask`; ``None``: when something has changed."""
        if self._wanted:
            return self._asked_at
        return self._asked_at + ASK_AGAIN if self._again else None

    def due(self, now: float) -> bool:
        """Whether it is time to ask."""
        at = self.due_at()
        return at is not None and now >= at

    def ask(self, now: float) -> bytes:
        """The topic to subscribe to, after all others; the one before is not needed any more."""
        self._wanted = self._again = False
        self._asked_at = now
        self._turn += 1
        self.topic = welcome_topic(self.token, self._turn)
        return self.topic

    def hear(self, topic: bytes, header: Header) -> None:
        """A publisher has answered, or somebody else's question: who takes everything hears these, too."""
        if welcomed(topic) != self.token:
            return
        who = header.publisher, life_of(header.epoch)
        before = self._answered.get(who)
        if before is None:
            # It has just come, and may have read this before the others.
            if len(self._answered) < MOST_PUBLISHERS:
                self._answered[who] = self._turn if topic == self.topic else 0
                self._again = self._again or topic == self.topic
        elif topic == self.topic and before == self._turn:  # it has reconnected
            self._again = True
        elif topic == self.topic:
            self._answered[who] = self._turn
            if not self._wanted:
                self._confirmed |= {header.publisher}
                self.changed = True
