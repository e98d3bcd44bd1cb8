"""By what an order's clocks are judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.domain.calendar import Calendar, Pause, Span
from dispatch.domain.catalog import Urgency, read_limit, read_limits
from dispatch.domain.running import Run
from dispatch.domain.sla import Basis, Clock, Outcome, Owner, stage_limits


@dataclass(frozen=True, slots=True)
class Terms:
    """What an order brings to the judgement. ``limits``: the item's, in their wire form; ``own``: the item's urgency."""

    item_code: str
    item_version: int
    limits: Mapping[str, Any]
    own: str
    urgency: str
    round: int
    place_id: UUID
    appointment: datetime | None = None


_DAY = (Span(9 * 60, 12 * 60), Span(14 * 60, 18 * 60))
_USUAL = Calendar("usual", 1, ZoneInfo("Asia/Shanghai"), (*(_DAY,) * 5, (), ()), {}, date(2099, 12, 31))


async def basis_for(db: AsyncConnection, tenant_id: int, terms: Terms) -> Basis:
    """Limits, calendar and their versions, as they are now."""
    limits = stage_limits(read_limits(terms.limits), Urgency(terms.own), Urgency(terms.urgency), terms.round)
    policy = f"item:{terms.item_code}@{terms.item_version}"
    return Basis(limits, _USUAL, policy, terms.appointment, terms.urgency)


def run_of(line: Mapping[str, Any]) -> Run:
    """A clock from its row."""
    return Run(
        clock=Clock(line["clock"]),
        subject_id=line["subject_id"],
        nth=line["nth"],
        round=line["round"],
        owner=Owner(line["owner_kind"], line["owner_id"]),
        since=line["since"],
        started_at=line["started_at"],
        limit=read_limit(line["limit"]),
        due_at=line["due_at"],
        provisional=line["provisional"],
        dated=line["dated"],
        deadline_no=line["deadline_no"],
        pauses=tuple(_pause(pause) for pause in line["pauses"]),
        stopped_at=line["stopped_at"],
        outcome=Outcome(line["outcome"]) if line["outcome"] else None,
        reason=line["reason"],
    )


def _pause(wire: Mapping[str, Any]) -> Pause:
    end = wire["to"]
    return Pause(
        datetime.fromisoformat(wire["from"]), datetime.fromisoformat(end) if end else None, wire["reason"]
    )
