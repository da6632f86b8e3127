"""What publishers and subscribers are told on the command line beside their tables of options."""

from __future__ import annotations

import argparse

from .values import none_or_more, seconds

__all__ = ["add_endpoints", "add_waiting"]


def add_endpoints(parser: argparse.ArgumentParser, words: str) -> None:
    """Add ``--endpoint``."""
    parser.add_argument(
        "--endpoint", action="append", required=True, metavar="EP", help=words, dest="endpoints"
    )


def add_waiting(
    parser: argparse.ArgumentParser, option: str, who: str, default: float | None, more: str
) -> None:
    """Add ``--subscribers`` or ``--publishers``, and ``--timeout``."""
    parser.add_argument(
        option,
        type=none_or_more,
        default=1,
        metavar="N",
        help=f"how many {who} of brigantine to wait for at first; 0: none (default 1)",
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=default,
        metavar="SECONDS",
        help=f"how long to wait {more}",
    )
