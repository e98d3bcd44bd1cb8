"""Calendars and policies: every version whole, never changed, so that an old deadline can still be explained.
Clocks, and the timers that they arm."""

from sqlalchemy import Boolean, Column, Date, Index, Integer, String

from dispatch.db.base import code_column, one_of, tally, tenant_fk, tenant_index, tenant_table
from dispatch.db.types import Id, Instant, Json
from dispatch.domain.sla import Clock, Outcome, Step

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

clocks = tenant_table(
    "clocks",
    # One row per started clock; another owner or another start is another row (nth).
    Column("order_id", Id, nullable=False),
    code_column("clock", Clock),
    # The order, the dispatch or the take that is timed.
    Column("subject_id", Id, nullable=False),
    tally("nth", 1),
    tally("round", 1),
    Column("owner_kind", String(16), nullable=False),
    Column("owner_id", Id),
    # From when the time counts, and from when this owner answers for it.
    Column("since", Instant, nullable=False),
    Column("started_at", Instant, nullable=False),
    # domain.catalog.Limit in its wire form; none if nothing limits the stage.
    Column("limit", Json),
    Column("due_at", Instant),
    Column("provisional", Boolean, nullable=False, default=False),
    # The due was set as an instant (an extension, a deliberation, an expiry), not by the limit.
    Column("dated", Boolean, nullable=False, default=False),
    Column("deadline_no", Integer, nullable=False),
    # [{from, to, reason}] as the log has them: what the due and the verdict rest on.
    Column("pauses", Json, nullable=False),
    Column("paused_at", Instant),
    Column("stopped_at", Instant),
    code_column("outcome", Outcome, nullable=True),
    Column("reason", String(24)),
    # By what it is judged: kept with the verdict, and enough to measure again. ``policy``: source@version.
    Column("item_code", String(16), nullable=False),
    Column("urgency", String(2), nullable=False),
    Column("place_id", Id, nullable=False),
    Column("appointment", Instant),
    Column("policy", String(64), nullable=False),
    Column("calendar", Integer, nullable=False),
    one_of("outcome", Outcome),
    tenant_fk("order_id", "orders"),
    key=("order_id", "clock", "subject_id", "nth"),
)
Index(
    "ix_clocks_due",
    clocks.c.tenant_id,
    clocks.c.due_at,
    postgresql_where=clocks.c.stopped_at.is_(None),
    sqlite_where=clocks.c.stopped_at.is_(None),
)

timers = tenant_table(
    "timers",
    # One row per step of a deadline: it fires once, and never again under the same deadline_no.
    Column("order_id", Id, nullable=False),
    code_column("clock", Clock),
    Column("subject_id", Id, nullable=False),
    code_column("level", Step),
    Column("deadline_no", Integer, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("fired_at", Instant),
    # Life safety is told at night too.
    Column("loud", Boolean, nullable=False, default=False),
    key=("order_id", "clock", "subject_id", "level", "deadline_no"),
)
Index(
    "ix_timers_due",
    timers.c.tenant_id,
    timers.c.due_at,
    postgresql_where=timers.c.fired_at.is_(None),
    sqlite_where=timers.c.fired_at.is_(None),
)

deadline_changes = tenant_table(
    "deadline_changes",
    # Every deadline that moved, with what it was.
    Column("order_id", Id, nullable=False),
    code_column("clock", Clock),
    Column("subject_id", Id, nullable=False),
    Column("deadline_no", Integer, nullable=False),
    Column("old_due_at", Instant),
    Column("new_due_at", Instant),
    # The move or request that moved it, or ``recompute``.
    Column("cause", String(24), nullable=False),
    Column("changed_at", Instant, nullable=False),
    tenant_fk("order_id", "orders"),
    tenant_index("ix_deadline_changes_at", "changed_at"),
    key=("order_id", "clock", "subject_id", "deadline_no"),
)
