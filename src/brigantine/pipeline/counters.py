"""The counters of ventilators, sinks and the workers between them: names and what they mean."""

from __future__ import annotations

from ..counters import COUNTERS

__all__ = ["SINK_COUNTERS", "VENTILATOR_COUNTERS", "WORKER_STATS"]

_PEERS = {
    "workers": "gauge: brigantine workers that are connected and ready",
    "workers_joined": "times that a worker said it is ready, after a lost connection, too",
    "workers_lost": "workers whose connection ended, or that were silent, and had not said they leave",
    "expired": "workers and ventilators lost because nothing was heard of them in time",
    "refused_peers": "workers and ventilators refused since max_peers were connected",
    "kills": "brigantine workers that were told to end",
}
_DROPS = {
    "drop_malformed": "messages that are none of the protocol, or can't be meant where they came",
    "connections_rejected": COUNTERS["connections_rejected"],
    "accepts_failed": COUNTERS["accepts_failed"],
}

#: What ``Ventilator.stats()`` counts.
VENTILATOR_COUNTERS: dict[str, str] = {
    **_PEERS,
    "plain_workers": "gauge: PULL sockets that are connected to plain endpoints",
    "batches": "batches begun",
    "queued": "gauge: tasks that wait for a worker with room",
    "tasks": "tasks given to workers, plain ones and those that were run again included",
    "plain_tasks": "those of them that were given to plain workers",
    "done": "tasks whose results the sink has, as brigantine workers report",
    "lost_tasks": "tasks that workers held when they were lost",
    "dropped": "tasks that waited for a worker when the ventilator was closed",
    "sinks": "times that the sink was connected",
    **_DROPS,
}

#: What ``Sink.stats()`` counts.
SINK_COUNTERS: dict[str, str] = {
    **_PEERS,
    "ventilators": "gauge: brigantine ventilators that are connected",
    "batches": "batches begun, those of plain ventilators included",
    "refused_batches": "batches refused since max_batches were open",
    "results": "results taken, each task's once, and those of plain workers",
    "errors": "those of them that are exceptions of a worker's function",
    "waiting": "gauge: results that wait to be read",
    "waiting_bytes": "gauge: bytes in them",
    "withheld": "results that were acknowledged only when read, as high_water_mark or queue_bytes waited",
    "duplicates": "results that came again, and were dropped",
    "late": "results of a batch that is over, dropped",
    "drop_unknown_batch": "results of a batch that no ventilator has told of, dropped",
    "drop_unexpected": "messages of plain programs while no batch waited for any, dropped",
    **_DROPS,
}

#: What ``PipelineWorker.stats()`` counts.  At rest ``tasks == results + discarded_results``.
WORKER_STATS: dict[str, str] = {
    "tasks": "tasks handed to the function",
    "results": "results that the sink has acknowledged; a plain sink: that libzmq has taken",
    "errors": "tasks on which the function raised, or returned what can't be sent",
    "resent": "results sent again on a new connection to the sink",
    "discarded_tasks": "tasks not begun when the worker was cut short",
    "discarded_results": "results that the sink had not acknowledged at the end",
    "connects": "connections made, handshake included",
    "disconnects": "connections that have ended",
    "expired": "connections given up because nothing was heard",
    "drop_malformed": "messages that are none of the protocol",
    "drop_excess": "tasks beyond prefetch, dropped",
    "kills": "kill signals heard",
}
