"""Questions about the database's own health."""

from datetime import UTC, datetime

from sqlalchemy import column, func, select, table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

_version = table("alembic_version", column("version_num"))


async def migrated_to(db: AsyncConnection) -> str | None:
    """The revision that the database stands at; None if it was never migrated."""
    try:
        found: str | None = await db.scalar(select(_version.c.version_num))
    except DBAPIError:
        return None
    return found


async def told_time(db: AsyncConnection) -> datetime:
    """The time by the database's own clock."""
    said = await db.scalar(select(func.current_timestamp()))
    at = datetime.fromisoformat(said) if isinstance(said, str) else said
    assert isinstance(at, datetime)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
