"""What a viewer may see of a person: full, masked, or nothing. Decided here, applied on the server only.

Who sees what is domain.md §4.1: the dispatcher sees, grid workers and the street read masked and may have contact
data shown for a reason, a taker sees a person only after taking and until seven days after closing, the pool sees
no person at all. Masks follow the platform's table for mini-programs (wechat.md §2.9: *三, 王*四, 156******77).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from uuid import UUID

from dispatch.domain.life import Life, Standing, served
from dispatch.domain.order import RESTING, Flag, Relation
from dispatch.domain.people import GROUND_ROLES, STREET_ROLES, Role
from dispatch.domain.refusal import Refusal, RoleForbidden, SecondPersonRequired, TooLate

CONTACT_CLOSES = timedelta(days=7)
"""After closing, contact data closes again for those who served (product decision §4)."""

KNOWS = frozenset({Role.DISPATCHER, Role.COMMUNITY_SECRETARY})
"""Who knows everybody, in scope: also who filed about a person, or did not wish to be named."""

AUDITS = frozenset({Role.DISTRICT, Role.SUPERVISOR})
"""Who reads the record of who looked, in scope, besides those concerned (domain.md §4.1, peers' law 130)."""

REVEALS_AN_HOUR, REVEALS_A_DAY = 30, 120
"""Most looks of one account: a community has some ten orders a day (domain.md §8); a list is not copied so."""

SECOND_WAITS = timedelta(hours=24)
"""A district viewer's request for contact data waits so long for a second person."""
SECOND_OPENS = timedelta(minutes=30)
"""What a second person has confirmed stays open so long: one call's time. Each look in it is recorded."""

AT_HOME = frozenset({Role.RESIDENT, Role.MEMBER})
"""Who files for another as family, not by office."""


class Sight(IntEnum):
    """How much of a person a viewer sees."""

    NOTHING = 0
    MASKED = 1
    FULL = 2


@dataclass(frozen=True, slots=True)
class View:
    """What one viewer sees of one order.

    Args:
        sight: of names, phones, addresses.
        filer, beneficiary, contact: False where that person, or every way to reach one, is kept from this viewer.
        words: whether texts are read as they were written; else without the numbers in them.
        files: whether photos and other files are seen. Nothing in them can be masked: whoever sees no more than the
            block sees none of them, and so does everybody whom the order's persons are kept from.
    """

    sight: Sight
    filer: bool = True
    beneficiary: bool = True
    contact: bool = True
    words: bool = True
    files: bool = True


def view(life: Life, who: Standing, *, hide_name: bool, at: datetime) -> View:
    """Work out what an actor sees of an order."""
    seen = sight(life, who, at=at)
    if concerned(who) or who.scoped & KNOWS:
        return View(seen, words=seen is Sight.FULL, files=seen is Sight.FULL)
    about = Flag.ABOUT_PERSON in life.flags
    unnamed = hide_name and not life.on_behalf
    return View(
        seen,
        filer=not (about or hide_name),
        beneficiary=not (about or unnamed),
        contact=not about,
        words=False,
        files=seen is not Sight.NOTHING and not about,
    )


def sight(life: Life, who: Standing, *, at: datetime) -> Sight:
    """How much of filer and beneficiary an actor sees on this order."""
    if concerned(who) and not (by_office(life, who) and _office_is_over(life, who)):
        return Sight.FULL
    if who.scoped & KNOWS or (served(life, who) and not _contact_is_over(life, at)):
        return Sight.FULL
    return Sight.MASKED if who.scoped or concerned(who) else Sight.NOTHING


def concerned(who: Standing) -> bool:
    """Whether it is the actor's own order: filed, or for him."""
    return bool(who.relations & {Relation.FILER, Relation.BENEFICIARY})


def by_office(life: Life, who: Standing) -> bool:
    """Whether the actor filed it for another in a role that is no family's: the role it was filed under decides."""
    if not life.on_behalf or Relation.FILER not in who.relations or Relation.BENEFICIARY in who.relations:
        return False
    return life.filed_as not in AT_HOME


def _office_is_over(life: Life, who: Standing) -> bool:
    """The office sees that person only while the order is open, and its holder only as long as he holds it."""
    return life.effective_state in RESTING or life.filed_under not in who.grants


def _contact_is_over(life: Life, at: datetime) -> bool:
    return life.rested_at is not None and at > life.rested_at + CONTACT_CLOSES


def reveal_refusal(life: Life, who: Standing, *, at: datetime) -> Refusal | None:
    """Why contact data is not shown for a purpose; None if it is, and then the act is recorded.

    domain.md §4.1: whoever sees it anyway; grid workers while the order is open; the street with its reason; the
    district by break-glass, once a second person has confirmed (``confirming_refusal``).
    """
    if Flag.ABOUT_PERSON in life.flags and not (concerned(who) or who.scoped & KNOWS):
        return RoleForbidden()
    if sight(life, who, at=at) is Sight.FULL:
        return None
    if Role.STREET in who.scoped:
        return None
    if who.scoped & GROUND_ROLES:
        return TooLate() if life.effective_state in RESTING else None
    if Role.DISTRICT in who.scoped:
        return SecondPersonRequired()
    return TooLate() if served(life, who) else RoleForbidden()


def confirming_refusal(who: Standing, asker_id: UUID, *, lent: bool) -> Refusal | None:
    """Why somebody may not decide on a district viewer's request; None if he may.

    The second person is another account that holds the street or the district of the order.

    Args:
        lent: whether one of the two acts under a role that the other one lent: that makes no second person.
    """
    if not who.scoped & STREET_ROLES:
        return RoleForbidden()
    return SecondPersonRequired() if lent or who.account_id == asker_id else None


def reads_reveal_requests(who: Standing) -> bool:
    """Whether the actor may read who of the district asked for the order's contact data, and who decided."""
    return reads_views(who) or bool(who.scoped & STREET_ROLES)


def reads_views(who: Standing) -> bool:
    """Whether the actor may read who looked at the order's contact data."""
    return concerned(who) or bool(who.scoped & AUDITS)


def masked_name(name: str) -> str:
    """王三 → *三, 王小四 → 王*四, 欧阳文五 → 欧**五; a ``·`` stays where it is."""
    if len(name) <= 2:
        return f"*{name[1:]}"
    inner = "".join(sign if sign == "·" else "*" for sign in name[1:-1])
    return f"{name[0]}{inner}{name[-1]}"


def masked_phone(phone: str) -> str:
    """15600001177 → 156******77; of fewer than ten digits the first two and the last two stay."""
    places = [place for place, sign in enumerate(phone) if sign.isdigit()]
    front = 3 if len(places) >= 10 else 2
    hidden = set(places[front:-2])
    return "".join("*" if place in hidden else sign for place, sign in enumerate(phone))
