"""Who stands at an endpoint that does not belong there: named, and no trouble to the others."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import zmq
from doubles import free_endpoint
from harness import PATIENCE, Peers, wait_until
from line import ANY, bodies

import brigantine
from brigantine import BindError, PipelineWorker, Sink, Ventilator


def sink_at(where: str) -> Sink:
    """Bound once whoever was there has gone: libzmq closes in a thread of its own."""

    def bound() -> Sink | None:
        with contextlib.suppress(BindError):
            return Sink(where)
        return None

    made: Sink = wait_until(bound)
    return made


def test_a_plain_program_that_was_not_told_of_is_named_and_the_right_one_is_reached(
    peers: Peers, caplog: pytest.LogCaptureFixture
) -> None:
    where = free_endpoint()
    wrong = peers.socket(zmq.PULL)
    wrong.bind(where)
    with Ventilator(ANY, where) as ventilator:
        wait_until(lambda: "a PULL is bound there" in caplog.text)
        wait_until(lambda: "pass plain_ventilator=True or plain_sink=True" in caplog.text)
        assert not ventilator._io.sink_ready
        wrong.close(0)
        with sink_at(where) as sink:
            with PipelineWorker(ventilator.endpoint, where, bytes.upper):
                ventilator.wait_ready(1, PATIENCE)
                assert ventilator.send(bodies(3)).wait(PATIENCE).complete
            assert len(list(sink.next_batch(PATIENCE))) == 3


def test_a_connection_that_says_nothing_is_no_worker() -> None:
    with Sink(ANY) as sink, Ventilator(ANY, sink.endpoint, plain_workers=ANY) as ventilator:
        for endpoint in (*ventilator.endpoints, *ventilator.plain_endpoints, sink.endpoint):
            host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
            for said in (b"", b"GET / HTTP/1.1\r\n\r\n", os.urandom(100)):
                with socket.create_connection((host, int(port))) as stranger:
                    stranger.sendall(said)
        with PipelineWorker(ventilator.endpoint, sink.endpoint, bytes.upper):
            ventilator.wait_ready(1, PATIENCE)
            assert ventilator.stats()["plain_workers"] == 0
            assert ventilator.send(bodies(3)).wait(PATIENCE).complete


def test_a_host_may_be_a_name() -> None:
    with Sink(ANY) as sink:
        where = sink.endpoint.replace("127.0.0.1", "localhost")
        with Ventilator(ANY, where) as ventilator:
            named = ventilator.endpoint.replace("127.0.0.1", "localhost")
            with PipelineWorker(named, where, bytes.upper):
                ventilator.wait_ready(1, PATIENCE)
                assert ventilator.send(bodies(3)).wait(PATIENCE).complete


WAITS = """
import sys
from brigantine import Sink, Ventilator
sink = Sink("tcp://127.0.0.1:*")
ventilator = Ventilator("tcp://127.0.0.1:*", sink.endpoint)
try:
    print("waits", flush=True)
    {call}
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize(
    "call",
    [
        "ventilator.send([b'x'])",
        "ventilator.wait_ready()",
        "sink.next_batch()",
        "sink.wait_ready()",
    ],
)
def test_ctrl_c_ends_a_call_that_waits_and_the_program_ends(call: str) -> None:
    path = os.pathsep.join(
        [str(Path(brigantine.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    )
    with subprocess.Popen(
        [sys.executable, "-c", WAITS.format(call=call)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        assert process.wait(PATIENCE) == 0  # nothing is closed, and nothing hangs
