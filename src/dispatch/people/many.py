"""Changes of many members at once, in a handful of statements however many they are. Callers hold the accounts."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Table, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import insert_or_ignore
from dispatch.db.ids import new_id
from dispatch.domain.people import Role
from dispatch.people.tables import FOREVER, accounts, belongings, bodies, body_people, grants, members

BATCH = 500
"""Ids or rows of one statement: SQLite takes 32,766 parameters, planners like fewer."""
T = TypeVar("T")


def batches(values: Iterable[T]) -> Iterator[Sequence[T]]:
    """So many at a time."""
    whole = list(values)
    return (whole[at : at + BATCH] for at in range(0, len(whole), BATCH))


async def hold_all(db: AsyncConnection, tenant_id: int, account_ids: Iterable[UUID]) -> None:
    """Lock accounts until the transaction ends, in the order of their ids, so that two who hold many take turns."""
    for some in batches(sorted(account_ids)):
        mine = accounts.c.tenant_id == tenant_id, accounts.c.id.in_(some)
        await db.execute(select(accounts.c.id).where(*mine).order_by(accounts.c.id).with_for_update())


async def change_accounts(
    db: AsyncConnection, tenant_id: int, changes: Mapping[UUID, Mapping[str, Any]]
) -> None:
    """Write columns of accounts, other ones for each."""
    await _change(db, accounts, "id", tenant_id, changes)


async def change_members(
    db: AsyncConnection, tenant_id: int, changes: Mapping[UUID, Mapping[str, Any]]
) -> None:
    """Write columns of members, other ones for each."""
    await _change(db, members, "account_id", tenant_id, changes)


async def _change(
    db: AsyncConnection, table: Table, key: str, tenant_id: int, changes: Mapping[UUID, Mapping[str, Any]]
) -> None:
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for id, values in changes.items():
        if values:
            names = tuple(sorted(values))
            alike.setdefault(names, []).append({"of": id, **{f"to_{name}": values[name] for name in names}})
    for names, rows in alike.items():
        write = update(table).where(table.c.tenant_id == tenant_id, table.c[key] == bindparam("of"))
        write = write.values({name: bindparam(f"to_{name}") for name in names})
        for some in batches(rows):
            await db.execute(write, some)


async def enter(
    db: AsyncConnection, tenant_id: int, kind: str, where: Mapping[UUID, UUID], *, at: datetime
) -> None:
    """Members belong to another place or body each from ``at`` on; what stood before of the kind ends then."""
    for some in batches(where):
        theirs = (
            belongings.c.tenant_id == tenant_id,
            belongings.c.party_kind == "member",
            belongings.c.party_id.in_(some),
            belongings.c.kind == kind,
        )
        open_ = *theirs, belongings.c.until_at == FOREVER
        # What began in this very instant has no length: it never was.
        await db.execute(delete(belongings).where(*open_, belongings.c.from_at >= at))
        await db.execute(update(belongings).where(*open_).values(until_at=at))
        last = select(belongings.c.party_id, func.max(belongings.c.until_at).label("until_at"))
        ended = await db.execute(last.where(*theirs).group_by(belongings.c.party_id))
        begins = {row.party_id: max(at, row.until_at) for row in ended}
        rows = [
            {
                "tenant_id": tenant_id,
                "party_kind": "member",
                "party_id": id,
                "kind": kind,
                "from_at": begins.get(id, at),
                "until_at": FOREVER,
                "of_id": where[id],
            }
            for id in some
        ]
        await db.execute(insert(belongings), rows)


async def staff_of(db: AsyncConnection, tenant_id: int, units: Mapping[UUID, UUID]) -> None:
    """Members are each of another unit's people, and of no other unit's any more."""
    those = select(bodies.c.id).where(bodies.c.tenant_id == tenant_id, bodies.c.kind == "unit")
    for some in batches(units):
        await db.execute(
            delete(body_people).where(
                body_people.c.tenant_id == tenant_id,
                body_people.c.account_id.in_(some),
                body_people.c.body_id.in_(those),
            )
        )
        rows = [{"tenant_id": tenant_id, "body_id": units[id], "account_id": id} for id in some]
        await insert_or_ignore(db, body_people, rows)


async def reseat(db: AsyncConnection, tenant_id: int, places: Mapping[UUID, UUID], *, at: datetime) -> None:
    """Members' grants are each at another place from ``at`` on; tokens of before end with the commit."""
    for some in batches(places):
        running = or_(grants.c.valid_to.is_(None), grants.c.valid_to > at)
        theirs = grants.c.tenant_id == tenant_id, grants.c.account_id.in_(some), grants.c.role == Role.MEMBER
        await db.execute(update(grants).where(*theirs, running).values(valid_to=at))
        rows = [
            {
                "tenant_id": tenant_id,
                "id": new_id(),
                "account_id": id,
                "role": Role.MEMBER,
                "place_id": places[id],
                "valid_from": at,
            }
            for id in some
        ]
        await db.execute(insert(grants), rows)
        await db.execute(
            update(accounts)
            .where(accounts.c.tenant_id == tenant_id, accounts.c.id.in_(some))
            .values(grants_version=accounts.c.grants_version + 1)
        )
