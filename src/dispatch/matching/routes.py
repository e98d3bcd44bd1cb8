"""Matching over HTTP."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query

from dispatch.dispatching.actions import ruling
from dispatch.dispatching.schemas import RuleCode
from dispatch.dispatching.tables import matching_rules
from dispatch.domain.life import standing
from dispatch.domain.order import TakerKind
from dispatch.domain.people import DISPATCHING_ROLES, SETTING_ROLES, Actor
from dispatch.domain.privacy import KNOWS, masked_name
from dispatch.domain.refusal import ChangedMeanwhile, ItemNotFound, OrderNotFound, RoleForbidden
from dispatch.matching import ranking
from dispatch.matching.actions import Ran, match
from dispatch.matching.automatic import Unmatched, unmatched
from dispatch.matching.batch import Placed
from dispatch.matching.ranking import Ranked
from dispatch.matching.schemas import (
    CandidateOut,
    CandidatesOut,
    LeftOut,
    PlacedOut,
    RuleIn,
    RuleOut,
    RulesOut,
    RunIn,
    RunOut,
    UnmatchedOut,
)
from dispatch.orders.answers import OrderId, given
from dispatch.web.deps import Caller, Match, Now, Reading, Store, Writing
from dispatch.web.paging import DEFAULT_LIMIT, Cursor, Key, Limit, Page, cut, fingerprint, read_cursor
from dispatch.web.problems import responses
from dispatch.web.wire import IdIn

router = APIRouter(prefix="/v1", tags=["matching"])


@router.get(
    "/orders/{order_id}/candidates",
    summary="派单人选：谁适合，匹配分和理由",
    responses=responses(OrderNotFound, RoleForbidden),
)
async def get_candidates(
    db: Reading,
    caller: Caller,
    now: Now,
    order_id: OrderId,
    limit: Limit = DEFAULT_LIMIT,
    ring_place_id: Annotated[
        IdIn | None, Query(description="Within which place around the order; by default its community.")
    ] = None,
) -> CandidatesOut:
    """Members, teams and units who could take the order, best first, with reasons; then the others, with why not."""
    found, knows = await ranking.candidates(db, caller, order_id, limit=limit, ring_id=ring_place_id, at=now)
    return CandidatesOut(items=[_shown(line, knows=knows) for line in found])


@router.post("/matching/run", summary="批量匹配待派的需求单，可先试算", responses=responses(RoleForbidden))
async def run_matching(database: Store, caller: Caller, now: Now, body: RunIn) -> RunOut:
    """Match everything that waits in the caller's scope, as good as it gets for all together; ``dry_run`` only tells."""
    if not caller.roles & DISPATCHING_ROLES:
        raise RoleForbidden()
    ran = await match(database, caller, place_id=body.place_id, dry_run=body.dry_run, at=now)
    return shown_run(ran, caller, dry_run=body.dry_run)


@router.get("/matching/waiting", summary="无人可派的需求单", responses=responses(RoleForbidden))
async def list_unmatched(
    db: Reading, caller: Caller, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[UnmatchedOut]:
    """Orders in the caller's scope that were to dispatch themselves and found nobody, longest first."""
    if not caller.roles & DISPATCHING_ROLES:
        raise RoleForbidden()
    query = fingerprint("matching.waiting")
    after = read_cursor(cursor, query)
    found = await unmatched(db, caller, after=(after.at, after.id) if after else None, limit=limit)
    rows, next_cursor = cut(found, limit, query, lambda row: Key(row.since, row.order_id))
    return Page(items=[_unmatched(row, caller) for row in rows], next_cursor=next_cursor)


def _unmatched(row: Unmatched, caller: Actor) -> UnmatchedOut:
    zone = caller.tenant.zone
    zoned = replace(row, since=row.since.astimezone(zone), tried_at=row.tried_at.astimezone(zone))
    return UnmatchedOut.model_validate(zoned)


@router.get("/matching/rules", summary="派单规则", responses=responses(RoleForbidden))
async def list_rules(db: Reading, caller: Caller) -> RulesOut:
    """What the tenant has set about matching."""
    if not caller.roles & (DISPATCHING_ROLES | SETTING_ROLES):
        raise RoleForbidden()
    return RulesOut(items=[_rule(row, caller) for row in await ruling.rules(db, matching_rules, caller)])


@router.put(
    "/matching/rules/{item_code}",
    summary="设定一个事项（或全部事项）的派单规则",
    responses=responses(ItemNotFound, RoleForbidden, ChangedMeanwhile),
)
async def put_rule(
    db: Writing, caller: Caller, now: Now, match: Match, item_code: RuleCode, body: RuleIn
) -> RuleOut:
    """Replace an item's rule, or with ``*`` the one of all items; ``If-Match`` says which version it is meant for."""
    row = await ruling.set_rule(db, matching_rules, caller, item_code, given(body), match, at=now)
    return _rule(row, caller)


def _rule(row: Any, caller: Actor) -> RuleOut:
    return RuleOut(**{**row._mapping, "updated_at": row.updated_at.astimezone(caller.tenant.zone)})


def shown_run(ran: Ran, caller: Actor, *, dry_run: bool) -> RunOut:
    """A run on the wire."""
    return RunOut(
        dry_run=dry_run,
        items=[_placed(one, ran, caller) for one in ran.plan.placed],
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


def _placed(one: Placed, ran: Ran, caller: Actor) -> PlacedOut:
    knows = bool(standing(one.waiting.whole.life, caller).scoped & KNOWS)
    order_id = one.waiting.need.order_id
    refused = ran.refused.get(order_id)
    return PlacedOut(
        order_id=order_id,
        number=one.waiting.whole.number,
        item_code=one.waiting.need.item_code,
        slots=one.waiting.need.slots,
        takers=[_shown(Ranked(who, (), told), knows=knows) for who, told in one.takers],
        dispatched=order_id in ran.refused and refused is None,
        refused=refused,
    )


def _shown(line: Ranked, *, knows: bool) -> CandidateOut:
    """A candidate; members by masked name for those who do not know them, as street and district."""
    told = line.scored
    masked = line.who.kind is TakerKind.MEMBER and not knows
    return CandidateOut(
        kind=line.who.kind,
        id=line.who.id,
        name=masked_name(line.who.name) if masked else line.who.name,
        eligible=not line.why_not,
        why_not=list(line.why_not),
        score=told.value if told else 0.0,
        parts={name: round(part, 3) for name, part in told.parts.items()} if told else {},
        reasons=list(told.reasons) if told else [],
    )
