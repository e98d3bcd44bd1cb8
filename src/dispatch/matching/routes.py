"""Matching over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query

from dispatch.matching import ranking
from dispatch.matching.schemas import CandidateOut, CandidatesOut
from dispatch.orders.answers import OrderId
from dispatch.web.deps import Caller, Now, Reading
from dispatch.web.wire import IdIn

router = APIRouter(prefix="/v1", tags=["matching"])


@router.get("/orders/{order_id}/candidates")
async def get_candidates(
    db: Reading,
    caller: Caller,
    now: Now,
    order_id: OrderId,
    limit: Annotated[int, Query(ge=1, le=50)] = 20,
    ring_place_id: Annotated[
        IdIn | None, Query(description="Within which place around the order; by default its community.")
    ] = None,
) -> CandidatesOut:
    """Members, teams and units who could take the order, best first, with reasons; then the others, with why not."""
    found = await ranking.candidates(db, caller, order_id, limit=limit, ring_id=ring_place_id, at=now)
    return CandidatesOut(items=[_shown(line) for line in found])


def _shown(line: ranking.Ranked) -> CandidateOut:
    told = line.scored
    return CandidateOut(
        kind=line.who.kind,
        id=line.who.id,
        name=line.who.name,
        eligible=not line.why_not,
        why_not=list(line.why_not),
        score=told.value if told else 0.0,
        parts={name: round(part, 3) for name, part in told.parts.items()} if told else {},
        reasons=list(told.reasons) if told else [],
    )
