"""Whom to sign in as at the demonstration. Mounted in demonstration mode only."""

from typing import Any

from fastapi import APIRouter

from dispatch.demo import queries
from dispatch.demo.schemas import DemoAccountOut
from dispatch.people.schemas import BodyOut, GrantPlaceOut
from dispatch.web.deps import Store

router = APIRouter(prefix="/v1", tags=["demo"])

PUBLIC = frozenset({"/v1/demo/accounts"})
"""Paths that ask for no credentials."""


@router.get("/demo/accounts")
async def list_demo_accounts(database: Store) -> list[DemoAccountOut]:
    """Whom to sign in as."""
    async with database.reading() as db:
        return [_shown(row) for row in await queries.everyone(db)]


def _shown(row: Any) -> DemoAccountOut:
    body = BodyOut(kind=row.body_kind, id=row.body_id, name=row.body_name) if row.body_id else None
    place = GrantPlaceOut(id=row.place_id, name=row.place_name, kind=row.place_kind)
    return DemoAccountOut(
        login=row.login,
        name=row.name,
        role=row.role,
        place=place,
        grant_id=row.grant_id,
        account_id=row.account_id,
        body=body,
    )
