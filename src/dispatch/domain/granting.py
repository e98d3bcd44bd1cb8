"""Who may give, revoke and delegate a role (domain.md §4.1; product decision §7)."""

from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from uuid import UUID

from dispatch.domain.people import BODY_ROLES, STAFF_ROLES, Actor, Grant, Role
from dispatch.domain.refusal import GrantImpossible, Refusal, RoleForbidden

ADMINS = frozenset({Role.ADMIN})
"""Who sets what holds for everybody in a tenant."""

DELEGABLE = STAFF_ROLES | frozenset(BODY_ROLES) | {Role.SUPERVISOR}
"""Offices, which somebody else can hold for a while. What a person is (resident, member, agent) nobody can be for another."""

LEVELS = {
    Role.STREET: "street",
    Role.COMMUNITY_SECRETARY: "community",
    Role.DISPATCHER: "community",
    Role.MEMBER: "community",
    Role.GRID_SECRETARY: "grid",
    Role.GRID_WORKER: "grid",
}
"""The kind of place where a role is held. The district's is the topmost place, whatever the tenant calls it."""

LONGEST_LEAVE = timedelta(days=184)
"""A stand-in for longer is an appointment, and an admin makes it: maternity leave is 158 to 188 days (各省条例)."""


def administers(actor: Actor, path: tuple[UUID, ...]) -> bool:
    """Whether the actor acts as admin of a place in the path (ids from the root down)."""
    acting = actor.acting
    return acting is not None and acting.role is Role.ADMIN and acting.place_id in path


def rules_tenant(actor: Actor, roles: AbstractSet[Role] = ADMINS) -> bool:
    """Whether the actor acts under one of these roles for the whole tenant, that is at its topmost place."""
    acting = actor.acting
    return acting is not None and acting.role in roles and len(acting.path) == 1


def giving_refusal(
    actor: Actor,
    account_id: UUID,
    role: Role,
    path: tuple[UUID, ...],
    *,
    body_kind: str | None,
    place_kind: str,
) -> Refusal | None:
    """Why an admin cannot give this role there; None if he can.

    Args:
        path: ids of the place, or of the place that the body serves, from the root down.
        body_kind: of the body that the role is to act for.
        place_kind: of the last place in the path.
    """
    if not administers(actor, path):
        return RoleForbidden()
    if account_id == actor.account_id:
        return GrantImpossible(
            why="own"
        )  # an admin sees none of the content, and must not help himself to it
    return fitting_refusal(role, path, body_kind=body_kind, place_kind=place_kind)


def fitting_refusal(
    role: Role, path: tuple[UUID, ...], *, body_kind: str | None, place_kind: str
) -> GrantImpossible | None:
    """Why nobody can hold this role there, whoever gives it; None if it fits. Arguments as of ``giving_refusal``.

    A role above its level would open to a community what the street or the district alone may see.
    """
    if role is Role.SYSTEM:
        return GrantImpossible(why="role")
    if BODY_ROLES.get(role) != body_kind:
        return GrantImpossible(why="body")
    if (role is Role.DISTRICT and len(path) != 1) or place_kind != LEVELS.get(role, place_kind):
        return GrantImpossible(why="place")
    return None


def revoking_refusal(
    actor: Actor, holder_id: UUID, lender_id: UUID | None, path: tuple[UUID, ...]
) -> Refusal | None:
    """Why a grant cannot be ended by the actor: an admin may, its holder, and who delegated it."""
    if administers(actor, path) or actor.account_id in (holder_id, lender_id):
        return None
    return RoleForbidden()


def delegating_refusal(
    actor: Actor,
    grant: Grant,
    holder_id: UUID,
    account_id: UUID,
    path: tuple[UUID, ...],
    *,
    delegated: bool,
    start: datetime,
    end: datetime,
    at: datetime,
) -> Refusal | None:
    """Why a grant cannot be lent to an account from ``start`` (included) to ``end`` (excluded); None if it can.

    Args:
        delegated: the grant is lent itself.
    """
    if actor.account_id != holder_id and not administers(actor, path):
        return RoleForbidden()
    if account_id in (holder_id, actor.account_id):
        return GrantImpossible(why="own")
    if delegated or grant.role not in DELEGABLE:
        return GrantImpossible(why="role")
    if not grant.stands(at):
        return GrantImpossible(why="ended")
    if not at <= start < end <= start + LONGEST_LEAVE or (
        grant.valid_to is not None and end > grant.valid_to
    ):
        return GrantImpossible(why="period")
    return None
