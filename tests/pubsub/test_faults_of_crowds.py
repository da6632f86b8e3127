"""Many subscribers, slow ones, nested topics, many threads, and the end of a publisher."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import zmq
from harness import Peers, wait_until
from programs_pubsub import SOURCE, PublisherProcess
from shells import bodies

from brigantine import ForwarderDevice, Publisher, PublisherClosed, Subscriber

#: Minutes together: they have their own command.
pytestmark = pytest.mark.long

Maker = Callable[..., Any]
ANYWHERE = "tcp://127.0.0.1:*"


def rss() -> int:
    """Bytes of memory of this process."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# -- slow subscribers -------------------------------------------------------------------------


def test_what_a_slow_subscriber_misses_is_counted_and_others_are_not_held_up(
    publisher: Maker, subscriber: Maker, peers: Peers, record: Maker
) -> None:
    """Bursts of ten times the high-water mark; one plain SUB never reads."""
    out = publisher(high_water_mark=100, name="p")
    never = peers.socket(zmq.SUB, out.endpoint, rcvhwm=10)
    never.subscribe(b"a")
    slow = subscriber(out.endpoint, "a", queue_limit=10, high_water_mark=100)
    fast = subscriber(out.endpoint, "a", high_water_mark=100)
    out.wait_ready(10, subscribers=2)
    sent = stalls = told = got = 0
    for _ in range(5):
        began = time.monotonic()
        for _ in range(1000):
            out.publish("a", b"x" * 1000)
            sent += 1
        stalls = max(stalls, round((time.monotonic() - began) * 1000))
        for each in (slow, fast):
            wait_until(lambda each=each, sent=sent: settled(each, sent))
        for _ in range(10):
            message = slow.recv(10)
            got += 1
            told += message.missed or 0
    for each in (slow, fast):
        stats = each.stats()
        assert stats["received"] + stats["shed"] + stats["missed"] == sent
        assert stats["disconnects"] == 0
    stats = slow.stats()
    pending = stats["shed"] + stats["missed"] - told
    assert got + told + pending == sent
    out.publish("a", b"last")
    assert slow.recv(10).missed == pending
    assert slow.missed() == ({"p": stats["missed"]} if stats["missed"] else {})
    record(
        "subscribers slow at times",
        missed=stats["missed"] + stats["shed"],
        counted=told + pending,
        stall_ms=stalls,
    )


def settled(subscriber: Any, sent: int) -> bool:
    """Whether a subscriber knows of all that was sent."""
    stats = subscriber.stats()
    return bool(stats["received"] + stats["shed"] + stats["missed"] == sent)


# -- topics -----------------------------------------------------------------------------------


@pytest.mark.parametrize("forwarders", [1, 2])
def test_everybody_gets_what_it_asked_for_and_the_last_to_go_ends_it(
    impl: str, publisher: Maker, forwarders: int, record: Maker
) -> None:
    """Equal and nested topics; some leave by kill -9 (their connections are cut)."""
    with contextlib.ExitStack() as stack:
        chain = [stack.enter_context(ForwarderDevice(ANYWHERE, ANYWHERE, impl=impl))]
        for _ in range(forwarders - 1):
            chain.append(stack.enter_context(
                ForwarderDevice(f">{chain[-1].backend}", ANYWHERE, impl=impl)
            ))  # fmt: skip
        out = publisher(f">{chain[0].frontend}", name="p")
        prefixes = ["job1", "job10", "job", "", "job2", "jo"]
        topics = ["job1", "job10", "job100", "job2", "x", "jo"]
        crowd = [(prefix, Subscriber(chain[-1].backend, prefix)) for prefix in prefixes * 5]
        try:
            out.wait_ready(20, subscribers=len(crowd))
            random.Random(7).shuffle(crowd)
            wrong = 0
            while crowd:
                for topic in topics:
                    out.publish(topic, topic.encode())
                for prefix, each in crowd:
                    wanted = [topic.encode() for topic in topics if topic.startswith(prefix)]
                    wrong += bodies(each, len(wanted)) != wanted
                    assert each.recv(0) is None
                for _, each in crowd[:6]:
                    each.close()
                del crowd[:6]
            assert wrong == 0
        finally:
            for _, each in crowd:
                each.close()
        wait_until(lambda: out.stats()["subscribers"] == 0)
        wait_until(lambda: quiet(out, chain[0], topics), timeout=20)
        record("subscribers leave one by one", wrong_topic=wrong, bytes_to_nobody=0)


def quiet(out: Any, forwarder: ForwarderDevice, topics: list[str]) -> bool:
    """Whether what is published does not even reach the first forwarder."""
    before = forwarder.stats()["to_backend"]
    for topic in topics:
        out.publish(topic, b"")
    published = out.stats()["published"]
    wait_until(lambda: out.stats()["published"] >= published and not out.stats()["waiting"])
    time.sleep(0.05)  # nothing is to come: there is no sign of that
    return forwarder.stats()["to_backend"] == before


def test_topics_that_come_and_go_without_end_leave_nothing(
    publisher: Maker, subscriber: Maker, record: Maker
) -> None:
    out = publisher()
    into = subscriber(out.endpoint, ())

    def some(first: int) -> None:
        for number in range(first, first + 5000):
            into.subscribe(b"t%d" % number)
            into.unsubscribe(b"t%d" % number)
        into.wait_ready(30)

    some(0)
    before = rss()
    for turn in range(1, 10):
        some(turn * 5000)
    grown = rss() - before
    assert grown < 16 << 20
    assert out.stats()["subscribers"] == 1
    record("subscribers leave one by one", subscriptions=100_000, grown_kib=grown // 1024)


# -- threads and ends -------------------------------------------------------------------------


def test_many_threads_publish_while_another_closes(subscriber: Maker, record: Maker) -> None:
    """Whole messages, each thread's in its order; an error after the end; the tail is there."""
    out = Publisher(ANYWHERE, linger=10, high_water_mark=1_000_000)
    into = subscriber(out.endpoint, "t", queue_limit=1_000_000, high_water_mark=1_000_000)
    into.wait_ready(10)
    accepted = [0] * 8
    refused = []

    def publish(thread: int) -> None:
        try:
            while True:
                out.publish(b"t%d" % thread, b"%d" % accepted[thread])
                accepted[thread] += 1
        except PublisherClosed:
            refused.append(thread)

    threads = [threading.Thread(target=publish, args=(each,)) for each in range(8)]
    for each in threads:
        each.start()
    wait_until(lambda: min(accepted) > 200)
    assert out.close() == 0
    for each in threads:
        each.join(10)
    assert sorted(refused) == list(range(8))
    wait_until(lambda: into.stats()["received"] == sum(accepted))
    counts = [0] * 8
    for _ in range(sum(accepted)):
        message = into.recv(10)
        thread = int(message.topic[1:])
        assert message.body == b"%d" % counts[thread]
        counts[thread] += 1
    assert counts == accepted
    record("publish while it is closed", torn=0, tail_lost=sum(accepted) - sum(counts))


def test_the_tail_of_a_program_that_returns_arrives(subscriber: Maker, record: Maker) -> None:
    """It publishes, and ends without closing anything."""
    with PublisherProcess(ANYWHERE, "p") as program:
        into = subscriber(program.endpoint, "a", queue_limit=100_000, high_water_mark=100_000)
        program.tell("wait", 1)
        program.begin("publish", "a", 900)
        program.begin("return")
        assert program.wait() == 0
        found = bodies(into, 900)
    assert found == [b"%d" % each for each in range(900)]
    record("publish while it is closed", tail_lost=900 - len(found))


def test_what_was_missed_at_the_very_end_is_known(subscriber: Maker) -> None:
    """The last heartbeat is sent when there is room for it."""
    with Publisher(ANYWHERE, name="p", high_water_mark=2) as out:
        into = subscriber(out.endpoint, "a", queue_limit=100_000)
        out.wait_ready(10)
        for _ in range(3000):
            out.publish("a", b"x" * 1000)
    wait_until(lambda: into.stats()["received"] + into.missed().get("p", 0) == 3000)


def test_close_tells_how_many_may_not_have_left(peers: Peers, record: Maker) -> None:
    """A subscriber stands still, with its system's buffers full."""
    out = Publisher(ANYWHERE, high_water_mark=10_000)
    stopped = peers.socket(zmq.SUB, out.endpoint, rcvhwm=1, rcvbuf=4096)
    stopped.subscribe(b"a")
    quick = peers.socket(zmq.XSUB, out.endpoint)
    for turn in (b"1", b"2"):
        quick.send(b"\x01\0brigantine.welcome.0123456789abcdef." + turn)
    out.wait_ready(10)
    wait_until(lambda: out.publish("a", b"") or stopped.poll(10))
    for _ in range(2000):
        out.publish("a", b"x" * 20_000)
    began = time.monotonic()
    unsent = out.close(linger=0.3)
    took = time.monotonic() - began
    assert 0 < unsent <= out.stats()["published"]
    assert took < 5
    assert out.stats()["unsent"] == unsent
    assert out.close() == unsent
    record("publish while it is closed", told=unsent, seconds=took)


def test_a_forked_child_does_nothing_of_its_parents() -> None:
    """It can use neither, and closing them there is nothing; the parent goes on."""
    program = (
        "import os, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "from brigantine import *\n"
        "p = Publisher('tcp://127.0.0.1:*'); s = Subscriber(p.endpoint, 'a'); p.wait_ready(10)\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    told = 0\n"
        "    for call in (lambda: p.publish('a', b''), lambda: s.recv(0), p.wait_ready, s.wait_ready):\n"
        "        try:\n"
        "            call()\n"
        "        except (PublisherClosed, SubscriberClosed) as error:\n"
        "            told += 'not in this forked child' in str(error)\n"
        "    p.close(); s.close()\n"
        "    os._exit(told)\n"
        "_, status = os.waitpid(pid, 0)\n"
        "p.publish('a', b'x')\n"
        "print(os.waitstatus_to_exitcode(status), s.recv(10).body, s.stats()['disconnects'])\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30,
        env={**os.environ, "PYTHONPATH": SOURCE}, check=False,
    )  # fmt: skip
    assert found.stdout == "4 b'x' 0\n", found.stderr


@pytest.mark.parametrize("waits", ["recv", "ready", "publish", "iterate"])
def test_ctrl_c_in_a_waiting_call_leaves_all_in_order(waits: str) -> None:
    """The next close() closes, in a moment, and no thread of ours is left."""
    program = (
        "import signal, sys, threading, time\n"
        "from brigantine import *\n"
        "p = Publisher('tcp://127.0.0.1:*', queue_limit=1); s = Subscriber(p.endpoint, 'a')\n"
        "p.wait_ready(10)\n"
        "def forever():\n"
        "    while True: p.publish('a', b'x')\n"
        "calls = {'recv': s.recv, 'ready': lambda: p.wait_ready(60, subscribers=2),\n"
        "         'publish': forever, 'iterate': lambda: list(s)}\n"
        "for turn in range(3):\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0.2)\n"
        "    signal.signal(signal.SIGALRM, signal.default_int_handler)\n"
        "    try:\n"
        f"        calls[{waits!r}]()\n"
        "    except KeyboardInterrupt:\n"
        "        print('interrupted', flush=True)\n"
        "began = time.monotonic()\n"
        "s.close(); p.close()\n"
        "left = [t.name for t in threading.enumerate() if 'brigantine' in t.name]\n"
        "print(left, time.monotonic() - began < 3)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": SOURCE}, check=False,
    )  # fmt: skip
    assert found.stdout == "interrupted\n" * 3 + "[] True\n", found.stderr


def test_a_signal_handler_may_close_what_it_interrupts() -> None:
    program = (
        "import signal\n"
        "from brigantine import *\n"
        "p = Publisher('tcp://127.0.0.1:*'); s = Subscriber(p.endpoint, 'a')\n"
        "def end(*_): s.close(); p.publish('a', b''); p.close()\n"
        "signal.signal(signal.SIGALRM, end); signal.setitimer(signal.ITIMER_REAL, 0.3)\n"
        "try:\n"
        "    s.recv()\n"
        "except SubscriberClosed:\n"
        "    print('closed')\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30,
        env={**os.environ, "PYTHONPATH": SOURCE}, check=False,
    )  # fmt: skip
    assert found.stdout == "closed\n", found.stderr


# -- forwarders that are killed -----------------------------------------------------------------


def test_a_forwarder_killed_under_load_loses_what_the_numbers_tell(
    impl: str, publisher: Maker, subscriber: Maker, record: Maker
) -> None:
    """kill -9, and another at its place: everything that did not come is counted as missed."""
    command = [sys.executable, "-m", "brigantine", "device", "forwarder", "--impl", impl]
    environment = {**os.environ, "PYTHONPATH": SOURCE}

    def start(front: str, back: str) -> tuple[subprocess.Popen[str], str, str]:
        made = subprocess.Popen(
            [*command, "--frontend", front, "--backend", back], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=environment,
        )  # fmt: skip
        assert made.stdout is not None
        ends = dict(word.split("=") for word in made.stdout.readline().split()[1:])
        return made, ends["frontend"], ends["backend"]

    device, front, back = start(ANYWHERE, ANYWHERE)
    try:
        out = publisher(f">{front}", name="p", heartbeat_interval=0.2)
        into = subscriber(back, "a", queue_limit=1_000_000, heartbeat_interval=0.2)
        into.wait_ready(10)
        sent = 0
        for turn in range(4):
            for _ in range(500):
                out.publish("a", b"x")
                sent += 1
            wait_until(lambda: into.stats()["received"])
            if turn < 3:
                device.send_signal(signal.SIGKILL)
                device.wait()
                for _ in range(200):
                    out.publish("a", b"x")
                    sent += 1
                assert device.stdout is not None
                device.stdout.close()
                device, _, _ = start(front, back)
                out.wait_ready(20)
                into.wait_ready(20)
        wait_until(lambda: settled(into, sent), timeout=20)
        stats = into.stats()
        assert stats["duplicates"] == stats["restarts"] == 0
        record(
            "publisher or forwarder killed and restarted",
            sent=sent,
            missed=stats["missed"],
            uncounted=0,
        )
    finally:
        device.kill()
        device.wait()
        assert device.stdout is not None
        device.stdout.close()


# -- waiting for slow subscribers -----------------------------------------------------------------


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_who_is_waited_for_too_long_is_cut_off_by_name_and_others_get_all(
    publisher: Maker,
    subscriber: Maker,
    peers: Peers,
    transport: str,
    tmp_path: Any,
    record: Maker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The stall is bounded; whoever reads misses nothing."""
    endpoint = ANYWHERE if transport == "tcp" else f"ipc://{tmp_path}/p"
    out = publisher(endpoint, high_water_mark=50, stall_timeout=0.3, queue_limit=10)
    never = peers.socket(zmq.SUB, out.endpoint, rcvhwm=10)
    never.subscribe(b"a")
    fast = subscriber(out.endpoint, "a", queue_limit=100_000)
    out.wait_ready(10)
    wait_until(lambda: out.publish("a", b"first") or never.poll(10))
    stall = 0.0
    for _ in range(1000):
        began = time.monotonic()
        out.publish("a", b"x" * 20_000)
        stall = max(stall, time.monotonic() - began)
    sent = out.stats()["published"] + out.stats()["waiting"]
    wait_until(lambda: fast.stats()["received"] + fast.stats()["missed"] >= 1000)
    wait_until(lambda: not out.stats()["waiting"])
    sent = out.stats()["published"]
    wait_until(lambda: fast.stats()["received"] == sent)
    stats = out.stats()
    assert fast.stats()["missed"] == fast.stats()["silences"] == 0
    assert stats["cut_off"] >= 1
    assert stats["drop_stalled"] == 0
    assert "cut off the subscriber" in caplog.text
    assert "127.0.0.1:" in caplog.text if transport == "tcp" else "over ipc" in caplog.text
    record("subscribers slow at times", missed=0, stall_ms=stall * 1000, cut_off=stats["cut_off"])


def test_over_inproc_the_full_one_misses_what_it_was_waited_for(
    publisher: Maker, subscriber: Maker, peers: Peers
) -> None:
    out = publisher("inproc://p", context=peers.context, high_water_mark=10, stall_timeout=0.05)
    never = peers.socket(zmq.SUB, "inproc://p", rcvhwm=10)
    never.subscribe(b"a")
    fast = subscriber("inproc://p", "a", context=peers.context)
    out.wait_ready(10)
    for _ in range(30):
        out.publish("a", b"x")
    wait_until(lambda: out.stats()["published"] == 30)
    wait_until(lambda: fast.stats()["received"] == 30)
    stats = out.stats()
    assert (stats["cut_off"], fast.stats()["missed"]) == (0, 0)
    assert stats["drop_stalled"] > 0
