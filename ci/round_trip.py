"""Import what is installed and send one request through a broker, worker and back."""

from __future__ import annotations

import warnings
from importlib.metadata import version

warnings.simplefilter("error")

from brigantine import LazyPirateClient, LRUBroker, LRUWorker, ledger_holds  # noqa: E402

for impl in ("core", "pure"):
    with (
        LRUBroker("tcp://127.0.0.1:*", "tcp://127.0.0.1:*", impl=impl) as broker,
        LRUWorker(broker.backend, bytes.upper),
        LazyPirateClient(broker.frontend) as client,
    ):
        assert client.request(b"ahoy") == b"AHOY"
        assert ledger_holds(broker.stats())
        print(
            f"brigantine {version('brigantine')} {impl}, pyzmq {version('pyzmq')}: one round trip"
        )
