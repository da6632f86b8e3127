"""The envelope for programs: a message of a ROUTER, taken apart and put together again.

It is the compiled one, or the readable one where BRIGANTINE_IMPL says so; both are also
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
