"""Contact data: for whom, for what, until when, and on whose record."""

import asyncio
from collections import Counter

import pytest
from sqlalchemy import select

from dispatch.domain import privacy
from dispatch.domain.people import Role
from dispatch.orders.tables import order_views
from dispatch.people import actions as people
from tests.town import Clock, Hands

PRIVATE = {"contact_phone": "13800001111", "address": "暗号苑3栋501"}
WHY = {"purpose": "上门前约时间"}


async def reveal(hands: Hands, login: str, order: dict, **body: str) -> tuple[int, str | None]:
    answer = await hands.post(login, f"/v1/orders/{order['id']}/reveal", body or WHY)
    told = answer.json()
    return answer.status_code, told["contact_phone"] if answer.status_code == 200 else told["code"]


async def views(hands: Hands, login: str, order: dict) -> list[tuple[str, str, str | None]]:
    answer = await hands.get(login, f"/v1/orders/{order['id']}/views")
    assert answer.status_code == 200, answer.text
    return [(view["kind"], view["who"]["name"], view["purpose"]) for view in answer.json()["items"]]


async def test_the_street_and_the_grid_see_for_a_reason_and_the_requester_sees_who_looked(
    hands: Hands, clock: Clock
):
    grid = str(hands.town.places["grid-11"])
    order = await hands.file("resident-1", place_id=grid, **PRIVATE)
    for login in ("grid-1", "street-1"):
        seen = (await hands.get(login, f"/v1/orders/{order['id']}")).json()
        assert (seen["contact_phone"], seen["address"]) == ("138******11", None)
        clock.pass_(minutes=1)
        assert await reveal(hands, login, order) == (200, "13800001111")
    answer = await hands.post("street-1", f"/v1/orders/{order['id']}/reveal", WHY)
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert (answer.json()["address"], answer.json()["filer_name"]) == ("暗号苑3栋501", "resident-1")

    told = await views(hands, "resident-1", order)
    assert Counter(told) == {
        ("reveal", "street-1", WHY["purpose"]): 2,
        ("reveal", "grid-1", WHY["purpose"]): 1,
    }
    assert await views(hands, "district-1", order) == told  # who audits
    for login in ("dispatcher-1", "grid-1", "street-1"):
        answer = await hands.get(login, f"/v1/orders/{order['id']}/views")
        assert (answer.status_code, answer.json()["code"]) == (403, "ROLE_FORBIDDEN")
    assert (await hands.get("resident-2", f"/v1/orders/{order['id']}/views")).status_code == 404


async def test_contact_data_that_stands_open_is_recorded_once_a_day(hands: Hands, clock: Clock):
    order = await hands.file("resident-1", **PRIVATE)
    path = f"/v1/orders/{order['id']}"
    for _ in range(3):
        assert (await hands.get("dispatcher-1", path)).json()["contact_phone"] == "13800001111"
        await hands.get("resident-1", path)
        await hands.get("street-1", path)
    assert await views(hands, "resident-1", order) == [("open", "dispatcher-1", None)]
    clock.pass_(days=1)
    await hands.get("dispatcher-1", path)
    assert len(await views(hands, "resident-1", order)) == 2
    bare = await hands.file("resident-1")
    await hands.get("dispatcher-1", f"/v1/orders/{bare['id']}")
    assert await views(hands, "resident-1", bare) == []


async def test_who_sees_nothing_gets_nothing_and_leaves_no_record(hands: Hands):
    order = await hands.open_()
    refused = (403, "ROLE_FORBIDDEN")
    for login in ("member-1", "supervisor-1"):
        assert await reveal(hands, login, order) == refused, login
    assert await reveal(hands, "district-1", order) == (403, "SECOND_PERSON_REQUIRED")
    for login in ("resident-2", "member-21", "dispatcher-2", "street-2", "admin-1"):
        assert await reveal(hands, login, order) == (404, "ORDER_NOT_FOUND"), login
    assert (await hands.post("street-1", f"/v1/orders/{order['id']}/reveal", {})).status_code == 422
    assert (await reveal(hands, "street-1", order, purpose=" "))[0] == 422
    assert await views(hands, "resident-1", order) == []


async def test_before_a_take_no_contact_after_it_all_and_seven_days_after_closing_none(
    hands: Hands, clock: Clock
):
    order = await hands.accepted("resident-1", **PRIVATE, text="请打13800001111，身份证11010519491231002X。")
    await hands.move("dispatcher-1", order, "dispatch", mode="open")
    path = f"/v1/orders/{order['id']}"

    async def seen() -> tuple[str | None, str | None, str]:
        told = (await hands.get("member-1", path)).json()
        assert told["text"] == "请打138******11，身份证1****************X。"
        return told["contact_phone"], told["address"], told["filer"]["name"]

    nothing, everything = (None, None, "居民"), ("13800001111", "暗号苑3栋501", "resident-1")
    assert await seen() == nothing
    await hands.move("member-1", order, "take")
    assert await seen() == everything
    await hands.move("member-1", order, "finish", result="办好了。", closing="solved")
    await hands.move("resident-1", order, "rate", score=5, solved=True, contacted=True)
    clock.pass_(days=7)
    assert await seen() == everything
    clock.pass_(seconds=1)
    assert await seen() == nothing
    assert await reveal(hands, "member-1", order) == (409, "TOO_LATE")
    dispatcher = (await hands.get("dispatcher-1", path)).json()
    assert "13800001111" in dispatcher["text"]
    assert "contact_in_text" in dispatcher["flags"]


async def test_a_grid_worker_has_it_shown_only_while_the_order_is_open(hands: Hands):
    order = await hands.file("resident-1", place_id=str(hands.town.places["grid-11"]), **PRIVATE)
    await hands.move("resident-1", order, "cancel")
    assert await reveal(hands, "grid-1", order) == (409, "TOO_LATE")
    assert await reveal(hands, "dispatcher-1", order) == (200, "13800001111")


async def test_who_complains_of_a_person_is_known_to_the_dispatcher_alone(hands: Hands):
    consent = {"relation": "邻居", "consent": {"how": "oral"}}
    order = await hands.file(
        "grid-1",
        item_code="0804",
        text="楼上装修扰民。",
        place_id=str(hands.town.places["grid-11"]),
        on_behalf_of={"name": "张暗号", "phone": "13911112222", **consent},
        **PRIVATE,
    )
    await hands.move("dispatcher-1", order, "accept")
    await hands.move("dispatcher-1", order, "dispatch", mode="open", kinds=["provider"])
    await hands.move("provider-1", order, "take")
    path = f"/v1/orders/{order['id']}"
    for login in ("provider-1", "street-1", "district-1", "supervisor-1"):
        for answer in (await hands.get(login, path), await hands.get(login, f"{path}/timeline")):
            for secret in (
                "张暗号",
                "13911112222",
                "139******22",
                "13800001111",
                "138******11",
                "暗号苑",
                '"name":"grid-1"',
            ):
                assert secret not in answer.text, (login, secret)
        assert await reveal(hands, login, order) == (403, "ROLE_FORBIDDEN")
    assert (await hands.get("secretary-1", path)).json()["beneficiary"]["name"] == "张暗号"
    assert await reveal(hands, "dispatcher-1", order) == (200, "13800001111")


async def test_who_hides_the_name_is_nameless_also_where_the_phone_is_shown(hands: Hands):
    order = await hands.file("resident-1", hide_name=True, **PRIVATE)
    shown = (await hands.post("street-1", f"/v1/orders/{order['id']}/reveal", WHY)).json()
    assert (shown["filer_name"], shown["beneficiary"]["name"]) == ("匿名居民", "匿名居民")
    assert shown["contact_phone"] == "13800001111"


async def test_looks_are_limited_per_account_also_when_they_come_at_once(
    hands: Hands, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("dispatch.privacy.actions.revealing.REVEALS_AN_HOUR", 3)
    order = await hands.file("resident-1", **PRIVATE)
    answers = await asyncio.gather(*(reveal(hands, "street-1", order) for _ in range(8)))
    assert Counter(status for status, _ in answers) == {200: 3, 429: 5}
    refused = await hands.post("street-1", f"/v1/orders/{order['id']}/reveal", WHY)
    assert refused.json()["code"] == "RATE_LIMITED"
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    mine = order_views.c.tenant_id == hands.town.tenant_id
    assert len(await hands.town.rows(select(order_views.c.id).where(mine))) == 3
    assert (await reveal(hands, "dispatcher-1", order))[0] == 200  # another account
    clock.pass_(hours=1)
    assert (await reveal(hands, "street-1", order))[0] == 200


async def test_a_day_has_its_limit_too(hands: Hands, clock: Clock, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dispatch.privacy.actions.revealing.REVEALS_A_DAY", 2)
    order = await hands.file("resident-1", **PRIVATE)
    for expected in (200, 200, 429):
        assert (await reveal(hands, "street-1", order))[0] == expected
        clock.pass_(hours=1)
    assert privacy.REVEALS_A_DAY > privacy.REVEALS_AN_HOUR


async def test_an_agent_sees_whom_he_filed_for_while_the_order_is_open(hands: Hands):
    await hands.town.person("agent-1", Role.AGENT, "community-1")
    behalf = {"name": "赵小五", "phone": "13911112222", "relation": "邻居", "consent": {"how": "oral"}}
    order = await hands.file("agent-1", on_behalf_of=behalf)
    path = f"/v1/orders/{order['id']}"
    assert (await hands.get("agent-1", path)).json()["beneficiary"] == {
        "name": "赵小五",
        "phone": "13911112222",
    }
    await hands.move("agent-1", order, "cancel")
    assert (await hands.get("agent-1", path)).json()["beneficiary"] == {
        "name": "赵*五",
        "phone": "139******22",
    }
    family = await hands.file("resident-1", on_behalf_of=behalf)
    gone = await hands.move("resident-1", family, "cancel")
    assert gone["beneficiary"]["name"] == "赵小五"


async def test_who_filed_by_office_sees_by_that_office_only_whatever_else_he_is_or_becomes(
    hands: Hands, clock: Clock
):
    town = hands.town
    behalf = {"name": "赵小五", "phone": "13911112222", "relation": "邻居", "consent": {"how": "oral"}}
    grid = str(town.places["grid-11"])
    order = await hands.file("grid-1", on_behalf_of=behalf, place_id=grid, **PRIVATE)
    other = await hands.file("grid-1", on_behalf_of=behalf, place_id=grid, **PRIVATE)
    async with town.database.writing() as db:
        await people.grant(
            db,
            town.tenant_id,
            town["grid-1"].id,
            Role.RESIDENT,
            place_id=town.places["grid-11"],
            at=town.made,
        )

    async def seen(which: dict, version: int) -> str:
        headers = {"Authorization": f"Bearer {town.token(town['grid-1'].id, version)}"}
        answer = await hands.client.get(f"/v1/orders/{which['id']}", headers=headers)
        phone: str = answer.json()["beneficiary"]["phone"]
        return phone

    assert await seen(order, 2) == "13911112222"
    await hands.move("dispatcher-1", order, "cancel", reason_code="other", text="重复登记。")
    assert await seen(order, 2) == "139******22"  # a resident too, but not as one did he file
    assert await seen(other, 2) == "13911112222"
    async with town.database.writing() as db:
        await people.revoke_grant(db, town.tenant_id, town["grid-1"].grant_id, at=clock.now)
    assert await seen(other, 3) == "139******22"  # still open, but the office has ended


async def test_a_look_at_whom_one_filed_for_by_office_is_on_record_and_familys_is_not(
    hands: Hands, clock: Clock
):
    behalf = {"name": "赵小五", "phone": "13911112222", "relation": "母亲", "consent": {"how": "oral"}}
    by_office = await hands.file("grid-1", on_behalf_of=behalf, **PRIVATE)
    by_family = await hands.file("resident-1", on_behalf_of=behalf, **PRIVATE)
    for _ in range(2):
        await hands.get("grid-1", f"/v1/orders/{by_office['id']}")
        await hands.get("resident-1", f"/v1/orders/{by_family['id']}")
    looks = select(
        order_views.c.order_id, order_views.c.kind, order_views.c.role, order_views.c.grant_id
    ).where(order_views.c.tenant_id == hands.town.tenant_id)
    assert [(str(one.order_id), *one[1:]) for one in await hands.town.rows(looks)] == [
        (by_office["id"], "open", Role.GRID_WORKER, hands.town["grid-1"].grant_id)
    ]
