"""A phone that somebody without WeChat gave to staff: who wrote it down, how it was verified, that the person agreed."""

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from dispatch.people.tables import accounts, members
from dispatch.privacy import timers
from tests.town import Clock, Hands

GIVEN = {"phone": "0731-82345678", "verified": "call_back", "consent": {"how": "oral", "note": "电话中同意"}}


async def enter(hands: Hands, login: str, whose: str, **more: Any) -> int:
    path = f"/v1/accounts/{hands.town[whose].id}/phone"
    return (await hands.post(login, path, GIVEN | more)).status_code


async def phone(hands: Hands, whose: str = "resident-1") -> str | None:
    mine = accounts.c.tenant_id == hands.town.tenant_id, accounts.c.id == hands.town[whose].id
    told: str | None = (await hands.town.rows(select(accounts.c.phone).where(*mine)))[0].phone
    return told


async def consent(hands: Hands, purpose: str = "phone", login: str = "resident-1") -> dict[str, Any]:
    items = (await hands.get(login, "/v1/me/consents")).json()["items"]
    found: dict[str, Any] = next(item for item in items if item["purpose"] == purpose)
    return found


async def test_a_phone_that_staff_wrote_down_is_known_with_who_how_and_the_consent(
    hands: Hands, clock: Clock
):
    assert await enter(hands, "dispatcher-1", "resident-1") == 204
    assert await phone(hands) == "0731-82345678"
    told = await consent(hands)
    assert (told["state"], told["recorded"]) == (
        "given",
        {
            "by": {"role": "dispatcher", "role_label": "社区派单员", "name": "dispatcher-1"},
            "how": "oral",
            "note": "电话中同意",
            "verified": "call_back",
        },
    )
    behalf = {"name": "某人", "phone": "0731-82345678", "relation": "居民", "consent": {"how": "oral"}}
    order = await hands.file("grid-1", on_behalf_of=behalf)  # filed for that phone, it is the account's own
    assert (await hands.get("resident-1", f"/v1/orders/{order['id']}")).status_code == 200
    clock.pass_(minutes=1)
    assert await enter(hands, "secretary-1", "resident-1", phone="13800001111", verified="in_person") == 204
    assert (await phone(hands), (await consent(hands))["recorded"]["by"]["name"]) == (
        "13800001111",
        "secretary-1",
    )
    headers = hands.town["resident-1"].headers
    assert (await hands.client.delete("/v1/me/consents/phone", headers=headers)).status_code == 204
    assert (await phone(hands), (await consent(hands))["state"]) == (None, "withdrawn")


async def test_only_who_serves_there_writes_it_down_and_never_ones_own(hands: Hands):
    for login, whose, status in (
        ("dispatcher-2", "resident-1", 404),
        ("grid-1", "resident-3", 404),
        ("dispatcher-1", "dispatcher-1", 403),
        ("street-1", "resident-1", 403),
        ("district-1", "resident-1", 403),
        ("member-1", "resident-1", 403),
        ("resident-2", "resident-1", 403),
        ("admin-1", "resident-1", 403),
    ):
        assert await enter(hands, login, whose) == status, login
    assert await phone(hands) is None
    assert await enter(hands, "grid-1", "resident-1") == 404  # at home in the community, and not in his grid
    await hands.file("resident-1", place_id=str(hands.town.places["grid-11"]))
    assert await enter(hands, "grid-1", "resident-1") == 204  # known by an order there


async def test_without_evidence_nothing_is_written(hands: Hands):
    for more in ({"consent": None}, {"consent": {"how": "guess"}}, {"verified": "no"}, {"phone": "12"}):
        assert await enter(hands, "dispatcher-1", "resident-1", **more) == 422, more
    assert (await phone(hands), (await consent(hands))["state"]) == (None, "none")


async def test_who_no_longer_agrees_to_be_known_as_a_member_is_none_as_soon_as_no_take_needs_it(
    hands: Hands, clock: Clock
):
    town = hands.town
    order = await hands.taken("member-1")

    async def state(login: str) -> str:
        mine = members.c.tenant_id == town.tenant_id, members.c.account_id == town[login].id
        told: str = (await town.rows(select(members.c.state).where(*mine)))[0].state
        return told

    for login in ("member-1", "member-2"):
        await hands.post(login, "/v1/me/consents/party", {"version": 0})
        clock.pass_(minutes=1)
        gone = await hands.client.delete("/v1/me/consents/party", headers=town[login].headers)
        assert gone.status_code == 204
    assert (await state("member-1"), await state("member-2")) == ("active", "ended")
    assert (await hands.get("member-2", "/v1/me")).status_code == 401  # the grant ended with it
    await timers.end_memberships(town.database, clock.now)
    assert await state("member-1") == "active"
    await hands.move("member-1", order, "finish", result="办好了。", closing="solved")
    await timers.end_memberships(town.database, clock.pass_(minutes=1))
    assert (await state("member-1"), await state("member-3")) == ("ended", "active")


async def test_who_agreed_again_stays_a_member(hands: Hands, clock: Clock):
    order = await hands.taken("member-1")
    headers = hands.town["member-1"].headers
    for act in ("post", "delete", "post"):
        more = {"json": {"version": 0}} if act == "post" else {}
        answer = await getattr(hands.client, act)("/v1/me/consents/party", headers=headers, **more)
        assert answer.status_code in (200, 204)
        clock.pass_(minutes=1)
    await hands.move("member-1", order, "finish", result="办好了。", closing="solved")
    await timers.end_memberships(hands.town.database, clock.now + timedelta(minutes=1))
    assert (await hands.get("member-1", "/v1/me")).status_code == 200
