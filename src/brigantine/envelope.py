"""The envelope for programs: takes a message of a ROUTER apart and puts it together again.

It is the compiled class, or the pure one if BRIGANTINE_IMPL says so; these are also
``brigantine.core.Envelope`` and ``brigantine.pure.Envelope``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._impl import implementation

__all__ = ["Envelope"]

if TYPE_CHECKING:
    from .pure.wire.envelope import Envelope
else:
    Envelope = implementation().Envelope
