"""Options of all commands that run until they are told to stop."""

from __future__ import annotations

import argparse

__all__ = ["add_log_level", "add_stop_at_eof"]


def add_log_level(parser: argparse.ArgumentParser, default: str) -> None:
    """Add ``--log-level``."""
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default=default,
        help=f"what goes to standard error (default {default})",
    )


def add_stop_at_eof(parser: argparse.ArgumentParser) -> None:
    """Add ``--stop-at-eof``."""
    parser.add_argument(
        "--stop-at-eof",
        action="store_true",
        help="stop at the end of standard input, as on SIGTERM: if a parent process holds the other "
        "end of a pipe and dies, this process then stops as well",
    )
