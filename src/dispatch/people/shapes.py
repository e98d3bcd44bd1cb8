"""What of an actor a statement depends on, and what is a value of it.

Who sees what is decided by the *kinds* of an actor's grants; the ids in them, the account and the tenant are values. A
statement made for a ``Shape`` therefore serves everybody whose grants are of the same kinds, and is made once
(``db/bound.py``); what differs goes along when it runs (``values``). ADR 0063.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, bindparam

from dispatch.db.types import Id
from dispatch.domain.life import party_of
from dispatch.domain.order import TakerKind
from dispatch.domain.people import Actor, Role

SESSION: BindParameter[UUID] = bindparam("session_id", type_=Id())
"""The session that the actor's token was made for."""


@dataclass(frozen=True, slots=True)
class GrantShape:
    """A grant without its ids. ``takes_as``: as what kind of party its holder takes; ``depth``: places on its path."""

    role: Role
    place_kind: str | None
    at_place: bool
    for_body: bool
    takes_as: TakerKind | None
    depth: int


@dataclass(frozen=True, slots=True)
class Shape:
    """An actor without ids: the shapes of the grants that count, in their order."""

    grants: tuple[GrantShape, ...]
    is_service: bool


def shape_of(actor: Actor) -> Shape:
    """By what statements for this actor differ from those for others."""
    return Shape(
        tuple(
            GrantShape(
                grant.role,
                grant.place_kind,
                grant.place_id is not None,
                grant.body_id is not None,
                TakerKind(party[0]) if (party := party_of(grant, actor.account_id)) else None,
                len(grant.path),
            )
            for grant in actor.grants
        ),
        actor.is_service,
    )


def values(actor: Actor) -> dict[str, Any]:
    """What is bound when a statement made for the actor's shape runs."""
    found: dict[str, Any] = {
        "tenant_id": actor.tenant.id,
        "me": actor.account_id,
        "session_id": actor.session_id,
    }
    for nth, grant in enumerate(actor.grants):
        found[f"place_{nth}"], found[f"body_{nth}"] = grant.place_id, grant.body_id
        for depth, place_id in enumerate(grant.path):
            found[f"ring_{nth}_{depth}"] = place_id
    return found


def place_of(nth: int) -> BindParameter[UUID]:
    """The place of a grant."""
    return bindparam(f"place_{nth}", type_=Id())


def body_of(nth: int) -> BindParameter[UUID]:
    """The body of a grant."""
    return bindparam(f"body_{nth}", type_=Id())


def rings_of(nth: int, grant: GrantShape) -> list[BindParameter[UUID]]:
    """The place of a grant and all above it."""
    return [bindparam(f"ring_{nth}_{depth}", type_=Id()) for depth in range(grant.depth)]
