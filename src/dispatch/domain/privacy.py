"""What a viewer may see of a person: full, masked, or nothing. Decided here, applied on the server only.

Masking follows the platform's table for mini-programs (王*四, 156******77); who sees what is
domain.md §4.1: the street reads masked, a taker sees a person only after taking and until seven
days after closing, the pool sees no person at all.
"""

from datetime import datetime, timedelta
from enum import IntEnum

from dispatch.domain.life import Life, Standing, served
from dispatch.domain.order import Flag, Relation
from dispatch.domain.people import GROUND_ROLES, Role

CONTACT_CLOSES = timedelta(days=7)
"""After closing, contact data closes again for those who served (product decision §4)."""

_COMMUNITY = GROUND_ROLES | {Role.DISPATCHER, Role.COMMUNITY_SECRETARY}


class Sight(IntEnum):
    """How much of a person a viewer sees."""

    NOTHING = 0
    MASKED = 1
    FULL = 2


def sight(life: Life, who: Standing, *, at: datetime) -> Sight:
    """How much of filer and beneficiary an actor sees on this order."""
    if who.relations & {Relation.FILER, Relation.BENEFICIARY} or who.scoped & _COMMUNITY:
        return Sight.FULL
    if served(life, who) and (life.rested_at is None or at <= life.rested_at + CONTACT_CLOSES):
        return Sight.FULL
    return Sight.MASKED if who.scoped or served(life, who) else Sight.NOTHING


def hides_filer(life: Life, who: Standing, *, hide_name: bool) -> bool:
    """Whether the filer stays nameless: wished so, or the order is about a person; the dispatcher still knows."""
    if who.relations & {Relation.FILER, Relation.BENEFICIARY} or who.scoped & {
        Role.DISPATCHER,
        Role.COMMUNITY_SECRETARY,
    }:
        return False
    return hide_name or Flag.ABOUT_PERSON in life.flags


def masked_name(name: str) -> str:
    """王四 → 王*, 王小四 → 王*四; a name with · keeps its first part."""
    head, dot, _ = name.partition("·")
    if dot:
        return f"{head}·*"
    if len(name) <= 2:
        return f"{name[:1]}*"
    return f"{name[0]}{'*' * (len(name) - 2)}{name[-1]}"


def masked_phone(phone: str) -> str:
    """15600001177 → 156******77; short numbers and landlines keep their last two digits."""
    if len(phone) == 11 and phone.isdigit():
        return f"{phone[:3]}******{phone[-2:]}"
    return f"{'*' * max(len(phone) - 2, 0)}{phone[-2:]}"
