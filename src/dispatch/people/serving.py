"""Whether someone may still serve, told by the statement that reads the order."""

from typing import Any

from sqlalchemy import ColumnElement, null, select

from dispatch.domain.people import BODY_ROLES, Actor, Role
from dispatch.people.tables import bodies, members


def serving(actor: Actor) -> dict[str, ColumnElement[Any]]:
    """Columns that bring along how the acting member or body stands."""
    grant = actor.acting
    columns: dict[str, ColumnElement[Any]] = {
        "member_state": null().label("member_state"),
        "body_retired_at": null().label("body_retired_at"),
    }
    if grant is not None and grant.role is Role.MEMBER:
        state = select(members.c.state).where(
            members.c.tenant_id == actor.tenant.id, members.c.account_id == actor.account_id
        )
        columns["member_state"] = state.scalar_subquery()
    if grant is not None and grant.role in BODY_ROLES:
        retired = select(bodies.c.retired_at).where(
            bodies.c.tenant_id == actor.tenant.id, bodies.c.id == grant.body_id
        )
        columns["body_retired_at"] = retired.scalar_subquery()
    return columns


def not_serving(row: Any) -> str | None:
    """Read those columns: ``suspended``, ``membership_ended`` or ``body_retired``; None if all is well."""
    if row.member_state == "suspended":
        return "suspended"
    if row.member_state == "ended":
        return "membership_ended"
    return "body_retired" if row.body_retired_at is not None else None
