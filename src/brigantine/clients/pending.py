"""One request of a client, from its first try to its end: a state machine without socket or clock.

The clients (``base`` for threads, ``base_aio`` for asyncio) drive it the same way::

    while True:
        pause for pending.next_try(order) seconds    # raises NoReply when all were made
        socket = one connected to pending.broker     # a new one if pending.fresh
        pending.sent(now); send pending.frames
        until pending.until: pending.receive(frames), which answers FINAL or ERROR at the end
            where that answers nothing until pending.until: pending.wait_on(), and failover's
            should_leave()
        unless FINAL: pending.gave_up(now), which tells whether the broker was silent
        close the socket unless FINAL or ERROR

``order`` is the brokers as ``failover`` would have them asked.

A broker that says busy or no_service has refused the request: it is not asked again, and the next
is asked at once, whatever is left of the retries, since nothing was done.  One that says expired, or
what this client does not know, may have carried the request out: that try counts like silence.

A socket carries one request at a time and is closed when a try is given up.  That is what matches
replies to requests on any wire: a reply of MDP names no more than its service, and whatever comes
late comes to a socket that is no longer there.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import Try
from ..net.backoff import Backoff
from ..wire.req import EMPTY, ErrorAnswer, read_broker_error
from .codec import ClientCodec, Reply, Says
from .failure import REFUSALS, failure
from .sight import Sight, sight_of

__all__ = ["PendingRequest"]

#: Seconds between two looks at a broker that does not answer, where there is another.
GLANCE = 0.25
#: The body of a FINAL that follows PARTIALs and has nothing to add to them.
ONLY_THE_END = [EMPTY]


class PendingRequest:
    """The tries of one request, and what came back.

    ``brokers`` are endpoints.  ``timeout`` is seconds: for a whole try, or with ``stream`` from one
    part to the next.  ``retries`` is how many tries may follow the first that met silence.  Times
    are seconds on any one clock.
    """

    def __init__(
        self,
        codec: ClientCodec,
        body: Sequence[bytes],
        brokers: Sequence[str],
        *,
        timeout: float,
        retries: int,
        backoff: Backoff,
        stream: bool = False,
    ) -> None:
        self._codec = codec
        #: What to send at each try.
        self.frames = codec.request(body)
        self._brokers = tuple(brokers)
        self._several = len(brokers) > 1
        self.timeout = timeout
        self._retries = retries
        self._backoff = backoff
        #: Whether the caller wants PARTIALs as they come.
        self.stream = stream
        #: Index of the broker of this try.
        self.broker = 0
        #: When this try began, and when it is to be given up.
        self.started = self.deadline = 0.0
        #: How long to wait before something else than a reply is to be done: see :meth:`wait_on`.
        self.until = 0.0
        #: Since when the broker owes an answer: this try's beginning, or a part of its reply.
        self.waiting_since = 0.0
        #: Whether a socket for this try must be one that was never used: after any silence.
        self.fresh = False
        #: Each try that was given up.
        self._tries: list[Try] = []
        #: How many of them count against the retries.
        self._failed = 0
        #: How often each broker was asked, and those that have refused.
        self._asked = [0] * len(brokers)
        self._refused: set[int] = set()
        #: What keeps this try from reaching its broker, in words, as far as is known.
        self.trouble = ""
        #: Whether what the broker has said to this try was not of this protocol.
        self._foreign = False
        #: What the channel of this try has seen of the broker.
        self.sight = Sight.UNKNOWN
        #: The error answer to this try.
        self._said: ErrorAnswer | None = None
        #: Bodies of PARTIALs of this try that wait for the FINAL.
        self._partial: list[bytes] = []
        #: Parts that the caller has got, which no other try can take back.
        self._delivered = 0

    def next_try(self, order: Sequence[int]) -> float:
        """Turn to the next broker; seconds to pause before it is asked.

        It is the first in ``order`` of those that were asked least often by this request.  There is
        a pause only before a broker that this request has tried already.
        Raises :class:`~brigantine.errors.NoReply`, or the subclass that says why, when no try is left.
        """
        # One that was added since the request was made is for those after it.
        known = range(len(self._brokers))
        willing = [each for each in order if each in known and each not in self._refused]
        if not willing or self._failed > self._retries or self._delivered:
            raise failure(
                self._tries,
                codec=self._codec,
                timeout=self.timeout,
                delivered=self._delivered,
                frames=self.frames,
            )
        self.broker = min(willing, key=self._asked.__getitem__)
        self._asked[self.broker] += 1
        return self._backoff.next() if self._asked[self.broker] > 1 else 0.0

    def sent(self, now: float) -> None:
        """The try begins."""
        self._partial, self._said, self._foreign = [], None, False
        self.sight, self.trouble = Sight.UNKNOWN, ""
        self.started = now
        self.resumed(now)

    def saw(self, sight: Sight, words: str) -> None:
        """What the channel of this try has seen of the broker, and what keeps it from connecting."""
        self.sight, self.trouble = sight, words

    def wait_on(self) -> bool:
        """Nothing was heard until ``until``: whether the try goes on, and the broker is to be looked at.

        That is so at half the time of a try, or of a part of a stream; with several brokers from early
        on and all the time, since there is another one to go to.
        """
        goes_on = self.until < self.deadline
        self.until = min(self.deadline, self.until + GLANCE) if self._several else self.deadline
        return goes_on

    @property
    def patient(self) -> bool:
        """Whether it is too early to leave a broker that can't be reached: it may just be starting."""
        return self.until <= self.waiting_since + 2 * GLANCE

    def heard(self, now: float) -> None:
        """The broker has answered something."""
        self.waiting_since = now

    def resumed(self, now: float) -> None:
        """The caller has taken a part of the stream and wants the next."""
        self.waiting_since = now
        self.deadline = now + self.timeout
        self.until = now + (min(self.timeout / 2, GLANCE) if self._several else self.timeout / 2)

    def receive(self, frames: list[bytes]) -> Reply:
        """A message came.

        The answer is for the caller if it says FINAL, or PARTIAL and this is a stream.  Otherwise
        the PARTIALs are kept, and the FINAL has their bodies in front of its own, as a broker does
        for clients of MDP 0.1, unless it only ends them.  ERROR is a FINAL by which the broker says
        that there is no reply.
        """
        reply = self._codec.parse(frames)
        self._foreign |= not (reply.says.ends or reply.says is Says.PARTIAL)
        if reply.says is Says.FINAL:
            self._said = read_broker_error(reply.body)
            if self._said is not None:
                return Reply(Says.ERROR, [])
        if self.stream:
            self._delivered += reply.says is Says.PARTIAL
        elif reply.says is Says.PARTIAL:
            self._partial += reply.body
        elif reply.says is Says.FINAL and self._partial:
            end = [] if reply.body == ONLY_THE_END else reply.body
            return Reply(Says.FINAL, self._partial + end)
        return reply

    def only_ends(self, reply: Reply) -> bool:
        """Whether a reply ends the stream and is no part of it."""
        return reply.says is Says.FINAL and self._delivered > 0 and reply.body == ONLY_THE_END

    @property
    def service(self) -> bytes | None:
        """The service that is asked, if the protocol has any."""
        return self._codec.service

    @property
    def last(self) -> bool:
        """Whether there is no other try if this one meets silence."""
        return self._failed >= self._retries

    def gave_up(self, now: float, sight: Sight = Sight.UNKNOWN) -> bool:
        """The try is over without a reply; whether that was because the broker was silent.

        ``sight`` is what was seen of the broker.
        """
        said = self._said
        if said is not None:
            sight = Sight.ANSWERED
        elif self._partial or self._delivered:
            sight = Sight.PARTS
        elif self._foreign:
            sight = Sight.FOREIGN
        elif self.trouble:
            sight = sight_of(self.trouble) or sight
        waited = now - self.started
        self._tries.append(
            Try(
                self._brokers[self.broker],
                waited,
                sight.value,
                said and (said.error, said.reason),
                self.trouble,
                said and dict(said.limits),
            )
        )
        if said is not None and said.error in REFUSALS:
            self._refused.add(self.broker)
        else:
            self._failed += 1
        self.fresh = self.fresh or said is None
        return said is None
