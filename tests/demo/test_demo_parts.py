"""The parts of the demo: finding and cutting files, the workers' function, CPU times."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Commands
from demo_tree import CHUNK

from brigantine.demo.corpus import ChunkReader, scan
from brigantine.demo.work import Digest, digest, local_digest, read_answer
from brigantine.errors import ConfigError
from brigantine.system import process_cpu as cpu


def test_files_are_found_in_order_and_symlinks_are_not_followed(tree: Path) -> None:
    corpus = scan(str(tree), None)
    names = [os.path.relpath(path, tree) for path, _ in corpus.files]
    assert names == ["words.txt", "nested/empty", "nested/exact", "nested/deep/binary"]
    assert (corpus.skipped, corpus.truncated) == (0, False)
    alone = scan(str(tree / "link"), None)
    assert alone.files == ((str(tree.parent / "outside"), 8),)
    with pytest.raises(ConfigError, match=r"no regular file .* \(1 can't be read\)"):
        scan(str(tree / "pipe"), None)


def test_a_bound_cuts_the_last_file_short(tree: Path) -> None:
    corpus = scan(str(tree), 30_000 + 10)
    assert [size for _, size in corpus.files] == [30_000, 0, 10]
    assert (corpus.size, corpus.truncated) == (30_010, True)
    assert not scan(str(tree), scan(str(tree), None).size).truncated


def test_files_that_changed_after_the_scan_are_sent_as_they_are(tree: Path) -> None:
    corpus = scan(str(tree), None)
    (tree / "words.txt").unlink()
    (tree / "words.txt").symlink_to(tree / "nested" / "exact")
    (tree / "nested" / "exact").write_bytes(b"short")
    (tree / "nested" / "empty").write_bytes(b"grown")
    reader = ChunkReader(corpus, CHUNK)
    chunks = []
    while (chunk := reader.next()) is not None:
        chunks.append(chunk)
    assert chunks[:2] == [b"", b"short"]
    assert reader.skipped == 1


def test_an_answer_is_read_back_and_nonsense_is_refused() -> None:
    chunk = b"two words"
    expected = Digest(hashlib.sha256(chunk).digest(), 2)
    assert local_digest(chunk) == expected
    assert read_answer(digest(chunk)) == (expected, os.getpid())
    with pytest.raises(TypeError, match="one frame, not 2"):
        digest([b"a", b"b"])
    for nonsense in (b"", b"\xc1", b"\x01", b"\x80", [b"a", b"b"]):
        with pytest.raises(ValueError, match="digest"):
            read_answer(nonsense)


SOURCES = ("/schedstat", "/stat")

#: A process in which a thread of Python works for 0.4 s and says how long all of them did, and
#: others of libzmq do nothing.
SPINNER = """
import time, zmq
context = zmq.Context()
context.socket(zmq.PAIR).bind("tcp://127.0.0.1:*")
print("ready", flush=True)
input()
start = time.process_time()
while time.process_time() < start + 0.4:
    pass
print(time.process_time() - start, flush=True)
input()
context.destroy()
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="there is no /proc")
@pytest.mark.parametrize("source", SOURCES)
def test_cpu_time_is_that_of_the_threads(
    run: Commands, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    read: Callable[[str], str] = cpu._read

    def read_only(path: str) -> str:
        if path.endswith(SOURCES) and not path.endswith(source):
            raise FileNotFoundError(path)
        return read(path)

    monkeypatch.setattr(cpu, "_read", read_only)
    if source == "/schedstat" and not Path("/proc/self/schedstat").exists():
        pytest.skip("this kernel has no schedstat")
    spinner = run(program=SPINNER, stdin=subprocess.PIPE)
    assert spinner.process.stdin is not None
    assert spinner.line() == "ready"
    before = cpu.read_cpu_time(spinner.process.pid)
    spinner.process.stdin.write(b"\n")
    spinner.process.stdin.flush()
    used = float(spinner.line())
    after = cpu.read_cpu_time(spinner.process.pid)
    assert spinner.finish(data=b"\n") == (0, b"")
    assert before is not None
    assert after is not None
    # Ticks are 10 ms each, and rounded for each thread.
    assert (after - before).loop == pytest.approx(used, abs=0.1)
    assert (after - before).io == pytest.approx(0, abs=0.1)
    assert cpu.read_cpu_time(spinner.process.pid) is None
