"""Questions about the database's own health."""

from sqlalchemy import column, select, table
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
