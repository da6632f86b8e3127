"""``brigantine check``: which sockets may be connected with which, why not, and who binds."""

from __future__ import annotations

import argparse

from ..pairs import EITHER, TYPES, Verdict, check, partners, type_name
from .exit_codes import DONE, FAILED
from .output import complain, write_text
from .table import aligned

__all__ = ["HELP", "NAME", "add_to"]

NAME = "check"
HELP = "Say whether sockets of two types may be connected, and why not."

_EPILOG = """\
With two types, says whether they may be connected, what such a pair is for and which side binds, or
why it can't work and what to use instead; the exit code is 1 if it can't. With one type, says this of
everything that such a socket may be connected with. Without types, prints the table of all pairs.

  brigantine check REQ DEALER
"""

#: What a cell of the table says of the type at the left of its row.
_BINDS, _CONNECTS, _EITHER, _NEVER = "bind", "conn", "any", "-"
_LEGEND = f"""\
What the type at the left does towards the one on top: {_BINDS} or {_CONNECTS}; {_EITHER}: the side
that is there first and stays should bind; {_NEVER}: the two can't be connected, and
"brigantine check TYPE TYPE" says why and what to use instead.
"""


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add what ``brigantine check`` understands."""
    parser.epilog = _EPILOG
    parser.set_defaults(run=_run)
    parser.add_argument("socket_type", nargs="?", metavar="TYPE", help="such as REQ")
    parser.add_argument("peer_type", nargs="?", metavar="TYPE", help="the type of the other side")


def _run(arguments: argparse.Namespace) -> int:
    one, other = arguments.socket_type, arguments.peer_type
    if one is None:
        write_text(_table() + "\n" + _LEGEND)
        return DONE
    if other is None:
        write_text("".join(f"{check(one, each)}\n" for each in partners(type_name(one))))
        return DONE
    verdict = check(one, other)
    if not verdict:
        complain(str(verdict))
        return FAILED
    write_text(f"{verdict}\n")
    return DONE


def _table() -> str:
    rows: list[tuple[str, ...]] = [("", *TYPES)]
    rows += [(one, *(_cell(check(one, other)) for other in TYPES)) for one in TYPES]
    return "\n".join([*aligned(rows), ""])


def _cell(verdict: Verdict) -> str:
    if not verdict:
        return _NEVER
    if verdict.binds == EITHER:
        return _EITHER
    return _BINDS if verdict.binds == verdict.socket_type else _CONNECTS
