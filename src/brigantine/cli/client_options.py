"""Options of all commands that are clients, and the client that they ask for."""

from __future__ import annotations

import argparse
import inspect
from typing import Any, TypeVar

from ..clients.codec import VERSIONS
from ..clients.lazy_pirate import LazyPirateClient
from ..clients.majordomo import MajordomoClient
from ..config import CLIENT_RETRIES
from .as_typed import as_typed
from .values import reachable, seconds, size, whole

__all__ = [
    "add_client_options",
    "add_mdp_version",
    "made_client",
]

_Client = TypeVar("_Client", LazyPirateClient, MajordomoClient)


def add_client_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--broker``, ``--timeout`` and ``--retries``, with the defaults of the clients."""
    defaults = inspect.signature(LazyPirateClient).parameters
    parser.add_argument(
        "--broker",
        action="append",
        required=True,
        metavar="EP",
        help="frontend endpoint of a broker; if given several times, in order of preference",
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=defaults["timeout"].default,
        metavar="SECONDS",
        help="how long one try waits for the reply (default %(default)s)",
    )
    parser.add_argument(
        "--retries",
        type=whole,
        default=defaults["retries"].default,
        metavar="N",
        help=f"how often to try again (default {CLIENT_RETRIES}, or once for each other broker)",
    )

    parser.add_argument(
        "--max-request-bytes",
        type=size,
        default=defaults["max_request_bytes"].default,
        metavar="BYTES",
        help="largest request, the same as the broker's --max-message-bytes (default %(default)s)",
    )


@as_typed()
def made_client(kind: type[_Client], arguments: argparse.Namespace, **more: Any) -> _Client:
    """The client that the options of :func:`add_client_options` ask for."""
    return kind(
        reachable(arguments.broker, "--broker"),
        timeout=arguments.timeout,
        retries=arguments.retries,
        max_request_bytes=arguments.max_request_bytes,
        **more,
    )


def add_mdp_version(parser: argparse.ArgumentParser) -> None:
    """Add ``--mdp-version``, for clients."""
    parser.add_argument(
        "--mdp-version",
        choices=tuple(VERSIONS),
        default=inspect.signature(MajordomoClient).parameters["version"].default,
        help="version of the Majordomo Protocol to speak (default %(default)s)",
    )
