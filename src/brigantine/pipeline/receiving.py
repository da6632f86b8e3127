"""Arguments and errors of a sink and its batches, for threads and for asyncio."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import zmq

from ..config.pipeline import PipelineConfig, PipelineOptions, config_from
from ..errors import WrongUse
from ..net.arguments import plain_context
from ..net.endpoints import as_endpoints
from ..net.overlap import check_distinct
from ..system.patched import refuse_patched
from ..validation.calls import called_rightly, public_name
from ..validation.values import flag, whole
from ..wire.pipeline import BATCH_BYTES
from .faces import HubFace, optional
from .received import Received
from .report import Result
from .sink_io import SinkIO

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["ReceivedShared", "SinkShared"]


class SinkShared(HubFace):
    """Arguments and errors of a sink."""

    _io: SinkIO

    @called_rightly
    def __init__(
        self,
        endpoint: str | Sequence[str],
        *,
        plain: str | Sequence[str] = (),
        kill: str | Sequence[str] = (),
        context: zmq.Context[Any] | None = None,
        config: PipelineConfig | None = None,
        **options: Unpack[PipelineOptions],
    ) -> None:
        settings = config_from(type(self), config, options)
        refuse_patched(public_name(type(self)))
        wanted = as_endpoints(endpoint, "endpoint")
        plain, kills = optional(plain, "plain"), optional(kill, "kill")
        check_distinct(endpoint=wanted, plain=plain, kill=kills)
        self._io = SinkIO(
            wanted, settings, plain_context(context), plain_endpoints=plain, kill_endpoints=kills
        )
        self._run(self._io)

    @property
    def kill_endpoints(self) -> tuple[str, ...]:
        """Where it is bound for plain workers that wait for the kill signal, with the real ports."""
        return self._io.kill_endpoints

    def _has_begun(self) -> bool:
        """Whether there is a batch, or nothing to wait for."""
        return bool(self._io.begun) or self._io.ended or self._io.stopping

    def _has(self, workers: int) -> bool:
        """Whether so many are connected, or nothing is to be waited for."""
        return self._io.workers >= workers or self._io.ended or self._io.stopping

    def _want_plain(self, tasks: int, start: bool) -> list[Received]:
        """Where a batch of a plain ventilator will be."""
        io = self._io
        io.check()
        if not io.plain_endpoints:
            raise WrongUse("this sink has no endpoint for plain programs: pass plain= to the sink")
        whole("tasks", tasks, 0, io.config.max_batch_tasks)
        flag("start", start)
        made: list[Received] = []
        io.wanted.append((os.urandom(BATCH_BYTES), tasks, int(start), made))
        io.wake()
        return made


class ReceivedShared:
    """A batch that comes in."""

    def __init__(self, io: SinkIO, record: Received) -> None:
        self._io = io
        self._record = record

    @property
    def id(self) -> str:
        """As reports have it: 16 hexadecimal digits."""
        return self._record.batch.hex()

    @property
    def ventilator(self) -> str:
        """The name of who sends it; empty for a plain one."""
        return self._record.ventilator

    @property
    def complete(self) -> bool:
        """Whether the results of all tasks have come."""
        return self._record.done

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} of {self.ventilator or 'a plain ventilator'}>"

    def _come(self) -> bool:
        """Whether there is a result, or nothing to wait for."""
        record = self._record
        return bool(record.results) or record.done or record.over or self._io.ended

    def _take(self) -> Result | None:
        """The next result that is there."""
        try:
            stored = self._record.results.popleft()
        except IndexError:
            return None
        ledger = self._io.ledger
        withheld = ledger.full or bool(stored.peer)
        ledger.taken.append(stored)
        if withheld:
            self._io.wake()
        return stored.result

    def _left(self, began: float, timeout: float | None) -> float:
        """Seconds for which a call that has begun then may wait; 0 when nothing is to be waited for.

        Raises :class:`~brigantine.errors.PipelineClosed`.
        """
        if self._is_over:
            return 0.0
        self._io.check()
        quiet_until = max(began, self._record.heard_at) + self._io.config.batch_timeout
        until = quiet_until if timeout is None else began + timeout
        return max(0.0, until - time.monotonic())

    @property
    def _is_over(self) -> bool:
        return self._record.done or self._record.over

    def _last(self) -> Result | None:
        """Nothing is waited for any more: what has come just now."""
        over = self._is_over
        last = self._take()
        if last is None and over:
            self._finish()
        return last

    def _finish(self) -> None:
        """The last result was read, and no other will be waited for."""
        self._io.closing.append(self._record)
        self._io.wake()

    def __del__(self) -> None:
        # Nobody can read it any more.
        if not self._record.over:
            self._finish()
