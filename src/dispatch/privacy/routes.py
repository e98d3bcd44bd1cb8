"""Contact data for a purpose, and who looked, over HTTP."""

from typing import Any

from fastapi import APIRouter, Response

from dispatch.domain.people import ROLE_LABELS, Actor, Role
from dispatch.domain.refusal import RateLimited, RoleForbidden, TooLate
from dispatch.orders.rendering import NAMELESS
from dispatch.orders.schemas import BeneficiaryOut
from dispatch.privacy import actions, queries
from dispatch.privacy.actions import Revealed
from dispatch.privacy.schemas import ContactOut, LookerOut, RevealIn, ViewOut
from dispatch.web.deps import Caller, Now, Reading, Writing
from dispatch.web.etag import ORDER_CACHE_CONTROL
from dispatch.web.paging import DEFAULT_LIMIT, Cursor, Key, Limit, Page, cut, fingerprint, read_cursor
from dispatch.web.problems import responses
from dispatch.web.wire import IdIn, LocationOut

router = APIRouter(prefix="/v1/orders/{order_id}", tags=["privacy"])


@router.post("/reveal", responses=responses(RoleForbidden, TooLate, RateLimited))
async def reveal_order(
    db: Writing, caller: Caller, now: Now, response: Response, order_id: IdIn, body: RevealIn
) -> ContactOut:
    """查看联系方式: show contact data for a purpose; each look is recorded and the requester sees it."""
    done = await actions.reveal(db, caller, order_id, body.purpose, at=now)
    response.headers["Cache-Control"] = ORDER_CACHE_CONTROL
    return _contact(done, caller, now)


@router.get("/views", responses=responses(RoleForbidden))
async def list_views(
    db: Reading, caller: Caller, order_id: IdIn, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[ViewOut]:
    """谁看过: who looked at the contact data, newest first; for filer, beneficiary and auditors."""
    query = fingerprint("views", order=order_id)
    after = read_cursor(cursor, query)
    found = await queries.views(
        db, caller, order_id, after=(after.at, after.id) if after else None, limit=limit
    )
    rows, next_cursor = cut(found, limit, query, lambda row: Key(row.at, row.id))
    return Page(items=[_shown(row, caller) for row in rows], next_cursor=next_cursor)


def _contact(done: Revealed, caller: Actor, now: Now) -> ContactOut:
    row = done.whole.row
    nameless = not done.names_filer and not row.on_behalf
    return ContactOut(
        view_id=done.id,
        order_id=row.id,
        filer_name=row.filer_name if done.names_filer else NAMELESS,
        beneficiary=BeneficiaryOut(
            name=NAMELESS if nameless else row.beneficiary_name, phone=row.beneficiary_phone
        ),
        contact_phone=row.contact_phone,
        address=row.address,
        location=LocationOut(**{k: row.location[k] for k in ("lng", "lat", "crs")}) if row.location else None,
        shown_at=now.astimezone(caller.tenant.zone),
    )


def _shown(row: Any, caller: Actor) -> ViewOut:
    role = Role(row.role) if row.role else None
    return ViewOut(
        id=row.id,
        at=row.at.astimezone(caller.tenant.zone),
        kind=row.kind,
        who=LookerOut(role=role, role_label=ROLE_LABELS[role] if role else None, name=row.account_name),
        purpose=row.purpose,
        fields=row.fields,
    )
