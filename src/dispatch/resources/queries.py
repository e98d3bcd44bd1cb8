"""Reads of listings and claims."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, exists, false, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.listings import HOLDS, LIVE, ClaimState, Listing, ListingKind, ListingState, Party, Side
from dispatch.domain.people import BODY_ROLES, DISPATCHING_ROLES, Actor
from dispatch.domain.refusal import ClaimNotFound, ListingNotFound
from dispatch.people.tables import bodies
from dispatch.places.queries import below, ids_of, path_of
from dispatch.places.tables import places
from dispatch.resources.tables import claims, listings

After = tuple[datetime, UUID] | None

_seat, _claimant, _claimant_seat = (
    places.alias("seat"),
    bodies.alias("claimant"),
    places.alias("claimant_seat"),
)


def _listed(tenant_id: int) -> Select[Any]:
    """Listings with who published them."""
    return (
        select(
            listings,
            bodies.c.name.label("body_name"),
            bodies.c.retired_at.label("publisher_retired_at"),
            _seat.c.name.label("place_name"),
            _seat.c.path.label("path"),
        )
        .select_from(
            listings.join(
                _seat, and_(_seat.c.tenant_id == listings.c.tenant_id, _seat.c.id == listings.c.place_id)
            ).outerjoin(
                bodies, and_(bodies.c.tenant_id == listings.c.tenant_id, bodies.c.id == listings.c.body_id)
            )
        )
        .where(listings.c.tenant_id == tenant_id)
    )


def _acting(actor: Actor, table: Any) -> list[ColumnElement[bool]]:
    """The ways in which a row of listings or claims is the actor's own, or within the scope of the actor's office."""
    ways: list[ColumnElement[bool]] = []
    for grant in actor.grants:
        if grant.body_id and grant.role in BODY_ROLES:
            ways.append(table.c.body_id == grant.body_id)
        elif grant.role in DISPATCHING_ROLES and grant.path:
            ways.append(table.c.place_id.in_(below(actor.tenant.id, path_of(grant.path))))
    return ways


def _meant_for(actor: Actor) -> ColumnElement[bool]:
    """Published for a place that one of the actor's grants lies in; a withdrawn one stays readable by its id."""
    return listings.c.ring_id.in_({id for grant in actor.grants for id in grant.path})


def _claimed_by(actor: Actor) -> ColumnElement[bool]:
    return exists().where(
        claims.c.tenant_id == listings.c.tenant_id,
        claims.c.listing_id == listings.c.id,
        or_(false(), *_acting(actor, claims)),
    )


async def listing(db: AsyncConnection, actor: Actor, listing_id: UUID) -> Any:
    """One listing that was published for the actor, is the actor's own, or was claimed by the actor.

    Raises:
        ListingNotFound: unknown, or none of those.
    """
    seen = or_(_meant_for(actor), _claimed_by(actor), *_acting(actor, listings))
    row = (await db.execute(_listed(actor.tenant.id).where(listings.c.id == listing_id, seen))).one_or_none()
    if row is None:
        raise ListingNotFound()
    return row


@dataclass(frozen=True, slots=True)
class Wanted:
    """The filters of a list of listings."""

    side: Side
    kind: ListingKind | None = None
    body_id: UUID | None = None
    place_id: UUID | None = None
    mine: bool = False


async def listing_page(
    db: AsyncConnection, actor: Actor, wanted: Wanted, *, today: date, after: After, limit: int
) -> list[Any]:
    """What is published for the actor and still runs, newest first, one more than ``limit``.

    ``mine``: what the actor's body published, or bodies and places in the actor's scope; all of it.
    """
    by = (listings.c.published_at, listings.c.id)
    rows = _listed(actor.tenant.id).where(listings.c.side == wanted.side)
    if wanted.mine:
        rows = rows.where(or_(false(), *_acting(actor, listings)))
    else:
        runs = or_(listings.c.ends_on.is_(None), listings.c.ends_on >= today)
        in_service = bodies.c.retired_at.is_(None)  # true of what a place published
        rows = rows.where(_meant_for(actor), listings.c.state == ListingState.PUBLISHED, runs, in_service)
    if wanted.kind:
        rows = rows.where(listings.c.kind == wanted.kind)
    if wanted.body_id:
        rows = rows.where(listings.c.body_id == wanted.body_id)
    if wanted.place_id:
        rows = rows.where(listings.c.place_id == wanted.place_id)
    if after is not None:
        rows = rows.where(tuple_(*by) < tuple_(*after))
    return list((await db.execute(rows.order_by(*(column.desc() for column in by)).limit(limit + 1))).all())


def as_listing(row: Any) -> Listing:
    """A row as the rules see it."""
    return Listing(
        side=Side(row.side),
        kind=ListingKind(row.kind),
        state=ListingState(row.state),
        publisher=Party(row.body_id, row.place_id, ids_of(row.path)),
        ring_id=row.ring_id,
        quantity=row.quantity,
        held=row.held,
        hours=tuple(row.opening_hours or ()),
        starts_on=row.starts_on,
        ends_on=row.ends_on,
    )


async def booked(
    db: AsyncConnection, tenant_id: int, listing_id: UUID, begins: datetime, ends: datetime
) -> list[Any]:
    """Times of a venue that are requested or confirmed and share an instant with [begins, ends), in their order."""
    rows = (
        select(claims.c.starts_at, claims.c.ends_at, claims.c.state)
        .where(
            claims.c.tenant_id == tenant_id,
            claims.c.listing_id == listing_id,
            claims.c.state.in_(tuple(HOLDS)),
            claims.c.starts_at < ends,
            claims.c.ends_at > begins,
        )
        .order_by(claims.c.starts_at)
    )
    return list((await db.execute(rows)).all())


async def has_live_claim(db: AsyncConnection, tenant_id: int, listing_id: UUID, party: Party) -> bool:
    """Whether a party has a claim on a listing that is still open."""
    same = claims.c.body_id == party.body_id if party.body_id else claims.c.body_id.is_(None)
    found = exists().where(
        claims.c.tenant_id == tenant_id,
        claims.c.listing_id == listing_id,
        claims.c.place_id == party.place_id,
        same,
        claims.c.state.in_(tuple(LIVE)),
    )
    return bool(await db.scalar(select(found)))


def _claims(tenant_id: int) -> Select[Any]:
    """Claims with who claims, and the listing with who published it."""
    return (
        select(
            claims,
            _claimant.c.name.label("body_name"),
            _claimant_seat.c.name.label("place_name"),
            _claimant_seat.c.path.label("path"),
            listings.c.side,
            listings.c.kind,
            listings.c.title.label("listing_title"),
            listings.c.measure,
            listings.c.body_id.label("publisher_body_id"),
            listings.c.place_id.label("publisher_place_id"),
            bodies.c.name.label("publisher_body_name"),
            _seat.c.name.label("publisher_place_name"),
            _seat.c.path.label("publisher_path"),
        )
        .select_from(
            claims.join(
                listings,
                and_(listings.c.tenant_id == claims.c.tenant_id, listings.c.id == claims.c.listing_id),
            )
            .join(_seat, and_(_seat.c.tenant_id == listings.c.tenant_id, _seat.c.id == listings.c.place_id))
            .join(
                _claimant_seat,
                and_(
                    _claimant_seat.c.tenant_id == claims.c.tenant_id,
                    _claimant_seat.c.id == claims.c.place_id,
                ),
            )
            .outerjoin(
                bodies, and_(bodies.c.tenant_id == listings.c.tenant_id, bodies.c.id == listings.c.body_id)
            )
            .outerjoin(
                _claimant,
                and_(_claimant.c.tenant_id == claims.c.tenant_id, _claimant.c.id == claims.c.body_id),
            )
        )
        .where(claims.c.tenant_id == tenant_id)
    )


def _concerned(actor: Actor) -> ColumnElement[bool]:
    """Claims that the actor's party made, that were made on what it published, or in the scope of an office."""
    return or_(false(), *_acting(actor, claims), *_acting(actor, listings))


async def claim(db: AsyncConnection, actor: Actor, claim_id: UUID) -> Any:
    """One claim with its listing.

    Raises:
        ClaimNotFound: unknown, or neither side of it is the actor's.
    """
    rows = _claims(actor.tenant.id).where(claims.c.id == claim_id, _concerned(actor))
    row = (await db.execute(rows)).one_or_none()
    if row is None:
        raise ClaimNotFound()
    return row


async def claim_of(db: AsyncConnection, tenant_id: int, claim_id: UUID) -> Any:
    """One claim, for the service itself."""
    return (await db.execute(_claims(tenant_id).where(claims.c.id == claim_id))).one()


async def claim_page(
    db: AsyncConnection,
    actor: Actor,
    *,
    listing_id: UUID | None,
    state: ClaimState | None,
    after: After,
    limit: int,
) -> list[Any]:
    """Claims that concern the actor, newest first, one more than ``limit``."""
    by = (claims.c.claimed_at, claims.c.id)
    rows = _claims(actor.tenant.id).where(_concerned(actor))
    if listing_id:
        rows = rows.where(claims.c.listing_id == listing_id)
    if state:
        rows = rows.where(claims.c.state == state)
    if after is not None:
        rows = rows.where(tuple_(*by) < tuple_(*after))
    return list((await db.execute(rows.order_by(*(column.desc() for column in by)).limit(limit + 1))).all())


def publisher_of(row: Any) -> Party:
    """Who published what a claim is on."""
    return Party(row.publisher_body_id, row.publisher_place_id, ids_of(row.publisher_path))


def claimant_of(row: Any) -> Party:
    """Who claims."""
    return Party(row.body_id, row.place_id, ids_of(row.path))


COUNTED = ("resources", "demands", "claimed", "confirmed", "delivered")


async def counts(
    db: AsyncConnection, actor: Actor, *, begins: datetime | None, ends: datetime | None
) -> list[dict[str, Any]]:
    """Per unit and per community: published resources and demands, claims made, and what became of them.

    Of the actor's own body, or of those in the actor's scope; each by when it was published or claimed.
    """
    found: dict[tuple[UUID | None, UUID], dict[str, Any]] = {}
    for table, at, numbers in (
        (listings, listings.c.published_at, _PUBLISHED),
        (claims, claims.c.claimed_at, _CLAIMED),
    ):
        rows = (
            select(table.c.body_id, table.c.place_id, *numbers)
            .where(table.c.tenant_id == actor.tenant.id, or_(false(), *_acting(actor, table)))
            .group_by(table.c.body_id, table.c.place_id)
        )
        if begins is not None:
            rows = rows.where(at >= begins)
        if ends is not None:
            rows = rows.where(at < ends)
        for row in (await db.execute(rows)).all():
            line = found.setdefault((row.body_id, row.place_id), dict.fromkeys(COUNTED, 0))
            line.update(row._asdict())
    return await _named(db, actor.tenant.id, list(found.values()))


def _how_many(*conditions: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((and_(*conditions), 1)))


_PUBLISHED = (
    _how_many(listings.c.side == Side.RESOURCE).label("resources"),
    _how_many(listings.c.side == Side.DEMAND).label("demands"),
)
_CLAIMED = (
    func.count().label("claimed"),
    _how_many(claims.c.state.in_((ClaimState.CONFIRMED, ClaimState.DELIVERED))).label("confirmed"),
    _how_many(claims.c.state == ClaimState.DELIVERED).label("delivered"),
)


async def _named(db: AsyncConnection, tenant_id: int, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines with names, communities first, then units, each by name."""
    for table, key, name in ((bodies, "body_id", "body_name"), (places, "place_id", "place_name")):
        ids = {line[key] for line in lines if line[key]}
        rows = select(table.c.id, table.c.name).where(table.c.tenant_id == tenant_id, table.c.id.in_(ids))
        names = {row.id: row.name for row in (await db.execute(rows)).all()} if ids else {}
        for line in lines:
            line[name] = names.get(line[key])
    return sorted(
        lines, key=lambda line: (line["body_id"] is not None, line["place_name"], line["body_name"] or "")
    )
