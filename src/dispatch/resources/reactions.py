"""A claim's news becomes notices."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import insert_or_ignore
from dispatch.db.ids import new_id
from dispatch.domain.listings import SIDE_LABELS, ClaimState, Party, Side
from dispatch.domain.people import BODY_ROLES, Role
from dispatch.domain.screening import screened
from dispatch.notices.tables import notices
from dispatch.people.tables import grants
from dispatch.resources import queries

SENTENCES = {
    ClaimState.REQUESTED: "{side}“{title}”有新的认领申请，请查看并答复。",
    ClaimState.CONFIRMED: "{side}“{title}”的认领已经同意。",
    ClaimState.DECLINED: "{side}“{title}”的认领没有同意，原因请查看详情。",
    ClaimState.CANCELLED: "{side}“{title}”的认领已经取消。",
    ClaimState.DELIVERED: "{side}“{title}”的认领已经登记兑现。",
}


async def tell_of_claim(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime) -> None:
    """Tell both sides of a claim but who acted: liaisons of a body, dispatchers of a community."""
    row = await queries.claim_of(db, tenant_id, UUID(body["claim_id"]))
    state = ClaimState(body["state"])
    told: set[UUID] = set()
    for party in (queries.publisher_of(row), queries.claimant_of(row)):
        told |= await _people_of(db, tenant_id, party, at=at)
    told.discard(UUID(body["by"]))
    side = SIDE_LABELS[Side(row.side)]
    text = SENTENCES[state].format(side=side, title=screened(row.listing_title))
    lines = [
        {
            "tenant_id": tenant_id,
            "id": new_id(),
            "account_id": account_id,
            "claim_id": row.id,
            "cause": f"claim:{row.id}:{state}",
            "event": f"claim.{state}",
            "text": text,
            "created_at": at,
        }
        for account_id in sorted(told)
    ]
    await insert_or_ignore(db, notices, lines)


OFFICE = (Role.DISPATCHER, Role.COMMUNITY_SECRETARY, Role.STREET, Role.DISTRICT)
"""Who answers for a place that publishes or claims by itself: each at its own level."""


async def _people_of(db: AsyncConnection, tenant_id: int, party: Party, *, at: datetime) -> set[UUID]:
    if party.body_id is not None:
        theirs = and_(grants.c.body_id == party.body_id, grants.c.role.in_(tuple(BODY_ROLES)))
    else:
        theirs = and_(grants.c.place_id == party.place_id, grants.c.role.in_(OFFICE))
    rows = select(grants.c.account_id).where(
        grants.c.tenant_id == tenant_id,
        theirs,
        grants.c.valid_from <= at,
        or_(grants.c.valid_to.is_(None), grants.c.valid_to > at),
    )
    return set((await db.execute(rows)).scalars())
