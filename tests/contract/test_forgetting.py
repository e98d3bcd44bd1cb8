"""Nothing personal outlives its time: a marker stands in every column that docs/privacy.md calls personal, and none is left.

A column that is new is planted by itself: where nothing clears it, these laws fail.
"""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, Boolean, CheckConstraint, Column, Date, Integer, Table, insert, select, update

from dispatch.app import described
from dispatch.db.base import metadata
from dispatch.db.ids import new_id
from dispatch.db.sealed import Hashed, Sealed, SealedJson, private, private_json
from dispatch.db.types import Id, Instant
from dispatch.domain.keeping import CONTENT_DAYS
from dispatch.jobs.relay import relay
from dispatch.notices.tables import notices
from dispatch.orders.tables import order_steps, orders
from dispatch.people.tables import accounts
from dispatch.privacy import timers
from dispatch.privacy.actions import erasing
from dispatch.wiring import REACTIONS
from tests.town import T0, Clock, Hands, Town
from tests.unit.test_privacy_page import PERSONAL

MARK = "暗号"
PLANTED = {name for name, kind in PERSONAL.items() if kind != "record"}
"""Records stay: ids, codes and the reasons that somebody gave for looking."""

APART = {
    "consents.purpose": "a code",
    "data_requests.content": "the file, which goes with the request that ends the account, or by its own clock",
    "data_requests.former_name": "to trace a leak",
    "login_codes.code_hash": "an hour at most",
    "order_grams.gram": "made of the words, and planted with them",
    "outbox.error": "no author; goes with the content of its order",
}
"""What these laws plant not at all, or elsewhere."""

OVER = {
    "listings": {"state": "withdrawn", "withdrawn_at": T0, "order_id": None},
    "claims": {"state": "declined"},
    "registrations": {"state": "ended", "ended_at": T0},
    "checkins": {"state": "returned"},
    "members": {"state": "ended"},
}
"""What is over: what a body still offers is not the person's, and an agreement that runs needs somebody to call."""


WHO = re.compile(r"account_id|by|.*_by")


def personal(table: Table) -> list[Column[Any]]:
    return [c for c in table.c if f"{table.name}.{c.name}" in PLANTED - APART.keys()]


def marker(town: Town, column: Column[Any]) -> Any:
    """The marker as the column takes it."""
    if isinstance(column.type, SealedJson):
        return private_json(town.tenant_id, {"x": MARK})
    if isinstance(column.type, Sealed | Hashed):
        return private(town.tenant_id, MARK)
    return {"x": MARK} if isinstance(column.type, JSON) else MARK


def code(table: Table, column: Column[Any]) -> str:
    """The first of a closed set of codes, or something short that nothing else has."""
    for check in table.constraints:
        if isinstance(check, CheckConstraint) and str(check.sqltext).startswith(f"{column.name} IN"):
            return re.findall(r"'(\w+)'", str(check.sqltext))[0]
    return uuid4().hex[:8]


async def row(db: Any, town: Town, table: Table, who: UUID, of: UUID, **more: Any) -> dict[str, Any]:
    """A row of a table with a marker in every personal column, ``who`` in every place for an account."""
    told: dict[str, Any] = {}
    targets = {fk.parent.name: fk.column.table for fk in table.foreign_keys if fk.parent.name != "tenant_id"}
    for column in table.c:
        name = column.name
        if name in more:
            told[name] = more[name]
        elif name == "tenant_id":
            told[name] = town.tenant_id
        elif column in personal(table):
            told[name] = marker(town, column)
        elif name == "order_id":
            told[name] = of
        elif targets.get(name) is accounts or (isinstance(column.type, Id) and WHO.fullmatch(name)):
            told[name] = who
        elif name in targets and not column.nullable:
            target = targets[name]
            key = next(fk.column for fk in column.foreign_keys)
            told[name] = await db.scalar(select(key).where(target.c.tenant_id == town.tenant_id).limit(1))
        elif column.nullable or column.default is not None or column.server_default is not None:
            continue
        else:
            told[name] = plain(table, column)
    return told


def plain(table: Table, column: Column[Any]) -> Any:
    kinds: tuple[tuple[Any, Any], ...] = (
        (Id, new_id()),
        (Instant, T0),
        (Boolean, False),
        (Date, T0.date()),
        (Integer, 1),
        (JSON, []),
    )
    return next((value for kind, value in kinds if isinstance(column.type, kind)), code(table, column))


async def left(town: Town) -> set[str]:
    """Where a marker, or a hash of one, is found in the tenant."""
    found, keys = set(), town.database.keys
    async with town.database.reading() as db:
        for table in metadata.sorted_tables:
            if "tenant_id" not in table.c:
                continue
            for line in await db.execute(select(table).where(table.c.tenant_id == town.tenant_id)):
                for column, value in zip(table.c, line, strict=True):
                    hashed = isinstance(column.type, Hashed) and keys.hashed(
                        town.tenant_id, column.type.column, MARK
                    )
                    if MARK in repr(value) or (hashed and value == hashed):
                        found.add(f"{table.name}.{column.name}")
    return found


async def test_of_a_person_who_is_forgotten_no_column_holds_a_word_whoever_was_told_it(
    hands: Hands, clock: Clock
):
    """Own orders: what anybody wrote in them. Orders of others, lists and agreements: what the person wrote."""
    described()
    town = hands.town
    me, other = town["resident-1"].id, town["member-1"].id
    await hands.done()  # something that rows may refer to
    own = await hands.file("resident-1", text=f"{MARK}，请来人。")
    await hands.move("dispatcher-1", own, "cancel", reason_code="other", text=f"{MARK}已处理。")
    theirs = await hands.accepted("resident-2")
    await hands.move("resident-2", theirs, "supplement", text="请快些。")
    await relay(town.database, clock.now, REACTIONS)
    planted = set()
    async with town.database.writing() as db:
        of_own, of_theirs = UUID(own["id"]), UUID(theirs["id"])
        for table in metadata.sorted_tables:
            columns = personal(table)
            if not columns or "tenant_id" not in table.c:
                continue
            planted |= {f"{table.name}.{column.name}" for column in columns}
            more = OVER.get(table.name, {})
            if table is accounts:
                values = {c.name: marker(town, c) for c in columns}
                await db.execute(
                    update(table).where(table.c.tenant_id == town.tenant_id, table.c.id == me).values(values)
                )
            elif table is orders:
                values = {c.name: marker(town, c) for c in columns}
                mine = table.c.tenant_id == town.tenant_id, table.c.id == of_own
                await db.execute(update(table).where(*mine).values(values))
                said = table.c.tenant_id == town.tenant_id, table.c.id == of_theirs
                await db.execute(update(table).where(*said).values(result=MARK))
            elif table is order_steps:
                for order_id, who in ((of_own, other), (of_theirs, me)):
                    line = await row(db, town, table, who, order_id, seq=90, move="finish")
                    await db.execute(insert(table).values(line))
            elif "order_id" in table.c and table.name != "listings":
                for order_id, who in ((of_own, other), (of_theirs, me)):
                    line = await row(db, town, table, who, order_id, **more)
                    await db.execute(insert(table).values(line))
            else:
                await db.execute(insert(table).values(await row(db, town, table, me, of_theirs, **more)))
        quoting = {"account_id": other, "event": "finish", "created_at": T0, "tenant_id": town.tenant_id}
        for order_id in (of_own, of_theirs):  # told under an order that was merged into it
            quote = {"id": new_id(), "order_id": of_theirs, "cause": f"step:{order_id}:90", "text": MARK}
            await db.execute(insert(notices).values(quoting | quote))
    assert await left(town) >= planted - {"orders.address_key"}
    async with town.database.writing() as db:
        await erasing.anonymise(db, town.tenant_id, me, at=clock.now)
    assert await left(town) == set()


async def test_of_an_order_and_of_lists_that_are_long_over_no_column_holds_a_word(hands: Hands, clock: Clock):
    described()
    town = hands.town
    who = town["member-1"].id
    order = await hands.done()
    await hands.move("resident-1", order, "rate", score=5, solved=True, contacted=True)
    running = await hands.accepted("resident-2")
    async with town.database.writing() as db:
        order_id = UUID(order["id"])
        for table in metadata.sorted_tables:
            columns = personal(table)
            if table is orders:
                values = {c.name: marker(town, c) for c in columns}
                mine = table.c.tenant_id == town.tenant_id, table.c.id == order_id
                await db.execute(update(table).where(*mine).values(values))
            elif columns and "tenant_id" in table.c and of_work(table):
                more: dict[str, Any] = dict(OVER.get(table.name, {}))
                if table.name == "order_steps":
                    more |= {"seq": 90, "move": "finish"}
                if table.name == "ratings":
                    more |= {"revision": 90}
                if table.name == "notices":
                    more |= {"order_id": UUID(running["id"]), "cause": f"step:{order_id}:90"}
                await db.execute(insert(table).values(await row(db, town, table, who, order_id, **more)))
    assert {name.partition(".")[0] for name in await left(town)} >= {"orders", "claims", "registrations"}
    clock.now += CONTENT_DAYS + timedelta(days=1)
    await timers.keep_no_longer(town.database, clock.now)
    assert await left(town) == set()


def of_work(table: Table) -> bool:
    """Whether its words go by the clock, and not with an account."""
    return "order_id" in table.c or table.name in ("claims", "registrations")
