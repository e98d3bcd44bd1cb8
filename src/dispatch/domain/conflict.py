"""Who has nothing to do with an order: oneself and one's household (peers.md §5.3, 77), and whom it keeps out."""

from dataclasses import dataclass
from uuid import UUID

UNTOLD = "conflict_of_interest"
"""What the one concerned is told: that an order is about oneself is nobody's to learn from a refusal."""


@dataclass(frozen=True, slots=True)
class Concerned:
    """Whom an order concerns. ``households`` are places, of which those that are one door can match; ``kept``: the
    people and bodies of its recusals, and the people of these bodies.
    """

    beneficiary_id: UUID | None = None
    kept: frozenset[UUID] = frozenset()
    households: frozenset[UUID] = frozenset()
    address_keys: frozenset[str] = frozenset()


def conflicts(
    concerned: Concerned, account_id: UUID, household_id: UUID | None, address_key: str | None
) -> tuple[str, ...]:
    """What stands against a person, whatever a dispatcher thinks."""
    found = []
    if account_id in concerned.kept:
        found.append(UNTOLD)
    if account_id == concerned.beneficiary_id:
        found.append("own_order")
    elif household_id in concerned.households or address_key in concerned.address_keys:
        found.append("same_household")
    return tuple(found)
