"""The demonstration's check-ins: agreements of units and teams, and a desk with something on it."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch import clock
from dispatch.checkin.actions import deciding, filing
from dispatch.demo import cast
from dispatch.domain.checkin import after_hours
from dispatch.domain.people import Actor
from dispatch.people import queries as people
from dispatch.registering import actions as registering

SIGNED = timedelta(days=80)
"""How long before the seed's instant the agreements were signed."""

FORM: Mapping[str, Any] = {
    "items": ["elder_care", "tutoring", "errands"],
    "skills": [{"code": "teacher", "name": "教师", "proof": None, "expires_on": None}],
    "free_times": after_hours(),
    "languages": ["普通话"],
    "most_a_day": 1,
    "most_a_week": 2,
}


async def seed_checkins(
    db: AsyncConnection,
    tenant_id: int,
    accounts: Mapping[str, UUID],
    bodies: Mapping[str, UUID],
    places: Mapping[str, UUID],
    *,
    at: datetime,
) -> None:
    """Units and teams with agreements; two forms that wait, one that was returned; a member on leave."""

    async def actor(login: str) -> Actor:
        person = await people.person(db, tenant_id, accounts[login])
        assert person is not None
        return Actor(
            person.account_id, person.name, person.tenant, person.grants, person.grants[0], person.version
        )

    signed = clock.whole(at - SIGNED)
    for number, (code, kind, name, place) in enumerate(cast.BODIES, start=1):
        if kind not in ("unit", "team"):
            continue
        data = {
            "kind": kind,
            "name": name,
            "place_id": places[place],
            "body_id": bodies[code],
            "document": f"共建协议第{number}号",
            "liaisons": [{"name": "沈卓然", "phone": f"1990001{number:04d}", "duty": "党务干事"}],
        }
        filed, _ = await registering.file(db, await actor(code), data, None, at=signed)
        await registering.approve(db, await actor("street-1"), filed, None, at=signed)
    lately = clock.whole(at - timedelta(days=2))
    for login, community in (("resident-4", "C2"), ("resident-5", "C2"), ("resident-6", "C3")):
        form = {**FORM, "community_id": places[community]}
        filed_id = await filing.file(db, await actor(login), form, None, at=lately)
    words = "请补充教师资格证的编号。"
    await deciding.return_(db, await actor("dispatcher-3"), filed_id, words, None, at=lately)
    today = filing.today_of(await actor("member-25"), at)
    away = today + timedelta(days=10), today + timedelta(days=14)
    await filing.take_leave(db, await actor("member-25"), *away, at=lately)
