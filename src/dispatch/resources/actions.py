"""Publishing, claiming, and what follows a claim.

The listing's row is the lock under which claims on it are judged: a claim first raises the row's version, which
makes every other claim on the same listing wait, and only then looks at what is taken (ADR 0044). Whoever needs
both rows takes the listing's first.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.guarding import Dependent, Rows, guarded
from dispatch.db.idempotency import Key
from dispatch.db.ids import new_id
from dispatch.db.outbox import announce
from dispatch.domain.facts import Fact
from dispatch.domain.listings import (
    HOLDS,
    Act,
    ClaimState,
    Hand,
    ListingKind,
    ListingState,
    Party,
    Side,
    acts_as,
    acts_for,
    check_listing,
    check_time,
    claiming_refusal,
    judged,
    publishing_refusal,
    wanted_quantity,
)
from dispatch.domain.people import Actor
from dispatch.domain.refusal import (
    AlreadyClaimed,
    ListingClosed,
    NotEnoughLeft,
    Refusal,
    RoleForbidden,
    VenueTaken,
)
from dispatch.orders import queries as orders
from dispatch.people.once import once
from dispatch.people.serving import not_serving, serving
from dispatch.people.shapes import values
from dispatch.resources import queries
from dispatch.resources.tables import claims, listings

Data = Mapping[str, Any]


async def publish(
    db: AsyncConnection, actor: Actor, data: Data, key: Key | None, *, at: datetime
) -> tuple[UUID, bool]:
    """Put a resource or a demand on its list. Returns its id.

    ``data``: side, kind, title, text, audience_place_id, spot, seats, terms, quantity, measure, opening_hours, starts_on,
    ends_on, order_id.

    Raises:
        RoleForbidden: the acting grant publishes nothing, or no demands.
        ValidationFailed: what does not fit its kind.
        OrderNotFound: none that the actor sees.
    """

    async def act() -> UUID:
        party, side, kind = acts_as(actor), Side(data["side"]), ListingKind(data["kind"])
        if party is None:
            raise RoleForbidden()
        await _in_use(db, actor)
        ring_id = data.get("audience_place_id") or party.place_id
        if refusal := publishing_refusal(party, side, ring_id):
            raise refusal
        check_listing(kind, side, data)
        if data.get("order_id"):
            await orders.whole(db, actor, data["order_id"])
        id = new_id()
        row = {name: value for name, value in data.items() if name != "audience_place_id"}
        row |= {"tenant_id": actor.tenant.id, "id": id, "ring_id": ring_id, "held": 0, "version": 1}
        row |= {"body_id": party.body_id, "place_id": party.place_id, "state": ListingState.PUBLISHED}
        await db.execute(insert(listings).values(**row, published_by=actor.account_id, published_at=at))
        return id

    return await once(db, actor, key, act, at=at)


async def _in_use(db: AsyncConnection, actor: Actor) -> None:
    """A body that was retired promises nothing more. Raises: RoleForbidden."""
    told = serving(actor)
    if not_serving(
        (await db.execute(select(*told.columns.labelled), {**values(actor), **told.values})).one()
    ):
        raise RoleForbidden()


async def withdraw(
    db: AsyncConnection, actor: Actor, listing_id: UUID, key: Key | None, *, at: datetime
) -> tuple[UUID, bool]:
    """Take a listing off its list. Open requests on it are declined; what was confirmed stays promised. Safe to repeat.

    Raises:
        ListingNotFound: none of the actor's business.
        RoleForbidden: somebody else's.
    """

    async def act() -> UUID:
        row = await queries.listing(db, actor, listing_id)
        if not acts_for(actor, queries.as_listing(row).publisher):
            raise RoleForbidden()
        gone = await db.execute(
            update(listings)
            .where(
                listings.c.tenant_id == actor.tenant.id,
                listings.c.id == listing_id,
                listings.c.state == ListingState.PUBLISHED,
            )
            .values(state=ListingState.WITHDRAWN, withdrawn_at=at, version=listings.c.version + 1)
            .returning(listings.c.id)
        )
        if gone.one_or_none() is not None:
            await _decline_all(db, actor, listing_id, at=at)
        return listing_id

    return await once(db, actor, key, act, at=at)


WITHDRAWN = "发布方已撤下。"


async def _decline_all(db: AsyncConnection, actor: Actor, listing_id: UUID, *, at: datetime) -> None:
    """Decline what is requested of a listing whose row is held."""
    declined = await db.execute(
        update(claims)
        .where(
            claims.c.tenant_id == actor.tenant.id,
            claims.c.listing_id == listing_id,
            claims.c.state == ClaimState.REQUESTED,
        )
        .values(
            state=ClaimState.DECLINED,
            reason=WITHDRAWN,
            moved_by=actor.account_id,
            moved_at=at,
        )
        .returning(claims.c.id, claims.c.quantity, claims.c.starts_at)
    )
    rows = declined.all()
    if not rows:
        return
    freed = sum(row.quantity for row in rows if row.starts_at is None)
    told = [_fact(actor, row.id, ClaimState.DECLINED, at=at) for row in rows]
    await guarded(db, _held(actor.tenant.id, listing_id, -freed), told)


def _held(tenant_id: int, listing_id: UUID, by: int, *conditions: Any) -> Any:
    """Take the listing's row, and more or less of what it has."""
    return (
        update(listings)
        .where(listings.c.tenant_id == tenant_id, listings.c.id == listing_id, *conditions)
        .values(held=listings.c.held + by, version=listings.c.version + 1)
        .returning(listings.c.id)
    )


def _fact(actor: Actor, claim_id: UUID, state: ClaimState, *, at: datetime) -> Rows:
    body = {"claim_id": str(claim_id), "state": state.value, "by": str(actor.account_id)}
    return announce(actor.tenant.id, Fact.CLAIM_MOVED, body, at=at)


async def claim(
    db: AsyncConnection, actor: Actor, listing_id: UUID, data: Data, key: Key | None, *, at: datetime
) -> tuple[UUID, bool]:
    """认领: claim a listing; a venue for a time, goods in a quantity. Who asks first holds it until it is answered.

    ``data``: purpose, quantity, starts_at, ends_at.

    Raises:
        ListingNotFound, RoleForbidden, OwnListing, ListingClosed, ValidationFailed: it is not to be claimed so.
        VenueTaken, VenueShut, AlreadyClaimed, NotEnoughLeft: it cannot be had.
    """

    async def act() -> UUID:
        row = await queries.listing(db, actor, listing_id)
        claimant, zone = acts_as(actor), actor.tenant.zone
        seen = queries.as_listing(row)
        if row.publisher_retired_at is not None:
            raise ListingClosed()
        refusal = claiming_refusal(seen, claimant, at.astimezone(zone).date())
        if refusal or claimant is None:
            raise refusal or RoleForbidden()
        await _in_use(db, actor)
        wanted = wanted_quantity(seen, data.get("quantity"))
        begins, ends = data.get("starts_at"), data.get("ends_at")
        check_time(seen, begins, ends, zone, at=at)
        return await _win(db, actor, row, claimant, wanted, data, at=at)

    return await once(db, actor, key, act, at=at)


async def _win(
    db: AsyncConnection, actor: Actor, row: Any, claimant: Party, wanted: int, data: Data, *, at: datetime
) -> UUID:
    tenant_id, listing_id = actor.tenant.id, row.id
    begins, ends = data.get("starts_at"), data.get("ends_at")
    enough = (listings.c.quantity.is_(None)) | (listings.c.held + wanted <= listings.c.quantity)
    runs = listings.c.state == ListingState.PUBLISHED
    # What a venue holds is time, which its claims say themselves.
    by = 0 if begins else wanted
    held = (await db.execute(_held(tenant_id, listing_id, by, runs, enough))).one_or_none()
    if held is None:
        raise await _why_not(db, actor, listing_id)
    # Under the lock, in a statement of its own: it sees what was committed while the one above waited.
    if begins and ends:
        if await queries.booked(db, tenant_id, listing_id, begins, ends):
            raise VenueTaken()
    elif await queries.has_live_claim(db, tenant_id, listing_id, claimant):
        raise AlreadyClaimed()
    id = new_id()
    made = insert(claims).values(
        tenant_id=tenant_id,
        id=id,
        listing_id=listing_id,
        body_id=claimant.body_id,
        place_id=claimant.place_id,
        purpose=data["purpose"],
        quantity=wanted,
        starts_at=begins,
        ends_at=ends,
        state=ClaimState.REQUESTED,
        claimed_by=actor.account_id,
        claimed_at=at,
        moved_by=actor.account_id,
        moved_at=at,
    )
    await guarded(db, made.returning(claims.c.id), [_fact(actor, id, ClaimState.REQUESTED, at=at)])
    return id


async def _why_not(db: AsyncConnection, actor: Actor, listing_id: UUID) -> Refusal:
    now = queries.as_listing(await queries.listing(db, actor, listing_id))
    return NotEnoughLeft(left=now.left) if now.state is ListingState.PUBLISHED else ListingClosed()


async def move(
    db: AsyncConnection, actor: Actor, claim_id: UUID, act_: Act, data: Data, key: Key | None, *, at: datetime
) -> tuple[UUID, bool]:
    """Take a claim along an edge of its table; what it no longer needs can be claimed by others.

    ``data``: reason, note.

    Raises:
        ClaimNotFound: neither side of it is the actor's.
        ClaimMoved, RoleForbidden, ValidationFailed, TooLate: see ``domain.listings.judged``.
    """

    async def act() -> UUID:
        seen = await queries.claim(db, actor, claim_id)
        await db.execute(_held(actor.tenant.id, seen.listing_id, 0))
        row = await queries.claim(db, actor, claim_id)  # under the lock it stays what it is
        edge = judged(
            act_,
            ClaimState(row.state),
            hands_of(actor, row),
            data,
            begins=row.starts_at,
            ends=row.ends_at,
            at=at,
        )
        values = {"state": edge.target, "moved_by": actor.account_id, "moved_at": at}
        change = (
            update(claims)
            .where(
                claims.c.tenant_id == actor.tenant.id, claims.c.id == claim_id, claims.c.state == row.state
            )
            .values(**values, **{name: data[name] for name in ("reason", "note") if data.get(name)})
            .returning(claims.c.id)
        )
        then: list[Dependent] = [_fact(actor, claim_id, edge.target, at=at)]
        await guarded(db, change, then)
        if edge.target not in HOLDS and row.starts_at is None:
            await db.execute(_held(actor.tenant.id, row.listing_id, -row.quantity))
        return claim_id

    return await once(db, actor, key, act, at=at)


def hands_of(actor: Actor, row: Any) -> frozenset[Hand]:
    """What the actor is to a claim."""
    sides = {Hand.PUBLISHER: queries.publisher_of(row), Hand.CLAIMANT: queries.claimant_of(row)}
    return frozenset(hand for hand, party in sides.items() if acts_for(actor, party))
