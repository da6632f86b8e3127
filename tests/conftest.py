"""Every black-box test runs on both implementations; a run in which one of them is missing fails."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import zmq
from commands import Commands, started
from doubles import RawBroker
from figures import measured, table
from harness import Peers, wait_until
from name_doubles import Names
from pairwise import left_out

from brigantine import LRUBroker
from brigantine._impl import implementation

IMPLEMENTATIONS = ("core", "pure")
#: Folders of what hands the implementation through, mostly to processes of its own, which take their time:
#: by default on one of them.
HANDED_THROUGH = ("cli", "demo")
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

#: How many tests ran on each implementation.
_ran: Counter[str] = Counter()


def pytest_sessionstart() -> None:
    """A signal that comes when its test is over would end the process, without a word."""
    for each in (signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(each, _came_late)


def _came_late(number: int, _: object) -> None:
    print(f"{signal.Signals(number).name} came when no test wanted it", file=sys.__stderr__)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--impl", choices=IMPLEMENTATIONS, help="run the tests of one implementation only"
    )
    parser.addoption(
        "--long", action="store_true", help="run the tests that take long, and only those"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    only, long = config.getoption("--impl"), config.getoption("--long")
    kept, left = [], []
    rest = left_out(items)
    for item in items:
        callspec = getattr(item, "callspec", None)
        impl = callspec.params.get("impl") if callspec else None
        wanted = only in (None, impl) or impl is None
        handed = only is None and impl == "pure" and item.path.parent.name in HANDED_THROUGH
        is_long = handed or item in rest or item.get_closest_marker("long") is not None
        (kept if wanted and is_long == long else left).append(item)
    items[:] = kept
    if left:
        config.hook.pytest_deselected(items=left)


@pytest.fixture(autouse=True)
def signals_are_as_before() -> Iterator[None]:
    """What is done to signals in a test would go to the programs that later tests start."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    handlers = {each: signal.getsignal(each) for each in _STOP_SIGNALS}
    yield
    after = signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    handlers_after = {each: signal.getsignal(each) for each in _STOP_SIGNALS}
    for number, handler in handlers.items():
        if handlers_after[number] != handler:
            signal.signal(number, handler)
    assert after == mask
    assert handlers_after == handlers


@pytest.fixture(params=IMPLEMENTATIONS)
def impl(request: pytest.FixtureRequest) -> str:
    """The implementation under test: "core", then "pure"."""
    name: str = request.param
    module = implementation(name)
    assert module.__name__ == f"brigantine.{name}"
    _ran[name] += 1
    return name


@pytest.fixture
def record(request: pytest.FixtureRequest, impl: str) -> Callable[..., None]:
    """``record(fault, **figures)``: keep what a test measured while that was done, in words."""

    name, _, case = request.node.name.removeprefix("test_").partition("[")
    case = case.removesuffix("]").replace(impl, "").strip("-")
    shown = f"{name.replace('_', ' ')}: {case}" if case else name.replace("_", " ")

    def keep(fault: str, **figures: Any) -> None:
        measured.append((fault, impl, shown, figures))

    return keep


@pytest.fixture
def rooms(impl: str) -> ModuleType:
    """The package of the implementation under test: ``rooms.LRUQueue`` and so on."""
    return implementation(impl)


@pytest.fixture
def peers() -> Iterator[Peers]:
    """Raw pyzmq sockets, all closed at the end."""
    with Peers() as made:
        yield made


@pytest.fixture
def broker(impl: str) -> Iterator[Callable[..., LRUBroker]]:
    """``broker(**options)`` starts an LRUBroker on free tcp ports; all are stopped at the end."""
    running: list[LRUBroker] = []

    def start(
        frontend: Any = "tcp://127.0.0.1:*", backend: Any = "tcp://127.0.0.1:*", **options: Any
    ) -> LRUBroker:
        running.append(LRUBroker(frontend, backend, impl=impl, **options))
        return running[-1]

    yield start
    for each in running:
        each.stop()


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """What answers in place of the system's resolver."""
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made.getaddrinfo)
    before = _lookups()
    yield made
    made.go.set()
    # Those that hang count against the next ones of their name.
    wait_until(lambda: _lookups() <= before, "the end of the look-ups")


def _lookups() -> int:
    return sum(each.name == "brigantine-lookup" for each in threading.enumerate())


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[..., list[str]]:
    """``log(*words)``: the lines of the broker that have all of them."""
    caplog.set_level(logging.INFO, "brigantine.broker")

    def lines(*words: str) -> list[str]:
        said = [each.getMessage() for each in caplog.records if each.name == "brigantine.broker"]
        return [line for line in said if all(word in line for word in words)]

    return lines


@pytest.fixture(autouse=True)
def _no_socket_left() -> Iterator[None]:
    """A test that leaves the process-wide context in use would make the next one wait."""
    yield
    assert not zmq.Context._instance or zmq.Context._instance.closed


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if measured:
        terminalreporter.section("figures of faults (implementation, what was measured, test)")
        for line in table():
            terminalreporter.write_line(line)
    counts = ", ".join(f"{name} {_ran[name]}" for name in IMPLEMENTATIONS)
    terminalreporter.write_line(f"tests by implementation: {counts}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """Reports travel from process to process as UTF-8, which can't hold what some tests log."""
    report = yield
    report.sections = [
        (title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections
    ]
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """One of several processes has ended: what it counted and measured."""
    found = getattr(node, "workeroutput", {})
    _ran.update(found.get("ran", {}))
    measured.extend(found.get("measured", ()))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """An unfiltered, green run that never tried one of the implementations is not green."""
    if hasattr(session.config, "workeroutput"):  # one of several processes
        session.config.workeroutput |= {"ran": dict(_ran), "measured": measured}
        return
    option = session.config.option
    filtered = (
        option.impl or option.keyword or option.markexpr or option.collectonly or option.long
        or session.config.args != session.config.getini("testpaths")
    )  # fmt: skip
    if exitstatus == 0 and not filtered and not all(_ran[name] for name in IMPLEMENTATIONS):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def run() -> Iterator[Commands]:
    """Starts commands."""
    yield from started()


@pytest.fixture
def raw(peers: Peers) -> RawBroker:
    return RawBroker(peers)
