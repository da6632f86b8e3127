"""Arguments and errors of a ventilator and its batches, for threads and for asyncio."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import zmq

from ..config.pipeline import PipelineConfig
from ..errors import BrigantineError, ConfigError, NotReady, OptionName, WrongUse
from ..net.arguments import as_targets, plain_context
from ..net.endpoints import as_endpoints
from ..net.overlap import check_distinct
from ..system.deadline import Deadline
from ..system.patched import refuse_patched
from ..validation.calls import public_name
from ..validation.values import flag, shown, whole
from ..wire.body import request_frames
from .allotment import Sent
from .faces import HubFace, named, optional
from .report import Report
from .ventilator_io import VentilatorIO

__all__ = ["Body", "SentShared", "Tasks", "VentilatorShared", "body_of", "check_tasks"]

#: One frame, or several.
Body: TypeAlias = bytes | Sequence[bytes]
#: The tasks of a batch by their numbers.
Tasks: TypeAlias = Sequence[Body] | Mapping[int, Body] | Callable[[int], Body]


class VentilatorShared(HubFace):
    """Arguments and errors of a ventilator."""

    _io: VentilatorIO

    def _make(
        self,
        workers: str | Sequence[str],
        sink: str,
        plain_workers: str | Sequence[str],
        plain_sink: bool,
        name: str,
        context: zmq.Context[Any] | None,
        config: PipelineConfig,
    ) -> None:
        refuse_patched(public_name(type(self)))
        wanted = as_endpoints(workers, "workers")
        plain = optional(plain_workers, "plain_workers")
        check_distinct(workers=wanted, plain_workers=plain)
        if not isinstance(sink, str):
            raise WrongUse(
                OptionName("sink"), f": a ventilator has one endpoint of a sink, not {shown(sink)}"
            )
        (target,) = as_targets(sink, "sink", shared=context is not None)
        flag("plain_sink", plain_sink)
        self._io = VentilatorIO(
            wanted, target, config, plain_context(context), plain_endpoints=plain,
            plain_sink=plain_sink, name=named(name),
        )  # fmt: skip
        self._run(self._io)

    @property
    def name(self) -> str:
        """As reports have it."""
        return self._io.name

    def _check_workers(self, workers: int) -> None:
        whole("workers", workers, 1, 1_000_000)


class SentShared:
    """A batch that is sent."""

    def __init__(self, io: VentilatorIO) -> None:
        io.check()
        self._io = io
        self._sent: Sent = io.begin()

    @property
    def id(self) -> str:
        """As reports have it: 16 hexadecimal digits."""
        return self._sent.batch.hex()

    @property
    def tasks(self) -> int:
        """How many tasks were sent so far, each counted once."""
        return self._sent.tasks

    @property
    def report(self) -> Report:
        """How it is, as far as is known here now."""
        return self._io.report(self._sent)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} tasks={self.tasks}>"

    def _frames(self, body: Body) -> list[bytes]:
        frames = request_frames(body)
        config = self._io.config
        if len(frames) > config.max_frames:
            raise ConfigError(
                f"a task of {len(frames)} frames: the limit is max_frames={config.max_frames}"
            )
        size = max(map(len, frames))
        if size > config.max_message_bytes:
            raise ConfigError(
                f"a task with a frame of {size} bytes: the limit is max_message_bytes="
                f"{config.max_message_bytes}"
            )
        return frames

    def _next(self) -> int:
        """The number of the next task."""
        sent, most = self._sent, self._io.config.max_batch_tasks
        if sent.ended:
            raise WrongUse(f"{self!r} was ended; tasks are sent before, or again with resend()")
        if sent.tasks >= most:
            raise ConfigError(f"a batch has max_batch_tasks={most} tasks at most; begin another")
        return sent.tasks

    def _may_put(self) -> bool:
        return self._io.has_room or self._sent.over or self._io.ended or self._io.stopping

    def _handed(self) -> bool:
        return not self._sent.queued or self._sent.over or self._io.ended

    def _check(self) -> None:
        self._io.check()
        if self._sent.refused:
            raise BrigantineError(f"the sink has refused {self!r}: {self._sent.refused}")
        if self._sent.over:
            raise WrongUse(f"{self!r} is over; begin another")

    def _put(self, number: int, frames: list[bytes]) -> None:
        sent = self._sent
        sent.tasks = max(sent.tasks, number + 1)
        sent.done.discard(number)
        self._io.put(sent, number, frames)

    def _no_room(self, deadline: Deadline) -> NotReady:
        ready, config = self._io.ready, self._io.config
        if not self._io.sink_ready:
            why = "the sink is not connected"
        elif ready < config.min_workers:
            why = f"{ready} workers are ready, and min_workers={config.min_workers}"
        else:
            why = f"{ready} workers are ready, and have all they take"
        return NotReady(f"no worker had room{deadline.words}: {why}", ready, ())

    def _set_end(self) -> None:
        if not self._sent.ended:
            self._sent.ended = True
            self._io.tell(self._sent)

    def _numbers(self, what: Report | Iterable[int]) -> list[int]:
        """What is to be sent again."""
        if not self._sent.ended:
            raise WrongUse(f"{self!r} is not ended; end() it before anything is sent again")
        if isinstance(what, Report) and what.batch != self.id:
            raise WrongUse(f"a report of batch {what.batch}, and this is {self.id}")
        numbers = list(what.again if isinstance(what, Report) else what)
        for number in numbers:
            whole("number", number, 0, self._sent.tasks - 1)
        return numbers

    def _close(self) -> None:
        self._sent.over = True
        self._io.wake()


def body_of(tasks: Tasks, number: int) -> Body:
    """A task by its number."""
    return tasks(number) if callable(tasks) else tasks[number]


def check_tasks(tasks: Any) -> None:
    """Raise :class:`~brigantine.errors.WrongUse` for one task instead of several."""
    if isinstance(tasks, (bytes, bytearray, memoryview, str)):
        raise WrongUse(
            OptionName("tasks"), f" must be several bodies, such as a list, not {shown(tasks)}"
        )
