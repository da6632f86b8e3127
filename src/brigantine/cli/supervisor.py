"""Several worker processes under one: started, replaced when they end, and stopped together."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from .exit_codes import DONE, INTERRUPTED, SIGNALLED, WRONG_USE
from .reasons import reason
from .restart import is_restart
from .stopping import StopRequests
from .taken_signals import RESTART_SIGNAL, STOP_SIGNALS

__all__ = ["Supervisor", "command_line"]

#: Seconds until a worker that ended is replaced: the first time, and at most.  It doubles for one
#: that did not live for as long as the longest pause.
_PAUSE = 0.1
_PAUSE_MAX = 5.0

_log = logging.getLogger("brigantine.worker")


@dataclass
class _Slot:
    """The place of one worker process."""

    process: subprocess.Popen[bytes] | None = None
    #: It was told to stop.
    leaving: bool = False
    born: float = 0.0
    #: When the next one is started; only while there is none.
    due: float = 0.0
    pause: float = _PAUSE


def command_line(words: list[str], *, stop_at_eof: bool) -> list[str]:
    """The command of a process that runs one worker; ``words`` begin with the pattern."""
    pattern, *rest = words
    options = ["--stop-at-eof"] if stop_at_eof else []
    return [sys.executable, "-m", "brigantine", "worker", pattern, *options, *rest]


class Supervisor:
    """Runs ``count`` times ``brigantine worker`` with the arguments ``words``, from the pattern on."""

    def __init__(self, words: list[str], count: int) -> None:
        self._command = command_line(words, stop_at_eof=True)
        self._slots = [_Slot() for _ in range(count)]

    def run(self, at_eof: bool) -> int:
        """Keep them running until told to stop; the exit code."""
        with StopRequests(at_eof=at_eof, also=(signal.SIGCHLD, RESTART_SIGNAL)) as stops:
            try:
                return self._keep_running(stops)
            finally:
                self._signal(signal.SIGKILL)
                self._reap(wait=True)

    def _keep_running(self, stops: StopRequests) -> int:
        _log.info("started: %d processes", len(self._slots))
        code = DONE
        while code == DONE:
            self._start_missing()
            why = stops.wait(self._until_due())
            if is_restart(why):
                _log.info(
                    "%s: each worker is replaced when it has finished", reason(RESTART_SIGNAL)
                )
                self._tell_to_stop()
            elif why is not None and why != signal.SIGCHLD:
                break
            if WRONG_USE in self._reap():
                code = WRONG_USE  # it has said what is wrong; so would its successor
        self._tell_to_stop()
        if code == DONE:
            assert why is not None
            stops.debounce(why)
            self._tell_finishing(why, stops)
        while self._alive():
            again = stops.wait_first()
            # A second Ctrl-C to all may have reached them first.
            code = max(code, *(each for each in self._reap() if each > SIGNALLED), DONE)
            if again in STOP_SIGNALS:
                if stops.debounce(again):
                    return INTERRUPTED
                self._tell_finishing(again, stops)
        return code

    def _tell_finishing(self, why: int, stops: StopRequests) -> None:
        _log.info(
            "%s: the workers finish what they have in hand%s", reason(why), stops.hint("ends them")
        )

    def _start_missing(self) -> None:
        now = time.monotonic()
        for slot in self._slots:
            if slot.process is None and slot.due <= now:
                # A pipe that nobody writes to: it ends when this process does, however it dies.
                # A session of its own, so that Ctrl-C reaches the worker once, from here.
                slot.process = subprocess.Popen(
                    self._command, stdin=subprocess.PIPE, start_new_session=True
                )
                slot.born = now
                slot.leaving = False

    def _until_due(self) -> float | None:
        due = [slot.due for slot in self._slots if slot.process is None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _reap(self, wait: bool = False) -> list[int]:
        """Collect the processes that have ended; their exit codes."""
        codes = []
        for slot in self._slots:
            process = slot.process
            if process is None or (not wait and process.poll() is None):
                continue
            codes.append(process.wait())
            assert process.stdin is not None
            process.stdin.close()
            slot.process = None
            now = time.monotonic()
            slot.pause = _PAUSE if now - slot.born > _PAUSE_MAX else min(slot.pause * 2, _PAUSE_MAX)
            slot.due = now if slot.leaving else now + slot.pause
            _log.info("worker process %d ended with %d", process.pid, process.returncode)
        return codes

    def _alive(self) -> bool:
        return any(slot.process is not None for slot in self._slots)

    def _tell_to_stop(self) -> None:
        """Tell all, by the end of their standard input.

        Not by a signal: it may come to all processes at once, and each is to be theirs once.
        """
        for slot in self._slots:
            if slot.process is not None and not slot.leaving:
                slot.leaving = True
                assert slot.process.stdin is not None
                slot.process.stdin.close()

    def _signal(self, number: signal.Signals) -> None:
        for slot in self._slots:
            if slot.process is not None:
                slot.process.send_signal(number)
