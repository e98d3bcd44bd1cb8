"""Accounts, grants and tokens on every database."""

from datetime import timedelta
from uuid import uuid4

import httpx
import jwt
import pytest
from sqlalchemy import select, update

from dispatch.db.engine import Database
from dispatch.domain.people import Actor, Role, Tenant
from dispatch.domain.refusal import AccountNotFound
from dispatch.people import actions, queries
from dispatch.people.shapes import values
from dispatch.people.tables import accounts, members
from tests.town import T0, Clock, Hands, Town


async def told(client: httpx.AsyncClient, token: str, **headers: str) -> tuple[int, str | None]:
    sent = {
        "Authorization": f"Bearer {token}",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    answer = await client.get("/v1/me", headers=sent)
    return answer.status_code, answer.json().get("code")


async def version(town: Town, login: str) -> int:
    mine = accounts.c.tenant_id == town.tenant_id, accounts.c.id == town[login].id
    row = (await town.rows(select(accounts.c.grants_version).where(*mine)))[0]
    return int(row.grants_version)


async def fresh_headers(town: Town, login: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {town.token(town[login].id, await version(town, login))}"}


async def test_everyone_learns_who_they_are_and_what_they_may_act_as(hands: Hands):
    me = (await hands.get("dispatcher-1", "/v1/me")).json()

    place = {"id": str(hands.town.places["community-1"]), "name": "community-1", "kind": "community"}
    grant_id = str(hands.town["dispatcher-1"].grant_id)
    assert me["account"]["id"] == str(hands.town["dispatcher-1"].id)
    assert me["account"]["tenant"]["name"] == "试验区"
    assert me["grants"] == [
        {"id": grant_id, "role": "dispatcher", "role_label": "社区派单员", "place": place, "body": None}
    ]
    assert me["acting_grant_id"] == grant_id
    unit = (await hands.get("unit-1", "/v1/me")).json()["grants"][0]
    assert (unit["place"], unit["body"]["kind"], unit["body"]["name"]) == (None, "unit", "unit-1")


async def test_a_revoked_grant_holds_no_longer_on_the_next_request(
    hands: Hands, client: httpx.AsyncClient, database: Database
):
    town, person = hands.town, hands.town["dispatcher-1"]
    assert await told(client, person.token) == (200, None)

    async with database.writing() as db:
        assert await actions.revoke_grant(db, town.tenant_id, person.grant_id, at=T0)
        assert not await actions.revoke_grant(db, town.tenant_id, person.grant_id, at=T0)

    assert await told(client, person.token) == (401, "AUTH_TOKEN_REVOKED")
    me = (await client.get("/v1/me", headers=await fresh_headers(town, "dispatcher-1"))).json()
    assert (me["grants"], me["acting_grant_id"]) == ([], None)


async def test_a_disabled_account_is_out_at_once(hands: Hands, client: httpx.AsyncClient, database: Database):
    town, person = hands.town, hands.town["resident-1"]
    assert await told(client, person.token) == (200, None)
    async with database.writing() as db:
        mine = accounts.c.tenant_id == town.tenant_id, accounts.c.id == person.id
        await db.execute(update(accounts).where(*mine).values(disabled_at=T0))

    assert await told(client, person.token) == (401, "AUTH_TOKEN_REVOKED")


async def test_a_token_that_ran_out_or_is_not_ours_is_refused_by_name(
    hands: Hands, client: httpx.AsyncClient, clock: Clock
):
    town, person = hands.town, hands.town["resident-1"]
    said = jwt.decode(person.token, options={"verify_signature": False})
    key = town.key
    kid = {"kid": jwt.get_unverified_header(person.token)["kid"]}
    forged = jwt.encode(said, "another-key-that-is-long-enough-for-hs256", algorithm="HS256", headers=kid)
    unsigned = jwt.encode(said, "", algorithm="none", headers=kid)
    unnamed = jwt.encode(said, key, algorithm="HS256")  # no key is tried that is not named
    odd = [
        jwt.encode({**said, **change}, key, algorithm="HS256", headers=kid)
        for change in (
            {"sub": "me"},
            {"tid": "1"},
            {"gv": True},
            {"exp": "soon"},
            {"iat": None},
        )
    ]
    for token in (forged, unsigned, unnamed, "nonsense", person.token[:-4], *odd):
        assert await told(client, token) == (401, "AUTH_TOKEN_INVALID"), token
    clock.pass_(days=366)
    assert await told(client, person.token) == (401, "AUTH_TOKEN_EXPIRED")


async def test_a_grant_that_is_named_must_be_ones_own_and_stand(
    hands: Hands, client: httpx.AsyncClient, clock: Clock, database: Database
):
    town, person = hands.town, hands.town["resident-1"]
    for id in (uuid4(), town["dispatcher-1"].grant_id):
        assert await told(client, person.token, X_Acting_Grant=str(id)) == (403, "GRANT_UNKNOWN")
    async with database.writing() as db:
        place = town.places["community-1"]
        soon = await actions.grant(
            db,
            town.tenant_id,
            person.id,
            Role.GRID_WORKER,
            place_id=place,
            at=T0 + timedelta(hours=1),
            valid_to=T0 + timedelta(hours=2),
        )
    assert await told(client, person.token) == (401, "AUTH_TOKEN_REVOKED")
    token = town.token(person.id, 2)

    assert await told(client, token, X_Acting_Grant=str(soon)) == (403, "GRANT_UNKNOWN")
    clock.pass_(hours=1)  # included
    assert await told(client, token, X_Acting_Grant=str(soon)) == (200, None)
    clock.pass_(hours=1)  # excluded; no version changes for it
    assert await told(client, token, X_Acting_Grant=str(soon)) == (403, "GRANT_UNKNOWN")
    assert await told(client, token) == (200, None)


async def test_of_several_grants_a_write_names_one_and_a_read_uses_all(
    hands: Hands, client: httpx.AsyncClient, database: Database
):
    town, person = hands.town, hands.town["resident-1"]
    theirs = await hands.file("resident-2")
    async with database.writing() as db:
        grid = town.places["community-1"]
        second = await actions.grant(db, town.tenant_id, person.id, Role.GRID_WORKER, place_id=grid, at=T0)
    headers = await fresh_headers(town, "resident-1")
    path = f"/v1/orders/{theirs['id']}"

    assert (await client.get(path, headers=headers)).status_code == 200
    as_resident = headers | {"X-Acting-Grant": str(person.grant_id)}
    assert (await client.get(path, headers=as_resident)).status_code == 404
    done = {"result": "当场办好了。", "closing": "solved"}
    nameless = await client.post(f"{path}/resolve", json=done, headers=headers)
    assert (nameless.status_code, nameless.json()["code"]) == (422, "GRANT_REQUIRED")
    named = await client.post(f"{path}/resolve", json=done, headers=headers | {"X-Acting-Grant": str(second)})
    assert named.status_code == 200


async def test_a_member_moves_pauses_leaves_and_comes_back(
    hands: Hands, client: httpx.AsyncClient, database: Database
):
    town, person = hands.town, hands.town["member-1"]
    tenant_id, there = town.tenant_id, town.places["community-2"]

    async def member():
        mine = members.c.tenant_id == tenant_id, members.c.account_id == person.id
        return (await town.rows(select(members).where(*mine)))[0]

    async def grants_now():
        me = (await client.get("/v1/me", headers=await fresh_headers(town, "member-1"))).json()
        return [grant["place"]["id"] for grant in me["grants"]]

    async with database.writing() as db:
        await actions.add_member(db, tenant_id, person.id, there, at=T0)
    assert await told(client, person.token) == (401, "AUTH_TOKEN_REVOKED")
    assert await grants_now() == [str(there)]

    async with database.writing() as db:
        await actions.suspend_member(db, tenant_id, person.id)
    assert ((await member()).state, await grants_now()) == ("suspended", [str(there)])

    async with database.writing() as db:
        await actions.end_membership(db, tenant_id, person.id, at=T0)
    assert ((await member()).state, await grants_now()) == ("ended", [])

    async with database.writing() as db:
        home = town.places["community-1"]
        await actions.add_member(db, tenant_id, person.id, home, items=["elder_care"], at=T0)
        with pytest.raises(AccountNotFound):
            await actions.suspend_member(db, tenant_id, town["resident-1"].id)
    again = await member()
    assert (again.state, again.ended_at, again.items) == ("active", None, ["elder_care"])
    assert await grants_now() == [str(home)]

    async with database.reading() as db:
        ever = await queries.grants_of(db, tenant_id, person.id)
    assert [grant.path[-1] for grant in ever] == [home, there, home]


async def test_a_bodys_grant_lies_where_the_body_serves(town: Town, database: Database):
    async with database.reading() as db:
        person = await queries.person(db, town.tenant_id, town["unit-1"].id)

    assert person is not None
    (grant,) = person.grants
    assert (grant.place_id, grant.body_id) == (None, town.bodies["unit-1"])
    assert grant.path == tuple(town.places[name] for name in ("district", "street-1", "community-1"))


async def test_names_are_found_by_kind_and_id_and_the_unknown_left_out(town: Town, database: Database):
    known = {
        ("member", town["member-1"].id): "member-1",
        ("staff", town["grid-1"].id): "grid-1",
        ("unit", town.bodies["unit-1"]): "unit-1",
        ("team", town.bodies["team-1"]): "team-1",
    }
    unknown = [("member", uuid4()), ("team", town.bodies["unit-1"]), ("unit", town["member-1"].id)]

    async with database.reading() as db:
        assert await queries.names(db, town.tenant_id, [*known, *unknown]) == known
        assert await queries.names(db, town.tenant_id + 1, known) == {}
        assert await queries.names(db, town.tenant_id, []) == {}


async def test_a_proof_counts_the_changes_of_grants(town: Town, database: Database):
    person = town["member-2"]
    async with database.writing() as db:
        known = await queries.person(db, town.tenant_id, person.id)
        assert known is not None
        actor = Actor(person.id, person.name, _tenant(known), known.grants, known.grants[0], 1)
        await queries.prove(db, actor)
        assert actor.proven
        await actions.grant(
            db, town.tenant_id, person.id, Role.AGENT, place_id=town.places["community-1"], at=T0
        )
        assert await db.scalar(select(queries.PROOF), values(actor)) == 2


def _tenant(person: queries.Person) -> Tenant:
    return person.tenant
