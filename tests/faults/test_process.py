"""What a process does to the broker in it: fork, signals, Ctrl-C, its own end."""

from __future__ import annotations

import ctypes
import signal
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clients import Bystander, CountingClient
from harness import PATIENCE, Peers, wait_until
from models import needs_plain_fork
from programs import Process, command_line_broker, environment
from watch import final_counters

from brigantine import ledger_holds

#: Seconds in which a process must have ended once it is told to: the interpreter's end, the
#: broker's thread, the sockets.  It takes 0.03 s, and 2 on a machine with three times too much to
#: do; one that hangs, or drains where it should stop (10 s), does not end in these.
PROMPT = 6.0

#: Every program begins with a broker, and goes on when it is told to.
BEGINNING = """
import ctypes, gc, os, signal, sys, time
from brigantine import BrokerStopped, LRUBroker

def refused(call):
    try:
        call()
    except BrokerStopped as error:
        assert "forked" in str(error)
    else:
        sys.exit("it was not refused")

def say(*words):
    print(*words, flush=True)

def wait_to_be_told():
    sys.stdin.readline()

def fork():
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: no child outlives us
    return child

broker = LRUBroker("tcp://127.0.0.1:*", "tcp://127.0.0.1:*")
say("ready", broker.frontend, broker.backend)
"""


@pytest.fixture
def program(impl: str, processes: list[Process]) -> Callable[[str], tuple[Process, str, str]]:
    """``program(source)`` runs BEGINNING and ``source``: the process, frontend and backend."""

    def start(source: str) -> tuple[Process, str, str]:
        whole = BEGINNING + textwrap.dedent(source)
        made = Process(sys.executable, "-c", whole, env=environment(impl))
        processes.append(made)
        frontend, backend = made.expect("ready").split()
        return made, frontend, backend

    return start


def _ends(process: Process, began: float) -> tuple[int, float]:
    """The exit code of a process that was just told to end, and how many ms that took."""
    code = process.wait()
    took = time.monotonic() - began
    assert took <= PROMPT
    return code, took * 1000


FORKED = {
    "just ends": ("pass", 1),
    "leaves by sys.exit": ("sys.exit(0)", 1),
    "forgets the broker": ("del broker; gc.collect()", 1),
    # Many times over: what the loop's thread was in the middle of is for ever so in a child.
    "uses the broker": (
        "refused(broker.stats); refused(broker.drain); repr(broker); broker.stop()",
        10,
    ),
}


@needs_plain_fork
@pytest.mark.parametrize(("ending", "times"), FORKED.values(), ids=FORKED.keys())
def test_a_forked_child_ends_and_the_parents_broker_goes_on(
    program: Any, worker_process: Any, record: Any, ending: str, times: int
) -> None:
    process, frontend, backend = program(
        f"""
        for _ in range({times}):
            wait_to_be_told()
            began = time.monotonic()
            child = fork()
            if child == 0:
                {ending}
                break
            status = os.waitpid(child, 0)[1]
            say("child", os.waitstatus_to_exitcode(status), time.monotonic() - began)
        else:
            wait_to_be_told()
            broker.stop()
        """
    )
    worker_process(backend)
    longest = 0.0
    with Bystander(frontend) as bystander:
        for _ in range(times):
            process.tell("fork")
            code, seconds = process.expect("child").split()
            assert code == "0"
            longest = max(longest, float(seconds))
        bystander.round_trips(20)
    assert longest <= PROMPT
    process.tell("end")
    code, took = _ends(process, time.monotonic())
    assert code == 0
    record(
        "fork, signals, Ctrl-C, exit while the loop runs",
        children=times,
        longest_child_ms=longest * 1000,
        stop_ms=took,
    )


ENDINGS = {
    "the last line": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "an exception": ("sys.stderr = None; raise RuntimeError('not caught')", 1),
    "a second broker": ("other = LRUBroker('tcp://127.0.0.1:*', 'tcp://127.0.0.1:*')", 0),
}


@pytest.mark.parametrize(("ending", "expected"), ENDINGS.values(), ids=ENDINGS.keys())
def test_a_program_that_ends_without_stop_ends_promptly(
    program: Any, worker_process: Any, peers: Peers, record: Any, ending: str, expected: int
) -> None:
    process, frontend, backend = program(f"wait_to_be_told()\n{ending}")
    worker = worker_process(backend)
    client = CountingClient(peers, frontend)
    client.ask(b"hold this")
    worker.expect("got")
    for _ in range(100):  # in flight, queued, and on their way
        client.ask(b"too late")
    process.tell("end")
    code, took = _ends(process, time.monotonic())
    assert code == expected
    record("fork, signals, Ctrl-C, exit while the loop runs", exit_code=code, stop_ms=took)


INTERRUPTED = {
    "caught": ("with broker:\n  try: broker.join()\n  except KeyboardInterrupt: say('caught')", 0),
    "not caught": ("sys.stderr = None\nwith broker: broker.join()", -signal.SIGINT),
    "no with": ("sys.stderr = None\nbroker.join()", -signal.SIGINT),
}


@pytest.mark.parametrize(("source", "expected"), INTERRUPTED.values(), ids=INTERRUPTED.keys())
def test_ctrl_c_ends_a_program_that_waits_for_its_broker(
    program: Any, worker_process: Any, record: Any, source: str, expected: int
) -> None:
    process, frontend, backend = program(source)
    worker_process(backend)
    with Bystander(frontend) as bystander:
        bystander.round_trips(5)
    began = time.monotonic()
    process.signal(signal.SIGINT)
    code, took = _ends(process, began)
    assert code == expected
    record("fork, signals, Ctrl-C, exit while the loop runs", exit_code=code, stop_ms=took)


def test_ctrl_c_at_the_command_line_drains_and_exits_0(
    impl: str, processes: Any, worker_process: Any, tmp_path: Path, record: Any
) -> None:
    log = tmp_path / "log"
    process, frontend, backend = command_line_broker(impl, log)
    processes.append(process)
    worker_process(backend)
    with Bystander(frontend) as bystander:
        bystander.round_trips(5)
    began = time.monotonic()
    process.signal(signal.SIGINT)
    code, took = _ends(process, began)
    assert code == 0
    stats = final_counters(log)
    assert stats["accepted"] == stats["replied"] == len(bystander.took)
    assert ledger_holds(stats)
    record("fork, signals, Ctrl-C, exit while the loop runs", exit_code=code, stop_ms=took)


def test_a_storm_of_signals_leaves_routing_alone(
    program: Any, worker_process: Any, record: Any
) -> None:
    process, frontend, backend = program(
        """
        caught = 0
        def handler(number, frame):
            global caught
            caught += 1
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD, signal.SIGALRM):
            signal.signal(number, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        say("handling")
        wait_to_be_told()
        broker.stop()
        signal.setitimer(signal.ITIMER_REAL, 0)  # while Python ends it has no handler
        say("stopped", caught)
        """
    )
    process.expect("handling")
    worker_process(backend)
    sent = 0
    with Bystander(frontend) as bystander:
        deadline = time.monotonic() + PATIENCE
        while sent < 3000 or len(bystander.took) < 300:
            assert time.monotonic() < deadline
            # Each thread by itself: the loop's and libzmq's own are not passed over for the main one.
            for thread in process.threads():
                for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD):
                    _signal_thread(process.pid, thread, number)
                    sent += 1
            process.signal(signal.SIGSTOP)
            process.signal(signal.SIGCONT)
        bystander.round_trips(20)
    process.tell("end")
    began = time.monotonic()
    caught = int(process.expect("stopped"))
    code, took = _ends(process, began)
    assert code == 0
    assert caught > 0
    record(
        "fork, signals, Ctrl-C, exit while the loop runs",
        signals=sent,
        caught=caught,
        round_trips=len(bystander.took),
        longest_ms=bystander.longest_ms,
        stop_ms=took,
    )


def _signal_thread(process: int, thread: int, number: int) -> None:
    """tgkill(2), which Python offers for threads of its own process only; a thread that has ended
    meanwhile does not matter.
    """
    ctypes.CDLL(None).tgkill(process, thread, int(number))


def test_the_command_line_broker_is_used_to_signals_that_ask_nothing(
    impl: str, processes: Any, worker_process: Any, tmp_path: Path, record: Any
) -> None:
    process, frontend, backend = command_line_broker(impl, tmp_path / "log")
    processes.append(process)
    worker_process(backend)
    with Bystander(frontend) as bystander:
        for _ in range(200):
            for number in (signal.SIGCHLD, signal.SIGWINCH, signal.SIGURG, signal.SIGSTOP):
                process.signal(number)
            process.signal(signal.SIGCONT)
        bystander.round_trips(20)
    assert process.running()
    process.signal(signal.SIGTERM)
    code, took = _ends(process, time.monotonic())
    assert code == 0
    wait_until(lambda: ledger_holds(final_counters(tmp_path / "log")), "the ledger")
    record(
        "fork, signals, Ctrl-C, exit while the loop runs",
        signals=1000,
        longest_ms=bystander.longest_ms,
        stop_ms=took,
    )
