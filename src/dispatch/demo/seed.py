"""Makes the demonstration's district, once."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.catalog import actions as catalog
from dispatch.db.engine import Database
from dispatch.db.outbox import outbox
from dispatch.db.tenants import tenants
from dispatch.demo import cast, checkins, listings, orders
from dispatch.domain.checkin import RENEWAL_MONTHS, later
from dispatch.domain.people import Role
from dispatch.people import actions as people
from dispatch.places import actions as places
from dispatch.sla.actions import calendars
from dispatch.wechat.fake import APPID

FOUNDED = timedelta(days=90)
"""How long before the seed's instant the people checked in: before the oldest order."""
NEWS = timedelta(days=3)
"""How old a fact may be and still be told to those whom it concerns."""


@dataclass(slots=True)
class Town:
    """What was made, by code and login."""

    tenant_id: int
    places: dict[str, UUID] = field(default_factory=dict)
    bodies: dict[str, UUID] = field(default_factory=dict)
    accounts: dict[str, UUID] = field(default_factory=dict)


async def seed(database: Database, *, at: datetime) -> bool:
    """Make the demonstration's tenant with its people and orders, unless it is there. Returns whether it was made.

    All or nothing: an interrupted seed leaves no half of a town behind.
    """
    async with database.reading() as db:
        if await _is_there(db):
            return False
    async with database.writing() as db:
        if await _is_there(db):
            return False
        town = await found(db, at=at - FOUNDED)
        await orders.seed_orders(db, town.tenant_id, town.accounts, town.bodies, town.places, at=at)
        await checkins.seed_checkins(db, town.tenant_id, town.accounts, town.bodies, town.places, at=at)
        await listings.seed_listings(db, town.tenant_id, town.accounts, at=at)
        await _old_news(db, town.tenant_id, at=at)
    return True


async def _old_news(db: AsyncConnection, tenant_id: int, *, at: datetime) -> None:
    """What happened before ``NEWS`` is not told any more: nobody wants 900 notices of last month."""
    await db.execute(
        update(outbox)
        .where(outbox.c.tenant_id == tenant_id, outbox.c.state == "pending", outbox.c.created_at < at - NEWS)
        .values(state="done", ended_at=at)
    )


async def _is_there(db: AsyncConnection) -> bool:
    return await db.scalar(select(tenants.c.id).where(tenants.c.code == cast.TENANT_CODE)) is not None


async def found(db: AsyncConnection, *, at: datetime) -> Town:
    """Tenant, places, catalogue, bodies, accounts and members, as of ``at``."""
    town = Town(await places.add_tenant(db, cast.TENANT_CODE, cast.TENANT_NAME))
    for code, above, kind, name in cast.PLACES:
        parent_id = town.places[above] if above else None
        made = await places.add_place(
            db, town.tenant_id, parent_id, kind, code, name, party_org=_party_org(kind, name)
        )
        town.places[code] = made.id
    for compound, grid in cast.LINKS:
        await places.link(db, town.tenant_id, town.places[compound], town.places[grid])
    await catalog.load_defaults(db, town.tenant_id)
    await calendars.load_defaults(db, town.tenant_id, at=at)
    for code, kind, name, place in cast.BODIES:
        town.bodies[code] = await people.add_body(
            db, town.tenant_id, kind, code, name, place_id=town.places[place]
        )
    await _populate(db, town, at=at)
    return town


def _party_org(kind: str, name: str) -> str | None:
    ends = {"district": "委", "street": "党工委", "community": "党委", "grid": "党支部"}
    return f"中共{name}{ends[kind]}" if kind in ends else None


async def _populate(db: AsyncConnection, town: Town, *, at: datetime) -> None:
    offers = tuple(offer["code"] for offer in catalog.shipped()["checkin_items"])
    traits = cast.traits(offers)
    kinds = {code: kind for code, kind, _, _ in cast.BODIES}
    seats = {code: place for code, _, _, place in cast.BODIES}
    units = {
        login: town.bodies[body]
        for body, logins in cast.STAFF_OF.items()
        for login in logins
        if kinds[body] == "unit"
    }
    for part in cast.PARTS:
        trait = traits[part.login]
        lives_at = part.place or seats[part.body or ""]
        account_id = await people.add_account(
            db,
            town.tenant_id,
            login=part.login,
            name=trait.name,
            phone=trait.phone,
            home_place_id=town.places[lives_at],
            at=at,
        )
        town.accounts[part.login] = account_id
        await people.know_as(db, town.tenant_id, account_id, appid=APPID, subject=part.login)
        if part.role is Role.MEMBER:
            await people.add_member(
                db,
                town.tenant_id,
                account_id,
                town.places[lives_at],
                unit_id=units.get(part.login),
                items=trait.items,
                skills=[{"code": code, "name": name} for code, name in trait.skills],
                free_times=trait.free_times,
                more={"languages": ["普通话"], "renew_by": later(at.date(), RENEWAL_MONTHS)},
                at=at,
            )
        else:
            place_id = town.places[part.place] if part.place else None
            body_id = town.bodies[part.body] if part.body else None
            await people.grant(
                db, town.tenant_id, account_id, part.role, place_id=place_id, body_id=body_id, at=at
            )
    for body, logins in cast.STAFF_OF.items():
        await people.join_body(
            db, town.tenant_id, town.bodies[body], [town.accounts[login] for login in logins]
        )
