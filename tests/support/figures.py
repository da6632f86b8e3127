"""Fault tests record what they measured; the figures stand in a table at the end of the run."""

from __future__ import annotations

from itertools import groupby
from typing import Any

__all__ = ["measured", "table"]

#: (fault in words, implementation, test, figures) of every call of ``record``.
measured: list[tuple[str, str, str, dict[str, Any]]] = []


def table() -> list[str]:
    """The faults in words, and below each of them a line for each test."""
    lines: list[str] = []
    for fault, found in groupby(sorted(measured, key=_order), key=lambda each: each[0]):
        lines.append(fault)
        for _, impl, test, figures in found:
            shown = "  ".join(f"{name}={_shown(value)}" for name, value in figures.items())
            lines.append(f"  {impl:4}  {shown}  [{test}]")
    return lines


def _order(each: tuple[str, str, str, dict[str, Any]]) -> tuple[str, str, str]:
    fault, impl, test, _ = each
    return fault, test, impl


def _shown(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)
