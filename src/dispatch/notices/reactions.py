"""Facts become notices. Whoever acted is not told of it; whoever is concerned twice is told once."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import insert_or_ignore
from dispatch.db.ids import new_id
from dispatch.domain.order import (
    ASK_LABELS,
    Ask,
    DispatchState,
    Level,
    Move,
    State,
    TakeState,
    TargetState,
)
from dispatch.domain.people import BODY_ROLES, Role
from dispatch.domain.screening import screened
from dispatch.domain.wording import sentence
from dispatch.notices.tables import notices
from dispatch.orders.tables import (
    dispatch_targets,
    dispatches,
    order_recusals,
    order_steps,
    orders,
    requests,
    take_people,
    takes,
)
from dispatch.orders.whole import number
from dispatch.people.queries import PEOPLE
from dispatch.people.tables import body_people, grants

LONGEST = 250

FOR_FILERS = frozenset(
    set(Move) - {Move.SUBMIT, Move.STAFF, Move.LEAD, Move.DELIBERATE, Move.LAPSE, Move.RATE}
)
"""Moves that filer and beneficiary hear of, and those of every order merged into this one."""

FOR_TAKERS = frozenset(
    {
        Move.RECALL,
        Move.CANCEL,
        Move.SUPPLEMENT,
        Move.URGE,
        Move.SUPERVISE,
        Move.ESCALATE,
        Move.RESUME,
        Move.PARK,
        Move.REDO,
    }
)
"""Moves that takers hear of, those included whom the move itself ended."""

FOR_COMMUNITY = frozenset(
    {
        Move.SUBMIT,
        Move.SUPPLEMENT,
        Move.DECLINE,
        Move.LAPSE,
        Move.RELEASE,
        Move.RATE,
        Move.FINISH,
        Move.URGE,
        Move.SUPERVISE,
    }
)
"""Moves that the community's dispatchers hear of."""

ASKING = frozenset({Move.DISPATCH, Move.TAKE, Move.DECLINE, Move.LAPSE, Move.RELEASE})
"""Moves by which somebody may be asked to take the order."""


async def tell_of_move(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime) -> None:
    """Tell everyone concerned of one step of an order."""
    order_id, seq = UUID(body["order_id"]), body["seq"]
    step = (
        await db.execute(
            select(order_steps).where(
                order_steps.c.tenant_id == tenant_id,
                order_steps.c.order_id == order_id,
                order_steps.c.seq == seq,
            )
        )
    ).one()
    order = await _order(db, tenant_id, order_id)
    move = Move(step.move)
    said = screened(sentence(move, State(step.state_to), step.detail, step.text))  # a notice may lie open
    told: dict[UUID, UUID] = {}
    if move in FOR_COMMUNITY:
        told |= dict.fromkeys(await _dispatchers(db, tenant_id, order, at=at), order_id)
    if move in FOR_TAKERS:
        told |= dict.fromkeys(await _takers(db, tenant_id, order_id, step.at), order_id)
    if move in (Move.ESCALATE, Move.DELIBERATE, Move.STAFF):
        told |= dict.fromkeys(await _called(db, tenant_id, order, move, step.detail, at=at), order_id)
    if move in FOR_FILERS:
        told |= await _filers(db, tenant_id, order)
    told.pop(step.account_id, None)
    await _write(db, tenant_id, told, f"step:{order_id}:{seq}", move.value, order, said, seq=seq, at=step.at)
    if move in ASKING:
        await _tell_asked(db, tenant_id, order, step, at=at)


async def _tell_asked(db: AsyncConnection, tenant_id: int, order: Any, step: Any, *, at: datetime) -> None:
    """Tell whoever an offer or assignment now waits for; everybody once in a dispatch."""
    for dispatch_id, people in (await _asked(db, tenant_id, order.id, at=at)).items():
        told = dict.fromkeys(people - {step.account_id}, order.id)
        said = "社区请您接单，请查看并答复。"
        cause = f"asked:{dispatch_id}"
        await _write(db, tenant_id, told, cause, Move.DISPATCH.value, order, said, seq=step.seq, at=step.at)


async def _called(
    db: AsyncConnection, tenant_id: int, order: Any, move: Move, detail: Mapping[str, Any], *, at: datetime
) -> set[UUID]:
    """Whom a move calls in: the level an order is brought to, bodies that a meeting called, people a body staffed."""
    if move is Move.STAFF:
        return {UUID(id) for id in detail["member_ids"]}
    if move is Move.DELIBERATE:
        bodies = {UUID(body["id"]) for body in detail.get("bodies", ())}
        return await _acting_for(db, tenant_id, bodies, at=at)
    level = Level(detail["level"])
    role, place_id = {
        Level.COMMUNITY: (Role.COMMUNITY_SECRETARY, order.community_id),
        Level.STREET: (Role.STREET, order.street_id),
        Level.DISTRICT: (Role.DISTRICT, None),
    }[level]
    return await _granted(db, tenant_id, (role,), place_id, at=at)


async def tell_deciders(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime) -> None:
    """Tell those who decide that a request waits for them."""
    request = await _request(db, tenant_id, body)
    order = await _order(db, tenant_id, request.order_id)
    roles = (Role.STREET,) if request.by_street else (Role.DISPATCHER, Role.COMMUNITY_SECRETARY)
    place_id = order.street_id if request.by_street else order.community_id
    told = dict.fromkeys(await _granted(db, tenant_id, roles, place_id, at=at), request.order_id)
    told.pop(request.asked_by, None)
    said = f"有一条{ASK_LABELS[Ask(request.kind)]}申请等您处理。"
    await _write(
        db,
        tenant_id,
        told,
        f"asked:{request.id}",
        "request.asked",
        order,
        said,
        seq=None,
        at=request.asked_at,
    )


async def tell_asker(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime) -> None:
    """Tell the asker how the request ended."""
    request = await _request(db, tenant_id, body)
    order = await _order(db, tenant_id, request.order_id)
    if request.decided_by == request.asked_by:
        return
    ended = {"approved": "已同意", "refused": "未同意", "withdrawn": "已撤回"}[body["status"]]
    said = f"您的{ASK_LABELS[Ask(request.kind)]}申请{ended}。"
    told = {request.asked_by: request.order_id}
    await _write(
        db, tenant_id, told, f"decided:{request.id}", "request.decided", order, said, seq=None, at=at
    )


async def _order(db: AsyncConnection, tenant_id: int, order_id: UUID) -> Any:
    columns = [orders.c[name] for name in _ORDER]
    row = await db.execute(select(*columns).where(orders.c.tenant_id == tenant_id, orders.c.id == order_id))
    return row.one()


_ORDER = (
    "id",
    "day",
    "serial",
    "filer_id",
    "beneficiary_id",
    "community_id",
    "street_id",
    "children_count",
    "recused",
)


async def _request(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any]) -> Any:
    rows = select(requests).where(
        requests.c.tenant_id == tenant_id, requests.c.id == UUID(body["request_id"])
    )
    return (await db.execute(rows)).one()


async def _filers(db: AsyncConnection, tenant_id: int, order: Any) -> dict[UUID, UUID]:
    """Filers and beneficiaries of an order and of all merged into it, each with the order that is theirs."""
    rows = await db.execute(
        select(orders.c.id, orders.c.filer_id, orders.c.beneficiary_id)
        .where(
            orders.c.tenant_id == tenant_id,
            or_(
                orders.c.id == order.id, and_(orders.c.parent_id == order.id, orders.c.state == State.MERGED)
            ),
        )
        .order_by(orders.c.created_at.desc())
    )
    found: dict[UUID, UUID] = {}
    for row in rows:
        for account_id in (row.filer_id, row.beneficiary_id):
            if account_id is not None:
                found[account_id] = row.id
    return found


async def _takers(db: AsyncConnection, tenant_id: int, order_id: UUID, at: datetime) -> set[UUID]:
    """Who holds a take, and who lost it by this very step."""
    concerned = or_(takes.c.state == TakeState.ACTIVE, takes.c.ended_at == at)
    rows = await db.execute(
        select(takes.c.account_id).where(
            takes.c.tenant_id == tenant_id, takes.c.order_id == order_id, concerned
        )
    )
    people = await db.execute(
        select(take_people.c.account_id)
        .join(takes, and_(takes.c.tenant_id == take_people.c.tenant_id, takes.c.id == take_people.c.take_id))
        .where(take_people.c.tenant_id == tenant_id, take_people.c.order_id == order_id, concerned)
    )
    return {row.account_id for row in rows} | {row.account_id for row in people}


async def _asked(
    db: AsyncConnection, tenant_id: int, order_id: UUID, *, at: datetime
) -> dict[UUID, set[UUID]]:
    """By the running dispatch, whom it waits for: members and staff themselves, for bodies those who act for them."""
    targets = await db.execute(
        select(dispatch_targets.c.dispatch_id, dispatch_targets.c.kind, dispatch_targets.c.target_id)
        .join(
            dispatches,
            and_(
                dispatches.c.tenant_id == dispatch_targets.c.tenant_id,
                dispatches.c.id == dispatch_targets.c.dispatch_id,
            ),
        )
        .where(
            dispatch_targets.c.tenant_id == tenant_id,
            dispatches.c.order_id == order_id,
            dispatches.c.state == DispatchState.RUNNING,
            dispatch_targets.c.state == TargetState.ASKED,
        )
    )
    found: dict[UUID, set[UUID]] = {}
    for dispatch_id, kind, id in targets:
        people = {id} if kind in PEOPLE else await _acting_for(db, tenant_id, {id}, at=at)
        found.setdefault(dispatch_id, set()).update(people)
    return found


async def _acting_for(db: AsyncConnection, tenant_id: int, bodies: set[UUID], *, at: datetime) -> set[UUID]:
    """Who acts for bodies."""
    if not bodies:
        return set()
    rows = await db.execute(
        select(grants.c.account_id).where(
            grants.c.tenant_id == tenant_id,
            grants.c.body_id.in_(bodies),
            grants.c.role.in_(tuple(BODY_ROLES)),
            _stands(at),
        )
    )
    return {row.account_id for row in rows}


def _stands(at: datetime) -> Any:
    """Grants in force at an instant, those delegated for a time included."""
    return and_(grants.c.valid_from <= at, or_(grants.c.valid_to.is_(None), grants.c.valid_to > at))


async def _dispatchers(db: AsyncConnection, tenant_id: int, order: Any, *, at: datetime) -> set[UUID]:
    return await _granted(db, tenant_id, (Role.DISPATCHER,), order.community_id, at=at)


async def _granted(
    db: AsyncConnection, tenant_id: int, roles: Iterable[Role], place_id: UUID | None, *, at: datetime
) -> set[UUID]:
    rows = await db.execute(
        select(grants.c.account_id).where(
            grants.c.tenant_id == tenant_id,
            *(() if place_id is None else (grants.c.place_id == place_id,)),
            grants.c.role.in_(tuple(roles)),
            _stands(at),
        )
    )
    return {row.account_id for row in rows}


async def _kept_from(db: AsyncConnection, tenant_id: int, order: Any) -> set[UUID]:
    """Accounts that must not hear of the order, as it complains of them; its own people always do."""
    if not order.recused:
        return set()
    rows = select(order_recusals.c.party_id).where(
        order_recusals.c.tenant_id == tenant_id, order_recusals.c.order_id == order.id
    )
    parties = set((await db.execute(rows)).scalars())
    kept = set(parties)
    for table in (grants, body_people):
        people = select(table.c.account_id).where(
            table.c.tenant_id == tenant_id, table.c.body_id.in_(parties)
        )
        kept |= set((await db.execute(people)).scalars())
    return kept - {order.filer_id, order.beneficiary_id}


async def _write(
    db: AsyncConnection,
    tenant_id: int,
    told: Mapping[UUID, UUID],
    cause: str,
    event: str,
    order: Any,
    said: str,
    *,
    seq: int | None,
    at: datetime,
) -> None:
    kept = await _kept_from(db, tenant_id, order)
    text = f"{number(order.day, order.serial)} {said}"
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 1]}…"
    rows = [
        {
            "tenant_id": tenant_id,
            "id": new_id(),
            "account_id": account_id,
            "order_id": order_id,
            "cause": cause,
            "event": event,
            "text": text,
            "seq": seq,
            "created_at": at,
        }
        for account_id, order_id in told.items()
        if account_id not in kept
    ]
    await insert_or_ignore(db, notices, rows)
