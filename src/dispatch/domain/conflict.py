"""Who is too close to an order to help with it: the household concerned, and the one it is about (peers.md §5.3, 77)."""

from dataclasses import dataclass
from uuid import UUID

UNTOLD = "conflict_of_interest"
"""What the one concerned is told: that an order is about oneself is nobody's to learn from a refusal."""


@dataclass(frozen=True, slots=True)
class Concerned:
    """Whom an order concerns. ``households`` are places, of which those that are one door can match."""

    beneficiary_id: UUID | None = None
    about_id: UUID | None = None
    households: frozenset[UUID] = frozenset()
    address_keys: frozenset[str] = frozenset()


def conflicts(
    concerned: Concerned, account_id: UUID, household_id: UUID | None, address_key: str | None
) -> tuple[str, ...]:
    """What stands against a person, whatever a dispatcher thinks."""
    found = []
    if account_id == concerned.about_id:
        found.append("complained_about")
    if account_id == concerned.beneficiary_id:
        found.append("own_order")
    elif household_id in concerned.households or address_key in concerned.address_keys:
        found.append("same_household")
    return tuple(found)
