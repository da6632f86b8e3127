"""Tables of names and numbers, as ``brigantine ls`` and ``brigantine ctl`` print them."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["aligned", "printable"]

#: Between two columns.
_GAP = "  "
#: How the repr of bytes begins.
_REPR = ("b'", 'b"')


def aligned(rows: Sequence[tuple[str, ...]], left: int = 1) -> list[str]:
    """The rows as lines; the first ``left`` columns flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        _GAP.join(
            cell.ljust(width) if at < left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def printable(name: bytes) -> str:
    """A name so that it can be told apart from others and does nothing to a terminal."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return repr(name)
    plain = text.isprintable() and text == text.strip() and text
    # A name that looks like the repr of another is shown by its own.
    return text if plain and not text.startswith(_REPR) else repr(name)
