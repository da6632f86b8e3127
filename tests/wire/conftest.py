"""What the tests of wire have in common."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[..., list[str]]:
    """``log(*words)``: the lines of the broker that have all of them."""
    caplog.set_level(logging.INFO, "brigantine.broker")

    def lines(*words: str) -> list[str]:
        said = [each.getMessage() for each in caplog.records if each.name == "brigantine.broker"]
        return [line for line in said if all(word in line for word in words)]

    return lines
