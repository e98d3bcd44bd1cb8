"""Whether someone may still serve, told by the statement that reads the order."""

from typing import Any

from sqlalchemy import bindparam, null, select

from dispatch.db.bound import ME, TENANT, Brought, Columns
from dispatch.db.types import Id
from dispatch.domain.people import BODY_ROLES, Actor, Role
from dispatch.people.tables import bodies, members

_STATE = (
    select(members.c.state).where(members.c.tenant_id == TENANT, members.c.account_id == ME).scalar_subquery()
)
_RETIRED = (
    select(bodies.c.retired_at)
    .where(bodies.c.tenant_id == TENANT, bodies.c.id == bindparam("serving_body", type_=Id()))
    .scalar_subquery()
)
_AS_MEMBER = Columns(member_state=_STATE, body_retired_at=null())
_FOR_A_BODY = Columns(member_state=null(), body_retired_at=_RETIRED)
_AS_OTHER = Columns(member_state=null(), body_retired_at=null())


def serving(actor: Actor) -> Brought:
    """Columns that bring along how the acting member or body stands."""
    grant = actor.acting
    if grant is not None and grant.role is Role.MEMBER:
        return Brought(_AS_MEMBER)
    if grant is not None and grant.role in BODY_ROLES:
        return Brought(_FOR_A_BODY, {"serving_body": grant.body_id})
    return Brought(_AS_OTHER)


def not_serving(row: Any) -> str | None:
    """Read those columns: ``suspended``, ``membership_ended`` or ``body_retired``; None if all is well."""
    if row.member_state == "suspended":
        return "suspended"
    if row.member_state == "ended":
        return "membership_ended"
    return "body_retired" if row.body_retired_at is not None else None
