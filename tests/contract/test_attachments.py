"""Photos and other files: sent, handed in with a move, seen by whom the order is seen, each once."""

import asyncio
import io
import zipfile
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy import select

from dispatch.attachments.timers import Sweeping
from dispatch.files.store import INCOMING, Store
from dispatch.jobs.parts import PartsFailed
from dispatch.orders.actions.attaching import forget
from dispatch.orders.tables import attachments, orders
from dispatch.privacy import timers
from tests.contract.test_leases import lost
from tests.pictures import SECRET, jpeg, mp3, mp4, pdf
from tests.town import Clock, Hands, found


async def test_what_a_phone_sends_is_seen_with_the_order_and_holds_no_place(hands: Hands, app: FastAPI):
    sent = jpeg(4000, 3000, orientation=6)
    assert SECRET in sent
    announced = await hands.announce("resident-1", sent)
    assert announced.status_code == 201, announced.text
    told = announced.json()
    assert told["state"] == "pending"
    assert told["upload"]["method"] == "POST"
    assert told["upload"]["file_field"] == "file"
    assert told["upload"]["url"] == f"/v1/attachments/{told['id']}/content"
    ready = (await hands.send("resident-1", told["id"], sent)).json()
    assert (ready["state"], ready["mime"], ready["upload"]) == ("ready", "image/jpeg", None)
    assert (ready["width"], ready["height"]) == (1920, 2560)  # upright, and no larger than is kept
    order = await hands.file("resident-1", attachment_ids=[told["id"]])
    (shown,) = order["attachments"]
    assert (shown["id"], shown["used_for"], shown["seq"], shown["mine"]) == (told["id"], "submit", 1, True)
    content = await hands.get("dispatcher-1", f"/v1/attachments/{told['id']}/content")
    assert content.headers["content-type"] == "image/jpeg"
    assert content.headers["x-content-type-options"] == "nosniff"
    assert content.headers["cache-control"] == "private, max-age=60, must-revalidate"
    assert content.headers["content-disposition"].startswith("inline")
    assert len(content.content) == ready["size"]
    preview = await hands.get("dispatcher-1", f"/v1/attachments/{told['id']}/content", variant="preview")
    assert 0 < len(preview.content) < len(content.content)
    root = app.state.settings.files_dir
    for path in root.rglob("*"):
        if path.is_file():
            assert SECRET not in path.read_bytes()
    (line,) = (await hands.get("resident-1", f"/v1/orders/{order['id']}/timeline")).json()["items"]
    assert line["attachment_ids"] == [told["id"]]


async def test_the_same_file_announced_and_sent_again_is_the_same(hands: Hands):
    data, client_id = jpeg(), str(uuid4())
    first = (await hands.announce("resident-1", data, client_id=client_id)).json()
    assert (await hands.announce("resident-1", data, client_id=client_id)).json()["id"] == first["id"]
    other = await hands.announce("resident-1", data + b"x", client_id=client_id)
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert (await hands.announce("resident-2", data, client_id=client_id)).json()["id"] != first["id"]
    sent = [(await hands.send("resident-1", first["id"], data)).json() for _ in range(2)]
    assert sent[0] == sent[1]
    told = (await hands.announce("resident-1", data, client_id=client_id)).json()
    assert (told["state"], told["upload"]) == ("ready", None)
    both = await asyncio.gather(*(twice(hands) for _ in range(3)))
    assert all(len(kept) == 1 for kept in both)


async def twice(hands: Hands) -> set[str]:
    """One file, sent twice at the same time."""
    data = jpeg(80, 60)
    id = (await hands.announce("resident-1", data)).json()["id"]
    answers = await asyncio.gather(*(hands.send("resident-1", id, data) for _ in range(2)))
    assert [answer.status_code for answer in answers] == [200, 200], [a.text for a in answers]
    return {answer.json()["sha256"] for answer in answers}


async def test_every_way_to_hand_a_file_in_says_what_it_came_with(hands: Hands, clock: Clock):
    order = await hands.file(attachment_ids=[await hands.upload("resident-1")])
    paper = await hands.upload("resident-1", pdf(), "document")
    await hands.move("resident-1", order, "supplement", text="补一份证明。", attachment_ids=[paper])
    await hands.move("dispatcher-1", order, "accept")
    await hands.move("dispatcher-1", order, "dispatch", mode="open")
    await hands.move("member-1", order, "take")
    sound = await hands.upload("member-1", mp3(), "audio")
    await hands.move("member-1", order, "progress", text="电话录音。", attachment_ids=[sound])
    ask = {
        "kind": "extension",
        "reason_code": "other",
        "text": "等配件。",
        "until": "2026-12-20T10:00:00+08:00",
    }
    clock.pass_(minutes=1)
    ask["attachment_ids"] = [await hands.upload("member-1")]
    asked = await hands.post("member-1", f"/v1/orders/{order['id']}/requests", ask)
    assert asked.status_code == 201, asked.text
    clock.pass_(minutes=1)
    film = await hands.upload("member-1", mp4(), "video")
    await hands.move(
        "member-1", order, "finish", result="已陪同复查。", closing="solved", attachment_ids=[film]
    )
    verdict = {"score": 5, "solved": True, "contacted": True}
    last = await hands.upload("resident-1")
    told = await hands.move("resident-1", order, "rate", **verdict, attachment_ids=[last])
    shown = [(f["used_for"], f["kind"], f["seq"]) for f in told["attachments"]]
    assert shown == [
        ("submit", "photo", 1),
        ("supplement", "document", 2),
        ("progress", "audio", 6),
        ("request", "photo", None),
        ("finish", "video", 7),
        ("rate", "photo", 8),
    ]
    assert told["attachments"][3]["request_id"] == asked.json()["id"]
    for id, mime in ((paper, "application/pdf"), (sound, "audio/mpeg"), (film, "video/mp4")):
        content = await hands.get("resident-1", f"/v1/attachments/{id}/content")
        assert content.headers["content-type"] == mime
        assert content.headers["content-disposition"].startswith("attachment")
        assert SECRET not in content.content
    headers = {**hands.town["resident-1"].headers, "Range": "bytes=4-7"}
    part = await hands.client.get(f"/v1/attachments/{film}/content", headers=headers)
    assert (part.status_code, part.content) == (206, b"ftyp")


@pytest.mark.parametrize("whose", ["another's", "pending", "used", "unknown", "other district"])
async def test_a_file_that_is_not_ones_own_ready_and_unused_stops_the_whole_move(hands: Hands, whose: str):
    mine = await hands.upload("resident-1")
    if whose == "another's":
        bad = await hands.upload("resident-2")
    elif whose == "pending":
        bad = (await hands.announce("resident-1", jpeg())).json()["id"]
    elif whose == "used":
        bad = await hands.upload("resident-1")
        await hands.file(attachment_ids=[bad])
    else:
        bad = str(uuid4())
    before = await count(hands, orders)
    body = {"item_code": "0102", "text": "请帮忙看看楼道的灯。", "attachment_ids": [mine, bad]}
    refused = await hands.post("resident-1", "/v1/orders", body, Idempotency_Key=uuid4().hex)
    assert (refused.status_code, refused.json()["code"]) == (409, "ATTACHMENT_UNUSABLE")
    assert refused.json()["attachment_ids"] == [bad]
    assert await count(hands, orders) == before
    order = await hands.file(attachment_ids=[mine])  # it was not used up by what was refused
    move = await hands.try_("resident-1", order, "supplement", text="再补一张。", attachment_ids=[bad])
    assert move.json()["code"] == "ATTACHMENT_UNUSABLE"
    assert (await hands.get("resident-1", f"/v1/orders/{order['id']}")).json()["version"] == order["version"]


async def count(hands: Hands, table: Any) -> int:
    return len(await hands.town.rows(select(table.c.id).where(table.c.tenant_id == hands.town.tenant_id)))


async def test_one_photo_named_by_many_orders_at_once_hangs_on_one(hands: Hands):
    photo = await hands.upload("resident-1")
    body = {"item_code": "0102", "text": "请帮忙看看楼道的灯。", "attachment_ids": [photo]}
    answers = await asyncio.gather(
        *(hands.post("resident-1", "/v1/orders", body, Idempotency_Key=uuid4().hex) for _ in range(6))
    )
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 5]
    assert await count(hands, orders) == 1


async def test_a_resident_hands_in_nine_and_staff_twenty(hands: Hands):
    ten = [await hands.upload("resident-1") for _ in range(10)]
    body = {"item_code": "0102", "text": "请帮忙看看楼道的灯。", "attachment_ids": ten}
    refused = await hands.post("resident-1", "/v1/orders", body, Idempotency_Key=uuid4().hex)
    assert (refused.status_code, refused.json()["code"], refused.json()["most"]) == (
        422,
        "TOO_MANY_ATTACHMENTS",
        9,
    )
    assert len((await hands.file(attachment_ids=ten[:9]))["attachments"]) == 9
    twenty = [await hands.upload("grid-1") for _ in range(20)]
    order = await hands.file("grid-1", attachment_ids=twenty)
    assert [file["id"] for file in order["attachments"]] == twenty  # in the order in which they were named
    many = await hands.post(
        "grid-1", "/v1/orders", {**body, "attachment_ids": [*twenty, twenty[0], ten[0]]}, Idempotency_Key="k"
    )
    assert many.status_code == 422


async def test_134_twenty_uploads_to_one_order_in_parallel_all_succeed(hands: Hands):
    """Peers' 134 (Signals SIG-2367): nobody waits for another's lock, and every photo hangs on the order."""
    order = await hands.taken()
    data = [jpeg(64 + n, 48) for n in range(20)]
    ids = await asyncio.gather(*(hands.upload("member-1", each) for each in data))
    assert len(set(ids)) == 20
    told = await asyncio.gather(
        *(
            hands.try_("member-1", order, "progress", text=f"现场照片{n}。", attachment_ids=[id])
            for n, id in enumerate(ids[:3])
        )
    )
    late = [id for id, answer in zip(ids[:3], told, strict=True) if answer.status_code != 200]
    shown = await hands.move(
        "member-1", order, "finish", result="已办好。", closing="solved", attachment_ids=[*late, *ids[3:]]
    )
    assert {file["id"] for file in shown["attachments"]} == set(ids)


async def test_before_a_take_nobody_of_the_pool_sees_a_photo_and_after_the_window_no_more(
    hands: Hands, clock: Clock
):
    photo = await hands.upload("resident-1")
    path = f"/v1/attachments/{photo}/content"
    order = await hands.accepted(attachment_ids=[photo])
    assert (await hands.get("member-1", path)).status_code == 404
    await hands.move("dispatcher-1", order, "dispatch", mode="open")
    seen = (await hands.get("member-1", f"/v1/orders/{order['id']}")).json()
    assert seen["attachments"] == []  # the order is in the pool; its photos are not
    assert (await hands.get("member-1", path)).status_code == 404
    assert (await hands.get("resident-2", path)).status_code == 404
    await hands.move("member-1", order, "take")
    cached = await hands.get("member-1", path)
    assert cached.status_code == 200
    tag = {**hands.town["member-1"].headers, "If-None-Match": cached.headers["etag"]}
    assert (await hands.client.get(path, headers=tag)).status_code == 304
    await hands.move("member-1", order, "finish", result="已陪同复查。", closing="solved")
    await hands.move("resident-1", order, "rate", score=5, solved=True, contacted=True)
    clock.pass_(days=7)
    assert (await hands.get("member-1", path)).status_code == 200
    clock.pass_(seconds=1)
    for headers in (tag, hands.town["member-1"].headers):  # what was seen before opens nothing now
        assert (await hands.client.get(path, headers=headers)).status_code == 404
    assert (await hands.get("member-1", f"/v1/orders/{order['id']}")).json()["attachments"] == []
    assert (await hands.get("resident-1", path)).status_code == 200


async def test_an_order_about_a_person_shows_its_photos_to_the_dispatcher_only(hands: Hands):
    photo = await hands.upload("resident-1")
    about = await about_person(hands, photo)
    for login, status in (("resident-1", 200), ("dispatcher-1", 200), ("grid-1", 404), ("street-1", 404)):
        assert (await hands.get(login, f"/v1/attachments/{photo}")).status_code == status, login
        assert (await hands.get(login, f"/v1/attachments/{photo}/content")).status_code == status, login
    assert about["attachments"][0]["id"] == photo


async def about_person(hands: Hands, photo: str) -> dict[str, Any]:
    items = (await hands.get("resident-1", "/v1/catalog")).json()["categories"]
    code = next(i["code"] for c in items for i in c["items"] if "about_person" in i["flags"])
    return await hands.file(item_code=code, attachment_ids=[photo])


async def test_a_file_that_hangs_on_nothing_is_its_senders_alone(hands: Hands):
    photo = await hands.upload("resident-1")
    for login in ("resident-2", "dispatcher-1", "district-1", "admin-1"):
        assert (await hands.get(login, f"/v1/attachments/{photo}")).status_code == 404
        assert (await hands.get(login, f"/v1/attachments/{photo}/content")).status_code == 404
        assert (await hands.send(login, photo, jpeg())).status_code == 404
    assert (await hands.get("resident-1", f"/v1/attachments/{photo}/content")).status_code == 200
    pending = (await hands.announce("resident-1", jpeg())).json()["id"]
    assert (await hands.get("resident-1", f"/v1/attachments/{pending}")).json()["state"] == "pending"
    assert (await hands.get("resident-1", f"/v1/attachments/{pending}/content")).status_code == 404


async def test_announced_sent_and_completed_in_every_wrong_order(hands: Hands):
    """wechat.md §7, 22."""
    data = jpeg()
    id = (await hands.announce("resident-1", data)).json()["id"]
    short = await hands.send("resident-1", id, data[:-1])
    assert (short.status_code, short.json()["code"]) == (422, "UPLOAD_INCOMPLETE")
    long = await hands.send("resident-1", id, data + bytes(10))
    assert (long.status_code, long.json()["code"]) == (413, "BODY_TOO_LARGE")
    path = f"/v1/attachments/{id}/content"
    headers = hands.town["resident-1"].headers
    for body in ({"content": data}, {"files": {"other": data}}, {"json": {}}):
        wrong = await hands.client.post(path, headers=headers, **body)
        assert (wrong.status_code, wrong.json()["code"]) == (422, "VALIDATION_FAILED"), body.keys()
    assert (await hands.send("resident-1", id, data)).json()["state"] == "ready"  # none of it spoiled it
    hashed = (await hands.announce("resident-1", data, sha256="0" * 64)).json()["id"]
    assert (await hands.send("resident-1", hashed, data)).json()["code"] == "UPLOAD_INCOMPLETE"
    for said, code in (
        ({"mime": "image/heic"}, "HEIC_UNSUPPORTED"),
        ({"mime": "image/gif"}, "ATTACHMENT_TYPE_UNKNOWN"),
        ({"mime": "application/pdf"}, "ATTACHMENT_TYPE_UNKNOWN"),
        ({"size": 10 * 1024 * 1024 + 1}, "ATTACHMENT_TOO_LARGE"),
        ({"size": 0}, "VALIDATION_FAILED"),
    ):
        refused = await hands.announce("resident-1", data, **said)
        assert refused.json()["code"] == code, said


async def test_a_broken_file_has_failed_for_good_and_another_is_announced(hands: Hands):
    data, client_id = jpeg()[:200], str(uuid4())
    id = (await hands.announce("resident-1", data, client_id=client_id)).json()["id"]
    refused = await hands.send("resident-1", id, data)
    assert (refused.status_code, refused.json()["code"]) == (422, "ATTACHMENT_BROKEN")
    assert (await hands.get("resident-1", f"/v1/attachments/{id}")).json()["state"] == "failed"
    for again in (
        await hands.send("resident-1", id, data),
        await hands.announce("resident-1", data, client_id=client_id),
    ):
        assert (again.status_code, again.json()["code"]) == (409, "UPLOAD_CLOSED")


async def test_whoever_hoards_files_is_stopped(hands: Hands):
    data = jpeg()
    for _ in range(60):
        assert (await hands.announce("resident-1", data)).status_code == 201
    stopped = await hands.announce("resident-1", data)
    assert (stopped.status_code, stopped.json()["code"]) == (409, "TOO_MANY_UNUSED")
    assert (await hands.announce("resident-2", data)).status_code == 201


async def test_a_move_without_files_asks_no_more_of_the_database_than_before(
    hands: Hands, counted: list[str]
):
    order = await hands.accepted()
    photo = await hands.upload("resident-1")
    await hands.move("resident-1", order, "supplement", text="先说一句。")
    counted.clear()
    await hands.move("resident-1", order, "supplement", text="没有照片。")
    plain = list(counted)
    assert not [statement for statement in plain if "UPDATE attachments" in statement]
    counted.clear()
    await hands.move("resident-1", order, "supplement", text="有照片。", attachment_ids=[photo])
    assert len(counted) == len(plain) + 1


def kept(app: FastAPI, tenant_id: int) -> set[str]:
    """Ids of the attachments of a town that have bytes on the disk."""
    root = app.state.settings.files_dir / str(tenant_id)
    return {path.parent.name for path in root.glob("*/*/*")}


async def sweep(app: FastAPI, hands: Hands, clock: Clock) -> None:
    await Sweeping(app.state.uploads.store)(hands.town.database, clock.now)


async def left(hands: Hands) -> set[str]:
    mine = attachments.c.tenant_id == hands.town.tenant_id
    return {str(row.id) for row in await hands.town.rows(select(attachments.c.id).where(mine))}


async def test_135_what_is_abandoned_half_way_or_never_handed_in_is_swept_in_its_time(
    hands: Hands, app: FastAPI, clock: Clock
):
    """Peers' 135, second half. What hangs on an order stays; so does what a draft holds."""
    tenant_id = hands.town.tenant_id
    used, unused = await hands.upload("resident-1"), await hands.upload("resident-1")
    await hands.file(attachment_ids=[used])
    announced = (await hands.announce("resident-1", jpeg())).json()["id"]
    broken = (await hands.announce("resident-1", b"no photo")).json()["id"]
    assert (await hands.send("resident-1", broken, b"no photo")).status_code == 422
    assert await left(hands) == {used, unused, announced, broken}
    clock.pass_(hours=23)
    await sweep(app, hands, clock)
    assert await left(hands) == {used, unused, announced, broken}
    clock.pass_(hours=1)
    await sweep(app, hands, clock)
    assert await left(hands) == {used, unused}
    assert (await hands.send("resident-1", announced, jpeg())).status_code == 404
    clock.pass_(days=6)
    await sweep(app, hands, clock)
    assert await left(hands) == {used}
    assert kept(app, tenant_id) == {used}
    assert (await hands.get("resident-1", f"/v1/attachments/{unused}")).status_code == 404
    refused = await hands.post(
        "resident-1",
        "/v1/orders",
        {"item_code": "0102", "text": "请帮忙看看。", "attachment_ids": [unused]},
        Idempotency_Key=uuid4().hex,
    )
    assert refused.json()["code"] == "ATTACHMENT_UNUSABLE"


async def test_a_file_that_a_draft_holds_stays_as_long_as_the_draft(hands: Hands, app: FastAPI, clock: Clock):
    order = await lost(hands, clock)
    photo = await hands.upload("member-1")
    body = {"result": "已办好。", "closing": "solved", "attachment_ids": [photo]}
    draft = (await hands.try_("member-1", order, "finish", **body)).json()["draft_id"]
    clock.pass_(days=30)
    await sweep(app, hands, clock)
    assert await left(hands) == {photo}
    headers = hands.town["member-1"].headers
    assert (await hands.client.delete(f"/v1/drafts/{draft}", headers=headers)).status_code == 204
    await sweep(app, hands, clock)
    assert await left(hands) == set()
    assert kept(app, hands.town.tenant_id) == set()


class Stuck(Store):
    """A disk that gives nothing of one tenant away."""

    def __init__(self, store: Store, tenant_id: int) -> None:
        super().__init__(store.root)
        self.tenant_id = tenant_id

    def drop(self, tenant_id: int, id: UUID) -> None:
        if tenant_id == self.tenant_id:
            raise PermissionError(f"{tenant_id}")
        super().drop(tenant_id, id)


async def test_a_tenant_whose_files_do_not_go_keeps_no_others_there(hands: Hands, app: FastAPI, clock: Clock):
    other = Hands(hands.client, await found(hands.town.database, hands.town.key))
    stays, goes = await hands.upload("resident-1"), await other.upload("resident-1")
    store = app.state.uploads.store
    half = store.root / INCOMING / "half"
    half.write_bytes(b"broken off")
    assert await left(other) == {goes}
    clock.pass_(days=8)
    with pytest.raises(PartsFailed):
        await Sweeping(Stuck(store, hands.town.tenant_id))(hands.town.database, clock.now)
    assert (await left(hands), await left(other)) == ({stays}, set())
    assert not half.exists()


async def test_a_disk_that_is_not_there_loses_no_row(hands: Hands, clock: Clock, tmp_path: Path):
    photo = await hands.upload("resident-1")
    clock.pass_(days=8)
    await Sweeping(Store(tmp_path / "unmounted"))(hands.town.database, clock.now)
    assert await left(hands) == {photo}
    assert (await hands.get("resident-1", f"/v1/attachments/{photo}")).status_code == 404


async def test_erasure_and_time_reach_the_bytes_on_the_disk(hands: Hands, app: FastAPI, clock: Clock):
    """Peers' 136: with the account of who sent it, with the words of the order, a year after it came to rest."""
    tenant_id = hands.town.tenant_id
    closed = await hands.file("resident-1", attachment_ids=[await hands.upload("resident-1")])
    await hands.move("dispatcher-1", closed, "accept")
    await hands.move("dispatcher-1", closed, "dispatch", mode="open")
    await hands.move("member-1", closed, "take")
    shown = await hands.move(
        *("member-1", closed, "finish"),
        result="办好了。",
        closing="solved",
        attachment_ids=[await hands.upload("member-1")],
    )
    submitted, finished = (file["id"] for file in shown["attachments"])
    await hands.move("resident-1", closed, "rate", score=5, solved=True, contacted=True)
    other = await hands.file("resident-2", attachment_ids=[await hands.upload("resident-2")])
    (theirs,) = (file["id"] for file in other["attachments"])
    loose = await hands.upload("resident-1")
    await sweep(app, hands, clock)
    assert kept(app, tenant_id) == {submitted, finished, theirs, loose}
    asked = await hands.post("resident-1", "/v1/me/deletion")
    assert asked.status_code == 202, asked.text
    for id in (submitted, finished, loose):  # at once, while the bytes are still there
        assert (await hands.get("dispatcher-1", f"/v1/attachments/{id}/content")).status_code == 404
    assert (await hands.get("dispatcher-1", f"/v1/orders/{closed['id']}")).json()["attachments"] == []
    await sweep(app, hands, clock)
    assert kept(app, tenant_id) == {theirs}
    assert await left(hands) == {theirs}
    await hands.move("dispatcher-1", other, "reject", reason_code="other", text="不属于本社区。")
    clock.pass_(days=364)
    await timers.keep_no_longer(hands.town.database, clock.now)
    await sweep(app, hands, clock)
    assert kept(app, tenant_id) == {theirs}
    clock.pass_(days=1)
    await timers.keep_no_longer(hands.town.database, clock.now)
    await sweep(app, hands, clock)
    assert kept(app, tenant_id) == set()


async def test_an_export_holds_ones_files_as_they_are_when_it_is_fetched(
    hands: Hands, app: FastAPI, clock: Clock
):
    mine = await hands.upload("resident-1")
    order = await hands.taken()
    await hands.move("resident-1", order, "supplement", text="一张照片。", attachment_ids=[mine])
    theirs = await hands.upload("member-1", pdf(), "document")
    await hands.move("member-1", order, "progress", text="报告。", attachment_ids=[theirs])
    await hands.upload("resident-2")
    export = (await hands.post("resident-1", "/v1/me/exports")).json()["id"]
    await timers.make_exports(hands.town.database, clock.now)
    path = f"/v1/me/exports/{export}/file"
    packed = zipfile.ZipFile(io.BytesIO((await hands.get("resident-1", path)).content))
    assert packed.testzip() is None
    names = {name for name in packed.namelist() if name.startswith("files/")}
    assert names == {f"files/{mine}.jpg", f"files/{theirs}.pdf"}
    assert packed.read(f"files/{theirs}.pdf") == pdf()
    assert "account.json" in packed.namelist()
    async with hands.town.database.writing() as db:
        await forget(db, hands.town.tenant_id, attachments.c.id == UUID(mine))
    packed = zipfile.ZipFile(io.BytesIO((await hands.get("resident-1", path)).content))
    assert f"files/{mine}.jpg" not in packed.namelist()


async def test_whoever_looks_at_a_photo_of_an_order_of_others_is_recorded_once_a_day(
    hands: Hands, clock: Clock
):
    photo = await hands.upload("resident-1")
    order = await hands.file(attachment_ids=[photo])
    for login in ("street-1", "street-1", "resident-1"):
        assert (await hands.get(login, f"/v1/attachments/{photo}/content")).status_code == 200
    looks = (await hands.get("resident-1", f"/v1/orders/{order['id']}/views")).json()["items"]
    assert [(look["who"]["name"], look["fields"]) for look in looks] == [("street-1", ["attachments"])]
    clock.pass_(days=1)
    await hands.get("street-1", f"/v1/attachments/{photo}/content", variant="preview")
    looks = (await hands.get("resident-1", f"/v1/orders/{order['id']}/views")).json()["items"]
    assert len(looks) == 2
