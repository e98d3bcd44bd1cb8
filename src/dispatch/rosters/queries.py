"""What a roster is compared with, and what goes into one."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.checkin.queries import offered
from dispatch.db.sealed import private
from dispatch.domain.cells import plain
from dispatch.domain.people import DISPATCHING_ROLES, Actor
from dispatch.domain.roster import Line
from dispatch.people.many import batches
from dispatch.people.tables import accounts, bodies, members
from dispatch.places.queries import below, ids_of
from dispatch.places.tables import places


@dataclass(slots=True)
class Ground:
    """Places and units by what people call them in compatibility form, and the check-in list."""

    communities: dict[str, list[UUID]] = field(default_factory=lambda: defaultdict(list))
    within: set[UUID] = field(default_factory=set)
    grids: dict[tuple[UUID, str], list[UUID]] = field(default_factory=lambda: defaultdict(list))
    units: dict[str, list[UUID]] = field(default_factory=lambda: defaultdict(list))
    offers: dict[str, str] = field(default_factory=dict)

    def written(self, row: Any, what: str) -> str:
        """The name of a row's community, grid, work or unit, its code where another has the name."""
        name, code = row._mapping[f"{what}_name"], row._mapping[f"{what}_code"]
        if name is None:
            return ""
        if what == "grid":
            same = self.grids.get((row.community_id, plain(name)), [])
        else:
            same = (self.units if what == "unit" else self.communities).get(plain(name), [])
        return str(code if len(same) > 1 else name)


async def ground(db: AsyncConnection, actor: Actor) -> Ground:
    """The tenant's communities, grids, units and check-in list; ``within`` are communities of the actor's own."""
    found = Ground()
    rows = select(
        places.c.id, places.c.kind, places.c.code, places.c.name, places.c.path, places.c.community_id
    )
    rows = rows.where(
        places.c.tenant_id == actor.tenant.id,
        places.c.kind.in_(("community", "grid")),
        places.c.retired_at.is_(None),
    )
    for row in await db.execute(rows):
        for name in {plain(row.code), plain(row.name)}:
            if row.kind == "community":
                found.communities[name].append(row.id)
            elif row.community_id is not None:
                found.grids[(row.community_id, name)].append(row.id)
        if row.kind == "community" and registers_at(actor, ids_of(row.path)):
            found.within.add(row.id)
    units = select(bodies.c.id, bodies.c.code, bodies.c.name).where(
        bodies.c.tenant_id == actor.tenant.id, bodies.c.kind == "unit", bodies.c.retired_at.is_(None)
    )
    for unit in await db.execute(units):
        for name in {plain(unit.code), plain(unit.name)}:
            found.units[name].append(unit.id)
    for code, name in (await offered(db, actor.tenant.id)).items():
        found.offers |= {code: code, plain(name): code}
    return found


def registers_at(actor: Actor, path: Sequence[UUID]) -> bool:
    """Whether the actor takes rosters in for the place with this path; an operator does everywhere."""
    acting = actor.acting
    return actor.is_service or (
        acting is not None and acting.role in DISPATCHING_ROLES and acting.place_id in path
    )


@dataclass(frozen=True, slots=True)
class Known:
    """An account, and what stands of it as a member (None: never checked in)."""

    id: UUID
    name: str
    phone: str | None
    id_number_hash: str | None
    address_key: str | None
    member: Any


@dataclass(slots=True)
class People:
    """Accounts that a roster may mean."""

    by_phone: dict[str, list[Known]] = field(default_factory=lambda: defaultdict(list))
    by_id: dict[str, Known] = field(default_factory=dict)
    by_unit: dict[tuple[UUID, str], list[Known]] = field(default_factory=lambda: defaultdict(list))


async def people(
    db: AsyncConnection, tenant_id: int, lines: Sequence[Line], unit_ids: Iterable[UUID]
) -> People:
    """Everybody with a phone or id number of the roster, and everybody of its units."""
    phones = [private(tenant_id, line.phone) for line in lines if line.phone]
    numbers = [private(tenant_id, line.id_number) for line in lines if line.id_number]
    ways: list[ColumnElement[bool]] = [accounts.c.phone_hash.in_(chunk) for chunk in batches(phones)]
    ways += [accounts.c.id_number_hash.in_(chunk) for chunk in batches(numbers)]
    ways += [members.c.unit_id.in_(chunk) for chunk in batches(sorted(set(unit_ids)))]
    seen: dict[UUID, Known] = {}
    for way in ways:
        for row in await db.execute(_known(tenant_id).where(way)):
            member = row if row.state is not None else None
            seen[row.id] = Known(
                row.id, plain(row.name), row.phone, row.id_number_hash, row.address_key, member
            )
    found = People()
    for one in seen.values():
        if one.phone:
            found.by_phone[one.phone].append(one)
        if one.id_number_hash:
            found.by_id[one.id_number_hash] = one
        if one.member is not None and one.member.unit_id and one.member.state != "ended":
            found.by_unit[(one.member.unit_id, one.name)].append(one)
    return found


def _known(tenant_id: int) -> Select[Any]:
    return (
        select(
            accounts.c.id,
            accounts.c.name,
            accounts.c.phone,
            accounts.c.id_number_hash,
            accounts.c.address_key,
            *(column for column in members.c if column.key not in ("tenant_id", "account_id")),
        )
        .select_from(
            accounts.outerjoin(
                members,
                and_(members.c.tenant_id == accounts.c.tenant_id, members.c.account_id == accounts.c.id),
            )
        )
        .where(accounts.c.tenant_id == tenant_id, accounts.c.disabled_at.is_(None))
    )


async def roster(db: AsyncConnection, tenant_id: int, path: str | None) -> list[Any]:
    """The members at a place and below (None: everywhere), by community and grid, those who left excluded."""
    community, grid, work, unit = (
        places.alias("community"),
        places.alias("grid"),
        places.alias("work"),
        bodies.alias("unit"),
    )

    def beside(table: Any, column: Any) -> Any:
        return and_(table.c.tenant_id == members.c.tenant_id, table.c.id == column)

    rows = (
        select(
            members,
            accounts.c.name,
            accounts.c.phone,
            *(
                column.label(f"{called}_{column.key}")
                for called, table in (
                    ("community", community),
                    ("grid", grid),
                    ("work", work),
                    ("unit", unit),
                )
                for column in (table.c.name, table.c.code)
            ),
        )
        .join(accounts, beside(accounts, members.c.account_id))
        .join(community, beside(community, members.c.community_id))
        .outerjoin(grid, beside(grid, members.c.grid_id))
        .outerjoin(work, beside(work, members.c.work_community_id))
        .outerjoin(unit, beside(unit, members.c.unit_id))
        .where(
            members.c.tenant_id == tenant_id,
            members.c.state != "ended",
            accounts.c.disabled_at.is_(None),
            true()
            if path is None
            else or_(
                members.c.community_id.in_(below(tenant_id, path)),
                members.c.grid_id.in_(below(tenant_id, path)),
            ),
        )
        .order_by(community.c.code, grid.c.code, members.c.account_id)
    )
    return list((await db.execute(rows)).all())
