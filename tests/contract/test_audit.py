"""A log that somebody changed behind our back is found; one whose person was forgotten is not broken (peers' law 138)."""

import io
import json
import os
import sqlite3
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select, text

from dispatch import audit
from dispatch.db.engine import Database
from dispatch.db.tenants import tenants
from dispatch.orders.tables import order_steps
from dispatch.privacy import timers
from tests.contract.test_keeping import lived
from tests.town import Clock, Hands, Town

HASHED = {
    "move": "'finish'",
    "role": "'street'",
    "at": "'2020-01-01 00:00:00'",
    "detail": "'{\"round\": 7}'",
    "account_id": "NULL",
}


async def code(town: Town) -> str:
    return (await town.rows(select(tenants.c.code).where(tenants.c.id == town.tenant_id)))[0].code


async def tampered(town: Town, statement: str, order: dict) -> None:
    """What somebody with the database's password may do."""
    hexed = UUID(order["id"]).hex
    where = f"tenant_id = {town.tenant_id} AND replace(CAST({{}} AS text), '-', '') = '{hexed}'"
    async with town.database.writing() as db:
        await db.execute(
            text(statement.replace("@order", where.format("id")).replace("@", where.format("order_id")))
        )


async def first_broken(town: Town) -> list[tuple[int, str]]:
    report = await audit.examine(town.database, tenant=await code(town), at=town.made)
    return [(line["seq"], line["why"]) for line in report.broken]


async def test_logs_as_they_were_written_hold_with_every_entry_counted(hands: Hands):
    await hands.done()
    parent, child = await hands.accepted(), await hands.file("resident-2")
    await hands.move("dispatcher-1", child, "merge", parent_id=parent["id"])
    await hands.move("resident-1", parent, "cancel")
    report = await audit.examine(hands.town.database, tenant=await code(hands.town), at=hands.town.made)
    mine = order_steps.c.tenant_id == hands.town.tenant_id
    entries = (await hands.town.rows(select(func.count()).select_from(order_steps).where(mine)))[0][0]
    assert (report.broken, report.orders, report.entries, report.unchained) == ([], 3, entries, 0)


@pytest.mark.parametrize("column", HASHED)
async def test_an_entry_that_was_changed_by_sql_is_named(hands: Hands, column: str):
    order = await hands.done()
    await tampered(
        hands.town, f"UPDATE order_steps SET {column} = {HASHED[column]} WHERE @ AND seq = 3", order
    )
    assert await first_broken(hands.town) == [(3, "altered")]


async def test_words_that_were_changed_or_taken_out_without_leave_are_named(hands: Hands):
    order = await hands.done()
    finished = f"@ AND seq = {(await hands.get('resident-1', '/v1/orders/' + order['id'])).json()['version']}"
    await tampered(hands.town, f"UPDATE order_steps SET text = '没有去。' WHERE {finished}", order)
    ((_, why),) = await first_broken(hands.town)
    assert why == "words_altered"
    await tampered(hands.town, f"UPDATE order_steps SET text = NULL, salt = NULL WHERE {finished}", order)
    ((_, why),) = await first_broken(hands.town)
    assert why == "words_missing"


async def test_an_entry_or_the_end_that_was_taken_out_is_named(hands: Hands):
    one, other = await hands.done(), await hands.done("member-2")
    await tampered(hands.town, "DELETE FROM order_steps WHERE @ AND seq = 2", one)
    await tampered(hands.town, "DELETE FROM order_steps WHERE @ AND seq = 5", other)
    assert sorted(await first_broken(hands.town)) == [(3, "gap"), (4, "head")]


async def test_a_log_rewritten_to_its_end_or_taken_away_is_found_by_heads_kept_elsewhere(hands: Hands):
    town, order = hands.town, await hands.taken()
    heads = io.StringIO()
    report = await audit.examine(town.database, tenant=await code(town), heads=heads, at=town.made)
    (line,) = map(json.loads, heads.getvalue().splitlines())
    assert (report.broken, line["seq"], line["number"]) == ([], 4, order["number"])
    await hands.move("member-1", order, "finish", result="办好了。", closing="solved")
    longer = await audit.examine(
        town.database, tenant=await code(town), against=io.StringIO(heads.getvalue()), at=town.made
    )
    assert longer.broken == []  # a log that goes on holds what it held
    kept = (
        await town.rows(
            select(order_steps.c.hash).where(
                order_steps.c.tenant_id == town.tenant_id, order_steps.c.seq == 2
            )
        )
    )[0][0]
    await tampered(town, "DELETE FROM order_steps WHERE @ AND seq > 2", order)
    await tampered(town, f"UPDATE orders SET version = 2, head = '{kept}' WHERE @order", order)
    assert await first_broken(town) == []  # all hashes fit again
    found = await audit.examine(
        town.database, tenant=await code(town), against=io.StringIO(heads.getvalue()), at=town.made
    )
    assert [(line["seq"], line["why"]) for line in found.broken] == [(4, "gone")]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_restored_backup_verifies_like_the_original(hands: Hands, tmp_path: Path):
    """By the copy that docs/operations names; a dump of PostgreSQL holds the same rows."""
    town = hands.town
    await hands.done()
    copy = tmp_path / "copy.db"
    source = str(town.database.url).partition(":///")[2]
    with sqlite3.connect(source) as db:
        db.execute("VACUUM INTO ?", (str(copy),))
    restored = Database(f"sqlite+aiosqlite:///{copy}")
    report = await audit.examine(restored, tenant=await code(town), at=town.made)
    async with restored.writing() as db:
        await db.execute(
            text(f"UPDATE order_steps SET role = 'street' WHERE tenant_id = {town.tenant_id} AND seq = 2")
        )
    found = await audit.examine(restored, tenant=await code(town), at=town.made)
    await restored.close()
    assert (report.broken, report.orders) == ([], 1)
    assert [line["why"] for line in found.broken] == ["altered"]


async def test_who_was_forgotten_left_no_broken_log_and_is_counted(hands: Hands, clock: Clock):
    town = hands.town
    await lived(hands)
    helped = await hands.file("resident-2")
    await hands.move("dispatcher-1", helped, "ask", text="请补充。")
    assert (await hands.post("resident-1", "/v1/me/deletion")).json()["status"] == "done"
    report = await audit.examine(town.database, tenant=await code(town), at=clock.now)
    assert (report.broken, report.erased >= 4) == ([], True)
    await hands.move("resident-2", helped, "cancel")
    clock.pass_(days=3 * 365 + 1)
    await timers.keep_no_longer(town.database, clock.now)
    later = await audit.examine(town.database, tenant=await code(town), at=clock.now)
    assert (later.broken, later.erased > report.erased) == ([], True)
    salts = (
        select(func.count())
        .select_from(order_steps)
        .where(order_steps.c.tenant_id == town.tenant_id, order_steps.c.salt.is_not(None))
    )
    assert (await town.rows(salts))[0][0] == 0  # what is left tells nothing of what was said


async def test_the_command_says_which_and_ends_with_one(hands: Hands, backend: str, tmp_path: Path):
    town, order = hands.town, await hands.done()
    told = tmp_path / "heads.jsonl"

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DISPATCH_")}
        asked = [sys.executable, "-m", "dispatch", "audit", *more]
        return subprocess.run(
            asked, env=clean | {"DISPATCH_DATABASE_URL": backend}, capture_output=True, text=True
        )

    name = await code(town)
    good = run("--tenant", name, "--heads", str(told))
    assert (good.returncode, json.loads(good.stdout)["broken"]) == (0, 0), good.stderr
    assert len(told.read_text().splitlines()) == 1
    await tampered(town, "UPDATE order_steps SET role = 'street' WHERE @ AND seq = 2", order)
    bad = run("--tenant", name, "--against", str(told))
    first, counted = map(json.loads, bad.stdout.splitlines())
    assert (bad.returncode, first["number"], first["seq"], first["why"]) == (1, order["number"], 2, "altered")
    assert counted["broken"] == 1
    assert run("--tenant", "nowhere").stderr == "there is no tenant nowhere\n"
    told.write_text("{}\n")
    assert "a line is not a head" in run("--tenant", name, "--against", str(told)).stderr


async def test_words_taken_out_without_leave_are_found_though_the_order_says_it_was_cleared(
    hands: Hands, clock: Clock
):
    town, order = hands.town, await hands.accepted()
    await hands.move("dispatcher-1", order, "urge", text="领导说先压一压")
    rested = await hands.accepted("resident-2")
    await hands.move("resident-2", rested, "cancel", text="不用了。")
    heads = io.StringIO()
    await audit.examine(town.database, tenant=await code(town), heads=heads, at=clock.now)
    for which in (order, rested):
        await tampered(
            town, "UPDATE order_steps SET text = NULL, salt = NULL WHERE @ AND text IS NOT NULL", which
        )
        await tampered(town, "UPDATE orders SET cleared = 2, rested_at = created_at WHERE @order", which)
    for days in (0, 4 * 365):  # of an open order never, of one at rest not before its time
        report = await audit.examine(
            town.database,
            tenant=await code(town),
            against=io.StringIO(heads.getvalue()),
            at=clock.now + timedelta(days=days),
        )
        assert [line["why"] for line in report.broken] == ["words_missing"] * (1 if days else 2)
        assert report.erased_since == 2


async def test_words_erased_since_the_heads_are_counted_and_words_that_are_back_are_named(
    hands: Hands, clock: Clock
):
    town = hands.town
    order = await hands.file("resident-1")
    await hands.move("resident-1", order, "cancel", text="心里话")
    before, after = io.StringIO(), io.StringIO()
    await audit.examine(town.database, tenant=await code(town), heads=before, at=clock.now)
    salt = select(order_steps.c.salt, order_steps.c.seq).where(
        order_steps.c.tenant_id == town.tenant_id, order_steps.c.text.is_not(None)
    )
    ((kept, seq),) = await town.rows(salt)
    assert (await hands.post("resident-1", "/v1/me/deletion")).json()["status"] == "done"
    old = io.StringIO(before.getvalue())
    report = await audit.examine(
        town.database, tenant=await code(town), heads=after, against=old, at=clock.now
    )
    assert (report.broken, report.erased_since) == ([], 1)
    assert [json.loads(line)["erased"] for line in (before.getvalue(), after.getvalue())] == [0, 1]
    back = f"UPDATE order_steps SET text = '心里话', salt = '{kept}' WHERE @ AND seq = {seq}"
    await tampered(town, back, order)
    new = io.StringIO(after.getvalue())
    report = await audit.examine(town.database, tenant=await code(town), against=new, at=clock.now)
    assert [line["why"] for line in report.broken] == ["words_back"]


async def test_hashes_that_were_all_dropped_are_found_but_for_orders_from_before_there_were_any(
    hands: Hands,
):
    town, order = hands.town, await hands.done()
    await tampered(
        town, "UPDATE order_steps SET hash = NULL, text_hash = NULL, text = '改过的' WHERE @", order
    )
    await tampered(town, "UPDATE orders SET head = NULL WHERE @order", order)
    assert await first_broken(town) == [(1, "unchained")]
    told = {"tenant": await code(town), "at": town.made}
    since = await audit.examine(town.database, chained_since=date(2026, 11, 22), **told)
    assert [line["why"] for line in since.broken] == ["unchained"]
    older = await audit.examine(town.database, chained_since=date(2026, 11, 23), **told)
    assert (older.broken, older.unchained > 0) == ([], True)
