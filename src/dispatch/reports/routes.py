"""Numbers for everybody over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from dispatch.domain.refusal import MonthNotPublished, NothingPublished, TooFine, ValidationFailed
from dispatch.reports import queries
from dispatch.reports.queries import MEASURES
from dispatch.reports.schemas import (
    By,
    Month,
    NumbersOut,
    PublishedCategoryOut,
    PublishedPlaceOut,
    StatisticsOut,
)
from dispatch.web.deps import Store
from dispatch.web.etag import polled
from dispatch.web.problems import responses
from dispatch.web.wire import Code

router = APIRouter(prefix="/v1/public", tags=["public"])

PUBLIC = frozenset({"/v1/public/statistics"})
"""Paths that need no sign-in."""
MOST_MONTHS = 24


@router.get(
    "/statistics",
    response_model=StatisticsOut,
    summary="公示的统计数字（无需登录）：点单、办结、按时、满意，按月，可按下级地点或按类别",
    responses=responses(NothingPublished, MonthNotPublished, TooFine),
)
async def get_statistics(
    request: Request,
    database: Store,
    tenant: Annotated[Code, Query(description="Code of the tenant.")],
    place_id: Annotated[
        UUID | None, Query(description="A street or a community; without it the whole.")
    ] = None,
    from_: Annotated[
        Month | None, Query(alias="from", description="First month; without it the last.")
    ] = None,
    to: Annotated[
        Month | None, Query(description="Last month; without it the last that is published.")
    ] = None,
    by: Annotated[
        By, Query(description="The place's own numbers, those of the places below, or by category.")
    ] = "month",
) -> Response:
    """Every month was counted once, after it was over; a number of few households is left out."""
    async with database.reading() as db:
        publisher = await queries.publisher(db, tenant)
        if publisher is None:
            raise NothingPublished()
        place = await queries.published_place(db, publisher.id, place_id)
        if place is None:
            raise NothingPublished()
        if by == "category" and place.above_id is not None:
            raise TooFine()
        end = to or place.last
        begin = from_ or end
        _check(begin, end, place)
        rows = await queries.published(db, publisher.id, place.place_id, by, begin, end)
    told = StatisticsOut(
        because=publisher.publishes_because,
        least=publisher.publishes_from,
        first=place.first,
        last=place.last,
        by=by,
        items=[_shown(row) for row in rows],
    )
    return polled(request, told, public=True)


def _check(begin: str, end: str, place: Any) -> None:
    if begin > end or _months(begin, end) > MOST_MONTHS:
        sentence = f"应不晚于截止月份，且最多{MOST_MONTHS}个月"
        raise ValidationFailed(
            errors=[{"loc": ["query", "from"], "code": "RANGE_INVALID", "message": sentence}]
        )
    if begin < place.first or end > place.last:
        raise MonthNotPublished(first=place.first, last=place.last)


def _months(begin: str, end: str) -> int:
    (year, month), (last_year, last_month) = (map(int, text.split("-")) for text in (begin, end))
    return (last_year - year) * 12 + last_month - month + 1


def _shown(row: Any) -> NumbersOut:
    category = PublishedCategoryOut(code=row.category_code, name=row.category) if row.category_code else None
    numbers = {name: getattr(row, name) for measure, parts in MEASURES.items() for name in (measure, *parts)}
    place = PublishedPlaceOut(id=row.place_id, kind=row.kind, name=row.place)
    return NumbersOut(month=row.month, place=place, category=category, **numbers)
