"""API keys in the words of the wire."""

from typing import Any

from dispatch.auth.schemas import KeyHolderOut
from dispatch.domain.people import ROLE_LABELS, Actor, Role
from dispatch.people.schemas import GrantPlaceOut


def shown_key(row: Any, actor: Actor) -> dict[str, Any]:
    """A key's fields as those who administer it see them."""
    place = None
    if row.place_id:
        place = GrantPlaceOut(id=row.place_id, name=row.place_name, kind=row.place_kind)
    instants = ("created_at", "expires_at", "revoked_at")
    zoned = {
        name: at and at.astimezone(actor.tenant.zone) for name in instants for at in (getattr(row, name),)
    }
    return {
        "key_id": row.key_id,
        "name": row.name,
        "account": KeyHolderOut(id=row.account_id, name=row.account_name),
        "role": Role(row.role),
        "role_label": ROLE_LABELS[Role(row.role)],
        "place": place,
        "scopes": row.scopes,
        "created_by": row.maker_name,
        "revoked_by": row.ender_name,
        **zoned,
    }
