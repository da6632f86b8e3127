"""What the tests of clients have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import mdp_doubles
import pytest
from doubles import client_maker
from mdp_doubles import mdp_broker

from brigantine import MajordomoBroker, MajordomoClient
from brigantine.clients.lazy_pirate import LazyPirateClient


@pytest.fixture
def running(impl: str) -> Iterator[MajordomoBroker]:
    with mdp_broker(impl) as broker:
        yield broker


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


@pytest.fixture
def clients() -> Iterator[Callable[..., LazyPirateClient]]:
    with client_maker() as make:
        yield make


@pytest.fixture
def mdp_clients() -> Iterator[Callable[..., MajordomoClient]]:
    with mdp_doubles.client_maker() as make:
        yield make
