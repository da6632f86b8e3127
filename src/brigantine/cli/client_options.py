"""Options of all commands that are clients, and the client that they ask for."""

from __future__ import annotations

import argparse
from typing import TypeVar

from ..clients.lazy_pirate import LazyPirateClient
from ..clients.majordomo import MajordomoClient
from .options import add_config_options, options_from
from .values import reachable

__all__ = [
    "add_client_options",
    "made_client",
]

_Client = TypeVar("_Client", LazyPirateClient, MajordomoClient)


def add_client_options(
    parser: argparse.ArgumentParser, kind: type[LazyPirateClient | MajordomoClient]
) -> None:
    """Add ``--broker`` and the options of a client, with its defaults."""
    parser.add_argument(
        "--broker",
        dest="brokers",
        action="append",
        required=True,
        metavar="EP",
        help="frontend endpoint of a broker; if given several times, in order of preference",
    )
    add_config_options(parser, kind.options(), kind.option_names())


def made_client(kind: type[_Client], arguments: argparse.Namespace) -> _Client:
    """The client that the options of :func:`add_client_options` ask for."""
    return kind(
        reachable(arguments.brokers, "brokers"), **options_from(arguments, kind.option_names())
    )
