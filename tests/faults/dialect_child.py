"""A ParanoidPirateBroker or MajordomoBroker alone in a process (see ``crew.DialectProcess``).

    python dialect_child.py CLASS IMPL FRONTEND BACKEND OPTIONS   BACKEND: "" for one socket

It talks in the lines of ``child``.  SIGTERM drains; then it says ``ended STATS`` and exits 0.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading

from child import PR_SET_PDEATHSIG, say

import brigantine


def main(name: str, impl: str, frontend: str, backend: str, options: str) -> None:
    made = getattr(brigantine, name)(
        frontend, backend or None, impl=impl, **_options(json.loads(options))
    )
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=_drain, args=(made,)).start())
    with made as broker:
        say("ready", broker.frontend, broker.backend)
        for line in sys.stdin:
            if line == "stats\n":
                say("stats", json.dumps(broker.stats()))


def _drain(broker: brigantine.ParanoidPirateBroker) -> None:
    broker.drain()
    say("ended", json.dumps(broker.stats()))
    os._exit(0)  # the main thread waits for a line


def _options(options: dict[str, object]) -> dict[str, object]:
    """JSON knows no bytes."""
    return {key: each.encode() if isinstance(each, str) else each for key, each in options.items()}


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    main(*sys.argv[1:])
