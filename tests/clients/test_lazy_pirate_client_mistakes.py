"""What a LazyPirateClient refuses at once, with words."""

from __future__ import annotations

from typing import Any

import pytest

from brigantine import ConfigError
from brigantine.clients.lazy_pirate import LazyPirateClient


@pytest.mark.parametrize(
    "brokers",
    [
        "localhost:5555",
        "udp://127.0.0.1:5555",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:*",
        "tcp://127.0.0.1:0",
        "tcp://*:5555",
        "inproc://needs-a-context",
        [],
        [5555],
        ["tcp://127.0.0.1:5555", "tcp://"],
    ],
)
def test_an_endpoint_that_cannot_work_is_refused_at_once(brokers: Any) -> None:
    with pytest.raises(ConfigError, match="brokers"):
        LazyPirateClient(brokers)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("timeout", 0),
        ("timeout", -1.0),
        ("timeout", float("nan")),
        ("timeout", float("inf")),
        ("timeout", "2"),
        ("timeout", True),
        ("retries", -1),
        ("retries", 1.5),
        ("retries", True),
        ("backoff", -0.1),
        ("backoff_max", -0.1),
    ],
)
def test_a_number_that_cannot_work_is_refused_at_once(option: str, value: Any) -> None:
    endpoint = "tcp://127.0.0.1:5555"
    with pytest.raises(ConfigError, match=option):
        LazyPirateClient(endpoint, **{option: value})
    if option in ("timeout", "retries"):
        with LazyPirateClient(endpoint) as client, pytest.raises(ConfigError, match=option):
            client.request(b"q", **{option: value})


@pytest.mark.parametrize("body", ["text", None, 5, bytearray(b"x"), [b"x", "y"], [None], {b"x": 1}])
def test_a_body_that_is_not_bytes_is_refused_at_once(body: Any) -> None:
    with LazyPirateClient("tcp://127.0.0.1:5555") as client:
        with pytest.raises(TypeError, match="body must be bytes or a sequence of bytes"):
            client.request(body)
        assert client.stats()["requests"] == 0


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (bytearray(b"x"), "not bytearray; use bytes"),
        (memoryview(b"x"), "not memoryview; use bytes"),
        ([b"x", bytearray()], "item 1 of the list is bytearray; use bytes"),
        (["x"], "item 0 of the list is str; encode it first"),
    ],
)
def test_a_body_that_is_nearly_bytes_is_refused_with_what_to_do(body: Any, what: str) -> None:
    with (
        LazyPirateClient("tcp://127.0.0.1:5555") as client,
        pytest.raises(TypeError, match=what),
    ):
        client.request(body)


def test_a_body_without_frames_is_refused_at_once() -> None:
    with (
        LazyPirateClient("tcp://127.0.0.1:5555") as client,
        pytest.raises(ValueError, match="at least one frame"),
    ):
        client.request([])
