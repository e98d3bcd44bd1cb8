"""The tables, brought from one version to another by Alembic; ``migrations/env.py`` knows the databases.

Everything here is synchronous and meant for the command line, the start of ``serve --demo`` and
tests. Addresses are those of the settings (``sqlite+aiosqlite``, ``postgresql+asyncpg``, …).
"""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from dispatch import clock
from dispatch.db.base import metadata

_INSTALLED = Path(__file__).parent.parent / "_migrations"
"""Where a wheel carries them."""
FOLDER = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[3] / "migrations"

_NOTE = """
## {revision} {message}

- Purpose:
- Locks:
- Reversible:
- Phase: (expand, backfill or contract)
"""


def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database to a revision; makes the file of a SQLite database that is not there.

    Safe to repeat and to start from several processes at once: one works, the others wait for its
    lease. Each migration is one transaction.

    Raises:
        TimeoutError: another process migrates and does not come to an end.
    """
    if revision == "head" and current(url) == head() != "":
        return
    command.upgrade(_config(url, writes=True), revision)


def downgrade(url: str, revision: str) -> None:
    """Take the database back to a revision; ``base`` is before the first one."""
    command.downgrade(_config(url, writes=True), revision)


def head() -> str:
    """The newest revision, as ``migrations/HEAD`` names it; empty before the first one."""
    return (FOLDER / "HEAD").read_text(encoding="utf-8").strip()


@cache
def known() -> frozenset[str]:
    """Every revision of this code."""
    config = _config("")
    return frozenset(script.revision for script in ScriptDirectory.from_config(config).walk_revisions())


def serves(revision: str | None) -> bool:
    """Whether this code may work on a database at a revision: its own, or one that came after this code.

    Newer tables hold the older ones (expand, then contract: NOTES.md), so that the servers of a release go on while
    those of the next one come up.
    """
    return revision is not None and (revision == head() or revision not in known())


def current(url: str) -> str | None:
    """The revision the database is at, or None for an empty one."""
    found: list[str] = []
    _look(url, lambda at, _: found.extend(at))
    return found[0] if found else None


def check(url: str) -> list[str]:
    """What the tables in the code have that the migrated database lacks, and the other way round.

    Returns:
        One line per difference; none when a migration need not be written.
    """
    found: list[str] = []
    _look(
        url,
        lambda _, context: found.extend(repr(one) for one in compare_metadata(context, metadata)),
        compares=True,
    )
    return found


def make_revision(message: str) -> Path:
    """Write the migration from the last revision to the tables in the code, and name it in HEAD and NOTES.md.

    It is compared on an empty SQLite database, so that no server is needed. Read what it wrote.

    Returns:
        The file written.
    """
    revision = f"{clock.now():%Y%m%d_%H%M}"
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{folder}/empty.db"
        upgrade(url)
        script = command.revision(_config(url, compares=True), message, autogenerate=True, rev_id=revision)
    if script is None or isinstance(script, list):
        raise RuntimeError("one revision was asked for")
    (FOLDER / "HEAD").write_text(revision + "\n", encoding="utf-8")
    with (FOLDER / "NOTES.md").open("a", encoding="utf-8") as notes:
        notes.write(_NOTE.format(revision=revision, message=message))
    return Path(script.path)


def _config(url: str, **attributes: Any) -> Config:
    """The configuration that alembic.ini would hold. ``attributes`` are read by env.py."""
    config = Config(attributes={"url": url, **attributes})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    return config


def _look(url: str, see: Callable[[Any, MigrationContext], object], **attributes: Any) -> None:
    """Open the database as for a migration, and only look."""

    def seen(revision: Any, context: MigrationContext) -> list[Any]:
        see(revision, context)
        return []

    config = _config(url, **attributes)
    script = ScriptDirectory.from_config(config)
    with EnvironmentContext(config, script, fn=seen):
        script.run_env()
