"""Phones, addresses and names lie sealed, open only where they belong, and change their key while the service runs."""

from typing import Any

import pytest
from sqlalchemy import Text, insert, select, text, type_coerce, update
from sqlalchemy.exc import StatementError

from dispatch.db.engine import Database
from dispatch.db.ids import new_id
from dispatch.db.rotation import rotate, sealings
from dispatch.db.sealed import CannotOpen, Keyring, Private, new_key, private
from dispatch.domain.household import address_key
from dispatch.orders.tables import orders
from dispatch.people.tables import accounts
from dispatch.settings import DEVELOPMENT_DATA_KEYS
from tests.conftest import Backends
from tests.town import T0, Hands, Town, found

KEY = DEVELOPMENT_DATA_KEYS.partition(":")[2]
LOOKUP = "a-lookup-key-for-tests-of-more-than-32-bytes"
PERSONAL = {
    "contact_phone": "13800001111",
    "address": "暗号苑3栋501",
    "on_behalf_of": {
        "name": "阿依古丽·买买提",
        "phone": "0731-82345678",
        "relation": "邻居",
        "consent": {"how": "oral"},
    },
}


def mine(town: Town, table: Any) -> Any:
    return table.c.tenant_id == town.tenant_id


async def test_what_identifies_a_person_lies_nowhere_in_the_open(hands: Hands):
    here = {"lng": 112.6123456, "lat": 26.9123456, "crs": "wgs84"}
    order = await hands.file("resident-1", **PERSONAL, location=here)
    assert (order["address"], order["location"]) == ("暗号苑3栋501", here)
    assert order["beneficiary"] == {"name": "阿依古丽·买买提", "phone": "0731-82345678"}
    town = hands.town
    async with town.database.reading() as db:
        for table in ("orders", "accounts", "order_steps", "outbox", "idempotency_keys"):
            rows = await db.execute(text(f"SELECT * FROM {table} WHERE tenant_id = {town.tenant_id}"))
            for row in rows:
                lying = repr([value for name, value in row._mapping.items() if name != "login"])
                for secret in ("13800001111", "暗号苑", "阿依古丽", "82345678", "112.6123456"):
                    assert secret not in lying, table
                if table == "accounts":
                    assert row.name.startswith("sealed:dev:")
                    assert "resident-1" not in lying


async def test_a_value_opens_only_in_its_own_tenant_and_column(hands: Hands, database: Database):
    town = hands.town
    other = await found(database, town.key)
    order = await hands.file(**PERSONAL)
    raw = type_coerce(orders.c.contact_phone, Text)
    (row,) = await town.rows(select(raw.label("raw")).where(mine(town, orders)))

    async with database.writing() as db:  # as somebody with the database in hand would
        await db.execute(
            text("UPDATE accounts SET phone = :raw WHERE tenant_id = :t AND login = 'resident-1'"),
            {"raw": row.raw, "t": other.tenant_id},
        )
        await db.execute(
            text("UPDATE orders SET address = contact_phone WHERE tenant_id = :t"), {"t": town.tenant_id}
        )
    with pytest.raises(CannotOpen):
        await other.rows(select(accounts.c.phone).where(mine(other, accounts), accounts.c.phone.is_not(None)))
    assert (await hands.get("resident-1", f"/v1/orders/{order['id']}")).status_code == 500


async def test_a_plain_text_is_refused_on_its_way_in(town: Town, database: Database):
    row = {"tenant_id": town.tenant_id, "id": new_id(), "login": "plain", "name": "王小四", "created_at": T0}
    with pytest.raises(StatementError, match="takes private"):
        async with database.writing() as db:
            await db.execute(insert(accounts).values(row))
    assert "王" not in repr(private(1, "王小四"))


async def test_an_account_is_found_by_its_phone_and_only_in_its_own_tenant(hands: Hands, database: Database):
    town = hands.town
    other = await found(database, town.key)
    for one in (town, other):
        phone = private(one.tenant_id, "13900002222")
        async with database.writing() as db:
            await db.execute(
                update(accounts)
                .where(mine(one, accounts), accounts.c.id == one["resident-2"].id)
                .values(phone=phone, phone_hash=phone)
            )
    behalf = {**PERSONAL["on_behalf_of"], "phone": "+86 139-0000-2222"}
    order = await hands.file("grid-1", on_behalf_of=behalf)
    seen = (await hands.get("resident-2", f"/v1/orders/{order['id']}")).json()
    assert seen["beneficiary"]["phone"] == "13900002222"
    hashes = []
    for one in (town, other):
        has = accounts.c.phone_hash.is_not(None)
        hashes.append((await one.rows(select(accounts.c.phone_hash).where(mine(one, accounts), has)))[0][0])
    assert len(set(hashes)) == 2


@pytest.mark.parametrize("driver", ["sqlite", "asyncpg"])
async def test_keys_are_changed_while_the_service_reads(backends: Backends, driver: str):
    url = backends.fresh(driver, "rotated")
    old, new = new_key(), new_key()
    before = Database(url, keys=Keyring.read(f"k1:{old}", LOOKUP))
    between = Database(url, keys=Keyring.read(f"k2:{new},k1:{old}", LOOKUP))
    after = Database(url, keys=Keyring.read(f"k2:{new}", LOOKUP))
    try:
        town = await found(before, "k" * 32)
        people = len(town.people)
        async with before.writing() as db:  # from before columns were sealed
            await db.execute(
                text("UPDATE accounts SET name = '王小四', phone = '13800001111' WHERE login = 'resident-1'")
            )
        named = select(accounts.c.name).where(mine(town, accounts), accounts.c.login == "resident-1")
        assert (await town.rows(named))[0].name == "王小四"

        assert await rotate(between, batch=5) == people
        assert await rotate(between, batch=5) == 0
        async with after.reading() as db:
            names = (
                await db.execute(select(accounts.c.login, accounts.c.name).where(mine(town, accounts)))
            ).all()
            by_phone = accounts.c.phone_hash == Private(town.tenant_id, "13800001111")
            found_ = await db.scalar(select(accounts.c.login).where(mine(town, accounts), by_phone))
        assert dict(names)["resident-1"] == "王小四"
        assert all(login == name for login, name in names if login != "resident-1")
        assert found_ == "resident-1"
        with pytest.raises(CannotOpen):
            async with before.reading() as db:
                (await db.execute(named)).all()
        assert await rotate(after, everything=True) == people
    finally:
        for database in (before, between, after):
            await database.close()


@pytest.mark.parametrize("driver", ["sqlite", "psycopg", "asyncpg"])
async def test_a_changed_look_up_key_finds_phones_and_doors_again(backends: Backends, driver: str):
    url = backends.fresh(driver, "lookup")
    before = Database(url, keys=Keyring.read(f"k1:{KEY}", LOOKUP))
    after = Database(url, keys=Keyring.read(f"k1:{KEY}", LOOKUP[::-1]))
    try:
        town = await found(before, "k" * 32)
        at = {"tenant_id": town.tenant_id, "place_id": town.places["community-1"]}
        people = {"resident-1": "3栋2单元101", "resident-2": "三栋二单元一零一室", "resident-3": "近处"}
        phone = private(town.tenant_id, "13800001111")
        async with before.writing() as db:
            for serial, (login, address) in enumerate(people.items(), 1):
                await db.execute(
                    insert(orders).values(
                        **at,
                        id=new_id(),
                        day="20261122",
                        serial=serial,
                        state="submitted",
                        item_code="0102",
                        urgency="U3",
                        community_id=at["place_id"],
                        address=private(town.tenant_id, address),
                        address_key=private(town.tenant_id, address_key(at["place_id"], address)),
                        text="家里漏水",
                        channel="self",
                        filer_id=town[login].id,
                        filer_grant_id=town[login].grant_id,
                        created_at=T0,
                        updated_at=T0,
                        version=1,
                    )
                )
            one = accounts.c.id == town["resident-1"].id
            await db.execute(
                update(accounts).where(mine(town, accounts), one).values(phone=phone, phone_hash=phone)
            )
        door = private(town.tenant_id, address_key(at["place_id"], "3-2-101"))
        doors = select(orders.c.serial).where(mine(town, orders), orders.c.address_key == door)
        by_phone = select(accounts.c.login).where(mine(town, accounts), accounts.c.phone_hash == phone)
        none = select(orders.c.serial).where(mine(town, orders), orders.c.address_key.is_(None))

        async def seen(database: Database) -> list[list[Any]]:
            async with database.reading() as db:
                return [sorted((await db.execute(rows)).scalars()) for rows in (doors, by_phone, none)]

        assert await seen(before) == [[1, 2], ["resident-1"], [3]]
        assert await seen(after) == [[], [], [3]]
        assert await rotate(after, everything=True) == len(town.people) + len(people)
        assert await seen(after) == [[1, 2], ["resident-1"], [3]]
        assert await rotate(after) == 0
    finally:
        for database in (before, after):
            await database.close()


def test_every_sealed_column_is_named_after_its_place():
    for sealing in sealings():
        for name in sealing.sealed:
            assert sealing.table.c[name].type.column == f"{sealing.table.name}.{name}"
    assert {sealing.table.name for sealing in sealings()} >= {"orders", "accounts"}


@pytest.mark.parametrize("wrong", ["", "k1", "k1:", f"K1:{KEY}", "k1:c2hvcnQ=", f"k1:!{KEY}"])
def test_a_keyring_of_another_form_is_refused(wrong: str):
    with pytest.raises(ValueError, match="data key"):
        Keyring.read(wrong, LOOKUP)
    key = new_key()
    with pytest.raises(ValueError, match="each once"):
        Keyring.read(f"k1:{key},k1:{key}", LOOKUP)
