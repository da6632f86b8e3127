"""A load generator that drives any broker of these protocols, ours or another's.

:class:`Plan` says what is to be done, :class:`Generator` does it in a thread of its own without the
GIL, :class:`Figures` is what came out.  ``brigantine load`` is the command line to them.
"""

from __future__ import annotations

from ..config.load import Plan
from .figures import Figures
from .generator import Generator

__all__ = ["Figures", "Generator", "Plan"]
