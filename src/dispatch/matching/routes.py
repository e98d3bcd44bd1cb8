"""Matching over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Query

from dispatch.domain.people import DISPATCHING_ROLES
from dispatch.domain.refusal import RoleForbidden
from dispatch.matching import ranking
from dispatch.matching.actions import Ran, match
from dispatch.matching.batch import Placed
from dispatch.matching.ranking import Ranked
from dispatch.matching.schemas import CandidateOut, CandidatesOut, LeftOut, PlacedOut, RunIn, RunOut
from dispatch.orders.answers import OrderId
from dispatch.web.deps import Caller, Now, Reading, Store
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


@router.post("/matching/run")
async def run_matching(database: Store, caller: Caller, now: Now, body: RunIn) -> RunOut:
    """Match everything that waits in the caller's scope, as good as it gets for all together; ``dry_run`` only tells."""
    if not caller.roles & DISPATCHING_ROLES:
        raise RoleForbidden()
    ran = await match(database, caller, place_id=body.place_id, dry_run=body.dry_run, at=now)
    return shown_run(ran, dry_run=body.dry_run)


def shown_run(ran: Ran, *, dry_run: bool) -> RunOut:
    """A run on the wire."""
    return RunOut(
        dry_run=dry_run,
        items=[_placed(one, ran) for one in ran.plan.placed],
        left=[
            LeftOut(
                order_id=one.waiting.need.order_id,
                number=one.waiting.whole.number,
                item_code=one.waiting.need.item_code,
                why_not=dict(one.why_not),
            )
            for one in ran.plan.left
        ],
    )


def _placed(one: Placed, ran: Ran) -> PlacedOut:
    order_id = one.waiting.need.order_id
    refused = ran.refused.get(order_id)
    return PlacedOut(
        order_id=order_id,
        number=one.waiting.whole.number,
        item_code=one.waiting.need.item_code,
        slots=one.waiting.need.slots,
        takers=[_shown(Ranked(who, (), told)) for who, told in one.takers],
        dispatched=order_id in ran.refused and refused is None,
        refused=refused,
    )


def _shown(line: Ranked) -> CandidateOut:
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
