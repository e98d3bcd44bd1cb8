"""Copies of the files for a backup, and back. The name of a file is the hash of its bytes, so each proves itself."""

import hashlib
import os
import shutil
from pathlib import Path

from dispatch.files.store import PIECE, Store


class CopyBroken(Exception):
    """A file is not what its name says, or there are files already where some should come back."""


def copy(store: Store, into: Path) -> int:
    """Copy every file. One that is deleted meanwhile is left out. Returns how many.

    Raises:
        CopyBroken: a file is not what its name says.
    """
    return _copied(store.root, list(store.kept()) if store.there else [], into)


def must_be_empty(store: Store) -> None:
    """Look before anything comes back. Raises: CopyBroken: there are files already."""
    if next(store.kept(), None) is not None:
        raise CopyBroken(f"{store.root} holds files already: a backup goes into an empty place")


def bring_back(folder: Path, store: Store) -> int:
    """Copy the files of a backup back. Returns how many.

    Raises:
        CopyBroken: there are files already, or one is not what its name says.
    """
    must_be_empty(store)
    store.open()
    return _copied(folder, list(Store(folder).kept()), store.root)


def _copied(root: Path, paths: list[Path], into: Path) -> int:
    into.mkdir(exist_ok=True, mode=0o700)
    count = 0
    for path in paths:
        target = into / path
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            with (root / path).open("rb") as source, target.open("xb") as copied:
                shutil.copyfileobj(source, copied, PIECE)
                copied.flush()
                os.fsync(copied.fileno())
        except FileNotFoundError:
            continue
        target.chmod(0o600)
        with target.open("rb") as copied:
            if hashlib.file_digest(copied, "sha256").hexdigest() != path.name:
                raise CopyBroken(f"{root / path} is not what its name says")
        count += 1
    return count
