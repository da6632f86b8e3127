"""The system's clock is set back and forth while a broker runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgpack
import pytest
from models import SANITIZED
from programs import Process, environment

from brigantine import MajordomoClient, MajordomoWorker

HOUR = 3600
INTERVAL, LIVENESS = 0.1, 3
#: Seconds for which a handler is at work: many times INTERVAL * LIVENESS.
WORK = 1.0
#: In a process with this before its libraries, the system's clock leaps by two hours every 50 ms.
SHIM = """
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long leap(void) {
    struct timespec now;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return now.tv_nsec / 50000000 % 2 ? 3600 : -3600;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = syscall(SYS_clock_gettime, clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        time->tv_sec += leap();
    return result;
}

int gettimeofday(struct timeval *time, void *zone) {
    int result = syscall(SYS_gettimeofday, time, zone);
    if (result == 0) time->tv_sec += leap();
    return result;
}

time_t time(time_t *where) {
    struct timeval now;
    gettimeofday(&now, 0);
    if (where) *where = now.tv_sec;
    return now.tv_sec;
}
"""
LOOK = "import time; a = [(time.sleep(0.02), time.time())[1] for _ in range(10)]; print(max(a) - min(a))"


@pytest.fixture
def leaping(tmp_path: Path) -> dict[str, str]:
    """What a process needs in its environment for such a clock."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs cc on Linux")
    if SANITIZED:
        pytest.skip("a sanitizer must be the first library")
    source, library = tmp_path / "clock.c", tmp_path / "clock.so"
    source.write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True, timeout=50)
    made = {"LD_PRELOAD": str(library)}
    seen = subprocess.run(
        [sys.executable, "-c", LOOK], env=environment() | made, capture_output=True, text=True,
        check=True, timeout=50,
    )  # fmt: skip
    assert float(seen.stdout) > HOUR, "the clock does not leap here"
    return made


def test_a_system_clock_that_leaps_expires_neither_workers_nor_requests(
    impl: str, processes: list[Process], record: Any, leaping: dict[str, str]
) -> None:
    command = [sys.executable, "-m", "brigantine", "broker", "mdp", "--impl", impl]
    command += ["--frontend", "tcp://127.0.0.1:*", "--backend", "tcp://127.0.0.1:*"]
    command += ["--heartbeat-interval", str(INTERVAL), "--liveness", str(LIVENESS)]
    command += ["--request-ttl", str(3 * WORK)]
    broker = Process(*command, env=environment(impl) | leaping)
    processes.append(broker)
    ends = re.fullmatch(r"frontend=(\S+) backend=(\S+)", broker.expect("ready"))
    assert ends

    def answer(body: bytes) -> bytes:
        if body == b"work":
            time.sleep(WORK)
        return body

    with (
        MajordomoWorker(ends[2], "echo", answer, heartbeat_interval=INTERVAL, capacity=2),
        MajordomoClient(ends[1], timeout=10.0) as client,
    ):
        assert client.request("echo", b"before") == b"before"
        assert client.request("echo", b"work") == b"work"
        for number in range(20):
            assert client.request("echo", b"%d" % number) == b"%d" % number
        packed = client.request("mmi.stats", b"")
        assert isinstance(packed, bytes)
        stats = msgpack.unpackb(packed)
    record(
        "system clock set back and forth",
        leaps=int(WORK / 0.05),
        false_expiries=stats["workers_expired"],
        lost=stats["failed"],
    )
    assert (stats["workers_expired"], stats["workers_lost"], stats["pauses"]) == (0, 0, 0)
    assert (stats["failed"], stats["shed"], stats["workers"]) == (0, 0, 1)
