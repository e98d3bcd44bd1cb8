"""Whether a person may do what an item demands: qualification, age, a guardian's consent (product decision §4)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

ADULT_YEARS = 18


@dataclass(frozen=True, slots=True)
class Skill:
    """What somebody is able to do, with proof or without."""

    code: str
    name: str
    expires_on: date | None = None

    def stands(self, on: date) -> bool:
        """Whether it is in force on a day (the last day included)."""
        return self.expires_on is None or on <= self.expires_on


def age(born_on: date | None, on: date) -> int | None:
    """Full years, None if unknown."""
    if born_on is None:
        return None
    return on.year - born_on.year - ((on.month, on.day) < (born_on.month, born_on.day))


def answering(qualifications: frozenset[str] | None, skills: Iterable[Skill]) -> tuple[Skill, ...]:
    """The skills that answer what an item demands, expired ones too. ``qualifications`` as in ``matching.Need``."""
    if qualifications is None:
        return ()
    return tuple(skill for skill in skills if not qualifications or skill.code in qualifications)


def consented(told: date | None, on: date) -> bool:
    """Whether the guardian of a minor has agreed by a day."""
    return told is not None and told <= on


def unable(
    qualifications: frozenset[str] | None,
    minors: bool,
    skills: Iterable[Skill],
    born_on: date | None,
    guardian_consent_on: date | None,
    on: date,
) -> Iterable[str]:
    """What of it stands against a person on a day, graver reasons first.

    Whoever told nothing on checking in has no qualification; an age that was not told is no reason.

    Args:
        qualifications: the codes of which one is demanded (None: none is; empty: any will do).
        minors: whether the item is about minors.
    """
    qualified = answering(qualifications, skills)
    if qualifications is not None and not any(skill.stands(on) for skill in qualified):
        yield "qualification_expired" if qualified else "no_qualification"
    years = age(born_on, on)
    if years is not None and years < ADULT_YEARS:
        if minors:
            yield "under_age"
        if not consented(guardian_consent_on, on):
            yield "no_guardian_consent"
