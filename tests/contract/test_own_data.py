"""What concerns an account itself needs no role: people ask for their own data whatever they are (PIPL Art. 44-47)."""

from dispatch.people.actions import end_grants
from dispatch.privacy import timers
from tests.town import Clock, Hands


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
