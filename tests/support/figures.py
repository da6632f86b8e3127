"""Fault tests record what they measured; the figures stand in a table at the end of the run."""

from __future__ import annotations

from typing import Any

__all__ = ["measured", "table"]

#: (row of the fault list, implementation, test, figures) of every call of ``record``.
measured: list[tuple[int, str, str, dict[str, Any]]] = []


def table() -> list[str]:
    """A line for each."""
    ordered = sorted(measured, key=lambda each: (each[0], each[2], each[1]))
    return [
        f"{row:3} {impl:4}  {'  '.join(f'{name}={_shown(value)}' for name, value in figures.items())}"
        f"  [{test}]"
        for row, impl, test, figures in ordered
    ]


def _shown(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)
