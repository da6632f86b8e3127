"""The files of a folder, and their chunks one after the other."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ..errors import ConfigError

__all__ = ["ChunkReader", "Corpus", "scan"]

#: Open for reading; never follow a symlink put there meanwhile, never wait for a FIFO's writer.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True)
class Corpus:
    """What is sent: paths with how many bytes of each, in the order in which they are sent."""

    root: str
    files: tuple[tuple[str, int], ...]
    #: Files and folders that can't be read.
    skipped: int
    #: Whether ``max_bytes`` cut it short.
    truncated: bool

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(size for _, size in self.files)


def scan(path: str, max_bytes: int | None) -> Corpus:
    """The regular files at or under ``path``, sorted; symlinks in it are not followed.

    Stops after ``max_bytes`` bytes.  What can't be opened is counted and left out.
    Raises :class:`~brigantine.errors.ConfigError` when there is no such path, or no file in it.
    """
    root = os.path.realpath(path)
    if not os.path.exists(root):
        raise ConfigError(f"no such file or folder: {path!r}")
    skipped = 0
    found: list[tuple[str, int]] = []
    total = 0
    truncated = False
    for name in _regular_files(root):
        if name is None:
            skipped += 1
            continue
        if max_bytes is not None and total >= max_bytes:
            truncated = True
            break
        try:
            with _open_regular(name) as file:
                size = os.fstat(file.fileno()).st_size
        except OSError:
            skipped += 1
            continue
        if max_bytes is not None and total + size > max_bytes:
            size = max_bytes - total
            truncated = True
        found.append((name, size))
        total += size
    if not found:
        unreadable = f" ({skipped} can't be read)" if skipped else ""
        raise ConfigError(f"no regular file to send in {path!r}{unreadable}")
    return Corpus(root, tuple(found), skipped, truncated)


class ChunkReader:
    """Gives out the chunks of a corpus to any number of threads, each chunk once.

    An empty file is one empty chunk.  A file that shrank, or can't be read any more, gives fewer.
    """

    def __init__(self, corpus: Corpus, chunk_size: int) -> None:
        self._lock = threading.Lock()
        self._chunks = self._read_all(corpus, chunk_size)
        #: Files that could be read by :func:`scan` but not now.
        self.skipped = 0

    def next(self) -> bytes | None:
        """The next chunk, or ``None`` after the last."""
        with self._lock:
            return next(self._chunks, None)

    def close(self) -> None:
        """Give out no more."""
        with self._lock:
            self._chunks.close()

    def _read_all(self, corpus: Corpus, chunk_size: int) -> Generator[bytes, None, None]:
        for path, size in corpus.files:
            yield from self._read_one(path, size, chunk_size)

    def _read_one(self, path: str, size: int, chunk_size: int) -> Generator[bytes, None, None]:
        try:
            with _open_regular(path) as file:
                yield from _chunks_of(file, size, chunk_size)
        except OSError:
            self.skipped += 1


def _chunks_of(file: BinaryIO, size: int, chunk_size: int) -> Iterator[bytes]:
    if size == 0:
        yield b""
    while size > 0:
        chunk = file.read(min(size, chunk_size))
        if not chunk:
            return
        yield chunk
        size -= len(chunk)


def _regular_files(root: str) -> Iterator[str | None]:
    """Paths of regular files, sorted folder by folder; ``None`` for each folder not readable."""
    if not stat.S_ISDIR(os.stat(root).st_mode):
        yield root
        return
    refused: list[OSError] = []
    for folder, folders, names in os.walk(root, onerror=refused.append):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            try:
                regular = stat.S_ISREG(os.lstat(path).st_mode)
            except OSError:  # gone meanwhile
                continue
            if regular:
                yield path
    yield from (None for _ in refused)


def _open_regular(path: str) -> BinaryIO:
    """Open for reading.  Raises ``OSError``, also for what is no regular file (any more)."""
    descriptor = os.open(path, _FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"not a regular file: {path!r}")
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
