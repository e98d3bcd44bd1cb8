"""Where files lie: ``<root>/<tenant>/<last two of the id>/<attachment id>/<SHA-256 of the bytes>``.

No name that anybody sent is part of a path. Two attachments never share bytes, so what is deleted is deleted exactly
(ADR 0058). What comes in lies without a name until it was looked at: a process that dies leaves nothing of it.
"""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from dispatch.domain.refusal import StorageFull

PIECE = 1024 * 1024
"""Bytes moved at a time."""
KEPT_FREE = 256 * 1024 * 1024
"""Bytes of the disk that uploads leave alone: the database may lie on the same one."""
INCOMING = "incoming"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class Kept:
    """A file as it lies on the disk: SHA-256 in hex and bytes."""

    sha256: str
    size: int


class Store:
    """The files below one directory. Everything here waits for a disk: call it from a thread."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self) -> None:
        """Make the directory. Raises: OSError: it cannot be made or written to."""
        incoming = self.root / INCOMING
        for folder in (self.root, incoming):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(incoming, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(incoming))

    @property
    def there(self) -> bool:
        """Whether the directory is there at all: a disk that is not mounted must not look like an empty one."""
        return (self.root / INCOMING).is_dir()

    def receive(self, size: int) -> BinaryIO:
        """A file without a name, for ``size`` bytes that are about to come.

        Raises:
            StorageFull: there is no room for it.
        """
        with _full_is_told():
            self.open()
            if shutil.disk_usage(self.root).free < size + KEPT_FREE:
                raise StorageFull()
            return tempfile.TemporaryFile(dir=self.root / INCOMING)

    def put(self, tenant_id: int, id: UUID, source: BinaryIO) -> Kept:
        """Keep what is in a file. When this returns, the bytes and their name are on the disk.

        Raises:
            StorageFull: there is no room for it.
        """
        folder, digest, size = self._folder(tenant_id, id), hashlib.sha256(), 0
        with _full_is_told():
            handle, name = tempfile.mkstemp(dir=self.root / INCOMING)
            try:
                with os.fdopen(handle, "wb") as file:
                    source.seek(0)
                    while piece := source.read(PIECE):
                        digest.update(piece)
                        size += file.write(piece)
                    file.flush()
                    os.fsync(file.fileno())
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                os.replace(name, folder / digest.hexdigest())
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            for level in (folder, *folder.parents):
                _on_disk(level)
                if level == self.root:
                    break
        return Kept(digest.hexdigest(), size)

    def path(self, tenant_id: int, id: UUID, sha256: str) -> Path:
        """Where a file lies."""
        return self._folder(tenant_id, id) / sha256

    def drop(self, tenant_id: int, id: UUID) -> None:
        """Take all that was kept of an attachment off the disk. Safe to repeat."""
        folder = self._folder(tenant_id, id)
        shutil.rmtree(folder, ignore_errors=False, onerror=_unless_gone)
        if folder.parent.is_dir():
            _on_disk(folder.parent)

    def clear_incoming(self, before: datetime) -> int:
        """Delete what a process that died has left half written. Returns how many."""
        gone = 0
        for left in (self.root / INCOMING).iterdir():
            if left.stat().st_mtime < before.timestamp():
                left.unlink(missing_ok=True)
                gone += 1
        return gone

    def kept(self) -> Iterator[Path]:
        """Every file, relative to the root; not what is coming in."""
        for path in sorted(self.root.glob("[0-9]*/*/*/*")):
            yield path.relative_to(self.root)

    def _folder(self, tenant_id: int, id: UUID) -> Path:
        return self.root / str(tenant_id) / id.hex[-2:] / str(id)


def _unless_gone(
    function: object, path: str, error: tuple[type[BaseException], BaseException, object]
) -> None:
    if not isinstance(error[1], FileNotFoundError):
        raise error[1]


def _on_disk(folder: Path) -> None:
    """A file's name is on the disk once its directory is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _full_is_told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise StorageFull() from error
        raise
