"""``brigantine request``: one request, and its reply on standard output."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from typing import BinaryIO

from ..clients.lazy_pirate import LazyPirateClient
from ..clients.majordomo import MajordomoClient
from ..errors import ConfigError, OptionName
from .client_options import add_client_options, made_client
from .output import write

__all__ = ["HELP", "NAME", "PATTERNS"]

NAME = "request"
HELP = "Send one request and print its reply."
LRU = "Send one request to an LRU broker (Lazy Pirate client: timeout, retries, several brokers)."
MDP = (
    "Send one request for a service to a Majordomo broker; parts of the reply come as they arrive."
)

_EPILOG = """\
The reply's bytes go to standard output unchanged; several frames are separated by newlines, and on a
terminal a newline follows. The exit code is 1 when there was no reply, or the worker's function
raised an error.
"""

_MDP_EPILOG = """\
The reply's bytes go to standard output unchanged, each part as soon as it arrives. Parts, and several
frames of one part, are separated by newlines, and on a terminal a newline follows. The exit code is 1
when there was no reply, a part took longer than the timeout, or the worker's function raised an error.

The service mmi.service, with the name of a service as BODY, answers 200 or 404. brigantine ls lists
all services at once.
"""

_FRAME_END = b"\n"
#: Bytes of standard input that are read at once.
_READ_SIZE = 65536


def add_lru(parser: argparse.ArgumentParser) -> None:
    """Add what ``brigantine request lru`` understands."""
    parser.epilog = _EPILOG
    parser.set_defaults(run=_run)
    add_client_options(parser, LazyPirateClient)
    parser.add_argument("body", metavar="BODY", help="the request; - reads it from standard input")


def add_mdp(parser: argparse.ArgumentParser) -> None:
    """Add what ``brigantine request mdp`` understands."""
    parser.epilog = _MDP_EPILOG
    parser.set_defaults(run=_run_mdp)
    add_client_options(parser, MajordomoClient)
    parser.add_argument("service", metavar="SERVICE", help="the name of the service")
    parser.add_argument(
        "body",
        metavar="BODY",
        nargs="?",
        default="",
        help="the request; - reads it from standard input (default: an empty one)",
    )


#: Name of the pattern -> what it is, and what adds its options.
PATTERNS = {
    "lru": (LRU, add_lru),
    "mdp": (MDP, add_mdp),
}


def _run(arguments: argparse.Namespace) -> int:
    with made_client(LazyPirateClient, arguments) as client:
        reply = client.request(_body(arguments.body, client))
    write(_joined(reply) + _last_line_end())
    return 0


def _run_mdp(arguments: argparse.Namespace) -> int:
    service = os.fsencode(arguments.service)
    with made_client(MajordomoClient, arguments) as client:
        _write_parts(client.stream(service, _body(arguments.body, client)))
    return 0


def _write_parts(parts: Iterable[bytes | list[bytes]]) -> None:
    separator = b""
    try:
        for part in parts:
            write(separator + _joined(part))
            separator = _FRAME_END
    finally:
        # What went wrong is told on a line of its own, not behind the parts that came before.
        if separator and (end := _last_line_end()):
            write(end)


def _joined(reply: bytes | list[bytes]) -> bytes:
    return reply if isinstance(reply, bytes) else _FRAME_END.join(reply)


def _last_line_end() -> bytes:
    return _FRAME_END if sys.stdout is not None and sys.stdout.isatty() else b""


def _body(word: str, client: LazyPirateClient | MajordomoClient) -> bytes:
    """The bytes of BODY exactly as they were typed, or those of standard input."""
    if word != "-":
        return os.fsencode(word)
    if sys.stdin is None:
        raise ConfigError("BODY is -, but standard input is closed")
    return _all_of(sys.stdin.buffer, client.config.max_request_bytes)


def _all_of(source: BinaryIO, most: int) -> bytes:
    """What is read there up to its end; it may have none."""
    body = bytearray()
    while data := source.read(_READ_SIZE):
        body += data
        if len(body) > most:
            raise ConfigError(
                f"standard input has more than {most} bytes, the most that a request may have; send less "
                "at once, or raise ",
                OptionName("max_request_bytes"),
                " and the broker's --max-message-bytes together",
            )
    return bytes(body)
