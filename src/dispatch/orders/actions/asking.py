"""Requests: return, extension, park, escalation, exclusion, objection, reopen. Asked, then decided."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.engine import start_over
from dispatch.db.guarding import Rows, guarded
from dispatch.db.idempotency import claim
from dispatch.db.ids import new_id
from dispatch.db.outbox import announce
from dispatch.domain.catalog import LONGEST
from dispatch.domain.facts import Fact
from dispatch.domain.life import THE_SYSTEM, Life, Standing, Take, own_take, served, standing
from dispatch.domain.moved import Moved, TakeChange
from dispatch.domain.order import ASKS, Ask, AskState, Move
from dispatch.domain.people import Actor
from dispatch.domain.planning import extended
from dispatch.domain.refusal import (
    OwnWork,
    RequestDecided,
    RoleForbidden,
    TooLate,
    wrong,
)
from dispatch.domain.rules import ask_refusal, at_most, by_street, moved_away
from dispatch.domain.running import Run
from dispatch.domain.sla import Clock
from dispatch.domain.step import step
from dispatch.orders import log, queries
from dispatch.orders.actions.performing import (
    ATTEMPTS,
    Call,
    Data,
    Done,
    looked,
    matched,
    reason_checked,
    reason_column,
)
from dispatch.orders.tables import orders, requests
from dispatch.orders.whole import Whole, terms_of
from dispatch.sla.actions import timing
from dispatch.sla.queries import basis_for


async def ask(
    db: AsyncConnection, actor: Actor, order_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done:
    """File a request. ``outcome`` names its id.

    ``data``: kind, reason_code, text, until (instant for an extension, date for a park), level, suggestion.

    Raises:
        RequestPending: this asker has the same kind pending here.
        TooLate: after the window, or too many.
        ValidationFailed: ``until`` or ``level`` is missing or senseless.
    """
    kind = Ask(data["kind"])
    also = reason_column(kind.value, data["reason_code"])
    for _ in range(ATTEMPTS):
        seen, row, done = await looked(db, actor, order_id, call, also=also)
        if done:
            return done
        matched(seen, call)
        reason_checked(data["reason_code"], row)
        who = standing(seen.life, actor)
        refusal = ask_refusal(seen.life, kind, who, at=at)
        if refusal:
            raise refusal
        asked = _row(actor, seen, who, kind, data, at=at)
        outcome = {"request_id": str(asked["id"])}
        if await claim(db, call.key, status=201, order_id=order_id, outcome=outcome, at=at):
            body = {"order_id": str(order_id), "request_id": str(asked["id"]), "kind": kind.value}
            fact = announce(actor.tenant.id, Fact.REQUEST_ASKED, body, order_id=order_id, at=at)
            if await guarded(db, _as_seen(seen, at=at), [Rows(requests, [asked]), fact]):
                return Done(order_id, outcome)
        await start_over(db)
    raise moved_away(seen.life)


def _row(actor: Actor, seen: Whole, who: Standing, kind: Ask, data: Data, *, at: datetime) -> dict[str, Any]:
    life, until = seen.life, data.get("until")
    clock = data.get("clock") if kind is Ask.EXTENSION else None
    if kind is Ask.EXTENSION:
        due_at = _leased(life, own_take(life, who)) if clock else _finish(seen).due_at
        if due_at is not None and at > due_at:
            raise TooLate()
        if not isinstance(until, datetime) or not (due_at or at) < until <= at + LONGEST:
            raise wrong("until", "请填写晚于现行时限、一年以内的时间，如 2026-11-25T18:00:00+08:00")
    if kind is Ask.PARK and (until is None or isinstance(until, datetime) or until <= today(actor, at)):
        raise wrong("until", "请填写今天以后的日期，如 2026-12-01")
    if kind is Ask.ESCALATION and not data.get("level"):
        raise wrong("level", "请选择要提请的层级", "MISSING")
    party = _party(life, who) if kind is Ask.RETURN or clock else None
    return {
        "tenant_id": actor.tenant.id,
        "id": new_id(),
        "order_id": life.id,
        "kind": kind,
        "status": AskState.PENDING,
        "reason_code": data["reason_code"],
        "text": data.get("text"),
        "until_at": until if kind is Ask.EXTENSION else None,
        "until_on": until if kind is Ask.PARK else None,
        "clock": clock,
        "level": data.get("level"),
        "suggestion": data.get("suggestion"),
        "attachment_ids": data.get("attachment_ids"),
        "asked_by": actor.account_id,
        "asked_grant_id": actor.acting.id if actor.acting else None,
        "taker_kind": party[0] if party else None,
        "taker_id": party[1] if party else None,
        "by_street": by_street(life, kind),
        "asked_at": at,
    }


def today(actor: Actor, at: datetime) -> date:
    """The date where the tenant lives."""
    return at.astimezone(actor.tenant.zone).date()


def _leased(life: Life, take: Take | None) -> datetime:
    """Until when a take is kept without a sign of life.

    Raises:
        OrderMoved: it is kept without a term, or it is no more.
    """
    if take is None or take.lease_until is None:
        raise moved_away(life)
    return take.lease_until


def _finish(seen: Whole) -> Run:
    """The clock that an extension is about."""
    running = (run for run in seen.runs if run.clock is Clock.FINISH and run.stopped_at is None)
    run = next(running, None)
    if run is None:
        raise moved_away(seen.life)
    return run


def _party(life: Life, who: Standing) -> tuple[str, UUID] | None:
    """Who wants to be relieved: the holder of a take, or an assignee who has not taken yet."""
    take = own_take(life, who)
    if take:
        return take.party
    targets = life.held.targets if life.held else ()
    return next((target.party for target in targets if target.party in who.parties), None)


def _as_seen(seen: Whole, *, at: datetime) -> Any:
    """The order's row, touched only if it is as it was seen. A request moves nothing, so no version grows."""
    return (
        update(orders)
        .where(
            orders.c.tenant_id == seen.row.tenant_id,
            orders.c.id == seen.life.id,
            orders.c.state == seen.life.state,
            orders.c.version == seen.life.version,
        )
        .values(updated_at=at)
        .returning(orders.c.id)
    )


async def withdraw(
    db: AsyncConnection, actor: Actor, request_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done:
    """Take a request back.

    Raises:
        RoleForbidden: it is another's.
        RequestDecided: it is no longer pending.
    """
    return await _decide(db, actor, request_id, AskState.WITHDRAWN, data, call, at=at)


async def refuse(
    db: AsyncConnection, actor: Actor, request_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done:
    """Decide against a request. Raises: as ``withdraw``; RoleForbidden if the actor is not the one who decides."""
    return await _decide(db, actor, request_id, AskState.REFUSED, data, call, at=at)


async def approve(
    db: AsyncConnection, actor: Actor, request_id: UUID, data: Data, call: Call, *, at: datetime
) -> Done:
    """Decide for a request and do what it asks. Raises: as ``refuse``."""
    return await _decide(db, actor, request_id, AskState.APPROVED, data, call, at=at)


async def _decide(
    db: AsyncConnection,
    actor: Actor,
    request_id: UUID,
    status: AskState,
    data: Data,
    call: Call,
    *,
    at: datetime,
) -> Done:
    for _ in range(ATTEMPTS):
        asked = await queries.request(db, actor, request_id)
        own = asked.asked_by == actor.account_id
        seen, _row, done = await looked(db, actor, asked.order_id, call, hidden=own)
        if done:
            return done
        matched(seen, call)
        # The order was read after the request: what it says of it is the newer word.
        stands = next((r["status"] for r in seen.lists["requests"] if r["id"] == request_id), asked.status)
        _may_decide(seen.life, actor, asked, status, stands)
        if stands != AskState.PENDING:
            raise RequestDecided(status=stands)
        if status is AskState.APPROVED and at_most(seen.life, Ask(asked.kind)):
            raise TooLate()
        moved = None
        if status is AskState.APPROVED and (effect := _effect(asked)):
            moved = await effect(db, actor, seen, asked, data, at)
            moved = replace(
                moved, requests=(*(r for r in moved.requests if r[0] != request_id), (request_id, status))
            )
        outcome = {"request_id": str(request_id)}
        if await claim(
            db, call.key, status=200, order_id=seen.life.id, outcome=outcome, at=at
        ) and await _written(db, actor, seen, asked, moved, status, data, at=at):
            return Done(seen.life.id, outcome)
        await start_over(db)
    raise RequestDecided(status=asked.status)


def _may_decide(life: Life, actor: Actor, asked: Any, status: AskState, stands: str) -> None:
    if status is AskState.WITHDRAWN:
        if asked.asked_by != actor.account_id:
            raise RoleForbidden()
        return
    rule = ASKS[Ask(asked.kind)]
    # Judged again: another of its kind may have been approved since it was asked.
    second = stands == AskState.PENDING and by_street(life, Ask(asked.kind))
    right = rule.later if asked.by_street or second else rule.decider
    who = standing(life, actor)
    # Nobody decides what he asked himself, nor whether his own work was good enough.
    if asked.asked_by == actor.account_id or not who.holds(right):
        raise RoleForbidden()
    if asked.kind == Ask.REOPEN and served(life, who):
        raise OwnWork()


async def _written(
    db: AsyncConnection,
    actor: Actor,
    seen: Whole,
    asked: Any,
    moved: Moved | None,
    status: AskState,
    data: Data,
    *,
    at: datetime,
) -> bool:
    """The decision, and the move it brings. The order's row is locked first, then the request's."""
    tenant_id = actor.tenant.id
    granted: dict[str, Any] = {}
    if moved is None:
        if await guarded(db, _as_seen(seen, at=at)) is None:
            return False
        if status is AskState.APPROVED and asked.kind == Ask.EXTENSION:
            granted = {"until_at": _granted(seen, asked, data, at=at)}
            if not await _extended(db, seen, granted["until_at"], at=at):
                return False
    elif not await log.record(db, seen, [(moved, log.author(actor))], at=at):
        return False
    elif asked.kind == Ask.EXTENSION:
        granted = {"until_at": moved.takes[0].values["lease_until"]}
    expected = AskState.PENDING if moved is None else status
    decided = (
        update(requests)
        .where(requests.c.tenant_id == tenant_id, requests.c.id == asked.id, requests.c.status == expected)
        .values(
            status=status, decided_by=actor.account_id, decided_at=at, decision=data.get("text"), **granted
        )
        .returning(requests.c.id)
    )
    body = {
        "order_id": str(seen.life.id),
        "request_id": str(asked.id),
        "kind": asked.kind,
        "status": status.value,
    }
    fact = announce(tenant_id, Fact.REQUEST_DECIDED, body, order_id=seen.life.id, at=at)
    return await guarded(db, decided, [fact]) is not None


def _granted(seen: Whole, asked: Any, data: Data, *, at: datetime) -> datetime:
    """Until when an extension is granted.

    Raises:
        ValidationFailed: not an instant, not later than the deadline that stands, or more than a year ahead.
    """
    return _later(data.get("until") or asked.until_at, _finish(seen).due_at, at)


def _later(until: Any, due_at: datetime | None, at: datetime) -> datetime:
    if not isinstance(until, datetime) or not (due_at or at) < until <= at + LONGEST:
        raise wrong("until", "请填写晚于现行时限、一年以内的时间，如 2026-11-25T18:00:00+08:00")
    return until


async def _extended(db: AsyncConnection, seen: Whole, until: datetime, *, at: datetime) -> bool:
    """Move the deadline. False if it has moved meanwhile: of two extensions at once the second looks again."""
    terms, tenant_id = terms_of(seen), seen.row.tenant_id
    basis = await basis_for(db, tenant_id, terms, seen.row)
    change = extended(_finish(seen), until, basis, at)
    return await timing.remeasure(db, tenant_id, seen.life.id, change, terms, basis, cause="extension", at=at)


Effect = Callable[[AsyncConnection, Actor, Whole, Any, Data, datetime], Awaitable[Moved]]


async def _returned(
    db: AsyncConnection, actor: Actor, seen: Whole, asked: Any, data: Data, at: datetime
) -> Moved:
    body = {
        "reason_code": asked.reason_code,
        "text": data.get("text"),
        "returned": (asked.taker_kind, asked.taker_id),
    }
    return step(seen.life, Move.RELEASE, THE_SYSTEM, body, at=at)


async def _parked(
    db: AsyncConnection, actor: Actor, seen: Whole, asked: Any, data: Data, at: datetime
) -> Moved:
    until = data.get("until") or asked.until_on
    if isinstance(until, datetime) or until <= today(actor, at):
        raise wrong("until", "请填写今天以后的日期，如 2026-12-01")
    return step(seen.life, Move.PARK, THE_SYSTEM, {"until": until, "text": data.get("text")}, at=at)


async def _escalated(
    db: AsyncConnection, actor: Actor, seen: Whole, asked: Any, data: Data, at: datetime
) -> Moved:
    body = {"level": asked.level, "text": data.get("text") or asked.text}
    return step(seen.life, Move.ESCALATE, standing(seen.life, actor), body, at=at)


async def _admitted(
    db: AsyncConnection, actor: Actor, seen: Whole, asked: Any, data: Data, at: datetime
) -> Moved:
    return step(seen.life, Move.ADMIT, THE_SYSTEM, {"text": data.get("text")}, at=at)


async def _reopened(
    db: AsyncConnection, actor: Actor, seen: Whole, asked: Any, data: Data, at: datetime
) -> Moved:
    text = data.get("text") or asked.text
    return step(seen.life, Move.REDO, THE_SYSTEM, {"reason_code": asked.reason_code, "text": text}, at=at)


async def _kept_longer(
    db: AsyncConnection, actor: Actor, seen: Whole, asked: Any, data: Data, at: datetime
) -> Moved:
    """A later end of the lease. A step, so that it and the end by time cannot both happen (peers.md §5.3, 70); the
    dispatch's row goes first, as with a release."""
    life, party = seen.life, (asked.taker_kind, asked.taker_id)
    take = next((take for take in life.active if take.party == party), None)
    until = _later(data.get("until") or asked.until_at, _leased(life, take), at)
    assert take is not None  # it has a lease
    held = life.held
    return Moved(
        Move.PROGRESS,
        life.state,
        life.state,
        data.get("text"),
        detail={"take_id": str(take.id), "lease_until": until.isoformat()},
        dispatch_id=held.id if held else None,
        dispatch={"state": held.state} if held else None,
        takes=(TakeChange(take.id, {"lease_until": until}),),
    )


def _effect(asked: Any) -> Effect | None:
    return _kept_longer if asked.clock else EFFECTS.get(Ask(asked.kind))


EFFECTS: Mapping[Ask, Effect] = {
    Ask.RETURN: _returned,
    Ask.PARK: _parked,
    Ask.ESCALATION: _escalated,
    Ask.OBJECTION: _admitted,
    Ask.REOPEN: _reopened,
}
"""What an approved request brings about. An extension moves the finish deadline (``_extended``) and an exclusion a rate: no move."""
