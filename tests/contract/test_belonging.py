"""Who belonged where when: periods of one kind never overlap, whoever writes them, and however many at once."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from dispatch.db import migrate
from dispatch.db.engine import Database
from dispatch.domain.refusal import AccountNotFound, PeriodsOverlap
from dispatch.people import actions, belonging
from dispatch.people.tables import FOREVER, belongings
from tests.conftest import Backends
from tests.town import T0, Town

DAY = timedelta(days=1)


async def begins(
    town: Town, place: str, at: datetime, login: str = "resident-1", kind: str = "checkin"
) -> None:
    async with town.database.writing() as db:
        await belonging.enter(db, town.tenant_id, "member", town[login].id, kind, town.places[place], at=at)


async def periods(town: Town, kind: str = "checkin") -> list[tuple[UUID, datetime, datetime]]:
    rows = select(belongings).where(belongings.c.tenant_id == town.tenant_id, belongings.c.kind == kind)
    return [
        (row.of_id, row.from_at, row.until_at) for row in await town.rows(rows.order_by(belongings.c.from_at))
    ]


def disjoint(found: Sequence[tuple[Any, datetime, datetime]]) -> bool:
    return all(one[2] <= other[1] for one, other in pairwise(found))


async def test_a_period_ends_where_the_next_begins_and_the_same_again_changes_nothing(town: Town):
    await begins(town, "community-1", T0)
    await begins(town, "community-1", T0 + DAY)
    await begins(town, "community-2", T0 + 2 * DAY)
    here, there = town.places["community-1"], town.places["community-2"]
    assert await periods(town) == [(here, T0, T0 + 2 * DAY), (there, T0 + 2 * DAY, FOREVER)]


async def test_work_home_and_unit_do_not_disturb_each_other(town: Town):
    await begins(town, "community-1", T0)
    await begins(town, "community-2", T0 + DAY, kind="work")
    assert [line[2] for line in await periods(town)] == [FOREVER]
    assert [line[2] for line in await periods(town, "work")] == [FOREVER]


async def test_what_would_run_into_another_period_is_refused(town: Town):
    await begins(town, "community-1", T0)
    await begins(town, "community-2", T0 + 5 * DAY)
    with pytest.raises(PeriodsOverlap):
        await begins(town, "community-3", T0 + 2 * DAY)
    async with town.database.writing() as db:
        await belonging.leave(db, town.tenant_id, "member", town["resident-1"].id, at=T0 + 9 * DAY)
    with pytest.raises(PeriodsOverlap):
        await begins(town, "community-3", T0 + 8 * DAY)
    await begins(town, "community-3", T0 + 9 * DAY)
    assert disjoint(await periods(town))


async def test_what_is_put_right_in_the_same_instant_never_was(town: Town):
    await begins(town, "community-1", T0)
    await begins(town, "community-2", T0)
    assert [line[0] for line in await periods(town)] == [town.places["community-2"]]
    async with town.database.writing() as db:
        await belonging.leave(db, town.tenant_id, "member", town["resident-1"].id, at=T0)
    assert await periods(town) == []


async def test_two_at_once_leave_one_open_period_and_no_overlap(town: Town):
    """Real connections: the second waits for the first and sees what it did."""
    names = ["community-1", "community-2", "community-3"]
    told = await asyncio.gather(
        *(begins(town, name, T0 + n * timedelta(seconds=1)) for n, name in enumerate(names * 3)),
        return_exceptions=True,
    )
    assert all(one is None or isinstance(one, PeriodsOverlap) for one in told), told
    found = await periods(town)
    assert disjoint(found)
    assert [line[2] for line in found].count(FOREVER) == 1


async def test_the_table_itself_holds_two_open_periods_apart(town: Town):
    row = {
        "tenant_id": town.tenant_id,
        "party_kind": "member",
        "party_id": town["resident-1"].id,
        "kind": "checkin",
        "until_at": FOREVER,
    }
    here, there = town.places["community-1"], town.places["community-2"]
    open_ones = [{**row, "from_at": T0, "of_id": here}, {**row, "from_at": T0 + DAY, "of_id": there}]
    with pytest.raises(IntegrityError):
        await written(town, open_ones)
    with pytest.raises(IntegrityError):
        await written(town, [{**row, "from_at": T0, "until_at": T0 - DAY, "of_id": here}])


async def written(town: Town, rows: list[dict[str, Any]]) -> None:
    async with town.database.writing() as db:
        await db.execute(insert(belongings), rows)


async def test_every_way_in_and_out_of_a_community_is_recorded(town: Town):
    """The verbs that grants, the demonstration and erasure go through write the periods too."""
    id = town["resident-2"].id
    async with town.database.writing() as db:
        await actions.add_member(
            db, town.tenant_id, id, town.places["community-1"], unit_id=town.bodies["unit-1"], at=T0
        )
        await actions.add_member(
            db,
            town.tenant_id,
            id,
            town.places["community-2"],
            unit_id=town.bodies["unit-1"],
            at=T0 + DAY,
        )
        await actions.end_membership(db, town.tenant_id, id, at=T0 + 2 * DAY)
    assert [line[1:] for line in await periods(town)] == [(T0, T0 + DAY), (T0 + DAY, T0 + 2 * DAY)]
    assert [line[1:] for line in await periods(town, "unit")] == [(T0, T0 + 2 * DAY)]


async def test_nobody_belongs_who_is_not_there(town: Town):
    with pytest.raises(AccountNotFound):
        async with town.database.writing() as db:
            await belonging.enter(
                db, town.tenant_id, "member", town.places["grid-11"], "checkin", town.places["grid-11"], at=T0
            )


BEFORE = "20261125_0229"
"""The last revision without periods."""


@pytest.mark.parametrize("driver", ["sqlite", "psycopg"])
async def test_members_of_before_belong_since_they_checked_in(driver: str, backends: Backends):
    url = backends.fresh(driver, "past")
    migrate.downgrade(url, BEFORE)
    now, place, ids = "2026-03-01 01:00:00.000000", uuid4(), [uuid4() for _ in range(2)]
    database = Database(url)
    async with database.writing() as db:
        await db.exec_driver_sql("INSERT INTO tenants (id, code, name) VALUES (1, 'old', '旧区')")
        await db.exec_driver_sql(
            "INSERT INTO places (tenant_id, id, kind, code, name, path, depth) "
            f"VALUES (1, '{place.hex}', 'community', 'c', '社区', '/{place.hex}/', 0)"
        )
        for id, ended in zip(ids, ("NULL", "'2026-05-01 01:00:00.000000'"), strict=True):
            await db.exec_driver_sql(
                "INSERT INTO accounts (tenant_id, id, login, name, created_at) "
                f"VALUES (1, '{id.hex}', '{id.hex}', '某', '{now}')"
            )
            await db.exec_driver_sql(
                "INSERT INTO members (tenant_id, account_id, community_id, checked_in_at, ended_at) "
                f"VALUES (1, '{id.hex}', '{place.hex}', '{now}', {ended})"
            )
    await database.close()
    migrate.upgrade(url)
    database = Database(url)
    async with database.writing() as db:
        rows = (await db.execute(select(belongings).where(belongings.c.tenant_id == 1))).all()
        told = {row.party_id: (row.of_id, row.until_at == FOREVER) for row in rows}
        assert told == {ids[0]: (place, True), ids[1]: (place, False)}
        await belonging.leave(db, 1, "member", ids[0], at=T0)
        assert (await db.execute(select(belongings).where(belongings.c.until_at == T0))).one()
    await database.close()
