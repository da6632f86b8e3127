"""The pipeline for asyncio, with the names that it has for threads.

The same threads hold the sockets; only the callers that wait are tasks.
"""

from __future__ import annotations

from .sink_aio import ReceivedBatch, Sink
from .ventilator_aio import SentBatch, Ventilator
from .worker_aio import PipelineWorker

__all__ = ["PipelineWorker", "ReceivedBatch", "SentBatch", "Sink", "Ventilator"]
