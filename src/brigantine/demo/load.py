"""The clients: threads that send chunks and check what comes back."""

from __future__ import annotations

import threading
import time
from array import array

from ..clients.lazy_pirate import LazyPirateClient
from ..errors import ClientClosed, NoReply, WorkerFailed
from .corpus import ChunkReader
from .work import local_digest, read_answer

__all__ = ["Load", "Tally"]


class Tally:
    """What one client thread has done.  Written by it alone, read by anybody."""

    def __init__(self) -> None:
        self.bytes = 0
        self.words = 0
        #: Requests that no broker answered, with all their retries.
        self.lost = 0
        #: Requests on which the worker's function raised.
        self.failed = 0
        #: Answers that are not what was computed here.
        self.wrong = 0
        #: Seconds from request to reply, of each request that was answered.
        self.latencies = array("d")


class Load:
    """``threads`` clients that share one LazyPirateClient and take chunks until there are none."""

    def __init__(self, client: LazyPirateClient, chunks: ChunkReader, threads: int) -> None:
        self._client = client
        self._chunks = chunks
        self._left = threads
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self.tallies = [Tally() for _ in range(threads)]
        #: Of ``time.monotonic``; ``ended`` is when the last thread was through.
        self.started = self.ended = 0.0
        self._threads = [
            threading.Thread(target=self._run, args=(tally,), name=f"client-{number}", daemon=True)
            for number, tally in enumerate(self.tallies)
        ]

    @property
    def answered(self) -> int:
        """Bytes answered up to now."""
        return sum(tally.bytes for tally in self.tallies)

    def start(self) -> None:
        """Begin to send."""
        self.started = time.monotonic()
        for thread in self._threads:
            thread.start()

    def done(self) -> bool:
        """Whether all is sent and answered.  Raises what ended a client thread, if one failed."""
        if self._error is not None:
            raise self._error
        return self._left == 0

    def _run(self, tally: Tally) -> None:
        try:
            while self._error is None:
                chunk = self._chunks.next()
                if chunk is None:
                    break
                self._ask(chunk, tally)
        except ClientClosed:  # the demo is being broken off
            pass
        except BaseException as error:
            self._error = error
        with self._lock:
            self.ended = time.monotonic()
            self._left -= 1

    def _ask(self, chunk: bytes, tally: Tally) -> None:
        start = time.perf_counter()
        try:
            reply = self._client.request(chunk)
        except NoReply:
            tally.lost += 1
            return
        except WorkerFailed:
            tally.failed += 1
            return
        tally.latencies.append(time.perf_counter() - start)
        tally.bytes += len(chunk)
        try:
            answer, _ = read_answer(reply)
        except ValueError:
            tally.wrong += 1
            return
        if answer == local_digest(chunk):
            tally.words += answer.words
        else:
            tally.wrong += 1
