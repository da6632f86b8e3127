"""Work in a thread, while the main thread waits for a reason to stop: the work's end is one."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import PublisherClosed, SubscriberClosed
from ..system.background import Background
from .stopping import StopRequests

__all__ = ["Ended"]


class Ended:
    """Begins at once.  ``stops`` tells when ``work`` has returned or raised."""

    def __init__(self, work: Callable[[], object], stops: StopRequests) -> None:
        self._work, self._stops = work, stops
        self._error: BaseException | None = None
        self._thread = Background(self._run, "brigantine-work")
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except (PublisherClosed, SubscriberClosed):  # it was told to stop
            pass
        except BaseException as error:
            self._error = error
        finally:
            self._stops.ended()

    def check(self) -> None:
        """Raise what the work has raised, if it has ended by that."""
        if self._error is not None:
            raise self._error
