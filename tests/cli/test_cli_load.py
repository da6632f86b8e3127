"""``brigantine load``: what comes out, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from commands import Command, Commands
from harness import PATIENCE, Peers, wait_until

from brigantine import LRUBroker
from brigantine.cli import main
from brigantine.core.structures.histogram import Histogram

ANY = "tcp://127.0.0.1:*"


@pytest.fixture
def running() -> Iterator[LRUBroker]:
    """A broker; where it does not matter which one."""
    with LRUBroker(ANY, ANY) as broker:
        yield broker


def ends(broker: LRUBroker) -> tuple[str, ...]:
    return ("--frontend", broker.frontend, "--backend", broker.backend)


def test_the_figures_of_a_run_are_told_in_lines_or_as_json(
    broker: Callable[..., LRUBroker], run: Commands
) -> None:
    running = broker()
    options = ("--clients", "6", "--workers", "3", "--requests", "300", "--size", "1KiB")
    command = run("load", "lru", *ends(running), *options)
    code, text = command.finish()
    assert (code, command.errors()) == (0, "")
    words = text.decode()
    for each in (
        "lru, closed loop",
        "clients 6 (window 1), workers 3 (capacity 1), bodies of 1,024 bytes",
        " requests/s (300 replies in ",
        "p50 ", "p90 ", "p99 ", "p99.9 ", "max ",
        "sent 300, lost 0, duplicates 0, wrong 0",
        "this process: user ",
    ):  # fmt: skip
        assert each in words, words
    # The broker is in the process of this test.
    command = run(
        "load", "lru", *ends(running), *options, "--json", "--broker-pid", str(os.getpid())
    )
    code, text = command.finish()
    assert (code, command.errors()) == (0, "")
    told = json.loads(text)
    assert told["ok"] is True
    assert (told["plan"]["pattern"], told["plan"]["clients"], told["replies"]) == ("lru", 6, 300)
    assert told["requests_per_second"] == pytest.approx(300 / told["seconds"])
    assert told["generator_cpu"]["user"] + told["generator_cpu"]["system"] > 0
    assert told["broker_cpu"]["io"] > 0
    share = told["worker_share"]
    assert share["min"] <= share["median"] <= share["max"]
    latency = told["latency_ms"]
    order = [latency[name] for name in ("min", "p50", "p90", "p99", "p99.9", "max")]
    assert order == sorted(order)
    # What several processes have found can be added up.
    histogram = Histogram.from_dict(told["histogram_ns"])
    histogram.add(Histogram.from_dict(told["histogram_ns"]))
    assert histogram.count == 600
    assert (histogram.quantile(0.5) or 0) * 1e3 == pytest.approx(latency["p50"])
    assert running.stats()["replied"] == 600


def test_workers_alone_run_until_they_are_stopped_and_tell_their_share(
    running: LRUBroker, run: Commands
) -> None:
    alone = run("load", "lru", "--clients", "0", "--workers", "4", "--backend", running.backend)
    wait_until(lambda: running.stats()["workers_joined"] == 4, "four workers")
    asking = run("load", "lru", "--workers", "0", "--clients", "1", "--requests", "20",
                 "--frontend", running.frontend)  # fmt: skip
    assert asking.finish()[0] == 0
    alone.process.send_signal(signal.SIGTERM)
    code, out = alone.finish()
    assert code == 0
    assert b"served 20: a worker 5 to 5, median 5" in out
    assert b"throughput" not in out
    assert alone.errors() == ""


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_broken_off_tells_the_figures_so_far(
    number: signal.Signals, expected: int, running: LRUBroker, run: Commands
) -> None:
    command = run("load", "lru", *ends(running), "--clients", "2", "--workers", "2",
                  "--duration", "1000")  # fmt: skip
    wait_until(lambda: running.stats()["replied"] > 100, "replies")
    command.process.send_signal(number)
    code, out = command.finish()
    assert code == expected
    assert b"broken off: these are the figures so far" in out
    assert b"p99.9" in out
    assert command.errors() == ""


def test_no_sigterm_keeps_the_figures_back_however_often_it_comes(
    running: LRUBroker, run: Commands
) -> None:
    command = run("load", "lru", *ends(running), "--clients", "2", "--workers", "2",
                  "--duration", "1000")  # fmt: skip
    wait_until(lambda: running.stats()["replied"] > 100, "replies")
    while command.process.poll() is None:
        command.process.terminate()
    code, out = command.finish()
    assert (code, command.errors()) == (143, "")
    assert b"broken off: these are the figures so far" in out


def test_lost_requests_make_the_exit_code_1(peers: Peers, run: Commands) -> None:
    mute = peers.socket(zmq.ROUTER)
    mute.bind(ANY)
    command = run("load", "lru", "--frontend", mute.last_endpoint.decode(), "--workers", "0",
                  "--clients", "3", "--requests", "3", "--timeout", "0.1")  # fmt: skip
    code, out = command.finish()
    assert code == 1
    assert b"sent 3, lost 3," in out
    assert b"no reply" in out


def test_a_terminal_sees_how_far_it_is(
    running: LRUBroker, run: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader, follower = pty.openpty()
    program = (
        "import os, sys\n"
        f"os.dup2({follower}, 2)\n"
        "import brigantine.cli.load as load\n"
        "load._TELL = 0.1\n"
        "from brigantine.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    monkeypatch.setattr("commands.subprocess.Popen", _passing(follower))
    command = run("load", "lru", *ends(running), "--clients", "2", "--workers", "2",
                  "--duration", "0.5", program=program)  # fmt: skip
    os.close(follower)
    seen = _all_of(leader)
    code, out = command.finish()
    assert code == 0
    assert b" replies, " in seen
    assert seen.endswith(b"\r\x1b[K")
    assert out.startswith(b"load ")


def _passing(descriptor: int) -> Callable[..., Any]:
    """``subprocess.Popen`` that lets the child have one more descriptor."""
    import subprocess

    real = subprocess.Popen

    def popen(*arguments: Any, **options: Any) -> Any:
        return real(*arguments, pass_fds=(descriptor,), **options)

    return popen


def _all_of(leader: int) -> bytes:
    """What is written to a terminal until everybody has closed it."""
    seen = b""
    with contextlib.suppress(OSError):  # EIO: the other side is closed
        while True:
            more = os.read(leader, 4096)
            if not more:
                break
            seen += more
    os.close(leader)
    return seen


NOWHERE = ("--frontend", "tcp://127.0.0.1:1", "--backend", "tcp://127.0.0.1:1")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["lru"], 2, "--frontend is missing"),
        (["lru", *NOWHERE, "--size", "15"], 2, "--size must be from 16 to"),
        (
            ["lru", *NOWHERE, "--pin", "4095"],
            2,
            "--pin: this process can't run on CPU 4095; it may",
        ),
        (["lru", *NOWHERE, "--pin", "-1"], 2, "can't run on CPU -1"),
        (["lru", *NOWHERE, "--broker-pid", "99999999"], 2, "--broker-pid: the CPU time of process"),
        (["lru", *NOWHERE, "--rate", "fast"], 2, "'fast' is not a number of requests a second"),
        (["lru", *NOWHERE, "--clients", "0", "--workers", "0"], 2, "--clients and --workers are"),
        (["lru", "--frontend", "inproc://x"], 2, "can't be reached from another process"),
        (["lru", *NOWHERE, "--capacity", "2"], 2, "no option '--capacity'"),
        (["mdp", *NOWHERE, "--mdp-version", "0.3"], 2, "0.3"),
        (["lru", *NOWHERE, "--connect-timeout", "0.05"], 1, "0 of 64 workers are connected to tcp"),
    ],
)
def test_trouble_is_told_in_one_line(
    arguments: list[str], code: int, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["load", *arguments]) == code
    out, errors = capfd.readouterr()
    assert out == ""
    assert errors.count("\n") == 1
    assert words in errors


def test_too_many_peers_for_the_hard_limit_of_open_files_are_refused(run: Commands) -> None:
    program = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (200, 400))\n"
        "from brigantine.cli import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = run("load", "lru", *NOWHERE, "--clients", "500", program=program)
    assert command.finish() == (2, b"")
    assert "564 clients and workers need 628 open files" in command.complaint()
    assert "may have 400" in command.complaint()
    # Within the hard limit the soft one is raised.
    command = run("load", "lru", *NOWHERE, "--clients", "200", "--connect-timeout", "0.05",
                  program=program)  # fmt: skip
    assert command.finish() == (1, b"")
    assert "0 of 64 workers are connected" in command.complaint()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no CPU affinity here")
def test_pin_keeps_all_threads_on_one_cpu(running: LRUBroker, run: Commands) -> None:
    cpu = max(os.sched_getaffinity(0))
    command = run("load", "lru", *ends(running), "--clients", "1", "--workers", "1",
                  "--duration", "1000", "--pin", str(cpu))  # fmt: skip
    wait_until(lambda: running.stats()["replied"] > 0, "a reply")
    threads = os.listdir(f"/proc/{command.process.pid}/task")
    assert len(threads) >= 4  # main, the load, libzmq's two
    assert {cpu} == set().union(*(os.sched_getaffinity(int(each)) for each in threads))
    stop(command)


def stop(command: Command) -> None:
    command.process.send_signal(signal.SIGTERM)
    assert command.process.wait(PATIENCE) == 143


@pytest.mark.parametrize("pattern", ["lru", "ppp", "mdp", "proxy"])
def test_help_tells_every_option(pattern: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", pattern, "--help"]) == 0
    words = capsys.readouterr().out
    options = [
        "--frontend", "--backend", "--clients", "--window", "--workers", "--requests", "--size",
        "--rate", "--duration", "--warmup", "--timeout", "--json", "--pin", "--broker-pid",
    ]  # fmt: skip
    options += {"ppp": ["--capacity"], "mdp": ["--capacity", "--service", "--mdp-version"]}.get(
        pattern, []
    )
    for option in options:
        assert option in words
    assert "The exit code is 0 when every request" in words
