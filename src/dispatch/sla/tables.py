"""Calendars and policies: every version whole, never changed, so that an old deadline can still be explained."""

from sqlalchemy import Column, Date, Integer

from dispatch.db.base import code_column, one_of, tenant_table
from dispatch.db.types import Id, Instant, Json

CAUSES = ("seeded", "imported", "edited", "announced")
"""Why a version of a calendar was made; ``announced``: the library learned of another year."""

calendars = tenant_table(
    "calendars",
    # The highest version stands; ``id`` names its content for the caches of every process.
    Column("version", Integer, nullable=False),
    Column("id", Id, nullable=False),
    # Seven lists of "09:00-12:00", Monday first.
    Column("weekly", Json, nullable=False),
    # Days that differ from their weekday: domain.calendar_file.Entry in its wire form, in order.
    Column("days", Json, nullable=False),
    Column("known_until", Date, nullable=False),
    code_column("cause", CAUSES),
    Column("made_by", Id),
    Column("made_at", Instant, nullable=False),
    one_of("cause", CAUSES),
    key=("version",),
)

policies = tenant_table(
    "policies",
    Column("version", Integer, nullable=False),
    Column("id", Id, nullable=False),
    # domain.policy.Policy in its wire form.
    Column("rules", Json, nullable=False),
    # Steps from an item's own urgency to a factor: {"-1": 0.5, "1": 2}.
    Column("scale", Json, nullable=False),
    Column("made_by", Id),
    Column("made_at", Instant, nullable=False),
    key=("version",),
)
