"""Which broker a client asks: silence, probes and half-open brokers, without socket or clock."""

from __future__ import annotations

from brigantine.clients.codec import REQCodec
from brigantine.clients.failover import HALF_OPEN_AFTER, HALF_OPEN_AFTER_MAX, Balancer, Failover
from brigantine.clients.pending import PendingRequest
from brigantine.net.backoff import Backoff

TIMEOUT = 2.0


class FakeProbe:
    """Says what the test has set."""

    def __init__(self) -> None:
        self.there = False
        self.closed = False

    def connected(self) -> bool:
        assert not self.closed
        return self.there

    def close(self) -> None:
        self.closed = True


class Scene:
    """Failover, its probes, and a clock."""

    def __init__(self, brokers: int = 2, *, blind: bool = False) -> None:
        self.now = 100.0
        self.probes: dict[int, FakeProbe] = {}
        self._blind = blind
        self._brokers = [f"tcp://b:{n}" for n in range(brokers)]
        self.failover = Failover(brokers, self._watch)

    def _watch(self, broker: int) -> FakeProbe | None:
        if self._blind:
            return None
        assert broker not in self.probes or self.probes[broker].closed
        self.probes[broker] = FakeProbe()
        return self.probes[broker]

    def ask(self) -> PendingRequest:
        """A request at its first try."""
        each = PendingRequest(
            REQCodec(), [b"q"], self._brokers, timeout=TIMEOUT, retries=3, backoff=Backoff(0.0, 0.0)
        )
        self.again(each)
        return each

    def again(self, each: PendingRequest) -> None:
        self.failover.next_broker(each, self.now)
        each.sent(self.now)

    def silence(self, each: PendingRequest) -> None:
        """The try has met silence to its end, which is now if time has not come that far."""
        self.now = max(self.now, each.deadline)
        each.gave_up(self.now)
        self.failover.silent(each.broker, each.waiting_since, self.now)

    def answer(self, each: PendingRequest) -> None:
        self.failover.answered(each.broker, self.now)

    def who(self) -> int:
        """Whom a request asks that is answered at once, unless it is the one of a half-open broker."""
        return self.failover.order(self.now)[0]

    def silent_one(self) -> None:
        """Broker 0 has just been found silent."""
        self.silence(self.ask())


def test_the_first_broker_is_asked_while_nothing_is_wrong() -> None:
    scene = Scene(3)
    for _ in range(3):
        each = scene.ask()
        assert each.broker == 0
        scene.answer(each)
    assert not scene.probes


def test_after_one_silence_all_new_requests_ask_the_next_at_once() -> None:
    scene = Scene(3)
    on_the_way = [scene.ask() for _ in range(5)]
    scene.silence(on_the_way[0])
    assert [scene.ask().broker for _ in range(4)] == [1] * 4
    for each in on_the_way[1:]:
        scene.silence(each)
        scene.again(each)
        assert each.broker == 1
    assert len(scene.probes) == 1


def test_a_dead_broker_is_never_asked_while_another_works() -> None:
    scene = Scene()
    scene.silent_one()
    for _ in range(100):
        scene.now += 60.0
        each = scene.ask()
        assert each.broker == 1
        scene.answer(each)


def test_a_broker_that_is_back_for_a_while_gets_one_request_and_then_all() -> None:
    scene = Scene()
    scene.silent_one()
    scene.now += 600.0
    scene.probes[0].there = True
    assert scene.ask().broker == 1
    scene.now += HALF_OPEN_AFTER
    trial = scene.ask()
    assert trial.broker == 0
    assert [scene.ask().broker for _ in range(3)] == [1] * 3  # meanwhile
    scene.answer(trial)
    assert scene.probes[0].closed
    assert [scene.ask().broker for _ in range(3)] == [0] * 3


def test_a_connection_that_comes_and_goes_is_not_back() -> None:
    scene = Scene()
    scene.silent_one()
    for _ in range(10):
        scene.probes[0].there = True
        assert scene.ask().broker == 1
        scene.now += HALF_OPEN_AFTER / 2
        scene.probes[0].there = False
        assert scene.ask().broker == 1
        scene.now += HALF_OPEN_AFTER / 2


def test_a_broker_that_only_accepts_connections_costs_a_request_more_and_more_seldom() -> None:
    scene = Scene()
    scene.silent_one()
    scene.probes[0].there = True
    scene.who()
    trials = []
    began = scene.now
    while len(trials) < 9:
        scene.now += 0.25
        each = scene.ask()
        if each.broker == 0:
            trials.append(scene.now)
            scene.silence(each)
    gaps = [later - sooner for sooner, later in zip([began, *trials], trials, strict=False)]
    assert all(gap >= HALF_OPEN_AFTER for gap in gaps)
    waits = [gap - TIMEOUT for gap in gaps[1:]]
    wanted = [min(HALF_OPEN_AFTER * 2**n, HALF_OPEN_AFTER_MAX) for n in range(1, 9)]
    assert all(abs(wait - each) <= 0.5 for wait, each in zip(waits, wanted, strict=True)), waits


def test_a_failed_half_open_request_is_forgotten_once_the_broker_answers() -> None:
    scene = Scene()
    scene.silent_one()
    scene.probes[0].there = True
    for _ in range(2):
        scene.who()
        scene.now += HALF_OPEN_AFTER_MAX
        trial = scene.ask()
        assert trial.broker == 0
        scene.silence(trial)
    scene.who()
    scene.now += HALF_OPEN_AFTER_MAX
    scene.answer(scene.ask())
    scene.silent_one()
    scene.probes[0].there = True
    scene.who()
    scene.now += HALF_OPEN_AFTER
    assert scene.ask().broker == 0


def test_a_half_open_request_that_is_never_ended_blocks_the_broker_for_one_timeout_only() -> None:
    scene = Scene()
    scene.silent_one()
    scene.probes[0].there = True
    scene.who()
    scene.now += HALF_OPEN_AFTER
    assert scene.ask().broker == 0  # and is cancelled
    assert scene.ask().broker == 1
    scene.now += TIMEOUT
    assert scene.ask().broker == 0


def test_requests_that_were_on_the_way_do_not_put_half_open_off() -> None:
    scene = Scene()
    first, second = scene.ask(), scene.ask()
    scene.silence(first)
    scene.probes[0].there = True
    scene.who()
    scene.now += HALF_OPEN_AFTER
    scene.silence(second)
    assert scene.ask().broker == 0


def test_a_slow_worker_does_not_condemn_its_broker() -> None:
    scene = Scene()
    slow = scene.ask()
    scene.now += 1.0
    scene.answer(scene.ask())
    scene.silence(slow)
    assert not scene.probes
    assert scene.ask().broker == 0
    scene.again(slow)
    assert slow.broker == 1  # which goes on all the same


def test_when_all_are_silent_those_that_are_connected_are_asked_first() -> None:
    scene = Scene(3)
    each = scene.ask()
    for _ in range(3):
        scene.silence(each)
        scene.again(each)
    assert scene.ask().broker == 0
    scene.probes[2].there = True
    assert scene.ask().broker == 2
    scene.probes[1].there = True
    assert scene.ask().broker == 1


def test_an_outage_of_all_does_not_keep_the_first_from_coming_back() -> None:
    scene = Scene()
    for _ in range(50):
        each = scene.ask()
        scene.silence(each)
        scene.again(each)
        scene.silence(each)
    scene.probes[1].there = True
    scene.answer(scene.ask())
    scene.probes[0].there = True
    assert scene.ask().broker == 1
    scene.now += HALF_OPEN_AFTER
    assert scene.ask().broker == 0


def test_a_broker_that_can_not_be_watched_is_tried_by_time_alone() -> None:
    scene = Scene(blind=True)
    scene.silent_one()
    assert scene.ask().broker == 1
    scene.now += HALF_OPEN_AFTER
    assert scene.ask().broker == 0


def test_with_one_broker_there_is_nothing_to_watch() -> None:
    scene = Scene(1)
    scene.silent_one()
    assert scene.ask().broker == 0
    assert not scene.probes


def test_closing_closes_the_probes() -> None:
    scene = Scene()
    scene.silent_one()
    scene.failover.close()
    assert scene.probes[0].closed
    scene.failover.close()


def test_a_half_open_request_that_its_caller_gave_up_leaves_the_broker_to_the_next() -> None:
    scene = Scene()
    scene.silent_one()
    scene.probes[0].there = True
    scene.who()
    scene.now += HALF_OPEN_AFTER
    trial, other = scene.ask(), scene.ask()
    assert (trial.broker, other.broker) == (0, 1)
    scene.failover.abandoned(other)  # it is not that of the half-open broker: that changes nothing
    assert scene.who() == 1
    scene.failover.abandoned(trial)
    assert scene.who() == 0


def test_a_broker_that_falls_silent_in_the_midst_of_a_reply_is_silent() -> None:
    scene = Scene()
    each = scene.ask()
    scene.now += 1.0
    each.heard(scene.now)  # a part
    scene.answer(each)
    scene.silence(each)
    assert scene.who() == 1


def request(brokers: int) -> PendingRequest:
    names = [f"tcp://b:{n}" for n in range(brokers)]
    return PendingRequest(
        REQCodec(), [b"q"], names, timeout=TIMEOUT, retries=3, backoff=Backoff(0.0, 0.0)
    )


def test_a_request_at_a_dead_service_that_was_removed_leaves_it_for_the_one_that_is_left() -> None:
    balancer = Balancer(2, lambda _: FakeProbe())
    each = request(2)
    balancer.next_broker(each, 100.0)
    assert each.broker == 0
    balancer.remove(0)
    assert balancer.has_alternative(each)


def test_it_stays_where_the_one_that_is_left_is_silent() -> None:
    balancer = Balancer(2, lambda _: FakeProbe())
    each, other = request(2), request(2)
    balancer.next_broker(each, 100.0)
    balancer.began(0)
    balancer.next_broker(other, 100.0)
    assert (each.broker, other.broker) == (0, 1)
    balancer.silent(1, 100.0, 102.0)
    balancer.remove(0)
    assert not balancer.has_alternative(each)


def test_with_the_last_service_removed_there_is_nobody_to_leave_it_for() -> None:
    balancer = Balancer(1, lambda _: FakeProbe())
    each = request(1)
    balancer.next_broker(each, 100.0)
    balancer.remove(0)
    assert not balancer.has_alternative(each)
