"""Another calendar or other limits: what is open follows, what is over stays."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from dispatch.domain.calendar import DayKind
from dispatch.domain.calendar_file import Entry, Source, read_csv, with_local
from dispatch.domain.catalog import SCALE, Limit, Unit
from dispatch.domain.policy import Policy
from dispatch.sla import queries
from dispatch.sla.actions import calendars, policies
from dispatch.sla.actions.recomputing import recompute
from dispatch.sla.tables import deadline_changes
from tests.contract.ledger import assert_books
from tests.contract.test_deadlines import LAMP, MEAL, of
from tests.town import Clock, Hands, time_works
from tests.unit.test_calendar_file import YEAR_2027


async def _at_work(hands: Hands, item: str = MEAL) -> dict[str, Any]:
    order = await hands.file(item_code=item)
    await hands.move("dispatcher-1", order, "accept")
    await hands.move("dispatcher-1", order, "dispatch", mode="open")
    taken = await hands.move("member-1", order, "take")
    await hands.move("member-1", order, "contact", reached=True)
    return taken["order"]


async def _day_off(hands: Hands, on: date, at: datetime) -> None:
    """Make a date a day off, for open orders too."""
    async with hands.town.database.writing() as db:
        row = await queries.calendar_row(db, hands.town.tenant_id)
        assert row is not None
        have = calendars.drafted(row)
        entries = with_local(have.entries, [Entry(on, DayKind.HOLIDAY, "停工日")])
        draft = calendars.Draft(have.weekly, entries, have.known_until)
        await calendars.replace(
            db, hands.town.tenant_id, draft, seen=row.version, cause="edited", at=at, open_too=True
        )


async def _due(hands: Hands, order: dict[str, Any]) -> datetime:
    return datetime.fromisoformat((await of(hands, order, "finish"))[-1]["due_at"])


async def test_a_day_off_tomorrow_moves_what_is_open_and_leaves_what_is_over(hands: Hands, clock: Clock):
    clock.now = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)  # a Monday, 10:00
    order, done = await _at_work(hands), await _at_work(hands)
    await hands.move("member-1", done, "finish", result="好了", closing="solved")
    before, ended = await _due(hands, order), await _due(hands, done)

    await _day_off(hands, date(2026, 11, 24), clock.now)
    await time_works(hands.town, clock.now)

    assert await _due(hands, order) == before + timedelta(days=1)
    assert await _due(hands, done) == ended
    changes = select(deadline_changes).where(deadline_changes.c.tenant_id == hands.town.tenant_id)
    told = [(c.clock, c.old_due_at, c.new_due_at, c.cause) for c in await hands.town.rows(changes)]
    assert told == [("finish", before, before + timedelta(days=1), "recompute")]
    await time_works(hands.town, clock.now)
    assert len(await hands.town.rows(changes)) == 1
    await assert_books(hands.town)


async def test_a_breach_stays_a_breach_by_another_calendar(hands: Hands, clock: Clock):
    clock.now = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
    order = await _at_work(hands)
    due = await _due(hands, order)
    clock.now = due + timedelta(minutes=1)
    await _day_off(hands, date(2026, 11, 24), clock.now)
    await time_works(hands.town, clock.now)
    assert await _due(hands, order) == due


async def test_other_limits_reach_open_orders_as_the_dry_run_said(hands: Hands, clock: Clock):
    order, tenant_id = await _at_work(hands, LAMP), hands.town.tenant_id
    before = await _due(hands, order)
    clock.pass_(hours=30)
    shorter = Policy("lamps", "路灯一天修好", {"finish": Limit(Unit.HOURS, 24)}, item_code=LAMP)
    async with hands.town.database.writing() as db:
        await policies.replace(db, tenant_id, [shorter], SCALE, seen=0, by=None, at=clock.now, open_too=False)
    assert await _due(hands, order) == before  # future only
    async with hands.town.database.reading() as db:
        said = await recompute(db, tenant_id, [UUID(order["id"])], at=clock.now, limits=True, apply=False)
    async with hands.town.database.writing() as db:
        done = await recompute(db, tenant_id, [UUID(order["id"])], at=clock.now, limits=True)
    assert said == done
    assert [(m.clock, m.old, m.new) for m in done] == [("finish", before, before - timedelta(days=2))]
    finish = (await of(hands, order, "finish"))[0]
    assert (finish["policy"], await _due(hands, order)) == ("lamps@1", before - timedelta(days=2))
    await time_works(hands.town, clock.now)
    now = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()
    assert "overdue" in now["flags"]
    later = await _at_work(hands, LAMP)
    assert await _due(hands, later) == clock.now + timedelta(hours=24)
    await assert_books(hands.town)


async def test_what_was_provisional_is_settled_when_the_years_days_are_announced(hands: Hands, clock: Clock):
    clock.now = datetime(2026, 12, 31, 2, 0, tzinfo=UTC)
    order = await _at_work(hands)
    before = (await of(hands, order, "finish"))[0]
    assert before["provisional"]
    async with hands.town.database.writing() as db:
        await calendars.take_in(db, hands.town.tenant_id, read_csv(YEAR_2027, Source.OFFICIAL), at=clock.now)
    await time_works(hands.town, clock.now)
    after = (await of(hands, order, "finish"))[0]
    assert (after["provisional"], after["calendar"]) == (False, before["calendar"] + 1)
    await assert_books(hands.town)
