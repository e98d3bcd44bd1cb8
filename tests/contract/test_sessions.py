"""Refresh tokens, sign-outs and keys on every database."""

import asyncio
from typing import Any

import httpx
import jwt
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from dispatch.app import create_app
from dispatch.auth.actions import opening
from dispatch.auth.actions.keys import issue_key, revoke_key
from dispatch.auth.actions.opening import SignedIn, Signing, hashed
from dispatch.auth.tables import refresh_tokens
from dispatch.auth.timers import forget
from dispatch.db.engine import Database
from dispatch.domain.people import Role
from dispatch.domain.refusal import GrantUnknown
from dispatch.people import actions as people
from dispatch.people import queries
from dispatch.people.tables import api_keys, sessions
from dispatch.people.tokens import Keys
from dispatch.settings import DEVELOPMENT_KEY, Settings
from tests.town import Clock, Town

DEVICE = "device-of-a-worker"


async def signed_in(
    database: Database, town: Town, login: str, clock: Clock, device_id: str | None = DEVICE
) -> SignedIn:
    """As after a sign-in, whichever way it went."""
    async with database.writing() as db:
        person = await queries.person(db, town.tenant_id, town[login].id)
        assert person is not None
        session = await opening.open_session(
            db, person, "password", device_hash=hashed(device_id), at=clock.now
        )
        return await opening.issue(db, person, session, Signing(Keys([DEVELOPMENT_KEY]), 1800), at=clock.now)


async def refresh(client: httpx.AsyncClient, token: str | None, device_id: str | None = DEVICE) -> Any:
    body = {"refresh_token": token, "device_id": device_id}
    return await client.post("/v1/auth/refresh", json=body)


async def me(client: httpx.AsyncClient, token: str) -> tuple[int, str | None]:
    answer = await client.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code, answer.json().get("code")


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


REVOKED = (401, "AUTH_TOKEN_REVOKED")


async def test_ten_refreshes_at_once_all_hold_and_end_in_one_chain(
    client: httpx.AsyncClient, database: Database, town: Town, clock: Clock
):
    first = await signed_in(database, town, "resident-1", clock)
    clock.pass_(minutes=20)
    answers = await asyncio.gather(*(refresh(client, first.refresh_token) for _ in range(10)))

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    chain = await town.rows(
        select(refresh_tokens.c.token_hash).where(
            refresh_tokens.c.tenant_id == town.tenant_id,
            refresh_tokens.c.account_id == town["resident-1"].id,
        )
    )
    assert len(chain) == 2
    for answer in answers:
        assert await me(client, answer.json()["access_token"]) == (200, None)


async def test_a_refresh_token_used_again_after_the_grace_ends_the_whole_family(
    client: httpx.AsyncClient, database: Database, town: Town, clock: Clock
):
    first = await signed_in(database, town, "resident-1", clock)
    other = await signed_in(database, town, "resident-1", clock)
    second = (await refresh(client, first.refresh_token)).json()
    clock.pass_(seconds=59)
    assert (await refresh(client, first.refresh_token)).status_code == 200
    clock.pass_(seconds=1)

    assert refused(await refresh(client, first.refresh_token)) == REVOKED
    assert await me(client, second["access_token"]) == REVOKED
    assert refused(await refresh(client, second["refresh_token"])) == REVOKED
    assert (await refresh(client, other.refresh_token)).status_code == 200


async def test_a_refresh_token_lives_thirty_days_from_its_last_use(
    client: httpx.AsyncClient, database: Database, town: Town, clock: Clock
):
    token = (await signed_in(database, town, "resident-1", clock)).refresh_token
    for _ in range(3):
        clock.pass_(days=29)
        answer = await refresh(client, token)
        assert (answer.status_code, answer.json()["refresh_expires_in"]) == (200, 30 * 86400)
        token = answer.json()["refresh_token"]
    clock.pass_(days=30)

    assert refused(await refresh(client, token)) == (401, "AUTH_TOKEN_EXPIRED")
    assert refused(await refresh(client, "sdzr_made-up")) == (401, "AUTH_TOKEN_INVALID")


async def test_a_workers_session_is_renewed_from_its_device_only(
    client: httpx.AsyncClient, database: Database, town: Town, clock: Clock
):
    nowhere = await signed_in(database, town, "grid-1", clock, device_id=None)
    assert nowhere.refresh_token is None
    bound = await signed_in(database, town, "grid-1", clock)
    renewed = (await refresh(client, bound.refresh_token)).json()

    assert refused(await refresh(client, renewed["refresh_token"], "another-device")) == REVOKED
    assert refused(await refresh(client, renewed["refresh_token"])) == REVOKED
    assert await me(client, renewed["access_token"]) == REVOKED


async def test_an_admins_session_ends_after_twelve_hours_however_busy_it_was(
    client: httpx.AsyncClient, database: Database, town: Town, clock: Clock
):
    token = (await signed_in(database, town, "admin-1", clock)).refresh_token
    for _ in range(11):
        clock.pass_(hours=1)
        answer = await refresh(client, token)
        token = answer.json()["refresh_token"]
    assert answer.json()["refresh_expires_in"] == 3600
    clock.pass_(hours=1)

    assert refused(await refresh(client, token)) == (401, "AUTH_TOKEN_EXPIRED")


async def test_an_access_token_ends_with_its_session(
    client: httpx.AsyncClient, database: Database, town: Town, clock: Clock
):
    first = await signed_in(database, town, "admin-1", clock)
    clock.pass_(hours=11, minutes=45)
    last = (await refresh(client, first.refresh_token)).json()
    assert last["expires_in"] == 900
    clock.pass_(minutes=14, seconds=59)
    assert await me(client, last["access_token"]) == (200, None)
    clock.pass_(seconds=1)
    assert await me(client, last["access_token"]) == (401, "AUTH_TOKEN_EXPIRED")


@pytest.mark.parametrize(
    ("login", "device_id"),
    [("resident-1", None), ("dispatcher-1", DEVICE), ("dispatcher-1", None), ("admin-1", None)],
)
async def test_a_session_that_nobody_ended_goes_when_nothing_of_it_runs_any_more(
    client: httpx.AsyncClient, database: Database, town: Town, clock: Clock, login: str, device_id: str | None
):
    first = await signed_in(database, town, login, clock, device_id)
    mine = sessions.c.tenant_id == town.tenant_id, sessions.c.account_id == town[login].id

    async def kept() -> int:
        await forget(database, clock.now)
        return len(await town.rows(select(sessions.c.id).where(*mine)))

    token = first.refresh_token
    for _ in range(3 if login != "admin-1" else 0):
        clock.pass_(days=20)
        if token is not None:
            token = (await refresh(client, token, device_id)).json()["refresh_token"]
            assert await kept() == 1  # however long ago it began
    clock.pass_(hours=12)
    assert await kept() == (0 if token is None else 1)
    clock.pass_(days=32)
    assert await kept() == 0
    if token is not None:
        assert refused(await refresh(client, token, device_id)) == (401, "AUTH_TOKEN_INVALID")


async def test_a_refresh_picks_up_what_has_become_of_the_grants(
    client: httpx.AsyncClient, database: Database, town: Town, clock: Clock
):
    first = await signed_in(database, town, "resident-1", clock, device_id=None)
    bound = await signed_in(database, town, "resident-1", clock)
    async with database.writing() as db:
        place = town.places["grid-11"]
        await people.grant(
            db, town.tenant_id, town["resident-1"].id, Role.GRID_WORKER, place_id=place, at=clock.now
        )

    assert await me(client, first.token) == REVOKED
    renewed = (await refresh(client, bound.refresh_token)).json()
    assert {grant["role"] for grant in renewed["grants"]} == {"resident", "grid_worker"}
    assert await me(client, renewed["access_token"]) == (200, None)
    # Without a device the session of one who has become a worker is not renewed.
    assert refused(await refresh(client, first.refresh_token, None)) == REVOKED


async def test_signing_out_ends_this_session_or_all_and_needs_no_grant(
    client: httpx.AsyncClient, database: Database, town: Town, clock: Clock
):
    one, two, three = [await signed_in(database, town, "resident-1", clock) for _ in range(3)]
    async with database.writing() as db:
        await people.revoke_grant(db, town.tenant_id, town["resident-1"].grant_id, at=clock.now)
    one, two, three = [(await refresh(client, each.refresh_token)).json() for each in (one, two, three)]

    async def out(session: dict[str, Any], **body: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {session['access_token']}"}
        return await client.post("/v1/auth/logout", json=body, headers=headers)

    assert (await out(one)).json() == {"ended": 1}
    assert refused(await out(one)) == REVOKED
    assert refused(await refresh(client, one["refresh_token"])) == REVOKED
    assert await me(client, two["access_token"]) == (200, None)
    assert (await out(two, everywhere=True)).json() == {"ended": 2}
    assert await me(client, three["access_token"]) == REVOKED


async def test_no_token_lies_readable_in_the_database(
    client: httpx.AsyncClient, database: Database, town: Town, clock: Clock
):
    first = await signed_in(database, town, "resident-1", clock)
    kept = str(await town.rows(select(refresh_tokens)))

    assert first.refresh_token is not None
    assert first.refresh_token not in kept
    assert str(hashed(first.refresh_token)) in kept


async def test_keys_change_without_signing_anybody_out(
    app: FastAPI, client: httpx.AsyncClient, database: Database, town: Town, clock: Clock
):
    old = await signed_in(database, town, "resident-1", clock)
    new_key = "a-new-key-that-is-long-enough-for-hs256"

    async def with_keys(**keys: Any) -> tuple[int, int]:
        settings = Settings(rate_per_address=0, rate_per_account=0, password_memory_kib=32, **keys)
        other = create_app(settings, database)
        other.dependency_overrides = app.dependency_overrides
        transport = httpx.ASGITransport(other, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as theirs:
            status, _ = await me(theirs, old.token)
            renewed = await refresh(theirs, old.refresh_token)
            kid = jwt.get_unverified_header(renewed.json()["access_token"])["kid"]
            assert kid != jwt.get_unverified_header(old.token)["kid"]
            return status, (await me(theirs, renewed.json()["access_token"]))[0]

    assert await with_keys(session_key=new_key, session_keys_retired=[DEVELOPMENT_KEY]) == (200, 200)
    assert await with_keys(session_key=new_key) == (401, 200)


async def test_what_has_run_out_is_dropped_and_what_is_needed_stays(
    client: httpx.AsyncClient, database: Database, town: Town, clock: Clock
):
    first = await signed_in(database, town, "resident-1", clock)
    second = (await refresh(client, first.refresh_token)).json()
    clock.pass_(days=29)
    await forget(database, clock.now)
    # A used token is still known, so its copy is recognised.
    assert refused(await refresh(client, first.refresh_token)) == REVOKED
    clock.pass_(days=3)
    await forget(database, clock.now)

    assert refused(await refresh(client, second["refresh_token"])) == (401, "AUTH_TOKEN_INVALID")
    mine = sessions.c.tenant_id == town.tenant_id, sessions.c.account_id == town["resident-1"].id
    assert await town.rows(select(sessions).where(*mine)) == []


# API keys


async def key_for(database: Database, town: Town, login: str, *scopes: str, **more: Any) -> Any:
    person = town[login]
    async with database.writing() as db:
        return await issue_key(db, town.tenant_id, person.id, person.grant_id, "报表", scopes, **more)


async def test_a_key_reaches_what_its_scopes_name_and_no_further(
    client: httpx.AsyncClient, database: Database, town: Town, clock: Clock
):
    key = (await key_for(database, town, "dispatcher-1", "orders:read", "catalog:read", at=clock.now)).key
    headers = {"Authorization": f"Bearer {key}"}

    assert (await client.get("/v1/orders", headers=headers)).status_code == 200
    assert (await client.get("/v1/catalog", headers=headers)).status_code == 200
    places = await client.get("/v1/places", headers=headers)
    assert refused(places) == (403, "SCOPE_MISSING")
    assert places.json()["scope"] == "places:read"
    order = {"item_code": "0102", "text": "陪同就医，请帮忙。"}
    filed = await client.post("/v1/orders", json=order, headers=headers | {"Idempotency-Key": "k"})
    assert (refused(filed), filed.json()["scope"]) == ((403, "SCOPE_MISSING"), "orders:write")
    out = await client.post("/v1/auth/logout", headers=headers)
    assert refused(out) == (403, "SCOPE_MISSING")
    with pytest.raises(ValueError, match="no such scope"):
        await key_for(database, town, "dispatcher-1", "orders:burn", at=clock.now)


async def test_a_key_acts_under_its_grant_only_and_ends_with_it(
    client: httpx.AsyncClient, database: Database, town: Town, clock: Clock
):
    reporter = town["reporter-1"]
    async with database.writing() as db:
        other = await people.grant(
            db,
            town.tenant_id,
            reporter.id,
            Role.DISPATCHER,
            place_id=town.places["community-1"],
            at=clock.now,
        )
    key = (await key_for(database, town, "reporter-1", "me:read", at=clock.now)).key
    headers = {"Authorization": f"Bearer {key}"}

    told = (await client.get("/v1/me", headers=headers)).json()
    assert told["acting_grant_id"] == str(reporter.grant_id)
    named = await client.get("/v1/me", headers=headers | {"X-Acting-Grant": str(other)})
    assert refused(named) == (403, "GRANT_UNKNOWN")
    async with database.writing() as db:
        await people.revoke_grant(db, town.tenant_id, reporter.grant_id, at=clock.now)
    assert refused(await client.get("/v1/me", headers=headers)) == REVOKED
    with pytest.raises(GrantUnknown):
        await key_for(database, town, "reporter-1", "me:read", at=clock.now)


async def test_a_key_that_is_called_back_or_has_run_out_is_refused_on_the_next_request(
    client: httpx.AsyncClient, database: Database, town: Town, clock: Clock
):
    kept = await key_for(database, town, "reporter-1", "me:read", at=clock.now)
    short = await key_for(
        database, town, "reporter-1", "me:read", at=clock.now, expires_at=clock.pass_(minutes=0)
    )
    assert await me(client, kept.key) == (200, None)
    assert await me(client, short.key) == (401, "AUTH_TOKEN_EXPIRED")

    async with database.writing() as db:
        assert not await revoke_key(db, town.tenant_id + 1, kept.key_id, at=clock.now)
        assert await revoke_key(db, town.tenant_id, kept.key_id, at=clock.now)
        assert not await revoke_key(db, town.tenant_id, kept.key_id, at=clock.now)
    assert await me(client, kept.key) == REVOKED
    clock.pass_(days=40)
    await forget(database, clock.now)
    assert await me(client, kept.key) == REVOKED


async def test_a_key_is_kept_as_a_hash_and_a_wrong_secret_is_no_key(
    client: httpx.AsyncClient, database: Database, town: Town, clock: Clock
):
    minted = await key_for(database, town, "reporter-1", "me:read", at=clock.now)
    kept = str(await town.rows(select(api_keys).where(api_keys.c.key_id == minted.key_id)))

    assert minted.key.startswith("sdz_")
    assert minted.key.split("_", 2)[2] not in kept
    for wrong in (f"sdz_{minted.key_id}_wrong", f"sdz_{'0' * 12}_x", "sdz_", "sdz_é", f"sdz_{minted.key_id}"):
        headers = [(b"authorization", f"Bearer {wrong}".encode())]
        answer = await client.get("/v1/me", headers=headers)
        assert refused(answer) == (401, "AUTH_TOKEN_INVALID"), wrong
