"""Publishers that go, come back, fall silent or are slow, as their subscribers see it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import zmq
from harness import Peers, wait_until
from programs_pubsub import PublisherProcess, SlowLink
from relay import Relay
from shells import beat, bodies, header, subscribed

from brigantine import ForwarderDevice, NoPublisher, NotReady

#: Minutes together: they have their own command.
pytestmark = pytest.mark.long

Maker = Callable[..., Any]
INTERVAL, LIVENESS = 0.1, 3
#: 10 s to the next heartbeat.
WELCOMED = bytes.fromhex("92 cd 2710 90")
#: Milliseconds within which a silence is noticed: what is stated, and what a busy machine adds.
NOTICED = INTERVAL * LIVENESS * 1000 + 500


@pytest.fixture
def interval() -> float:
    return INTERVAL


@pytest.fixture
def xpub(peers: Peers) -> zmq.Socket[bytes]:
    """A publisher by hand, bound on a free port."""
    made = peers.context.socket(zmq.XPUB)
    peers.sockets.append(made)
    made.linger = 0
    made.rcvtimeo = 10_000
    made.bind("tcp://127.0.0.1:*")
    return made


def welcome_asked(xpub: zmq.Socket[bytes], *topics: bytes) -> bytes:
    """Wait until a subscriber of ours asks for a welcome, and has subscribed to these."""
    return subscribed(xpub, *topics)


# -- a reader that pauses ---------------------------------------------------------------------


def test_a_reader_that_pauses_is_neither_cut_nor_taken_for_dead(
    publisher: Maker, subscriber: Maker, shell: str, record: Maker
) -> None:
    out = publisher(shell=shell, name="p")
    into = subscriber(out.endpoint, "a", shell=shell, queue_limit=100)
    into.wait_ready(10)
    beats = into.stats()["heartbeats"]
    sent = 0

    def pause_is_over() -> bool:
        """Far more heartbeats than would be missed, and the queue full since long."""
        nonlocal sent
        out.publish("a", b"%d" % sent)
        sent += 1
        return bool(into.stats()["heartbeats"] > beats + 20 * LIVENESS and sent > 1000)

    wait_until(pause_is_over, timeout=30)
    wait_until(lambda: into.stats()["received"] + into.stats()["shed"] == sent)
    assert bodies(into, 100) == [b"%d" % each for each in range(100)]
    assert into.recv(0) is None
    out.publish("a", b"last")
    message = into.recv(10)
    stats = into.stats()
    assert (message.body, message.missed) == (b"last", stats["shed"])
    assert stats["shed"] == sent - 100
    assert stats["silences"] == stats["disconnects"] == stats["missed"] == 0
    record(
        "reader that pauses with its queue full",
        aborts=0,
        false_disconnects=stats["disconnects"],
        shed=stats["shed"],
    )


# -- ready ------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["publisher", "subscriber"])
def test_after_ready_nothing_is_lost(
    publisher: Maker, subscriber: Maker, first: str, shell: str, record: Maker
) -> None:
    lost = 0
    for _ in range(10):
        out = publisher("tcp://127.0.0.1:*", shell=shell)
        endpoint = out.endpoint
        if first == "subscriber":
            out.close()
            many = [b"x%d" % each for each in range(200)]
            into = [subscriber(endpoint, [*many, "a"], shell=shell) for _ in range(3)]
            out = publisher(endpoint, shell=shell)
        else:
            into = [subscriber(endpoint, "a", shell=shell) for _ in range(3)]
        assert out.wait_ready(10, subscribers=3) == 3
        out.publish("a", b"first")
        for each in into:
            message = each.recv(10)
            lost += message is None or message.number != 1
        for each in (*into, out):
            each.close()
    assert lost == 0
    record("subscriber before, with and after the publisher", lost_after_ready=lost)


def test_a_publisher_that_joins_a_forwarder_is_heard_from_its_first_message(
    impl: str, publisher: Maker, subscriber: Maker, record: Maker
) -> None:
    with ForwarderDevice("tcp://127.0.0.1:*", "tcp://127.0.0.1:*", impl=impl) as forwarder:
        into = [subscriber(forwarder.backend, "a") for _ in range(3)]
        lost = 0
        for turn in range(10):
            out = publisher(f">{forwarder.frontend}", name=f"p{turn}")
            assert out.wait_ready(10, subscribers=3) == 3
            out.publish("a", b"%d" % turn)
            for each in into:
                message = each.recv(10)
                lost += (message.body, message.number) != (b"%d" % turn, 1)
            out.close()
        assert lost == 0
        record("subscriber before, with and after the publisher", lost_after_ready=lost)


def test_a_handshake_is_not_taken_for_ready(subscriber: Maker, xpub: Any, shell: str) -> None:
    into = subscriber(xpub.last_endpoint.decode(), "a", shell=shell)
    asked = welcome_asked(xpub, b"a")
    with pytest.raises(
        NotReady, match=r"1 publishers should have read its subscriptions within 0\.2 s, and 0"
    ):
        into.wait_ready(0.2)
    # One after the other: the subscriber takes back its question when the first answer has come.
    for count, name in enumerate(("p1", "p2"), 1):
        xpub.send_multipart([asked, WELCOMED, header(name)])
        again = welcome_asked(xpub)  # the first may have come before the other subscriptions
        assert again != asked
        asked = again
        with pytest.raises(NotReady):
            into.wait_ready(0, publishers=count)
        xpub.send_multipart([asked, WELCOMED, header(name)])
        assert into.wait_ready(10, publishers=count) == count
    into.subscribe("b")
    asked = welcome_asked(xpub)
    with pytest.raises(NotReady):
        into.wait_ready(0.2)
    xpub.send_multipart([asked, WELCOMED, header("p1")])
    assert into.wait_ready(10) == 1


# -- restarts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("topics", [1, 900, pytest.param(100_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("way", ["direct", "forwarder"])
def test_after_a_restart_all_topics_stand_again(
    impl: str, publisher: Maker, subscriber: Maker, topics: int, way: str, record: Maker
) -> None:
    """The subscriber's reader does nothing for that."""
    names = [b"t%d." % each for each in range(topics)]
    front = f"tcp://127.0.0.1:{free_port()}"
    back = f"tcp://127.0.0.1:{free_port()}"
    room, pace = 200_000, 1.0 if topics > 1000 else INTERVAL
    into = subscriber(back, names, queue_limit=room, high_water_mark=room, heartbeat_interval=pace)
    deaf, took = 0, 0.0
    for _ in range(3):
        began = time.monotonic()
        forwarder = (
            ForwarderDevice(front, back, impl=impl, high_water_mark=room)
            if way == "forwarder"
            else None
        )
        out = publisher(f">{front}" if forwarder else back, name="p", queue_limit=room,
                        high_water_mark=room, heartbeat_interval=pace)  # fmt: skip
        try:
            out.wait_ready(60)
            into.wait_ready(60)
            took = max(took, time.monotonic() - began)
            for name in names:
                out.publish(name, b"")
            wait_until(lambda: into.stats()["waiting"] >= topics, timeout=30)
            found = set()
            while (message := into.recv(0.5)) is not None:
                found.add(message.topic)
            deaf += topics - len(found)
        finally:
            if forwarder is not None:
                forwarder.stop()
            out.close(0)
    assert deaf == 0
    record(
        "publisher or forwarder killed and restarted",
        topics=topics,
        deaf_after_restart=deaf,
        seconds=took,
    )


def free_port() -> int:
    import socket

    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
        return port


def test_a_restart_is_told_as_one_and_nothing_is_taken_for_missed(
    subscriber: Maker, record: Maker
) -> None:
    with PublisherProcess("tcp://127.0.0.1:*", "weather") as first:
        into = subscriber(first.endpoint, "a")
        first.tell("wait", 1)
        first.tell("publish", "a", 50)
        assert len(bodies(into, 50)) == 50
        first.kill()
        with PublisherProcess(first.endpoint, "weather") as second:
            second.tell("wait", 1)
            second.tell("publish", "a", 50)
            found = [into.recv(10) for _ in range(50)]
    assert [each.number for each in found] == list(range(1, 51))
    assert [each.missed for each in found] == [None] + [0] * 49
    stats = into.stats()
    assert (stats["restarts"], stats["missed"], stats["duplicates"]) == (1, 0, 0)
    record(
        "publisher restarted under its name",
        false_misses=stats["missed"],
        swallowed=50 - len(found),
        restarts=stats["restarts"],
    )


def test_two_alive_with_one_name_keep_their_numbers_apart_and_are_named(
    publisher: Maker, subscriber: Maker, caplog: pytest.LogCaptureFixture, record: Maker
) -> None:
    with ForwarderDevice("tcp://127.0.0.1:*", "tcp://127.0.0.1:*") as forwarder:
        twins = [publisher(f">{forwarder.frontend}", name="copied") for _ in range(2)]
        into = subscriber(forwarder.backend, "a")
        for each in twins:
            each.wait_ready(10)
        for number in range(20):
            twins[number % 2].publish("a", b"%d" % number)
        assert sorted(bodies(into, 20), key=int) == [b"%d" % each for each in range(20)]
        twins[0].publish("a", b"again")
        bodies(into, 1)
        stats = into.stats()
        assert (stats["missed"], stats["duplicates"]) == (0, 0)
        wait_until(lambda: "two publishers are alive under the name 'copied'" in caplog.text)
        assert caplog.text.count("two publishers are alive") == 1
        record("publisher restarted under its name", false_misses=stats["missed"], swallowed=0)


@pytest.mark.parametrize("last", [2**32 - 1, 2**63, 2**64 - 2])
def test_numbers_go_past_any_size(subscriber: Maker, xpub: Any, last: int) -> None:
    into = subscriber(xpub.last_endpoint.decode(), "a")
    welcome_asked(xpub, b"a")
    for number in (last, last + 1):
        xpub.send_multipart([b"a", b"", header(number=number)])
    assert [into.recv(10).missed for _ in range(2)] == [None, 0]


# -- silence ----------------------------------------------------------------------------------


def test_a_publisher_gone_without_a_word_is_noticed_in_time(
    publisher: Maker, subscriber: Maker, shell: str, record: Maker
) -> None:
    """Its machine lost its power: the connection stays open, and nothing comes."""
    out = publisher(shell=shell)
    with Relay(out.endpoint) as relay:
        into = subscriber(relay.endpoint, "a", shell=shell)
        into.wait_ready(10)
        relay.swallow()
        began = time.monotonic()
        wait_until(lambda: into.stats()["silences"] == 1)
        noticed = (time.monotonic() - began) * 1000
        into.wait_ready(10)  # on another connection
        out.publish("a", b"back")
        assert bodies(into, 1) == [b"back"]
        assert into.stats()["connects"] == 2
        assert noticed <= NOTICED
        record("publisher gone without a FIN, or silent", detection_ms=noticed)


def test_a_message_that_takes_long_is_no_silence(
    publisher: Maker, subscriber: Maker, record: Maker
) -> None:
    out = publisher(heartbeat_interval=0.4)
    link = SlowLink(out.endpoint, 400_000)
    try:
        into = subscriber(link.endpoint, "a", heartbeat_interval=0.4)
        into.wait_ready(10)
        out.publish("a", b"x" * 1_000_000)  # over two seconds, where three intervals are 1.2 s
        message = into.recv(30)
        assert len(message.body) == 1_000_000
        stats = into.stats()
        assert (stats["silences"], stats["connects"], link.connections) == (0, 1, 1)
        record("publisher gone without a FIN, or silent", false_moves=stats["silences"])
    finally:
        link.close()


def test_silence_of_a_publisher_that_never_beats_means_nothing(
    subscriber: Maker, xpub: Any
) -> None:
    into = subscriber([xpub.last_endpoint.decode(), "tcp://127.0.0.1:1"], "a")
    welcome_asked(xpub, b"a")
    assert into.recv(20 * INTERVAL) is None
    assert (into.stats()["silences"], into.stats()["failovers"]) == (0, 0)


def test_each_publisher_tells_its_own_interval(subscriber: Maker, xpub: Any) -> None:
    """One that beats each second is not taken for dead after a tenth."""
    into = subscriber(xpub.last_endpoint.decode(), "a")
    welcome_asked(xpub, b"a")
    xpub.send_multipart(beat(1000))
    assert into.recv(20 * INTERVAL) is None
    assert (into.stats()["heartbeats"], into.stats()["silences"]) == (1, 0)


# -- spares -----------------------------------------------------------------------------------


def test_a_spare_is_followed_while_the_first_is_stopped_and_afterwards(
    subscriber: Maker, record: Maker
) -> None:
    with (
        PublisherProcess("tcp://127.0.0.1:*", "one") as one,
        PublisherProcess("tcp://127.0.0.1:*", "two") as two,
    ):
        into = subscriber([one.endpoint, two.endpoint], "a")
        one.tell("wait", 1)
        one.tell("publish", "a", 10)
        bodies(into, 10)
        one.stop_still(signal.SIGSTOP)
        began = time.monotonic()
        wait_until(lambda: into.stats()["failovers"] == 1)
        moved = (time.monotonic() - began) * 1000
        two.tell("wait", 1)
        one.begin("publish", "a", 10)  # as soon as it goes on
        one.signal(signal.SIGCONT)
        two.tell("publish", "a", 10)
        found = [into.recv(10) for _ in range(10)]
        assert {each.publisher for each in found} == {"two"}
        assert into.recv(10 * INTERVAL) is None
        assert into.stats()["failovers"] == 1
        assert moved <= NOTICED
        record(
            "primary publisher frozen or cut off",
            moved_ms=moved,
            given_twice=0,
            moves=into.stats()["failovers"],
        )


def test_one_publisher_behind_two_forwarders_is_given_once(
    impl: str, publisher: Maker, subscriber: Maker, record: Maker
) -> None:
    """Its numbers go on when a subscriber moves from one to the other, and tell what was missed."""
    anywhere = "tcp://127.0.0.1:*"
    with (
        ForwarderDevice(anywhere, anywhere, impl=impl) as one,
        ForwarderDevice(anywhere, anywhere, impl=impl) as two,
    ):
        out = publisher([f">{one.frontend}", f">{two.frontend}"], name="p")
        into = subscriber([one.backend, two.backend], "a")
        into.wait_ready(10)
        stop = threading.Event()
        sent = 0

        def publish() -> None:
            nonlocal sent
            while not stop.wait(0.001):
                out.publish("a", b"%d" % sent)
                sent += 1

        thread = threading.Thread(target=publish)
        thread.start()
        bodies(into, 50)
        one.stop()
        wait_until(lambda: into.stats()["failovers"] == 1)
        numbers = [into.recv(10) for _ in range(200)]
        stop.set()
        thread.join()
        wait_until(lambda: into.stats()["received"] + into.stats()["missed"] == sent)
        assert all(late.number > early.number for early, late in pairwise(numbers))
        stats = into.stats()
        assert stats["restarts"] == 0
        record("primary publisher frozen or cut off", given_twice=0, missed=stats["missed"])


def test_nobody_left_is_an_error_once_and_it_goes_on_trying(
    publisher: Maker, subscriber: Maker, shell: str, record: Maker
) -> None:
    one, two = publisher(name="one"), publisher(name="two")
    into = subscriber([one.endpoint, two.endpoint], "a", shell=shell)
    into.wait_ready(10)
    one.close()
    two.close()
    with pytest.raises(
        NoPublisher, match=r"nothing is heard for .* s of any publisher or forwarder"
    ) as told:
        into.recv(10)
    assert set(told.value.met) == {one.endpoint, two.endpoint}
    assert into.recv(10 * INTERVAL) is None
    again = publisher(two.endpoint, name="two")
    again.wait_ready(15)
    again.publish("a", b"back")
    assert bodies(into, 1) == [b"back"]
    record("primary publisher frozen or cut off", moves=into.stats()["failovers"])


def test_an_outage_that_is_over_when_it_would_be_read_is_none(
    publisher: Maker, subscriber: Maker
) -> None:
    out = publisher()
    into = subscriber(out.endpoint, "a")
    into.wait_ready(10)
    out.close()
    wait_until(lambda: into.stats()["waiting"] == 1)  # the error
    out = publisher(out.endpoint)
    out.wait_ready(10)
    into.wait_ready(10)
    out.publish("a", b"back")
    assert bodies(into, 1) == [b"back"]


def test_a_subscriber_that_was_stopped_itself_takes_nobody_for_dead(
    publisher: Maker, record: Maker
) -> None:
    """All that came meanwhile is still to be read."""
    import os
    import subprocess
    import sys

    from programs_pubsub import SOURCE

    out = publisher()
    program = (
        "import sys; from brigantine import Subscriber\n"
        f"s = Subscriber({out.endpoint!r}, 'a', heartbeat_interval=0.1); s.wait_ready(10)\n"
        "print('ready', flush=True); sys.stdin.readline(); s.wait_ready(10)\n"
        "print(s.recv(10).body, s.stats()['silences'], s.stats()['connects'], flush=True)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": SOURCE},
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGSTOP)
    beats = out.stats()["heartbeats"]
    wait_until(lambda: out.stats()["heartbeats"] > beats + 40)
    child.send_signal(signal.SIGCONT)
    out.publish("a", b"x")
    said, _ = child.communicate("go\n", timeout=30)
    assert said == "b'x' 0 1\n"
    record("publisher gone without a FIN, or silent", false_moves=0)
