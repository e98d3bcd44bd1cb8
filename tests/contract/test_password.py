"""Passwords, second factors, throttling and the operator's commands on every database."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pyotp
import pytest
from fastapi import FastAPI
from sqlalchemy import Text, literal, select, type_coerce, update
from typer.testing import CliRunner

from dispatch.__main__ import cli
from dispatch.auth.actions import password
from dispatch.auth.actions.hashing import Hasher, totp_step
from dispatch.auth.tables import credentials, tries
from dispatch.auth.timers import forget
from dispatch.clock import now as present
from dispatch.db.engine import Database
from dispatch.db.rotation import sealings
from dispatch.db.tenants import tenants
from dispatch.domain.refusal import ServiceBusy
from dispatch.domain.throttle import PER_ADDRESS, PER_LOGIN
from dispatch.people.tables import members
from dispatch.settings import DEVELOPMENT_KEY, Settings
from tests.town import T0, Clock, Town, found

RIGHT = "一只小猫咪走过长长的田埂"
WRONG = (401, "AUTH_CREDENTIALS_INVALID")


async def tenant_code(town: Town) -> str:
    rows = await town.rows(select(tenants.c.code).where(tenants.c.id == town.tenant_id))
    return str(rows[0].code)


async def staffed(app: FastAPI, town: Town, login: str) -> str:
    """Give a person of the town a password under a name of this test. Returns the name."""
    username = f"{login}-{uuid4().hex[:8]}"
    hashed = await app.state.door.hasher.hash(RIGHT)
    async with town.database.writing() as db:
        await password.set_password(db, town.tenant_id, town[login].id, username, hashed, at=T0)
    return username


async def sign_in(client: httpx.AsyncClient, username: str, said: str = RIGHT, **more: Any) -> httpx.Response:
    return await client.post("/v1/auth/password/login", json={"username": username, "password": said, **more})


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_staff_sign_in_and_the_name_is_read_as_people_type_it(
    app: FastAPI, client: httpx.AsyncClient, town: Town
):
    name = await staffed(app, town, "dispatcher-1")
    for typed in (name, name.upper(), f"  {name} ", name.replace("d", "ｄ")):
        answer = await sign_in(client, typed, device_id="device-0001")
        assert answer.status_code == 200, typed
    session = answer.json()
    assert session["refresh_token"]
    headers = {"Authorization": f"Bearer {session['access_token']}"}
    assert (await client.get("/v1/me", headers=headers)).json()["grants"][0]["role"] == "dispatcher"
    for device in ({}, {"device_id": None}):
        assert (await sign_in(client, name, **device)).json()["refresh_token"] is None


async def test_a_wrong_name_and_a_wrong_password_look_and_last_alike(
    app: FastAPI, client: httpx.AsyncClient, town: Town, monkeypatch: pytest.MonkeyPatch
):
    name = await staffed(app, town, "dispatcher-1")
    hasher, checked = app.state.door.hasher, []
    verify = hasher._hash.verify_and_update

    def noted(said: str, kept: str) -> Any:
        checked.append(kept.rsplit("$", 2)[0])
        return verify(said, kept)

    monkeypatch.setattr(hasher._hash, "verify_and_update", noted)
    wrong, unknown = await sign_in(client, name, "wrong"), await sign_in(client, f"{name}x", "wrong")

    assert refused(wrong) == refused(unknown) == WRONG
    assert len(checked) == 2
    assert checked[0] == checked[1]  # the same function at the same cost
    same = {key: value for key, value in wrong.json().items() if key != "request_id"}
    assert same == {key: value for key, value in unknown.json().items() if key != "request_id"}


async def test_ten_tries_a_quarter_of_an_hour_however_many_come_at_once(
    app: FastAPI, client: httpx.AsyncClient, town: Town, clock: Clock
):
    name = await staffed(app, town, "dispatcher-1")
    answers = await asyncio.gather(*(sign_in(client, name, "wrong") for _ in range(16)))

    assert sorted(answer.status_code for answer in answers) == [401] * 10 + [429] * 6
    limited = await sign_in(client, name)  # also with the right one
    assert refused(limited) == (429, "RATE_LIMITED")
    assert int(limited.headers["retry-after"]) == PER_LOGIN.wait(clock.now)
    clock.pass_(seconds=int(limited.headers["retry-after"]))
    assert (await sign_in(client, name)).status_code == 200


async def test_ten_tries_whether_the_tenant_is_named_or_not(
    app: FastAPI, client: httpx.AsyncClient, town: Town
):
    name = await staffed(app, town, "dispatcher-1")
    code = await tenant_code(town)
    answers = [
        await sign_in(client, name, "wrong", **({"tenant": code} if number % 2 else {}))
        for number in range(12)
    ]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
    nobody = f"nobody-{name}"  # told apart from a name that exists by nothing
    answers = [await sign_in(client, nobody, "wrong", tenant=code) for _ in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]


async def test_a_guesser_who_changes_his_address_within_his_network_is_stopped(
    app: FastAPI, town: Town, clock: Clock, database: Database
):
    clock.pass_(days=2000 + town.tenant_id)  # a window of this test's own
    counted = PER_ADDRESS.number(clock.now)
    for host in ("2001:db8:7:7::1", "2001:db8:7:7:ffff::2", "2001:db8:7:8::1", "::ffff:198.51.100.7"):
        transport = httpx.ASGITransport(app, client=(host, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as there:
            assert (await sign_in(there, f"nobody-{host}", "wrong")).status_code == 401
    rows = await town.rows(
        select(tries.c.subject, tries.c.tried).where(tries.c.kind == "address", tries.c.number == counted)
    )
    wanted = {"2001:db8:7:7::/64": 2, "2001:db8:7:8::/64": 1, "198.51.100.7": 1}
    assert dict(map(tuple, rows)) == {password.hashed(name): count for name, count in wanted.items()}


async def test_the_right_password_forgives_the_tries_before(
    app: FastAPI, client: httpx.AsyncClient, town: Town
):
    name = await staffed(app, town, "dispatcher-1")
    for _ in range(3):
        for _ in range(9):
            assert refused(await sign_in(client, name, "wrong")) == WRONG
        assert (await sign_in(client, name)).status_code == 200


async def test_a_guesser_with_many_names_is_stopped_by_the_address(
    app: FastAPI, client: httpx.AsyncClient, town: Town, clock: Clock, database: Database
):
    clock.pass_(days=1000 + town.tenant_id)  # a window of this test's own: all tests come from one address
    spent = {"kind": "address", "number": PER_ADDRESS.number(clock.now), "tried": PER_ADDRESS.most - 2}
    async with database.writing() as db:
        await db.execute(tries.insert().values(subject=password.hashed("127.0.0.1"), **spent))
    name = await staffed(app, town, "dispatcher-1")
    for _ in range(3):  # the right ones are not counted
        assert (await sign_in(client, name)).status_code == 200
    answers = [await sign_in(client, f"nobody-{n}", "wrong") for n in range(4)]

    assert [answer.status_code for answer in answers] == [401, 401, 429, 429]
    await forget(database, clock.now + PER_ADDRESS.window)
    assert await town.rows(select(tries).where(tries.c.number == spent["number"])) == []


async def test_a_name_known_in_two_tenants_is_throttled_and_answered_in_each_by_itself(
    app: FastAPI, client: httpx.AsyncClient, town: Town, database: Database
):
    other = await found(database, DEVELOPMENT_KEY)
    name = await staffed(app, town, "dispatcher-1")
    hashed = await app.state.door.hasher.hash("another-password")
    async with database.writing() as db:
        await password.set_password(db, other.tenant_id, other["dispatcher-1"].id, name, hashed, at=T0)
    here, there = await tenant_code(town), await tenant_code(other)
    for _ in range(11):
        last = await sign_in(client, name, "wrong", tenant=here)

    assert last.status_code == 429
    assert refused(await sign_in(client, name, RIGHT, tenant=there)) == WRONG
    answer = await sign_in(client, name, "another-password", tenant=there)
    assert answer.json()["account"]["id"] == str(other["dispatcher-1"].id)


async def test_a_second_factor_is_asked_for_where_it_is_set_and_is_good_once(
    app: FastAPI, client: httpx.AsyncClient, town: Town, clock: Clock, database: Database
):
    name = await staffed(app, town, "admin-1")
    async with database.writing() as db:
        address = await password.set_second_factor(
            db, town.tenant_id, town["admin-1"].id, issuer="x", login=name
        )
    factor = pyotp.parse_uri(address)

    def code(seconds: int = 0) -> str:
        return str(factor.at(clock.now + timedelta(seconds=seconds)))

    assert refused(await sign_in(client, name)) == WRONG
    assert refused(await sign_in(client, name, totp="000000")) == WRONG
    assert refused(await sign_in(client, name, "wrong", totp=code())) == WRONG
    assert refused(await sign_in(client, name, totp=code(-90))) == WRONG
    at_once = await asyncio.gather(*(sign_in(client, name, totp=code()) for _ in range(3)))
    assert sorted(answer.status_code for answer in at_once) == [200, 401, 401]
    assert refused(await sign_in(client, name, totp=code(-30))) == WRONG  # older than the one used
    clock.pass_(seconds=30)
    assert (await sign_in(client, name, totp=code())).status_code == 200


async def test_a_tenant_may_ask_everybody_for_a_second_factor(
    app: FastAPI, client: httpx.AsyncClient, town: Town, database: Database
):
    name = await staffed(app, town, "dispatcher-1")
    async with database.writing() as db:
        mine = update(tenants).where(tenants.c.id == town.tenant_id)
        await db.execute(mine.values(totp_required=True))

    assert refused(await sign_in(client, name)) == (403, "AUTH_SECOND_FACTOR_MISSING")
    assert refused(await sign_in(client, name, "wrong")) == WRONG


async def test_a_hash_made_with_older_settings_is_renewed_when_its_owner_signs_in(
    app: FastAPI, client: httpx.AsyncClient, town: Town, database: Database
):
    name = await staffed(app, town, "dispatcher-1")
    weak = await Hasher(Settings(password_memory_kib=64, password_passes=1)).hash(RIGHT)
    async with database.writing() as db:
        await db.execute(
            update(credentials).where(credentials.c.tenant_id == town.tenant_id).values(password_hash=weak)
        )
    assert (await sign_in(client, name)).status_code == 200
    (row,) = await town.rows(select(credentials).where(credentials.c.tenant_id == town.tenant_id))

    assert "$m=64,t=1,p=4$" in weak
    assert "$m=32,t=3,p=4$" in row.password_hash
    assert (await sign_in(client, name)).status_code == 200


async def test_passwords_wait_their_turn_and_a_queue_too_long_is_told_to_come_back():
    hasher = Hasher(Settings(password_memory_kib=8192, password_workers=1))
    answers = await asyncio.gather(*(hasher.verify("x", None) for _ in range(25)), return_exceptions=True)

    assert sum(isinstance(answer, ServiceBusy) for answer in answers) == 5
    assert [answer for answer in answers if not isinstance(answer, ServiceBusy)] == [(False, None)] * 20


async def test_a_second_factor_lies_sealed_and_goes_on_when_the_data_key_changes(
    app: FastAPI, client: httpx.AsyncClient, town: Town, clock: Clock, database: Database
):
    name = await staffed(app, town, "admin-1")
    async with database.writing() as db:
        address = await password.set_second_factor(
            db, town.tenant_id, town["admin-1"].id, issuer="x", login=name
        )
    factor = pyotp.parse_uri(address)
    mine = credentials.c.tenant_id == town.tenant_id

    async def lies() -> str:
        raw = select(type_coerce(credentials.c.totp_secret, Text).label("raw")).where(mine)
        told: str = (await town.rows(raw))[0].raw
        return told

    assert (await lies()).startswith("sealed:")
    assert factor.secret not in await lies()
    async with database.writing() as db:  # as a version from before left it
        await db.execute(update(credentials).where(mine).values(totp_secret=literal(factor.secret, Text)))
    assert await lies() == factor.secret
    assert "totp_secret" in {name for sealing in sealings() for name in sealing.sealed}  # rotation reaches it
    assert (await sign_in(client, name, totp=str(factor.at(clock.now)))).status_code == 200


def test_a_secret_that_is_none_lets_nobody_in():
    assert totp_step("gAAAAABn-_not-base32", "123456", 1_763_775_000) is None


# The operator's commands


@pytest.fixture
def run(backend: str, monkeypatch: pytest.MonkeyPatch, clock: Clock):
    clock.now = present() + timedelta(minutes=5)  # the commands read the real one
    monkeypatch.setenv("DISPATCH_DATABASE_URL", backend)
    monkeypatch.setenv("DISPATCH_PASSWORD_MEMORY_KIB", "32")

    async def run(*arguments: str, said: str = "") -> tuple[int, str]:
        # The commands run a loop of their own, and this one is running.
        result = await asyncio.to_thread(CliRunner().invoke, cli, list(arguments), input=said)
        return result.exit_code, result.output.strip()

    return run


async def test_from_an_empty_database_to_the_first_admin(run, client: httpx.AsyncClient):
    code = f"t{uuid4().hex[:12]}"
    assert (await run("tenant", "add", code, "岳麓区"))[0] == 0
    made = await run(
        *("user", "add", "Root", "管理员", "-t", code, "--role", "admin", "--place", code, "--stdin"),
        said=f"{RIGHT}\n",
    )
    assert made == (0, "")

    answer = await sign_in(client, "root", tenant=code)
    assert [grant["role"] for grant in answer.json()["grants"]] == ["admin"]
    factor = await run("user", "second-factor", "Root", "-t", code)
    assert factor[1].startswith("otpauth://totp/")
    assert refused(await sign_in(client, "root", tenant=code)) == WRONG

    changed = await run("user", "password", "Root", "-t", code, "--stdin", said="a-new-pass-phrase\n")
    assert changed[0] == 0
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert (await client.get("/v1/me", headers=headers)).json()["code"] == "AUTH_TOKEN_REVOKED"


async def test_an_operator_hands_out_a_role_and_a_key_and_takes_the_key_back(run, client: httpx.AsyncClient):
    code = f"t{uuid4().hex[:12]}"
    await run("tenant", "add", code, "岳麓区")
    add = ("user", "add", "bi", "报表", "-t", code, "--role", "reporter", "--place", code, "--stdin")
    await run(*add, said=f"{RIGHT}\n")
    status, key = await run("api-key", "issue", "bi", "-t", code, "--name", "BI", "--scope", "me:read")
    headers = {"Authorization": f"Bearer {key}"}
    assert status == 0
    assert (await client.get("/v1/me", headers=headers)).json()["grants"][0]["role"] == "reporter"

    assert (await run("api-key", "revoke", key[4:16], "-t", code))[0] == 0
    assert refused(await client.get("/v1/me", headers=headers)) == (401, "AUTH_TOKEN_REVOKED")
    assert (await run("api-key", "revoke", key[4:16], "-t", code))[0] == 1
    status, grant_id = await run("user", "grant", "bi", "-t", code, "--role", "supervisor", "--place", code)
    assert (status, len(grant_id)) == (0, 36)
    assert (await run("user", "sign-out", "bi", "-t", code)) == (0, "0 ended")


async def test_an_operator_lets_a_tenant_publish_with_its_basis_and_stops_it(run, database: Database):
    code = f"t{uuid4().hex[:12]}"
    await run("tenant", "add", code, "岳麓区")
    columns = tenants.c.publishes_from, tenants.c.publishes_because
    for arguments, status, stands in (
        (("publish", code), 2, (None, None)),
        (("publish", code, "--because", "x", "--least", "4"), 2, (None, None)),
        (("publish", code, "--because", " "), 1, (None, None)),
        (("publish", code, "--because", "会议纪要"), 0, (11, "会议纪要")),
        (("publish", code, "--because", "会议纪要", "--least", "20"), 0, (20, "会议纪要")),
        (("unpublish", code), 0, (None, None)),
    ):
        assert (await run("tenant", *arguments))[0] == status, arguments
        async with database.reading() as db:
            row = (await db.execute(select(*columns).where(tenants.c.code == code))).one()
        assert tuple(row) == stands


@pytest.mark.parametrize(
    ("arguments", "said", "complaint"),
    [
        (
            ("user", "add", "a", "b", "-t", "no", "--role", "admin", "--place", "x", "--stdin"),
            RIGHT,
            "no such tenant",
        ),
        (("user", "add", "a", "b", "-t", "no", "--role", "admin", "--stdin"), RIGHT, "needs --place"),
        (
            ("user", "add", "a", "b", "-t", "x", "--role", "unit_admin", "--place", "x", "--stdin"),
            RIGHT,
            "needs --body",
        ),
        (("user", "grant", "a", "-t", "x", "--role", "member", "--place", "x"), "", "roster import"),
        (("user", "password", "a", "-t", "no", "--stdin"), "short", "10 to 128"),
        (("user", "password", "liming", "-t", "no", "--stdin"), "LiMing-2026", "contain the login"),
    ],
)
async def test_a_command_that_makes_no_sense_says_why_and_changes_nothing(run, arguments, said, complaint):
    status, told = await run(*arguments, said=f"{said}\n")

    assert status == 1
    assert complaint in told


@pytest.mark.parametrize("role", ["street", "dispatcher", "grid_worker", "system"])
async def test_an_operator_gives_a_role_at_its_own_level_only(run, role: str):
    code = f"t{uuid4().hex[:12]}"
    await run("tenant", "add", code, "岳麓区")
    seat = ("--role", role, "--place", code)
    add = await run("user", "add", "root", "管理员", "-t", code, *seat, "--stdin", said=f"{RIGHT}\n")
    assert add[0] == 1
    assert f"the role {role} is not held at {code} (district)" in add[1]
    boss = ("--role", "district", "--place", code)
    assert (await run("user", "add", "root", "区长", "-t", code, *boss, "--stdin", said=f"{RIGHT}\n"))[0] == 0
    assert (await run("user", "grant", "root", "-t", code, *seat))[0] == 1


async def test_two_logins_that_are_typed_alike_are_not_both_made(run, client: httpx.AsyncClient):
    code = f"t{uuid4().hex[:12]}"
    await run("tenant", "add", code, "岳麓区")
    seat = ("-t", code, "--role", "supervisor", "--place", code, "--stdin")
    assert (await run("user", "add", "Anna", "安娜", *seat, said=f"{RIGHT}\n"))[0] == 0
    second = await run("user", "add", "ａnna", "安那", *seat, said="another-password\n")
    assert second == (1, "another account signs in as anna")
    assert (await run("user", "password", "ａnna", "-t", code, "--stdin", said="another-password\n"))[1] == (
        "no such account: ａnna"  # nothing of it was kept
    )
    assert (await run("user", "password", "Anna", "-t", code, "--stdin", said="a-new-pass-phrase\n"))[0] == 0
    assert (await sign_in(client, "ANNA", "a-new-pass-phrase", tenant=code)).json()["account"][
        "name"
    ] == "安娜"


async def test_a_member_is_suspended_by_an_operator_and_comes_back_by_one(run, town: Town):
    code = await tenant_code(town)
    state = select(members.c.state).where(
        members.c.tenant_id == town.tenant_id, members.c.account_id == town["member-1"].id
    )

    async def said(verb: str, login: str = "member-1") -> tuple[int, str, str]:
        return *await run("user", verb, login, "-t", code), (await town.rows(state))[0][0]

    assert await said("resume") == (1, "member-1: not suspended, or by a lapse", "active")
    assert await said("suspend") == (0, "", "suspended")
    assert await said("resume") == (0, "", "active")
    async with town.database.writing() as db:
        await db.execute(
            update(members)
            .where(members.c.tenant_id == town.tenant_id, members.c.account_id == town["member-1"].id)
            .values(state="suspended", lapsed_at=T0)
        )
    assert await said("resume") == (1, "member-1: not suspended, or by a lapse", "suspended")
    assert (await said("suspend"))[0] == 0  # now it is somebody's decision
    assert await said("resume") == (0, "", "active")
    assert (await said("suspend", "resident-1"))[:2] == (1, "resident-1: no member now")
    await town.member_state("member-1", "ended")
    assert await said("suspend") == (1, "member-1: no member now", "ended")
