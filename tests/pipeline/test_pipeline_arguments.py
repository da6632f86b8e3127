"""What can't be meant is named at once, with the value and what to do."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any, get_type_hints

import pytest
import zmq
from line import ANY

from brigantine import (
    BindError,
    ConfigError,
    PipelineConfig,
    PipelineOptions,
    PipelineWorker,
    Report,
    Sink,
    Ventilator,
    WrongUse,
    aio,
)
from brigantine.config.table import rows

SINK = "tcp://127.0.0.1:9"


def work(body: bytes) -> bytes:
    return body


WRONG: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: Sink(""), ConfigError, "endpoint: '' must begin with tcp://"),
    (lambda: Sink(ANY, plain="tcp://x"), ConfigError, "plain: 'tcp://x' must be tcp://HOST:PORT"),
    (lambda: Sink([]), ConfigError, "endpoint: at least one endpoint is needed"),
    (lambda: Sink("tcp://127.0.0.1:5", plain="tcp://127.0.0.1:5"), ConfigError, "for endpoint as well"),
    (lambda: Sink(ANY, liveness=1), ConfigError, "liveness must be from 2 to 1000, not 1"),
    (lambda: Sink(ANY, patience=1), WrongUse, "Sink has no option 'patience'"),  # type: ignore[call-arg]
    (lambda: Sink(ANY, batch_timeot=1), WrongUse, "did you mean batch_timeout?"),  # type: ignore[call-arg]
    (lambda: Sink(ANY, config=PipelineConfig(), liveness=4), WrongUse, "not both: liveness"),
    (lambda: Sink(ANY, config={}), WrongUse, "config must be a PipelineConfig"),  # type: ignore[arg-type]
    (lambda: Ventilator(ANY, "tcp://*:5"), ConfigError, "sink: 'tcp://*:5' can be bound but not"),
    (lambda: Ventilator(ANY, [SINK]), WrongUse, "a ventilator has one endpoint of a sink"),  # type: ignore[arg-type]
    (lambda: Ventilator(ANY, "inproc://s"), ConfigError, "pass context="),
    (lambda: Ventilator(ANY, SINK, name="a\nb"), ConfigError, "name must be printable"),
    (lambda: Ventilator(ANY, SINK, plain_sink=1), WrongUse, "plain_sink must be True or False"),  # type: ignore[arg-type]
    (lambda: PipelineWorker(SINK, SINK, 5), WrongUse, "handler must be a function"),  # type: ignore[arg-type]
    (lambda: PipelineWorker(SINK, SINK, work, prefetch=0), ConfigError, "prefetch must be from 1 to"),
    (
        lambda: PipelineWorker(SINK, SINK, work, capacity=4, prefetch=3), ConfigError,
        "prefetch (3) must be at least capacity (4)",
    ),
    (lambda: PipelineWorker(SINK, [SINK], work), WrongUse, "sink: a worker has one endpoint"),  # type: ignore[arg-type]
    (
        lambda: PipelineWorker(SINK, SINK, work, orphan_timeout=-1), ConfigError,
        "orphan_timeout must be from 0.01 to",
    ),
    (lambda: aio.PipelineWorker(SINK, SINK, work), WrongUse, "must be a coroutine function"),  # type: ignore[arg-type]
    (lambda: PipelineConfig(min_workers=1.5), WrongUse, "min_workers must be a whole number"),  # type: ignore[arg-type]
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), WRONG)
def test_a_mistake_is_named(call: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        call()


def test_an_address_in_use_is_a_bind_error_and_leaves_nothing_open() -> None:
    with Sink(ANY) as sink:
        before = len(os.listdir("/dev/fd"))
        with pytest.raises(BindError, match="the address is in use"):
            Ventilator(sink.endpoint, SINK)
        with pytest.raises(BindError, match="the address is in use"):
            Sink(ANY, plain=sink.endpoint)
        assert len(os.listdir("/dev/fd")) == before


def test_a_report_of_another_batch_is_refused() -> None:
    with Sink(ANY) as sink, Ventilator(ANY, sink.endpoint, min_workers=0) as ventilator:
        batch = ventilator.batch()
        with pytest.raises(WrongUse, match="is not ended"):
            batch.resend([0], [b"x"])
        batch._set_end()
        with pytest.raises(WrongUse, match="a report of batch abc"):
            batch.resend(Report(batch="abc", lost={}), [b"x"])
        with pytest.raises(ConfigError, match="number must be from 0 to -1"):
            batch.resend([0], [b"x"])


def test_what_is_too_large_is_named() -> None:
    with (
        Sink(ANY) as sink,
        Ventilator(ANY, sink.endpoint, max_message_bytes=1024, max_frames=4) as made,
    ):
        batch = made.batch()
        with pytest.raises(ConfigError, match="max_message_bytes=1024"):
            batch.send(b"x" * 1025)
        with pytest.raises(ConfigError, match="max_frames=4"):
            batch.send([b"x"] * 5)
        with pytest.raises(WrongUse, match="body must be bytes"):
            batch.send("text")  # type: ignore[arg-type]


def test_options_config_and_ranges_name_the_same() -> None:
    names = [field.name for field in fields(PipelineConfig)]
    assert names == list(rows(PipelineConfig))
    assert names == list(get_type_hints(PipelineOptions))


def test_a_sink_that_is_forgotten_is_closed() -> None:
    with zmq.Context() as context:
        Sink("inproc://forgotten", context=context)
        Sink("inproc://forgotten", context=context).close()
