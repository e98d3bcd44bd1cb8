"""The twin sees what it is there for (tests/twin.py)."""

from uuid import UUID

import pytest
from sqlalchemy import delete, insert, select, update

from dispatch.orders.tables import counters, orders
from dispatch.people.tables import members
from tests.town import Hands
from tests.twin import Twin


async def test_a_town_has_the_ids_logins_and_numbers_of_its_twin(hands: Hands, twin: Twin):
    order = await hands.file()
    assert hands.town.tenant_id != twin.town.tenant_id
    for login, person in hands.town.people.items():
        assert (person.id, person.grant_id) == (twin.town[login].id, twin.town[login].grant_id)
    assert hands.town.places == twin.town.places
    theirs = select(orders).where(orders.c.tenant_id == twin.town.tenant_id, orders.c.id == UUID(order["id"]))
    (row,) = await hands.town.rows(theirs)
    assert order["number"] == f"D{row.day}-{row.serial:06}"
    assert (row.state, row.version) == (order["state"], order["version"])


async def test_every_table_of_tenants_that_a_day_fills_is_filled(twin: Twin):
    """A twin without rows would stand whatever happened."""
    empty = {name for name, rows in twin.rows.items() if not rows}
    assert len(twin.rows) - len(empty) > 35, (len(twin.rows), sorted(empty))
    assert not empty & {"orders", "order_steps", "takes", "notices", "clocks", "timers", "outbox", "requests"}


@pytest.mark.parametrize("act", ["update", "delete", "insert"])
async def test_a_row_of_the_twin_that_changes_goes_or_comes_is_named(hands: Hands, twin: Twin, act: str):
    here, there = hands.town.tenant_id, twin.town.tenant_id
    await hands.file()
    await twin.stands()
    both = members.c.tenant_id.in_((here, there)), members.c.account_id == hands.town["member-1"].id
    statement = {
        "update": update(members).where(*both).values(state="ended"),
        "delete": delete(counters).where(counters.c.tenant_id.in_((here, there))),
        "insert": insert(counters).values(tenant_id=there, day="20301231", value=1),
    }[act]
    before = {
        name: await hands.town.rows(select(t).where(t.c.tenant_id == there)) for name, t in TABLES.items()
    }
    async with hands.town.database.writing() as db:
        await db.execute(statement.execution_options(fanout=True))
    with pytest.raises(AssertionError, match=r"touched another tenant[\s\S]*(members|counters)"):
        await twin.stands()
    async with hands.town.database.writing() as db:  # all other tests find it as it was
        for name, table in TABLES.items():
            if before[name]:
                await db.execute(delete(table).where(table.c.tenant_id == there))
                await db.execute(insert(table), [dict(row._mapping) for row in before[name]])
    await twin.note(TABLES)


TABLES = {table.name: table for table in (counters, members)}
