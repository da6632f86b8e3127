"""A command takes over signals, and gives them back where it was called as a function."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest
from commands import Commands
from harness import PATIENCE

from brigantine.cli import taken_signals
from brigantine.cli.stopping import StopRequests
from brigantine.cli.taken_signals import signals_given_back

#: Runs three commands, each until it is told to stop, and says what is not as before.
PROGRAM = """
import os, signal, threading, time
from brigantine.cli import main

def own(*_):
    came.append(signal.SIGTERM)

def state():
    woken = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(woken)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    return woken, mask, {each: signal.getsignal(each) for each in signal.valid_signals()}

def tell():
    while signal.getsignal(signal.SIGTERM) is own:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGTERM)

came = []
read, write = os.pipe()
os.set_blocking(write, False)
signal.signal(signal.SIGTERM, own)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.set_wakeup_fd(write)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
before = state()
ANY = "tcp://127.0.0.1:*"
for words in (
    ["subscribe", "--endpoint", "tcp://127.0.0.1:9", ""],
    ["worker", "lru", "--broker", "tcp://127.0.0.1:9", "--log-level", "error", "base64:b64encode"],
    ["broker", "lru", "--frontend", ANY, "--backend", ANY, "--log-level", "error"],
):
    threading.Thread(target=tell, daemon=True).start()
    assert main(words) == 0, words
    assert state() == before, words
    while any(each.name.startswith("brigantine") for each in threading.enumerate()):
        time.sleep(0.001)
assert came == []
os.kill(os.getpid(), signal.SIGTERM)
assert came == [signal.SIGTERM]
assert os.read(read, 9) == bytes(came)
"""


def test_a_command_that_was_called_as_a_function_leaves_signals_as_it_has_found_them(
    run: Commands,
) -> None:
    command = run(program=PROGRAM)
    assert command.finish()[0] == 0, command.errors()


@pytest.fixture
def stops() -> Iterator[StopRequests]:
    with signals_given_back(), StopRequests() as made:
        yield made


def test_who_has_let_nobody_be_woken_leaves_the_next_signals_to_us(stops: StopRequests) -> None:
    """As an event loop does at its end: what comes to another thread would wake nobody."""
    signal.set_wakeup_fd(-1)
    signal.raise_signal(signal.SIGTERM)
    assert stops.wait(PATIENCE) == signal.SIGTERM
    assert signal.set_wakeup_fd(-1) == stops._pipe.write


def test_who_is_woken_instead_of_us_still_is(stops: StopRequests) -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    signal.raise_signal(signal.SIGTERM)
    assert stops.wait(PATIENCE) == signal.SIGTERM
    assert os.read(read, 9) == bytes([signal.SIGTERM])
    stops.close()
    assert signal.set_wakeup_fd(-1) == write
    os.close(read)
    os.close(write)


def test_what_another_has_set_meanwhile_is_not_touched() -> None:
    def other(*_: object) -> None:
        pass

    of_sigterm, of_sigint = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with signals_given_back():
        StopRequests().open()
        signal.signal(signal.SIGTERM, other)
    assert signal.signal(signal.SIGTERM, of_sigterm) is other
    assert signal.getsignal(signal.SIGINT) == of_sigint


@pytest.mark.usefixtures("stops")
def test_another_thread_gives_back_nothing_of_the_main_one() -> None:
    def called() -> None:
        with signals_given_back():
            pass

    ours = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=called)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) == ours


def test_a_command_within_a_workers_function_gives_back_its_own_alone(stops: StopRequests) -> None:
    with signals_given_back(), StopRequests():
        pass
    signal.raise_signal(signal.SIGTERM)
    assert stops.wait(PATIENCE) == signal.SIGTERM


def test_who_still_waits_is_told_that_it_has_ended() -> None:
    with signals_given_back():
        made = StopRequests().open()
    assert made.wait(PATIENCE) == 0


def test_no_descriptor_is_left() -> None:
    before = os.listdir("/proc/self/fd")
    with signals_given_back(), StopRequests():
        pass
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.usefixtures("stops")
def test_the_mask_of_an_earlier_fork_is_none_to_go_back_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    taken_signals._before_fork()
    taken_signals._after_fork()
    assert taken_signals._mask.before is not None
    with monkeypatch.context() as patched:
        patched.setattr(signal, "pthread_sigmask", interrupted)
        with pytest.raises(KeyboardInterrupt):
            taken_signals._before_fork()
    assert taken_signals._mask.before is None


def test_a_forked_child_has_its_signals_back_and_no_pipe_of_ours() -> None:
    before = signal.getsignal(signal.SIGTERM)
    stops = StopRequests().open()
    taken_signals._before_fork()
    taken_signals._in_child()
    assert signal.getsignal(signal.SIGTERM) == before
    assert signal.set_wakeup_fd(-1) == -1
    for each in (stops._pipe.read, stops._pipe.write):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(each)
