"""What concerns an account itself needs no role: people ask for their own data whatever they are (PIPL Art. 44-47)."""

import io
import json
import zipfile
from typing import Any

import pytest
from sqlalchemy import select, text, update

from dispatch.domain.people import Role
from dispatch.jobs import sweep
from dispatch.jobs.parts import PartsFailed
from dispatch.orders.tables import order_views, orders
from dispatch.people import actions as people
from dispatch.people.actions import end_grants
from dispatch.privacy import timers
from dispatch.privacy.actions import erasing
from dispatch.privacy.tables import data_requests
from tests.town import Clock, Hands, Town, found


async def test_who_has_no_role_left_still_agrees_corrects_exports_and_leaves(hands: Hands, clock: Clock):
    town = hands.town
    async with town.database.writing() as db:
        await end_grants(db, town.tenant_id, town["resident-1"].id, at=clock.now)
    clock.pass_(minutes=1)
    headers = {"Authorization": f"Bearer {town.token(town['resident-1'].id, 2)}"}
    refused = await hands.client.post(
        "/v1/orders", json={"item_code": "0102", "text": "请帮忙。"}, headers=headers
    )
    assert refused.status_code == 403
    for path, body, status in (
        ("/v1/me/consents/phone", {"version": 0}, 200),
        ("/v1/me/corrections", {"name": "李四"}, 200),
        ("/v1/me/exports", None, 202),
        ("/v1/me/deletion", None, 202),
    ):
        answer = await hands.client.post(path, json=body, headers=headers)
        assert answer.status_code == status, (path, answer.text)
        if path == "/v1/me/exports":
            await timers.make_exports(town.database, clock.now)
            file = await hands.client.get(f"{path}/{answer.json()['id']}/file", headers=headers)
            assert file.status_code == 200
            gone = await hands.client.delete("/v1/me/consents/phone", headers=headers)
            assert gone.status_code == 204
    assert (await hands.client.get("/v1/me", headers=headers)).status_code == 401


async def test_who_has_several_roles_names_none_for_what_is_his_own(hands: Hands, clock: Clock):
    town = hands.town
    given = {
        "account_id": str(town["resident-1"].id),
        "role": "agent",
        "place_id": str(town.places["community-1"]),
    }
    assert (await hands.post("admin-1", "/v1/grants", given)).status_code == 201
    headers = {"Authorization": f"Bearer {town.token(town['resident-1'].id, 2)}"}
    body = {"item_code": "0102", "text": "请帮忙。"}
    key = {"Idempotency-Key": "one-key-of-mine"}
    filed = await hands.client.post("/v1/orders", json=body, headers={**headers, **key})
    assert filed.json()["code"] == "GRANT_REQUIRED"
    assert (await hands.client.post("/v1/me/exports", headers=headers)).status_code == 202


BEHALF = {"name": "陈暗号", "phone": "13987654321", "relation": "居民", "consent": {"how": "oral"}}


async def exported(hands: Hands, clock: Clock, login: str) -> dict[str, str]:
    asked = (await hands.post(login, "/v1/me/exports")).json()
    await timers.make_exports(hands.town.database, clock.now)
    answer = await hands.get(login, f"/v1/me/exports/{asked['id']}/file")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
        return {name: file.read(name).decode() for name in file.namelist()}


async def test_who_filed_for_others_takes_none_of_them_along_in_the_own_file(hands: Hands, clock: Clock):
    town = hands.town
    grid = str(town.places["grid-11"])
    filed = await hands.file(
        "grid-1", on_behalf_of=BEHALF, address="3栋101", contact_phone="13987654321", place_id=grid
    )
    own = await hands.file("grid-1", text="自家的水管漏水。")
    told = await exported(hands, clock, "grid-1")
    whole = "".join(told.values())
    for secret in ("陈暗号", "13987654321", "3栋101"):
        assert secret not in whole
    assert json.loads(told["filed_for_others.json"]) == [{"number": filed["number"], "state": "submitted"}]
    assert [name for name in told if name.startswith("orders/")] == [f"orders/{own['number']}.json"]
    looks = select(order_views.c.id).where(order_views.c.tenant_id == town.tenant_id)
    assert await town.rows(looks) == []  # there was nobody to look at


async def test_a_file_is_made_without_keeping_anybody_from_writing(
    hands: Hands, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    """On SQLite a writer holds all others off: another writes while the file is being read together."""
    written = []
    make = timers.exporting._zipped

    async def meanwhile(*args: Any, **named: Any) -> bytes:
        filed = await hands.file("resident-2")
        written.append(filed["id"])
        return await make(*args, **named)

    monkeypatch.setattr(timers.exporting, "_zipped", meanwhile)
    await hands.file("resident-1")
    assert "account.json" in await exported(hands, clock, "resident-1")
    assert len(written) == 1


async def statuses(town: Town) -> dict[str, tuple[str, str | None]]:
    rows = select(data_requests.c.account_id, data_requests.c.status, data_requests.c.reason).where(
        data_requests.c.tenant_id == town.tenant_id
    )
    names = {person.id: login for login, person in town.people.items()}
    return {names[row.account_id]: (row.status, row.reason) for row in await town.rows(rows)}


async def damaged(town: Town, login: str, value: str = "sealed:gone:AAAA") -> None:
    """An account whose name was sealed with a key that is lost."""
    async with town.database.writing() as db:
        await db.execute(
            text("UPDATE accounts SET name = :value WHERE tenant_id = :tenant AND login = :login").bindparams(
                value=value, tenant=town.tenant_id, login=login
            )
        )


async def mended(town: Town, login: str) -> None:
    """Leave nothing behind: other tests run the same jobs."""
    await damaged(town, login, "x")
    over = data_requests.c.tenant_id == town.tenant_id
    async with town.database.writing() as db:
        await db.execute(update(data_requests).where(over).values(status="done"))


async def test_a_file_that_cannot_be_made_keeps_no_other_and_no_other_tenant_waiting_and_is_given_up(
    hands: Hands, clock: Clock
):
    town = hands.town
    beside = await found(town.database, town.key)
    await hands.post("resident-1", "/v1/me/exports")
    await damaged(town, "resident-1")
    clock.pass_(minutes=1)
    await hands.post("resident-2", "/v1/me/exports")
    await Hands(hands.client, beside).post("resident-1", "/v1/me/exports")
    with pytest.raises(PartsFailed):
        await timers.make_exports(town.database, clock.now)
    assert await statuses(town) == {"resident-1": ("pending", None), "resident-2": ("done", None)}
    assert await statuses(beside) == {"resident-1": ("done", None)}
    failed = 1
    for _ in range(100):
        clock.pass_(minutes=1)
        try:
            await timers.make_exports(town.database, clock.now)
        except PartsFailed:
            failed += 1
    assert failed == timers.exporting.MOST_TRIES
    assert (await statuses(town))["resident-1"] == ("done", "failed")
    await mended(town, "resident-1")


async def test_deletions_that_must_wait_or_fail_do_not_keep_others_waiting(
    hands: Hands, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    town = hands.town
    monkeypatch.setattr(timers, "BATCH", 2)
    beside = await found(town.database, town.key)
    freed = {}
    for which, login in (
        (town, "resident-1"),
        (town, "resident-2"),
        (town, "resident-3"),
        (beside, "resident-1"),
    ):
        at = Hands(hands.client, which)
        order = await at.file(login)
        await at.post(login, "/v1/me/deletion")
        clock.pass_(minutes=1)
        freed[which.tenant_id, login] = at, order
    await damaged(town, "resident-2")
    for at, order in list(freed.values())[1:]:
        # By direct write: the account's name opens no more.
        async with town.database.writing() as db:
            await db.execute(
                update(orders)
                .where(orders.c.tenant_id == at.town.tenant_id, orders.c.serial == serial(order))
                .values(state="cancelled", rested_at=clock.now)
            )
    with pytest.raises(PartsFailed):
        await timers.finish_deletions(town.database, clock.now)
    assert await statuses(town) == {
        "resident-1": ("waiting", "order_open"),
        "resident-2": ("waiting", "order_open"),
        "resident-3": ("done", None),
    }
    assert await statuses(beside) == {"resident-1": ("done", None)}
    await mended(town, "resident-2")


def serial(order: dict[str, Any]) -> int:
    return int(order["number"].rpartition("-")[2])


async def test_an_office_given_while_a_deletion_waited_is_not_swept_away_with_it(hands: Hands, clock: Clock):
    town = hands.town
    order = await hands.file("resident-1")
    assert (await hands.post("resident-1", "/v1/me/deletion")).json()["status"] == "waiting"
    async with town.database.writing() as db:
        given = await people.grant(
            db,
            town.tenant_id,
            town["resident-1"].id,
            Role.GRID_WORKER,
            place_id=town.places["grid-11"],
            at=town.made,
        )
    await hands.client.post(
        f"/v1/orders/{order['id']}/cancel",
        json={},
        headers={
            "Authorization": f"Bearer {town.token(town['resident-1'].id, 2)}",
            "X-Acting-Grant": str(town["resident-1"].grant_id),
        },
    )
    await timers.finish_deletions(town.database, clock.now)
    assert await statuses(town) == {"resident-1": ("waiting", "office_held")}
    async with town.database.writing() as db:
        await people.revoke_grant(db, town.tenant_id, given, at=clock.now)
    clock.pass_(minutes=1)
    await timers.finish_deletions(town.database, clock.now)
    assert await statuses(town) == {"resident-1": ("done", None)}


async def test_an_order_that_cannot_be_cleared_keeps_no_other_from_being_cleared(
    hands: Hands, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    town = hands.town
    beside = await found(town.database, town.key)
    filed = [await hands.file("resident-1", address=f"{n}栋") for n in range(3)]
    there = Hands(hands.client, beside)
    other = await there.file("resident-1", address="9栋")
    for at, order in [(hands, order) for order in filed] + [(there, other)]:
        await at.move("resident-1", order, "cancel")
    clear = erasing.clear_contact

    async def fails_for_one(db: Any, tenant_id: int, ids: Any, *, at: Any) -> None:
        await clear(db, tenant_id, ids, at=at)
        if filed[0]["id"] in map(str, ids):
            raise ValueError("a damaged row")

    monkeypatch.setattr(erasing, "clear_contact", fails_for_one)
    monkeypatch.setattr(timers, "BATCH", 2)
    clock.pass_(days=181)
    with pytest.raises(PartsFailed):
        await timers.keep_no_longer(town.database, clock.now)

    async def addresses(which: Town) -> list[str]:
        rows = select(orders.c.address).where(orders.c.tenant_id == which.tenant_id)
        return [row.address for row in await town.rows(rows) if row.address]

    assert (await addresses(town), await addresses(beside)) == (["0栋"], [])
    monkeypatch.undo()
    await timers.keep_no_longer(town.database, clock.now)
    assert await addresses(town) == []


async def test_a_tenant_whose_timers_fail_keeps_no_other_waiting(hands: Hands, clock: Clock):
    town = hands.town
    beside = await found(town.database, town.key)
    done = []

    async def batch(db: Any, tenant_id: int, zone: Any, *, at: Any, limit: int) -> int:
        if tenant_id == town.tenant_id:
            raise ValueError("a damaged row")
        done.append(tenant_id)
        return 0

    with pytest.raises(PartsFailed, match="1 parts"):
        await sweep.sweep(town.database, clock.now, batch)
    assert beside.tenant_id in done
