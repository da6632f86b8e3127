"""The comparison itself: what it counts, what it calls a target met, what it draws."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from .chart import Bar, Panel, draw
from .compare import RATE, highest_rate
from .contenders import Missing, compiled_load
from .report import rewrite
from .targets import Target, targets

#: Subject, reply-to and body of one request.
Asked = tuple[str, str, bytes]


class FakeNats:
    """A server that answers clients' requests itself, as the test says: (to whom, body) pairs."""

    def __init__(self, answer: Callable[[int, Asked], list[tuple[str, bytes]]]) -> None:
        self._answer, self._asked = answer, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._subscribers: dict[str, socket.socket] = {}
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(
                threading.Thread(target=self._serve, args=(connection,), daemon=True)
            )
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                words = line.decode().split()
                if words[0] == "SUB":
                    self._subscribers[words[1]] = connection
                elif words[0] == "PING":
                    connection.sendall(b"PONG\r\n")
                elif words[0] == "PUB":
                    body = lines.read(int(words[-1]) + 2)[:-2]
                    with self._lock:
                        self._deliver((words[1], words[2], body))

    def _deliver(self, asked: Asked) -> None:
        number, self._asked = self._asked, self._asked + 1
        for to, body in self._answer(number, asked):
            head = f"MSG {to} 1 {len(body)}\r\n".encode()
            self._subscribers[to].sendall(head + body + b"\r\n")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def load() -> Iterator[Callable[..., dict[str, int]]]:
    """Runs the load for nats-server against a fake that answers as told; its figures."""
    try:
        program = compiled_load("nats_load")
    except Missing as missing:
        pytest.skip(str(missing))

    def run(
        answer: Callable[[int, Asked], list[tuple[str, bytes]]], **options: object
    ) -> dict[str, int]:
        server = FakeNats(answer)
        given = {"clients": 2, "workers": 0, "requests": 100, "timeout": 0.2, **options}
        words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        done = subprocess.run(
            [program, "--port", str(server.port), *words],
            capture_output=True,
            text=True,
            timeout=50,
        )
        server.close()
        figures: dict[str, int] = json.loads(done.stdout)
        assert done.returncode == (0 if figures["ok"] else 1)
        return figures

    return run


def honest(_: int, asked: Asked) -> list[tuple[str, bytes]]:
    return [(asked[1], asked[2])]


def test_the_load_for_nats_counts_right_replies(load: Callable[..., dict[str, int]]) -> None:
    figures = load(honest, window=3)
    assert figures["ok"]
    assert (figures["sent"], figures["replies"], figures["lost"]) == (100, 100, 0)


def test_the_load_for_nats_sees_second_replies(load: Callable[..., dict[str, int]]) -> None:
    figures = load(lambda number, asked: honest(number, asked) * (2 if number % 10 == 0 else 1))
    assert (figures["replies"], figures["duplicates"], figures["wrong"]) == (100, 10, 0)


def test_the_load_for_nats_sees_lost_requests(load: Callable[..., dict[str, int]]) -> None:
    figures = load(lambda number, asked: honest(number, asked) if number != 50 else [], window=2)
    assert (figures["sent"], figures["replies"], figures["lost"]) == (100, 99, 1)


def test_the_load_for_nats_sees_replies_of_others_and_changed_ones(
    load: Callable[..., dict[str, int]],
) -> None:
    def answer(number: int, asked: Asked) -> list[tuple[str, bytes]]:
        other = "_I.0" if asked[1] == "_I.1" else "_I.1"
        right, changed = (asked[1], asked[2]), (asked[1], asked[2][:-1] + b"\0")
        return {20: [(other, asked[2]), right], 40: [changed, right]}.get(number, [right])

    figures = load(answer)
    assert (figures["replies"], figures["wrong"], figures["duplicates"]) == (100, 2, 0)


def test_the_load_for_nats_counts_latency_from_the_intended_time(
    load: Callable[..., dict[str, int]],
) -> None:
    stalled = threading.Event()

    def answer(number: int, asked: Asked) -> list[tuple[str, bytes]]:
        if number == 20:
            stalled.wait(0.3)  # nobody sets it: the server stands still
        return honest(number, asked)

    figures = load(answer, rate=200, window=1, timeout=10)
    assert figures["replies"] == 100
    # Of the 60 requests meant to be sent meanwhile, more than the two that were out saw it.
    assert figures["latency_ms"]["max"] > 250  # type: ignore[index]
    assert figures["latency_ms"]["p90"] > 100  # type: ignore[index]


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target("", 1.4, 1.4), True),
        (Target("", 1.41, 1.4), False),
        (Target("", 1.0, 1.0, strict=True), False),
        (Target("", 2.5, 2.5, least=True), True),
        (Target("", 2.4, 2.5, least=True), False),
    ],
)
def test_a_target_is_met_or_missed(target: Target, met: bool) -> None:
    assert target.met is met


def test_ratios_are_of_medians_and_of_what_was_measured() -> None:
    runs = {"core lru": (10.0, 30.0, 20.0), "proxy": (40.0, 10.0, 10.0)}
    figures = {
        label: [{"cpu": value, "loop": value, "rate": 1.0, "p99": 1.0} for value in values]
        for label, values in runs.items()
    }
    found = {each.what: each for each in targets({"one-64": figures})}
    assert {each.value for each in found.values()} == {2.0}
    assert not any(each.met for each in found.values())
    assert not any("pure" in what for what in found)


@pytest.mark.parametrize("limit", [RATE, 12_345.0, 87_000.0])
def test_the_highest_rate_is_found(limit: float) -> None:
    found = highest_rate(lambda rate: rate <= limit)
    assert found is not None
    assert limit / 1.05 < found <= limit


def test_no_rate_and_nobody_there() -> None:
    assert highest_rate(lambda _: False) == 0.0
    assert highest_rate(lambda _: None) is None


def test_the_chart_has_a_bar_for_each_contender() -> None:
    bars = (Bar("core <lru>", (3.0, 4.0), 6.0, 8.0, ours=True), Bar("proxy", (5.0,), 5.0, 9.0))
    drawn = ElementTree.fromstring(draw("heading", [Panel("one", bars)], ("a", "b"), "note"))
    texts = {each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert {"heading", "one", "core <lru>", "proxy", "7.0", "5.0", "a", "b", "note"} <= texts
    wide = [float(each.get("width", 0)) for each in drawn.iter("{http://www.w3.org/2000/svg}rect")]
    assert wide[2] / wide[1] == pytest.approx(4 / 3, abs=0.01)


def test_rewriting_touches_only_what_is_between_the_markers(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("before\n<!-- x -->\nold\n<!-- /x -->\nafter\n")
    rewrite(file, "x", "new \\1\n")
    assert file.read_text() == "before\n<!-- x -->\nnew \\1\n<!-- /x -->\nafter\n"
    with pytest.raises(ValueError, match="has no <!-- y -->"):
        rewrite(file, "y", "new")
