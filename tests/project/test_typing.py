"""A type checker finds the mistakes that it can find, and nothing else, in programs that use us."""

from __future__ import annotations

import re
import subprocess
import sys
import typing
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from brigantine import (
    BrokerConfig,
    BrokerOptions,
    ClientConfig,
    ClientOptions,
    DeviceConfig,
    DeviceOptions,
    PairConfig,
    PairOptions,
    PipelineConfig,
    PipelineOptions,
    PublisherConfig,
    PublisherOptions,
    RouterConfig,
    RouterOptions,
    ServerConfig,
    ServerOptions,
    SubscriberConfig,
    SubscriberOptions,
    WorkerConfig,
    WorkerOptions,
)

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "typing"
#: What mypy says: line, and what kind of error.
_ERROR = re.compile(r"^[^:]+:(\d+): error: .*\[([a-z-]+)\]$", re.M)
_EXPECTED = re.compile(r"# wrong: ([a-z-]+(?:, [a-z-]+)*)$")


def found(program: str) -> dict[int, set[str]]:
    """The kinds of errors that mypy --strict finds, by line."""
    pytest.importorskip("mypy", reason="mypy is of the lint extra; ci/run has it")
    command = [
        sys.executable, "-m", "mypy", "--strict", "--python-version", "3.10", "--no-error-summary",
        "--hide-error-context", "--config-file", "pyproject.toml", PROGRAMS / program,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    errors: dict[int, set[str]] = {}
    for line, kind in _ERROR.findall(done.stdout):
        errors.setdefault(int(line), set()).add(kind)
    return errors


@pytest.mark.timeout(300)
def test_right_uses_pass_a_strict_type_checker() -> None:
    assert found("right.py") == {}


@pytest.mark.timeout(300)
def test_wrong_uses_fail_a_strict_type_checker() -> None:
    lines = (PROGRAMS / "wrong.py").read_text(encoding="utf-8").splitlines()
    expected = {
        number: set(match[1].split(", "))
        for number, line in enumerate(lines, 1)
        if (match := _EXPECTED.search(line))
    }
    assert expected
    errors = found("wrong.py")
    assert {lines[at - 1].strip() for at in expected.keys() - errors.keys()} == set()
    assert {at: lines[at - 1].strip() for at in errors.keys() - expected.keys()} == {}
    assert {at: kinds for at, kinds in errors.items() if not kinds & expected[at]} == {}


@pytest.mark.parametrize(
    ("options", "config"),
    [
        (BrokerOptions, BrokerConfig),
        (ClientOptions, ClientConfig),
        (DeviceOptions, DeviceConfig),
        (PairOptions, PairConfig),
        (PipelineOptions, PipelineConfig),
        (PublisherOptions, PublisherConfig),
        (RouterOptions, RouterConfig),
        (ServerOptions, ServerConfig),
        (SubscriberOptions, SubscriberConfig),
        (WorkerOptions, WorkerConfig),
    ],
)
def test_the_options_that_type_checkers_see_are_those_that_are_taken(
    options: Any, config: Any
) -> None:
    declared = typing.get_type_hints(options)
    taken = typing.get_type_hints(config)
    assert declared == {field.name: taken[field.name] for field in fields(config)}
    assert list(declared) == [field.name for field in fields(config)]
    assert not options.__required_keys__
