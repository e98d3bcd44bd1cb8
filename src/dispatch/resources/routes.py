"""资源清单, 需求清单 and 双向认领 over HTTP."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response, status
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.listings import (
    ACT_LABELS,
    CLAIM_LABELS,
    KIND_LABELS,
    Act,
    ClaimState,
    ListingKind,
    Side,
    acts_for,
    offered,
)
from dispatch.domain.people import Actor
from dispatch.domain.refusal import (
    AlreadyClaimed,
    ClaimMoved,
    ListingClosed,
    NotEnoughLeft,
    OrderNotFound,
    OwnListing,
    RoleForbidden,
    TooLate,
    VenueShut,
    VenueTaken,
)
from dispatch.orders.answers import given
from dispatch.resources import actions, queries
from dispatch.resources.schemas import (
    BookedListOut,
    BookedOut,
    CancelIn,
    ClaimedListingOut,
    ClaimIn,
    ClaimOut,
    ConfirmIn,
    CountOut,
    CountsOut,
    DeclineIn,
    DeliverIn,
    HolderOut,
    HoursOut,
    ListingIn,
    ListingOut,
    StepOut,
)
from dispatch.web.deps import Caller, Keyed, Now, Reading, Writing
from dispatch.web.paging import DEFAULT_LIMIT, Cursor, Key, Limit, Page, cut, fingerprint, read_cursor
from dispatch.web.problems import responses
from dispatch.web.wire import Body, IdIn, InstantIn

router = APIRouter(prefix="/v1", tags=["resources"])

LONGEST_LOOK = timedelta(days=92)
"""How much of a venue's diary is shown at once."""

Done = tuple[Any, bool]


@router.post(
    "/listings",
    status_code=status.HTTP_201_CREATED,
    summary="发布资源或需求",
    responses=responses(RoleForbidden, OrderNotFound),
)
async def publish_listing(
    db: Writing, caller: Caller, now: Now, key: Keyed, response: Response, body: ListingIn
) -> ListingOut:
    """Units and communities publish resources, communities demands, within their own place or one above it."""
    said = body.model_dump(exclude_none=True, by_alias=True)
    done = await actions.publish(db, caller, said, key, at=now)
    return await _listing(db, caller, done, response)


@router.get("/listings", summary="资源清单、需求清单")
async def list_listings(
    db: Reading,
    caller: Caller,
    now: Now,
    side: Side = Side.RESOURCE,
    kind: ListingKind | None = None,
    body_id: Annotated[IdIn | None, Query(description="Published by this unit or other body.")] = None,
    place_id: Annotated[
        IdIn | None, Query(description="Published at this community, street or district.")
    ] = None,
    mine: Annotated[
        bool, Query(description="What the caller, or the caller's scope, has published.")
    ] = False,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[ListingOut]:
    """What is published where the caller lives or serves and still runs, newest first; ``mine``: withdrawn ones too."""
    wanted = queries.Wanted(side, kind, body_id, place_id, mine)
    query = fingerprint("listings", side=side, kind=kind, body=body_id, place=place_id, mine=mine or None)
    after = read_cursor(cursor, query)
    today = now.astimezone(caller.tenant.zone).date()
    found = await queries.listing_page(
        db, caller, wanted, today=today, after=(after.at, after.id) if after else None, limit=limit
    )
    rows, next_cursor = cut(found, limit, query, lambda row: Key(row.published_at, row.id))
    return Page(items=[_shown(row, caller) for row in rows], next_cursor=next_cursor)


@router.get("/listings/{listing_id}", summary="一条资源或需求")
async def get_listing(db: Reading, caller: Caller, listing_id: IdIn) -> ListingOut:
    """One listing that the caller may see."""
    return _shown(await queries.listing(db, caller, listing_id), caller)


@router.get("/listings/{listing_id}/booked", summary="场地已被预订的时段")
async def get_booked(
    db: Reading,
    caller: Caller,
    now: Now,
    listing_id: IdIn,
    starts_at: Annotated[InstantIn | None, Query(description="By default now.")] = None,
) -> BookedListOut:
    """The times of a venue that are taken in the 92 days from an instant on."""
    await queries.listing(db, caller, listing_id)
    begins = starts_at or now
    rows = await queries.booked(db, caller.tenant.id, listing_id, begins, begins + LONGEST_LOOK)
    zone = caller.tenant.zone
    return BookedListOut(
        items=[
            BookedOut(
                starts_at=row.starts_at.astimezone(zone),
                ends_at=row.ends_at.astimezone(zone),
                state=row.state,
            )
            for row in rows
        ]
    )


@router.post("/listings/{listing_id}/withdraw", summary="撤下资源或需求", responses=responses(RoleForbidden))
async def withdraw_listing(
    db: Writing, caller: Caller, now: Now, key: Keyed, response: Response, listing_id: IdIn
) -> ListingOut:
    """Take it off the list; open requests are declined, what was confirmed stays promised."""
    done = await actions.withdraw(db, caller, listing_id, key, at=now)
    return await _listing(db, caller, done, response)


@router.post(
    "/listings/{listing_id}/claim",
    status_code=status.HTTP_201_CREATED,
    summary="认领资源或需求，预订场地",
    responses=responses(
        RoleForbidden, OwnListing, ListingClosed, AlreadyClaimed, NotEnoughLeft, VenueTaken, VenueShut
    ),
)
async def claim_listing(
    db: Writing, caller: Caller, now: Now, key: Keyed, response: Response, listing_id: IdIn, body: ClaimIn
) -> ClaimOut:
    """认领: communities and units claim resources, units demands; a venue for a time. It is held until answered."""
    done = await actions.claim(db, caller, listing_id, given(body), key, at=now)
    return await _claim(db, caller, done, response)


@router.get("/claims", summary="认领记录")
async def list_claims(
    db: Reading,
    caller: Caller,
    listing_id: Annotated[IdIn | None, Query(description="On this listing only.")] = None,
    state: Annotated[ClaimState | None, Query(description="In this state only.")] = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[ClaimOut]:
    """Claims that the caller's side made or received, or in the caller's scope, newest first."""
    query = fingerprint("claims", listing=listing_id, state=state)
    after = read_cursor(cursor, query)
    found = await queries.claim_page(
        db,
        caller,
        listing_id=listing_id,
        state=state,
        after=(after.at, after.id) if after else None,
        limit=limit,
    )
    rows, next_cursor = cut(found, limit, query, lambda row: Key(row.claimed_at, row.id))
    return Page(items=[_claimed(row, caller) for row in rows], next_cursor=next_cursor)


@router.get("/claims/counts", summary="双向认领统计，按单位和社区")
async def count_claims(
    db: Reading,
    caller: Caller,
    starts_at: Annotated[InstantIn | None, Query(description="Published or claimed from then on.")] = None,
    ends_at: Annotated[InstantIn | None, Query(description="And before then.")] = None,
) -> CountsOut:
    """What the caller's body, or every unit and community in the caller's scope, published and claimed."""
    lines = await queries.counts(db, caller, begins=starts_at, ends=ends_at)
    return CountsOut(items=[CountOut(**line) for line in lines])


@router.get("/claims/{claim_id}", summary="一条认领")
async def get_claim(db: Reading, caller: Caller, claim_id: IdIn) -> ClaimOut:
    """One claim, with what the caller may do with it."""
    return _claimed(await queries.claim(db, caller, claim_id), caller)


async def _move(
    db: AsyncConnection,
    caller: Actor,
    claim_id: IdIn,
    act: Act,
    body: Body | None,
    key: Any,
    response: Response,
    at: datetime,
) -> ClaimOut:
    done = await actions.move(db, caller, claim_id, act, given(body), key, at=at)
    return await _claim(db, caller, done, response)


@router.post("/claims/{claim_id}/confirm", summary="同意认领", responses=responses(ClaimMoved, TooLate))
async def confirm_claim(
    db: Writing,
    caller: Caller,
    now: Now,
    key: Keyed,
    response: Response,
    claim_id: IdIn,
    body: ConfirmIn | None = None,
) -> ClaimOut:
    """The publisher agrees."""
    return await _move(db, caller, claim_id, Act.CONFIRM, body, key, response, now)


@router.post("/claims/{claim_id}/decline", summary="不同意认领", responses=responses(ClaimMoved))
async def decline_claim(
    db: Writing, caller: Caller, now: Now, key: Keyed, response: Response, claim_id: IdIn, body: DeclineIn
) -> ClaimOut:
    """The publisher says no, and why; what it held can be claimed by others."""
    return await _move(db, caller, claim_id, Act.DECLINE, body, key, response, now)


@router.post("/claims/{claim_id}/cancel", summary="取消认领", responses=responses(ClaimMoved))
async def cancel_claim(
    db: Writing,
    caller: Caller,
    now: Now,
    key: Keyed,
    response: Response,
    claim_id: IdIn,
    body: CancelIn | None = None,
) -> ClaimOut:
    """The claimant takes it back; once confirmed either side may, and says why."""
    return await _move(db, caller, claim_id, Act.CANCEL, body, key, response, now)


@router.post("/claims/{claim_id}/deliver", summary="登记兑现：写明办得怎样", responses=responses(ClaimMoved))
async def deliver_claim(
    db: Writing, caller: Caller, now: Now, key: Keyed, response: Response, claim_id: IdIn, body: DeliverIn
) -> ClaimOut:
    """Either side notes that it was given or used, and how it went."""
    return await _move(db, caller, claim_id, Act.DELIVER, body, key, response, now)


async def _listing(db: AsyncConnection, caller: Actor, done: Done, response: Response) -> ListingOut:
    id, replayed = done
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return _shown(await queries.listing(db, caller, id), caller)


async def _claim(db: AsyncConnection, caller: Actor, done: Done, response: Response) -> ClaimOut:
    id, replayed = done
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return _claimed(await queries.claim(db, caller, id), caller)


def _shown(row: Any, actor: Actor) -> ListingOut:
    listing = queries.as_listing(row)
    own, zone = acts_for(actor, listing.publisher), actor.tenant.zone
    return ListingOut(
        id=row.id,
        side=listing.side,
        kind=listing.kind,
        kind_label=KIND_LABELS[listing.kind],
        title=row.title,
        text=row.text,
        publisher=_holder(row.body_id, row.body_name, row.place_id, row.place_name),
        audience_place_id=row.ring_id,
        spot=row.spot,
        seats=row.seats,
        terms=row.terms,
        quantity=row.quantity,
        left=listing.left,
        measure=row.measure,
        opening_hours=[HoursOut.model_validate(line) for line in listing.hours],
        starts_on=row.starts_on,
        ends_on=row.ends_on,
        order_id=row.order_id if own else None,
        state=listing.state,
        published_at=row.published_at.astimezone(zone),
        withdrawn_at=row.withdrawn_at.astimezone(zone) if row.withdrawn_at else None,
        own=own,
    )


def _holder(body_id: Any, body_name: str | None, place_id: Any, place_name: str) -> HolderOut:
    return HolderOut(body_id=body_id, place_id=place_id, name=body_name or place_name, place=place_name)


def _claimed(row: Any, actor: Actor) -> ClaimOut:
    state, zone = ClaimState(row.state), actor.tenant.zone
    edges = offered(state, actions.hands_of(actor, row))
    return ClaimOut(
        id=row.id,
        listing=ClaimedListingOut(
            id=row.listing_id, side=row.side, kind=row.kind, title=row.listing_title, measure=row.measure
        ),
        publisher=_holder(
            row.publisher_body_id, row.publisher_body_name, row.publisher_place_id, row.publisher_place_name
        ),
        claimant=_holder(row.body_id, row.body_name, row.place_id, row.place_name),
        purpose=row.purpose,
        quantity=row.quantity,
        starts_at=row.starts_at.astimezone(zone) if row.starts_at else None,
        ends_at=row.ends_at.astimezone(zone) if row.ends_at else None,
        state=state,
        state_label=CLAIM_LABELS[state],
        reason=row.reason,
        note=row.note,
        claimed_at=row.claimed_at.astimezone(zone),
        moved_at=row.moved_at.astimezone(zone),
        moves=[StepOut(act=edge.act, label=ACT_LABELS[edge.act], needs=list(edge.needs)) for edge in edges],
    )
