"""How many files a command may have open: each peer costs one."""

from __future__ import annotations

import contextlib
import resource

__all__ = ["raise_file_limit"]


def raise_file_limit() -> None:
    """Raise the soft limit of open files to the hard one.

    The soft limit is 1024 on most machines, for the sake of programs that call select(); none of
    ours does.  Where the system refuses, things stay as they are.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
