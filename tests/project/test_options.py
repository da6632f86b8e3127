"""One table of options: classes, errors, docstrings and the command line have them from there."""

from __future__ import annotations

import argparse
import inspect
import pickle
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import brigantine
from brigantine import BrokerConfig, ConfigError, ConfigWarning, WorkerConfig, WrongUse, aio
from brigantine.cli import main
from brigantine.cli.options import words_for
from brigantine.cli.parser import build_parser
from brigantine.config.given import TakesOptions
from brigantine.config.table import rows

TO = "tcp://127.0.0.1:5555"
BROKER = ("broker", "lru", "--frontend", TO, "--backend", "ipc:///x")
PUBLIC = [
    each
    for home in (brigantine, aio)
    for each in map(home.__dict__.get, home.__all__)
    if isinstance(each, type) and issubclass(each, TakesOptions) and hasattr(each, "_takes")
]


def echo(body: bytes) -> bytes:
    return body


@pytest.mark.parametrize("kind", PUBLIC)
def test_a_class_lists_its_options_and_type_checkers_see_the_same(kind: Any) -> None:
    told = inspect.getdoc(kind) or ""
    for name in rows(kind._table):
        assert (f"- ``{name}``: " in told) == (name in kind.option_names()), name
    annotation = inspect.signature(kind).parameters["options"].annotation
    declared = annotation.removeprefix("Unpack[").removesuffix("]")
    if "Device" not in kind.__name__:  # an option of another device is told by its name
        assert declared == kind._takes.__name__


@pytest.mark.parametrize("kind", PUBLIC)
def test_a_config_keeps_the_defaults_of_the_class(kind: Any) -> None:
    own = kind.options()
    assert kind._table().filled(kind._own()) == own
    assert (
        "None" not in repr(getattr(own, "heartbeat_interval", 1.0)) or kind is brigantine.AnyBroker
    )


def test_a_worker_takes_a_config_or_single_options() -> None:
    config = WorkerConfig(capacity=3, reconnect_max=9.0)
    worker = brigantine.MajordomoWorker(TO, "echo", echo, config=config)
    assert worker.config == brigantine.MajordomoWorker.options(capacity=3, reconnect_max=9.0)
    assert worker.config.heartbeat_interval == 2.5
    with pytest.raises(WrongUse, match="a config or single options, not both: capacity"):
        brigantine.MajordomoWorker(TO, "echo", echo, config=config, capacity=3)
    with pytest.raises(WrongUse, match=r"config must be a WorkerConfig, not BrokerConfig\("):
        brigantine.MajordomoWorker(TO, "echo", echo, config=BrokerConfig())  # type: ignore[arg-type]
    with pytest.raises(WrongUse, match="LRUWorker has no option 'capacity'") as raised:
        brigantine.LRUWorker(TO, echo, config=config)
    assert raised.value.option == "capacity"


def test_a_client_and_a_device_take_a_config() -> None:
    config = brigantine.ClientConfig(timeout=3.0, version="0.1")
    with brigantine.MajordomoClient(TO, config=config) as client:
        assert client.config == config
    with pytest.raises(WrongUse, match="LazyPirateClient has no option 'version'"):
        brigantine.LazyPirateClient(TO, config=config)
    anywhere = "tcp://127.0.0.1:*"
    small = brigantine.DeviceConfig(peer_bytes=1)
    with brigantine.QueueDevice(anywhere, anywhere, config=small) as device:
        assert device.config == small
    with pytest.raises(ConfigError, match="peer_bytes is an option of a QueueDevice") as raised:
        brigantine.StreamerDevice(anywhere, anywhere, config=small)
    assert raised.value.option == "peer_bytes"


def test_an_error_knows_its_option_and_can_be_spelled_otherwise() -> None:
    with pytest.raises(ConfigError) as raised:
        BrokerConfig(max_depth=10, max_frames=5)
    error = pickle.loads(pickle.dumps(raised.value))
    assert error.option == "max_depth"
    assert str(error) == str(raised.value)
    assert str(error).startswith("max_depth (10) must be below max_frames (5): ")
    assert error.spelled(str.upper).startswith("MAX_DEPTH (10) must be below MAX_FRAMES (5): ")
    assert ConfigError("of none").option == ""


def test_a_warning_knows_its_option() -> None:
    with pytest.warns(ConfigWarning) as told:
        BrokerConfig(service_grace=2500)
    assert [each.message.option for each in told] == ["service_grace"]  # type: ignore[union-attr]


def commands(parser: argparse.ArgumentParser, *words: str) -> Iterator[tuple[list[str], Any]]:
    """Each command with its patterns, and its parser."""
    inner = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    if not inner:
        yield list(words), parser
    for each in inner:
        for word, made in each.choices.items():
            yield from commands(made, *words, word)


@pytest.mark.parametrize("pattern", ["lru", "ppp", "mdp"])
def test_worker_processes_are_given_every_option_that_was_given(pattern: str) -> None:
    parser = {" ".join(words): made for words, made in commands(build_parser())}[
        f"worker {pattern}"
    ]
    line = ["--broker=tcp://h:1", "--log-level=debug", "m:f"]
    for action in parser._actions:
        option = action.option_strings[0] if action.option_strings else ""
        if action.dest in ("help", "log_level", "broker", "brokers", "handler"):
            continue
        if action.nargs == 0:
            line.insert(0, option)
        else:
            value = action.choices[0] if action.choices else "2"
            line.insert(0, f"{option}={value}")
    given = parser.parse_args(line)
    again = parser.parse_args(words_for(parser, given, without=("processes", "stop_at_eof")))
    left = {
        name: vars(given)[name]
        for name in vars(given)
        if vars(again).get(name) != vars(given)[name]
    }
    assert set(left) == {"processes", "stop_at_eof"}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((*BROKER, "--max-depth", "99", "--max-frames", "9"),
         "--max-depth (99) must be below --max-frames (9)"),
        (("worker", "ppp", "--broker", TO, "--reconnect-max", "0.5", "a:b"),
         "--reconnect-min (1.0) must not be above --reconnect-max (0.5); without --reconnect-min it is the "
         "--heartbeat-interval"),
        (("request", "lru", "--broker", "x", "q"), "--broker: 'x' must begin with"),
        (("request", "mdp", "--broker", TO, "--backoff", "-1", "s"), "--backoff must be from 0 to 3600"),
        (("device", "queue", "--frontend", TO, "--backend", "ipc:///x", "--peer-bytes", "9999999GiB"),
         "--peer-bytes must be from 0"),
        (("load", "lru", "--clients", "0", "--rate", "5", "--backend", TO),
         "--requests and --rate are for clients, and --clients is 0"),
    ],
)  # fmt: skip
def test_the_command_line_names_options_as_they_are_typed(
    words: tuple[str, ...], complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        assert main(words) == 2
    assert complaint in capfd.readouterr().err
