"""Facts become notices. Whoever acted is not told of it; whoever is concerned twice is told once."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import insert_or_ignore
from dispatch.db.ids import new_id
from dispatch.db.tenants import tenants
from dispatch.domain.order import (
    ASK_LABELS,
    PEOPLE,
    Ask,
    AskState,
    DispatchState,
    Level,
    Move,
    State,
    TakerKind,
    TakeState,
    TargetState,
)
from dispatch.domain.people import BODY_ROLES, Role
from dispatch.domain.screening import screened
from dispatch.domain.sla import Clock, Step
from dispatch.domain.wording import sentence, step_sentence
from dispatch.notices.tables import notices
from dispatch.orders.tables import (
    dispatch_targets,
    dispatches,
    handovers,
    order_recusals,
    order_steps,
    orders,
    requests,
    take_people,
    takes,
)
from dispatch.orders.whole import number
from dispatch.people.tables import body_people, grants
from dispatch.places.tables import places
from dispatch.sla.tables import clocks

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
    told: dict[UUID, UUID] = {}
    if move in FOR_COMMUNITY:
        told |= dict.fromkeys(await _dispatchers(db, tenant_id, order, at=at), order_id)
    if move in FOR_TAKERS or (move is Move.RELEASE and step.role == Role.SYSTEM):
        told |= dict.fromkeys(await _takers(db, tenant_id, order_id, step.at), order_id)
    if move in (Move.ESCALATE, Move.DELIBERATE, Move.STAFF):
        told |= dict.fromkeys(await _called(db, tenant_id, order, move, step.detail, at=at), order_id)
    if move in FOR_FILERS:
        told |= await _filers(db, tenant_id, order)
    told.pop(step.account_id, None)
    # What its own people wrote is theirs: whoever waits with a merged order hears what happened, not the words.
    theirs = step.role == Role.AGENT or step.account_id in (order.filer_id, order.beneficiary_id)
    beside = {id: of for id, of in told.items() if theirs and of != order_id}
    among = {id: of for id, of in told.items() if id not in beside}
    for people, text in ((among, step.text), (beside, None)):
        said = screened(sentence(move, State(step.state_to), step.detail, text))  # a notice may lie open
        cause = f"step:{order_id}:{seq}"
        await _write(db, tenant_id, people, cause, move.value, order, said, seq=seq, at=step.at)
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
    if level is Level.COMMUNITY:
        return await _granted(db, tenant_id, (Role.COMMUNITY_SECRETARY,), order.community_id, at=at)
    return await _of_level(db, tenant_id, order, level, at=at)


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


async def tell_second(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime) -> None:
    """Tell street and district that a colleague asks to have contact data shown, which one of them must confirm."""
    order = await _order(db, tenant_id, UUID(body["order_id"]))
    people = await _of_level(db, tenant_id, order, Level.STREET, at=at)
    people |= await _of_level(db, tenant_id, order, Level.DISTRICT, at=at)
    told = dict.fromkeys(people - {UUID(body["account_id"])}, order.id)
    cause, said = f"reveal:{body['reveal_request_id']}", "有一条查看联系方式的申请等您核准。"
    await _write(db, tenant_id, told, cause, "reveal.asked", order, said, seq=None, at=at)


async def tell_revealed(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime) -> None:
    """Tell who asked for contact data what the second person said."""
    order = await _order(db, tenant_id, UUID(body["order_id"]))
    ended = {"approved": "已核准，限时有效", "refused": "未核准"}[body["status"]]
    cause, told = f"revealed:{body['reveal_request_id']}", {UUID(body["account_id"]): order.id}
    said = f"您查看联系方式的申请{ended}。"
    await _write(db, tenant_id, told, cause, "reveal.decided", order, said, seq=None, at=at)


async def tell_asker(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime) -> None:
    """Tell the asker how the request ended."""
    request = await _request(db, tenant_id, body)
    order = await _order(db, tenant_id, request.order_id)
    if request.decided_by == request.asked_by:
        return
    ended = {"approved": "已同意", "refused": "未同意", "withdrawn": "已撤回"}[body["status"]]
    said = f"您的{ASK_LABELS[Ask(request.kind)]}申请{ended}。"
    told = {request.asked_by: request.order_id}
    cause = f"decided:{request.id}"
    await _write(db, tenant_id, told, cause, "request.decided", order, said, seq=None, at=at)
    if request.kind == Ask.EXTENSION and request.clock is None and body["status"] == AskState.APPROVED:
        # 延期: the new limit is told to the requester (domain research §2.3).
        until = request.until_at.astimezone(ZoneInfo(await _zone(db, tenant_id)))
        waits = await _filers(db, tenant_id, order)
        waits.pop(request.asked_by, None)
        said = f"办理期限延至{until.month}月{until.day}日{until:%H:%M}。"
        await _write(db, tenant_id, waits, cause, "request.decided", order, said, seq=None, at=at)


async def tell_of_handover(
    db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime
) -> None:
    """Tell whoever is asked to take another's place, or the asker that it was not wanted."""
    rows = select(handovers).where(
        handovers.c.tenant_id == tenant_id, handovers.c.id == UUID(body["handover_id"])
    )
    row = (await db.execute(rows)).one()
    order = await _order(db, tenant_id, row.order_id)
    if row.state == "asked":
        people = (
            {row.taker_id} if row.kind in PEOPLE else await _acting_for(db, tenant_id, {row.taker_id}, at=at)
        )
        said = "有人请您接手这一单，请查看并答复。"
    elif row.state == "declined":
        people, said = {row.asked_by}, "对方不便接手，这一单仍由您办理。"
    else:
        return
    told = dict.fromkeys(people, row.order_id)
    cause = f"handover:{row.id}:{row.state}"
    await _write(db, tenant_id, told, cause, "handover.changed", order, said, seq=None, at=at)


async def tell_of_step(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any], at: datetime) -> None:
    """Tell of a step of a clock: its owner, and from the breach on those above."""
    run = await _run(db, tenant_id, body)
    level, clock = Step(body["level"]), Clock(body["clock"])
    if run is None or (run.stopped_at is not None and level is not Step.BREACH):
        return
    said = step_sentence(clock, level, run.due_at.astimezone(ZoneInfo(run.zone)))
    if said is None:
        return
    order_id = UUID(body["order_id"])
    order = await _order(db, tenant_id, order_id)
    told = dict.fromkeys(await _owners(db, tenant_id, order, run, at=at), order_id)
    if level in (Step.BREACH, Step.URGE, Step.SUPERVISE):
        told |= dict.fromkeys(await _above(db, tenant_id, order, run, level, at=at), order_id)
    cause = f"{level}:{order_id.hex}:{clock}:{run.due_at:%Y%m%d%H%M%S%f}"
    then = datetime.fromisoformat(body["due_at"])
    await _write(db, tenant_id, told, cause, f"clock.{level}", order, said, seq=None, at=then)


async def _run(db: AsyncConnection, tenant_id: int, body: Mapping[str, Any]) -> Any:
    """The newest run of a clock, if its deadline is still the one that a step tells of."""
    newest = (
        select(clocks, tenants.c.zone)
        .join(tenants, tenants.c.id == clocks.c.tenant_id)
        .where(
            clocks.c.tenant_id == tenant_id,
            clocks.c.order_id == UUID(body["order_id"]),
            clocks.c.clock == body["clock"],
            clocks.c.subject_id == UUID(body["subject_id"]),
        )
        .order_by(clocks.c.nth.desc())
        .limit(1)
    )
    run = (await db.execute(newest)).one_or_none()
    return run if run is not None and run.deadline_no == body["deadline_no"] else None


async def _owners(db: AsyncConnection, tenant_id: int, order: Any, run: Any, *, at: datetime) -> set[UUID]:
    """Who answers for a clock; where nobody does, who is waited for: the filer, or the community after a pause."""
    if run.owner_kind in _LEVEL_ROLES:
        return await _of_level(db, tenant_id, order, Level(run.owner_kind), at=at)
    if run.clock == Clock.PAUSE:
        return await _of_level(db, tenant_id, order, Level.COMMUNITY, at=at)
    if run.owner_id is None:
        return {id for id in (order.filer_id, order.beneficiary_id) if id}
    if run.owner_kind in (TakerKind.MEMBER, TakerKind.STAFF):
        return {run.owner_id}
    return await _acting_for(db, tenant_id, {run.owner_id}, at=at)


_LEVEL_ROLES = {
    Level.COMMUNITY: (Role.DISPATCHER,),
    Level.STREET: (Role.STREET,),
    Level.DISTRICT: (Role.DISTRICT,),
}


async def _of_level(
    db: AsyncConnection, tenant_id: int, order: Any, level: Level, *, at: datetime
) -> set[UUID]:
    if level is Level.DISTRICT:
        tops = select(places.c.id).where(places.c.tenant_id == tenant_id, places.c.parent_id.is_(None))
        place_id = await db.scalar(tops.limit(1))
    else:
        place_id = order.community_id if level is Level.COMMUNITY else order.street_id
    return await _granted(db, tenant_id, _LEVEL_ROLES[level], place_id, at=at)


async def _above(
    db: AsyncConnection, tenant_id: int, order: Any, run: Any, level: Step, *, at: datetime
) -> set[UUID]:
    """Those above the owner: the community over takers, its secretary over the community, else the next level."""
    if run.owner_kind in (Level.STREET, Level.DISTRICT):
        return await _of_level(db, tenant_id, order, Level.DISTRICT, at=at)
    over = (Role.COMMUNITY_SECRETARY,) if run.owner_kind == Level.COMMUNITY else (Role.DISPATCHER,)
    found = await _granted(db, tenant_id, over, order.community_id, at=at)
    if level is Step.SUPERVISE:
        found |= await _of_level(db, tenant_id, order, Level.STREET, at=at)
    return found


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


async def _zone(db: AsyncConnection, tenant_id: int) -> str:
    zone: str = (await db.execute(select(tenants.c.zone).where(tenants.c.id == tenant_id))).scalar_one()
    return zone


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
    """Who holds one of these roles at exactly this place; nobody where the order has no such place above it."""
    rows = await db.execute(
        select(grants.c.account_id).where(
            grants.c.tenant_id == tenant_id,
            grants.c.place_id == place_id,
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
