"""Duplicates and clusters over HTTP, for those who merge."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query

from dispatch.domain.clusters import Cluster, clusters
from dispatch.domain.order import STATE_LABELS, State
from dispatch.domain.people import Actor
from dispatch.domain.refusal import OrderNotFound, RoleForbidden
from dispatch.domain.screening import screened
from dispatch.finding import queries
from dispatch.finding.queries import Line
from dispatch.finding.schemas import AlikeOut, ClusterOut, ClustersOut, DuplicateOut, DuplicatesOut
from dispatch.orders.alike import report
from dispatch.orders.answers import OrderId
from dispatch.orders.rendering import SUMMARY_TEXT
from dispatch.orders.schemas import ItemRef, OrderRef
from dispatch.orders.whole import number
from dispatch.web.deps import Caller, Now, Reading
from dispatch.web.paging import DEFAULT_LIMIT, Limit
from dispatch.web.problems import responses
from dispatch.web.wire import IdIn

router = APIRouter(prefix="/v1", tags=["orders"])


@router.get("/orders/clusters", summary="可能属于同一件事的未办结需求单", responses=responses(RoleForbidden))
async def list_clusters(
    db: Reading,
    caller: Caller,
    now: Now,
    place_id: Annotated[IdIn | None, Query(description="This place and everything under it.")] = None,
) -> ClustersOut:
    """Open orders of the last 30 days that belong together, among the newest 200 that the caller dispatches."""
    lines = {line["id"]: line for line in await queries.open_orders(db, caller, place_id=place_id, at=now)}
    found = await asyncio.to_thread(clusters, [report(line) for line in lines.values()])
    return ClustersOut(items=[_cluster(each, lines, caller) for each in found])


@router.get(
    "/orders/{order_id}/duplicates",
    summary="并单建议：可能重复的需求单及理由",
    responses=responses(OrderNotFound, RoleForbidden),
)
async def list_duplicates(
    db: Reading, caller: Caller, order_id: OrderId, limit: Limit = DEFAULT_LIMIT
) -> DuplicatesOut:
    """并单 candidates: orders that likely ask for the same thing, with the reasons."""
    found = await queries.duplicates(db, caller, order_id, limit=limit)
    return DuplicatesOut(
        items=[
            DuplicateOut(**_fields(line, caller), score=alike.score, why=list(alike.why))
            for line, alike in found
        ]
    )


def _cluster(each: Cluster, lines: dict[UUID, Line], caller: Actor) -> ClusterOut:
    return ClusterOut(
        orders=[AlikeOut(**_fields(lines[member.id], caller)) for member in each.members],
        households=each.households,
        score=each.score,
        why=list(each.why),
    )


def _fields(line: Line, caller: Actor) -> dict[str, Any]:
    state = State(line["state"])
    merged = line["parent_id"]
    return {
        "id": line["id"],
        "number": number(line["day"], line["serial"]),
        "state": state,
        "state_label": caller.tenant.labels.get(f"state.{state}", STATE_LABELS[state]),
        "item": ItemRef(code=line["item_code"], name=line["item_name"]),
        "text": screened(line["text"])[:SUMMARY_TEXT],
        "created_at": line["created_at"].astimezone(caller.tenant.zone),
        "parent": OrderRef(id=merged, number=number(line["parent_day"], line["parent_serial"]))
        if merged
        else None,
    }
