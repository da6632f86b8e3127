"""Programs in which gevent or eventlet has replaced what threads are made of.

There any thread of brigantine would be a greenlet of the only one, which the first call of libzmq that
waits stops for ever: the program freezes without a word.  Neither is imported for the check.
"""

from __future__ import annotations

import sys

from ..errors import WrongUse

__all__ = ["refuse_patched"]

#: What must be as Python has it, as gevent names it, and as eventlet does.
_GEVENT = ("threading", "thread", "queue")
_EVENTLET = ("thread",)


def refuse_patched(what: str) -> None:
    """Raise :class:`~brigantine.errors.WrongUse` where ``what``, a class of brigantine, would freeze."""
    gevent, eventlet = sys.modules.get("gevent.monkey"), sys.modules.get("eventlet.patcher")
    if gevent is not None:
        replaced = [name for name in _GEVENT if gevent.is_module_patched(name)]
        if replaced:
            keep = ", ".join(f"{name}=False" for name in ("thread", "queue"))
            _refuse(
                what, "gevent", replaced, f"patch_all({keep}), before anything else is imported"
            )
    if eventlet is not None:
        replaced = [name for name in _EVENTLET if eventlet.is_monkey_patched(name)]
        if replaced:
            _refuse(what, "eventlet", replaced, "monkey_patch(thread=False)")


def _refuse(what: str, who: str, replaced: list[str], instead: str) -> None:
    raise WrongUse(
        f"{what} runs in threads of its own, and {who} has replaced Python's "
        f"({', '.join(replaced)}): the program would freeze. Leave them as they are, with {instead}, "
        f"or run this part in a process without {who}"
    )
