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
        help="take the end of standard input as a reason to stop, as SIGTERM: a parent "
        "process that holds the other end of a pipe then can't die without this process stopping, too",
    )
