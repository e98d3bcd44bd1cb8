"""The first screen, badges and health over HTTP."""

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db import outbox
from dispatch.db.checks import migrated_to
from dispatch.db.migrate import serves
from dispatch.domain.people import Actor
from dispatch.home.schemas import BadgesOut, HealthOut, HomeOut, ReadyOut
from dispatch.notices import queries as notices
from dispatch.orders import listing
from dispatch.orders.listing import Gone, Wanted
from dispatch.orders.rendering import summed_up
from dispatch.people.rendering import shown_account, shown_grants
from dispatch.sla import queries as sla
from dispatch.sla import shipped
from dispatch.web.deps import Caller, Now, Prefetching, Reading, Store
from dispatch.web.etag import polled

router = APIRouter(prefix="/v1")

PUBLIC = frozenset({"/v1/healthz", "/v1/readyz"})
"""Paths that need no sign-in."""

CALENDAR_ENDS = timedelta(days=60)
"""How long before the official holidays end somebody should look for the next notice: it comes between late October
and early December (the last ones: 2018-12-06, 2022-12-08, 2025-11-04)."""


@router.get("/me/badges", tags=["me"], response_model=BadgesOut, summary="角标：各有几件事等着我")
async def get_badges(request: Request, db: Reading, caller: Caller, now: Now) -> Response:
    """How much waits for the caller; polled, so an unchanged answer is 304."""
    return polled(request, await _badges(db, caller, now))


@router.get("/home", tags=["me"], response_model=HomeOut, summary="首页：打开小程序时的一次请求")
async def get_home(request: Request, db: Reading, caller: Caller, now: Now) -> Response:
    """One call for a cold start."""
    return polled(request, await _home(db, caller, now), apart_from={"generated_at"})


@router.get("/wechat/prefetch", response_model=HomeOut, include_in_schema=False)
async def prefetch_home(request: Request, database: Store, caller: Prefetching, now: Now) -> Response:
    """数据预拉取: the first screen, asked for by WeChat's servers. A login code that comes along is left alone:
    to redeem it would end the session key that the client holds.
    """
    async with database.reading() as db:
        home = await _home(db, caller, now)
    return polled(request, home, apart_from={"generated_at"})


async def _home(db: AsyncConnection, caller: Actor, now: Now) -> HomeOut:
    lists: dict[str, Any] = {}
    for view, limit in (("mine", 3), ("queue", 5), ("taken", 5)):
        rows = await listing.page(db, caller, Wanted(view=view), after=None, limit=limit, at=now)
        lists[view] = [summed_up(row, caller, at=now) for row in rows[:limit] if not isinstance(row, Gone)]
    return HomeOut(
        account=shown_account(caller.account_id, caller.name, caller.tenant),
        grants=shown_grants(caller.grants),
        badges=await _badges(db, caller, now),
        generated_at=now.astimezone(caller.tenant.zone),
        **lists,
    )


async def _badges(db: AsyncConnection, caller: Actor, now: Now) -> BadgesOut:
    counted = await listing.counts(db, caller, at=now)
    return BadgesOut(**counted, notices=await notices.unread(db, caller))


@router.get("/healthz", tags=["service"], summary="存活检查")
async def get_health() -> HealthOut:
    """Whether the process answers; asks nothing of anybody."""
    return HealthOut(status="alive")


@router.get("/readyz", tags=["service"], responses={503: {"model": ReadyOut}}, summary="就绪检查")
async def get_readiness(request: Request, database: Store, now: Now, response: Response) -> ReadyOut:
    """Whether requests should be sent here: ``degraded`` serves (200), ``unready`` does not (503)."""
    if request.app.state.leaving:
        response.status_code = 503
        return ReadyOut(status="unready", reasons=["leaving"])
    try:
        async with database.reading() as db:
            if not serves(await migrated_to(db)):
                response.status_code = 503
                return ReadyOut(status="unready", reasons=["database_not_migrated"])
            waiting = await outbox.census(db)
            ends = await sla.known_until(db) or shipped.KNOWN_UNTIL
    except (SQLAlchemyError, OSError):
        response.status_code = 503
        return ReadyOut(status="unready", reasons=["database_unreachable"])
    reasons = []
    if waiting["dead"]:
        reasons.append(f"outbox_dead:{waiting['dead']}")
    if waiting["oldest"] is not None and waiting["oldest"] < now - outbox.LATE:
        reasons.append(f"outbox_late:{waiting['pending']}")
    if now.date() >= ends - CALENDAR_ENDS:
        reasons.append(f"calendar_ends:{ends}")
    return ReadyOut(status="degraded" if reasons else "ready", reasons=reasons)
