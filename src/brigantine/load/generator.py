"""Runs a plan: makes the peers, has the compiled loop run in a thread, and gathers the figures."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import zmq

from ..config.load import Plan
from ..core.load.clients import Clients
from ..core.load.line import Line
from ..core.load.load import PROTOCOLS, Load
from ..core.load.workers import Workers
from ..net.contexts import OwnContext
from ..system.background import Background
from ..system.patched import refuse_patched
from ..system.process_cpu import CpuTime, read_cpu_time
from ..system.scheduling import let_others_finish
from .connections import LINGER, Connections, allow_files
from .figures import Figures, OwnCpu

__all__ = ["Generator"]

#: Seconds between two looks at the connections.
LOOK = 0.1


class Generator:
    """The peers of a plan, connected; use as a context manager, or :meth:`close` it.

    ``context`` is for inproc endpoints; otherwise one is made.  Raises
    :class:`~brigantine.errors.ConfigError` when so many peers can't be, and
    :class:`~.connections.ConnectionsFailed` when the broker does not take them in time.
    """

    def __init__(self, plan: Plan, context: zmq.Context[Any] | None = None) -> None:
        refuse_patched(type(self).__name__)
        self.plan = plan
        allow_files(plan.clients + plan.workers)
        self._own_context = None if context is not None else OwnContext(plan.io_threads)
        self._context: zmq.Context[Any] = context or self._own_context  # type: ignore[assignment]
        self._clients: Connections | None = None
        self._workers: Connections | None = None
        self._load: Load | None = None
        self._run: _Run | None = None
        self._lost_before = 0
        try:
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        plan, protocol = self.plan, PROTOCOLS[self.plan.protocol]
        service = os.fsencode(plan.service) if plan.pattern == "mdp" else b""
        clients = workers = None
        # Workers first: their READY is on its way before any request.
        if plan.workers:
            assert plan.backend_or_frontend is not None
            self._workers = Connections(
                self._context, plan.backend_or_frontend, plan.workers, timeout=plan.connect_timeout
            )
            workers = Workers(
                Line(self._workers.socket, plan.workers),
                protocol, service, plan.capacity, plan.interval, plan.liveness,
            )  # fmt: skip
            self._workers.wait(plan.connect_timeout, "workers")
            workers.start()
        if plan.clients:
            assert plan.frontend is not None
            self._clients = Connections(
                self._context, plan.frontend, plan.clients,
                timeout=plan.connect_timeout, announce=plan.announce,
            )  # fmt: skip
            clients = Clients(
                Line(self._clients.socket, plan.clients),
                protocol, plan.window, plan.size, service, plan.timeout,
            )  # fmt: skip
            self._clients.wait(plan.connect_timeout, "clients")
        self._load = Load(clients, workers, plan.rate or 0.0)

    def start(
        self,
        requests: int | None = None,
        *,
        broker_pid: int | None = None,
        on_end: Callable[[], object] | None = None,
    ) -> None:
        """Begin to do what the plan says, in a thread.  :meth:`finish` must follow.

        ``requests`` replaces that of the plan, which then has no duration either.
        ``broker_pid`` is the process whose CPU time is to be told.  ``on_end`` is called in the
        thread when it has done all.
        """
        bounds = (self.plan.requests, self.plan.longest) if requests is None else (requests, None)
        self._run = _Run(self._running(), bounds, self.plan.warmup, broker_pid, on_end)
        self._lost_before = self._connections_lost()
        self._run.start()

    def look(self) -> dict[str, int]:
        """The counters so far.  To be called some times a second: it watches the connections, too."""
        if self._clients is not None:
            self._clients.look()
        # Workers of a broker that was restarted must tell it that they are there.
        if self._workers is not None and self._workers.look():
            self._running().announce()
        return self._running().counts()

    @property
    def running(self) -> bool:
        """Whether what was started is not done yet."""
        return self._run is not None and self._run.running

    def finish(self) -> Figures:
        """Break off what is not done yet, and return what came out.

        Raises what has ended the thread, if something has.
        """
        run, load = self._run, self._running()
        assert run is not None, "start() comes first"
        interrupted = run.finish()
        self._run = None
        self.look()
        return Figures.of(
            self.plan,
            load,
            interrupted=interrupted,
            connections_lost=self._connections_lost() - self._lost_before,
            cpu=run.cpu,
            broker_cpu=run.broker_cpu,
        )

    def run(self, requests: int | None = None) -> Figures:
        """Do what the plan says, and return what came out.  May be called again."""
        self.start(requests)
        try:
            while True:
                assert self._run is not None
                if self._run.wait(LOOK):
                    break
                self.look()
        finally:
            figures = self.finish()
        return figures

    def _running(self) -> Load:
        assert self._load is not None, "the generator is closed"
        return self._load

    def _connections_lost(self) -> int:
        return sum(each.lost for each in (self._clients, self._workers) if each is not None)

    def close(self) -> None:
        """Say goodbye where the protocol has words for it, and close all connections."""
        if self._run is not None:  # finish() was left by an exception, or never called
            self._run.end()
            self._run = None
        load = self._load
        if load is not None:
            if load.workers is not None:
                load.workers.goodbye()
            load.close()
            self._load = None
        for each, linger in ((self._clients, 0.0), (self._workers, LINGER)):
            if each is not None:
                each.close(linger)
        self._clients = self._workers = None
        if self._own_context is not None:
            self._own_context.end()

    def __enter__(self) -> Generator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Run:
    """One run of a load in a thread, and the CPU time that passes meanwhile."""

    def __init__(
        self,
        load: Load,
        bounds: tuple[int | None, float | None],
        warmup: float,
        broker_pid: int | None,
        on_end: Callable[[], object] | None,
    ) -> None:
        self._load, self._bounds, self._warmup = load, bounds, warmup
        self._broker_pid, self._on_end = broker_pid, on_end
        self._error: BaseException | None = None
        self._interrupted = False
        self._thread = Background(self._serve, "brigantine-load")
        self.cpu: OwnCpu = OwnCpu.now()
        self.broker_cpu: CpuTime | None = self._broker_now()

    def start(self) -> None:
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.running

    def wait(self, timeout: float) -> bool:
        """Whether it has ended within ``timeout`` seconds."""
        return self._thread.wait(timeout)

    def end(self) -> None:
        """Break it off, if it still runs, and wait for its end.  May be called again."""
        self._load.stop()
        self._thread.wait()

    def finish(self) -> bool:
        """End it; whether the load had to be broken off."""
        self.end()
        self._load.forget()
        self.cpu = OwnCpu.now() - self.cpu
        broker = self._broker_now()
        if broker is not None and self.broker_cpu is not None:
            self.broker_cpu = broker - self.broker_cpu
        else:
            self.broker_cpu = None
        if self._error is not None:
            raise self._error
        return self._interrupted

    def _broker_now(self) -> CpuTime | None:
        return None if self._broker_pid is None else read_cpu_time(self._broker_pid)

    def _serve(self) -> None:
        let_others_finish()
        try:
            self._interrupted = self._load.run(*self._bounds, self._warmup)
        except BaseException as error:
            self._error = error
        if self._on_end is not None:
            self._on_end()
