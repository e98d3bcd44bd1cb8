"""Who belonged where when. Every way into and out of a community, unit or registration ends here."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.refusal import AccountNotFound, BodyNotFound, PeriodsOverlap
from dispatch.people.tables import BELONGINGS, FOREVER, accounts, belongings, bodies


async def enter(
    db: AsyncConnection,
    tenant_id: int,
    party_kind: str,
    party_id: UUID,
    kind: str,
    of_id: UUID,
    *,
    at: datetime,
) -> None:
    """Belong to a place or body from ``at`` on; what stood before of the same kind ends then. Safe to repeat.

    The party's own row is locked first, so that of two changes at once the second sees what the first did.

    Raises:
        PeriodsOverlap: a later period is there already.
        AccountNotFound, BodyNotFound: no such party.
    """
    await _hold(db, tenant_id, party_kind, party_id)
    last = (await db.execute(_of(tenant_id, party_kind, party_id, kind).limit(1))).one_or_none()
    if last is not None and last.until_at == FOREVER:
        if last.of_id == of_id and last.from_at <= at:
            return
        if last.from_at == at:  # corrected in the same instant: nobody ever belonged there
            await db.execute(_row(tenant_id, party_kind, party_id, kind, at).values(of_id=of_id))
            return
    if last is not None and (last.from_at > at or at < last.until_at != FOREVER):
        raise PeriodsOverlap(until=None if last.until_at == FOREVER else last.until_at.isoformat())
    await _end(db, tenant_id, party_kind, party_id, (kind,), at=at)
    row = {
        "tenant_id": tenant_id,
        "party_kind": party_kind,
        "party_id": party_id,
        "kind": kind,
        "from_at": at,
        "until_at": FOREVER,
        "of_id": of_id,
    }
    await db.execute(belongings.insert().values(row))


async def leave(
    db: AsyncConnection,
    tenant_id: int,
    party_kind: str,
    party_id: UUID,
    kinds: Iterable[str] = BELONGINGS,
    *,
    at: datetime,
) -> None:
    """Belong nowhere any more, of these kinds. Safe to repeat."""
    await _hold(db, tenant_id, party_kind, party_id)
    await _end(db, tenant_id, party_kind, party_id, kinds, at=at)


async def _end(
    db: AsyncConnection,
    tenant_id: int,
    party_kind: str,
    party_id: UUID,
    kinds: Iterable[str],
    *,
    at: datetime,
) -> None:
    theirs = (
        belongings.c.tenant_id == tenant_id,
        belongings.c.party_kind == party_kind,
        belongings.c.party_id == party_id,
        belongings.c.kind.in_(tuple(kinds)),
        belongings.c.until_at == FOREVER,
    )
    # What began in this very instant has no length: it never was.
    await db.execute(belongings.delete().where(*theirs, belongings.c.from_at >= at))
    await db.execute(update(belongings).where(*theirs).values(until_at=at))


async def _hold(db: AsyncConnection, tenant_id: int, party_kind: str, party_id: UUID) -> None:
    table: Any = accounts if party_kind == "member" else bodies
    mine = select(table.c.id).where(table.c.tenant_id == tenant_id, table.c.id == party_id)
    if await db.scalar(mine.with_for_update()) is None:
        raise AccountNotFound() if party_kind == "member" else BodyNotFound()


def _of(tenant_id: int, party_kind: str, party_id: UUID, kind: str) -> Select[Any]:
    """Periods of one kind, the latest first."""
    return (
        select(belongings)
        .where(
            belongings.c.tenant_id == tenant_id,
            belongings.c.party_kind == party_kind,
            belongings.c.party_id == party_id,
            belongings.c.kind == kind,
        )
        .order_by(belongings.c.from_at.desc())
    )


def _row(tenant_id: int, party_kind: str, party_id: UUID, kind: str, from_at: datetime) -> Any:
    return update(belongings).where(
        belongings.c.tenant_id == tenant_id,
        belongings.c.party_kind == party_kind,
        belongings.c.party_id == party_id,
        belongings.c.kind == kind,
        belongings.c.from_at == from_at,
    )
