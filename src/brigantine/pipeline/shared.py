"""What the faces of a ventilator have in common, for threads and for asyncio; likewise a sink's."""

from __future__ import annotations

import os
import socket
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import zmq

from ..errors import BrigantineError, ConfigError, NotReady, WrongUse
from ..net.arguments import as_targets, plain_context
from ..net.endpoints import as_endpoints, as_several
from ..net.overlap import check_distinct
from ..system.patched import refuse_patched
from ..validation.calls import public_name
from ..validation.values import flag, shown, whole
from ..wire.body import request_frames
from .allotment import Sent
from .config import PipelineConfig
from .deadline import Deadline
from .hub import Hub
from .ledger import Received
from .report import Report, Result
from .sink_io import SinkIO
from .ventilator_io import VentilatorIO
from .wire import BATCH_BYTES

__all__ = [
    "Body",
    "ReceivedShared",
    "SentShared",
    "SinkShared",
    "Tasks",
    "VentilatorShared",
    "named",
]

#: One frame, or several.
Body: TypeAlias = bytes | Sequence[bytes]
#: The tasks of a batch by their numbers.
Tasks: TypeAlias = Sequence[Body] | Mapping[int, Body] | Callable[[int], Body]


def named(name: str) -> str:
    """A name for logs and reports: the caller's, or of the host and process."""
    if not isinstance(name, str):
        raise WrongUse(f"name must be a string, not {shown(name)}")
    if len(name) > 255 or not name.isprintable():
        raise ConfigError(f"name must be printable, of at most 255 characters, not {shown(name)}")
    return name or f"{socket.gethostname()}:{os.getpid()}:{os.urandom(2).hex()}"


def optional(value: str | Sequence[str], what: str) -> tuple[str, ...]:
    """Endpoints to bind, or none."""
    return as_endpoints(value, what) if as_several(value, what) else ()


class HubFace:
    """A hub as its user has it."""

    _io: Any

    def _run(self, io: Hub) -> None:
        """Start the hub's thread; it ends with this object, or the program, at the latest."""
        self._finalizer = weakref.finalize(self, _shut_down, io)
        try:
            io.start()
        except BaseException:
            self._finalizer.detach()
            raise

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where it is bound, with the real ports."""
        return tuple(self._io.endpoints)

    @property
    def endpoint(self) -> str:
        """The first of them."""
        return self.endpoints[0]

    @property
    def plain_endpoints(self) -> tuple[str, ...]:
        """Where it is bound for plain programs, with the real ports."""
        return tuple(self._io.plain_endpoints)

    def stats(self) -> dict[str, int]:
        """All counters by name, also after it was closed; never waits."""
        stats: dict[str, int] = self._io.stats()
        return stats

    def __repr__(self) -> str:
        state = "closed" if self._io.stopping or self._io.ended else "open"
        where = ",".join(self.endpoints)
        return f"<{public_name(type(self))} {state} endpoint={where}>"

    def _ended(self) -> bool:
        return bool(self._io.ended)

    def _fewer(self, workers: int, ready: int, deadline: Deadline) -> NotReady:
        what = f"{workers} workers should be ready{deadline.words}, and {ready} are: {self!r}"
        return NotReady(what, ready, ())


def _shut_down(io: Hub) -> None:
    """Close what nobody has closed: run when it is forgotten, or when Python exits."""
    io.stop()
    io.join(None)


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
            raise WrongUse(f"sink: a ventilator has one endpoint of a sink, not {shown(sink)}")
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
        raise WrongUse(f"tasks must be several bodies, such as a list, not {shown(tasks)}")


class SinkShared(HubFace):
    """Arguments and errors of a sink."""

    _io: SinkIO

    def _make(
        self,
        endpoint: str | Sequence[str],
        plain: str | Sequence[str],
        kill: str | Sequence[str],
        context: zmq.Context[Any] | None,
        config: PipelineConfig,
    ) -> None:
        refuse_patched(public_name(type(self)))
        wanted = as_endpoints(endpoint, "endpoint")
        plain, kills = optional(plain, "plain"), optional(kill, "kill")
        check_distinct(endpoint=wanted, plain=plain, kill=kills)
        self._io = SinkIO(
            wanted, config, plain_context(context), plain_endpoints=plain, kill_endpoints=kills
        )
        self._run(self._io)

    @property
    def kill_endpoints(self) -> tuple[str, ...]:
        """Where it is bound for plain workers that wait for the kill signal, with the real ports."""
        return self._io.kill_endpoints

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

    def _finish(self) -> None:
        """The last result was read, and no other will be waited for."""
        self._io.closing.append(self._record)
        self._io.wake()
