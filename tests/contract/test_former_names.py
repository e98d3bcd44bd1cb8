"""History names people as they were called then; who is forgotten is forgotten there, too (peers' law 139)."""

import io
import json
import zipfile

from sqlalchemy import func, select

from dispatch.people.tables import former_names
from dispatch.privacy import timers
from tests.town import Clock, Hands


async def authors(hands: Hands, order_id: str, reader: str = "dispatcher-1") -> list[str]:
    items = (await hands.get(reader, f"/v1/orders/{order_id}/timeline")).json()["items"]
    return [item["who"]["name"] for item in items]


async def renamed(hands: Hands, login: str, name: str) -> None:
    answer = await hands.post(login, "/v1/me/corrections", {"name": name})
    assert answer.status_code == 200, answer.text


async def test_a_step_keeps_the_name_of_its_time_whatever_its_author_is_called_later(
    hands: Hands, clock: Clock
):
    order = await hands.file("resident-1", contact_phone="13800001111")
    for name in ("王小红", "李小红"):
        clock.pass_(minutes=1)
        await renamed(hands, "resident-1", name)
        clock.pass_(minutes=1)
        await hands.move("resident-1", order, "supplement", text="请尽快。")
    await renamed(hands, "resident-1", "李小红")  # the same again is no other name
    assert await authors(hands, order["id"]) == ["resident-1", "王小红", "李小红"]
    assert await authors(hands, order["id"], "street-1") == ["r********1", "王*红", "李*红"]
    now = (await hands.get("dispatcher-1", f"/v1/orders/{order['id']}")).json()
    assert now["filer"]["name"] == "李小红"  # what stands now is told by its name of now
    other = await hands.file("resident-2")
    assert await authors(hands, other["id"]) == ["resident-2"]


async def test_who_looked_is_named_as_then(hands: Hands, clock: Clock):
    order = await hands.file("resident-1", contact_phone="13800001111")
    for login in ("street-1", "resident-2"):
        await hands.post(login, f"/v1/orders/{order['id']}/reveal", {"purpose": "核实"})
    clock.pass_(minutes=1)
    await renamed(hands, "street-1", "赵新名")
    (look,) = (await hands.get("resident-1", f"/v1/orders/{order['id']}/views")).json()["items"]
    assert look["who"]["name"] == "street-1"
    await hands.post("street-1", f"/v1/orders/{order['id']}/reveal", {"purpose": "再核实"})
    looks = (await hands.get("resident-1", f"/v1/orders/{order['id']}/views")).json()["items"]
    assert [look["who"]["name"] for look in looks] == ["赵新名", "street-1"]


async def test_a_former_name_is_in_the_file_of_ones_own_data_and_goes_with_the_account(
    hands: Hands, clock: Clock
):
    town = hands.town
    order = await hands.file("resident-1")
    clock.pass_(minutes=1)
    await renamed(hands, "resident-1", "王小红")
    asked = (await hands.post("resident-1", "/v1/me/exports")).json()
    await timers.make_exports(town.database, clock.now)
    file = await hands.get("resident-1", f"/v1/me/exports/{asked['id']}/file")
    with zipfile.ZipFile(io.BytesIO(file.content)) as packed:
        told = json.loads(packed.read("account.json"))
    assert [line["name"] for line in told["former_names"]] == ["resident-1"]
    await hands.move("resident-1", order, "cancel")
    assert (await hands.post("resident-1", "/v1/me/deletion")).json()["status"] == "done"
    assert await authors(hands, order["id"]) == ["已注销用户", "已注销用户"]
    left = select(func.count()).select_from(former_names).where(former_names.c.tenant_id == town.tenant_id)
    assert (await town.rows(left))[0][0] == 0


async def test_an_account_that_left_its_office_is_named_in_what_it_did(hands: Hands, clock: Clock):
    order = await hands.accepted()
    clock.pass_(minutes=1)
    ended = await hands.post("admin-1", f"/v1/grants/{hands.town['dispatcher-1'].grant_id}/revoke")
    assert ended.status_code == 200
    assert await authors(hands, order["id"], "secretary-1") == ["resident-1", "dispatcher-1"]
