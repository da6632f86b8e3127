"""A pipeline on free ports, closed at the end whatever a test does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from figures import measured
from line import Child, Line

Record = Callable[..., None]


@pytest.fixture
def line() -> Iterator[Callable[..., Line]]:
    """``line(**options)``: a sink and a ventilator, and workers as they are asked for."""
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> Line:
            made = Line(**options)
            stack.callback(made.close)
            return made

        yield make


@pytest.fixture
def child() -> Iterator[Callable[..., Child]]:
    """``child(role, *arguments)``: a process of tests/pipeline/pipeline_child.py, killed at the end."""
    made: list[Child] = []

    def start(*arguments: object) -> Child:
        made.append(Child(*map(str, arguments)))
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """``record(fault, **figures)``: keep what a test measured while that was done, in words."""
    name = request.node.name.removeprefix("test_").replace("_", " ")

    def keep(fault: str, **figures: Any) -> None:
        measured.append((fault, "both", name, figures))

    return keep
