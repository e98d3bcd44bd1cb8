"""The order and everything that hangs on it: one aggregate, several tables."""

from typing import Literal, get_args

from sqlalchemy import Boolean, Column, Date, Index, Integer, SmallInteger, String, Text

from dispatch.db.base import (
    code_column,
    derived_table,
    one_of,
    tally,
    tenant_fk,
    tenant_index,
    tenant_table,
    tenant_unique,
)
from dispatch.db.sealed import Hashed, Made, Sealed, SealedJson
from dispatch.db.types import Id, Instant, Json, sorted_by_code_point
from dispatch.domain.attachments import FileKind, FileState, Use
from dispatch.domain.grams import LONGEST
from dispatch.domain.household import address_key
from dispatch.domain.order import (
    Ask,
    AskState,
    Closing,
    DispatchState,
    Exit,
    Level,
    Mode,
    Move,
    State,
    TakerKind,
    TakeState,
    TargetState,
)
from dispatch.domain.people import Role

VIEWS = ("open", "reveal")
RECUSED = ("person", "unit", "team", "provider", "department")
CHANNELS = ("miniprogram", "grid", "phone", "counter", "console", "unit", "api")

orders = tenant_table(
    "orders",
    Column("id", Id, nullable=False),
    # The number is D<day>-<serial>; both parts are kept, the text is put together on the way out.
    Column("day", String(8), nullable=False),
    Column("serial", Integer, nullable=False),
    code_column("state", State),
    # Grows by one with every step; equals the newest step's seq.
    Column("version", Integer, nullable=False),
    # The newest step's hash: what the next one is chained to.
    Column("head", String(64)),
    tally("round", 1),
    Column("flags", Json, nullable=False, default=list, server_default="[]"),
    code_column("level", Level, nullable=True),
    code_column("left_state", State, nullable=True),
    Column("started", Boolean, nullable=False, default=False),
    Column("item_code", String(16), nullable=False),
    Column("urgency", String(2), nullable=False),
    Column("place_id", Id, nullable=False),
    # The special places stand beside the exact one: every view has its own index on them.
    Column("street_id", Id),
    Column("community_id", Id),
    Column("grid_id", Id),
    Column("address", Sealed("orders.address")),
    # Tells whether a helper lives behind the same door (domain.household).
    Column("address_key", Hashed("address_key", Made("address", "community_id", address_key))),
    Column("location", SealedJson("orders.location")),
    Column("text", Text, nullable=False),
    Column("answers", Json),
    # Written by the release before ``attachments``; a later one drops it.
    Column("attachment_ids", Json),
    code_column("channel", CHANNELS),
    Column("filer_id", Id, nullable=False),
    Column("filer_grant_id", Id, nullable=False),
    Column("filer_body_id", Id),
    Column("on_behalf", Boolean, nullable=False, default=False),
    Column("beneficiary_id", Id),
    Column("beneficiary_name", Sealed("orders.beneficiary_name")),
    Column("beneficiary_phone", Sealed("orders.beneficiary_phone")),
    Column("relation", String(32)),
    Column("consent", Json),
    Column("contact_phone", Sealed("orders.contact_phone")),
    Column("hide_name", Boolean, nullable=False, default=False),
    Column("wanted_from", Instant),
    Column("wanted_to", Instant),
    Column("parent_id", Id),
    Column("children_count", Integer, nullable=False, default=0, server_default="0"),
    tally("dispatches_made"),
    Column("lead_id", Id),
    Column("resolver_id", Id),
    Column("result", Text),
    code_column("closing", Closing, nullable=True),
    code_column("exit", Exit, nullable=True),
    Column("review_on", Date),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("done_at", Instant),
    Column("rested_at", Instant),
    # How far personal data has left it: 0 not, 1 contact data, 2 all of it (domain/keeping.py).
    tally("cleared"),
    # 1 if somebody is or was kept from it (order_recusals): looked up only then.
    tally("recused"),
    one_of("state", State),
    tenant_fk("place_id", "places"),
    tenant_fk("item_code", "items", "code"),
    tenant_fk("filer_id", "accounts"),
    tenant_fk("parent_id", "orders"),
    tenant_unique("day", "serial"),
    tenant_index("ix_orders_queue", "community_id", "state", "created_at", "id"),
    tenant_index("ix_orders_community", "community_id", "created_at", "id"),
    tenant_index("ix_orders_street", "street_id", "created_at", "id"),
    tenant_index("ix_orders_grid", "grid_id", "created_at", "id"),
    tenant_index("ix_orders_place", "place_id", "created_at", "id"),
    tenant_index("ix_orders_all", "created_at", "id"),
    tenant_index("ix_orders_updated", "updated_at", "id"),
    tenant_index("ix_orders_keeping", "cleared", "rested_at"),
    tenant_index("ix_orders_mine", "filer_id", "created_at", "id"),
    tenant_index("ix_orders_for_me", "beneficiary_id", "created_at", "id"),
    tenant_index("ix_orders_children", "parent_id", "created_at"),
)

Index(
    "ix_orders_waiting",
    orders.c.tenant_id,
    orders.c.urgency,
    orders.c.created_at,
    orders.c.id,
    postgresql_where=orders.c.state.in_(("accepted", "redo")),
    sqlite_where=orders.c.state.in_(("accepted", "redo")),
)

for _name, _whose in (("ix_orders_to_rate", "filer_id"), ("ix_orders_to_rate_for_me", "beneficiary_id")):
    Index(
        _name,
        orders.c.tenant_id,
        orders.c[_whose],
        postgresql_where=orders.c.state == State.DONE,
        sqlite_where=orders.c.state == State.DONE,
    )

order_steps = tenant_table(
    "order_steps",
    # Append-only. Who as which grant, when, from where to where; ids and codes, the words in ``text``.
    Column("order_id", Id, nullable=False),
    Column("seq", Integer, nullable=False),
    code_column("move", Move),
    code_column("state_from", State, nullable=True),
    code_column("state_to", State),
    Column("at", Instant, nullable=False),
    Column("account_id", Id),
    Column("grant_id", Id),
    code_column("role", Role),
    Column("text", Text),
    Column("detail", Json, nullable=False, default=dict, server_default="{}"),
    # Of the words, salted; text and salt go when somebody is forgotten, their hash stays (domain.chain).
    Column("salt", String(32)),
    Column("text_hash", String(64)),
    # Over the entry and the hash of the one before it; none in a log from before it was chained.
    Column("hash", String(64)),
    tenant_fk("order_id", "orders"),
    tenant_index("ix_order_steps_at", "at"),
    key=("order_id", "seq"),
)

order_grams = derived_table(
    "order_grams",
    # The words of the order's own text and of what was added to it (ADR 0028); no name, phone or address.
    Column("gram", sorted_by_code_point(LONGEST), nullable=False),
    Column("order_id", Id, nullable=False),
    key=("gram", "order_id"),
)

dispatches = tenant_table(
    "dispatches",
    Column("id", Id, nullable=False),
    Column("order_id", Id, nullable=False),
    Column("number", String(32), nullable=False),
    tally("round", 1),
    code_column("mode", Mode),
    code_column("state", DispatchState),
    # The audience of an open dispatch: kinds of takers within a place.
    # Kinds stand between blanks (" member team unit "), so that one LIKE finds one kind on any database.
    Column("kinds", String(64), nullable=False, default="", server_default=""),
    Column("ring_id", Id),
    tally("slots_min", 1),
    tally("slots_max", 1),
    # Active takes on the order while this dispatch is held; the guard of every take.
    tally("slots_taken"),
    tally("takes_made"),
    # Places kept for the first in line of the waiting list, how often the line changed, and how long one is kept.
    tally("slots_held"),
    tally("waiters"),
    Column("wait_seconds", Integer),
    Column("expires_at", Instant),
    Column("lasts_seconds", Integer),
    Column("extended", Boolean, nullable=False, default=False),
    Column("parallel", Boolean, nullable=False, default=False),
    Column("note", Text),
    Column("created_by", Id),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    one_of("state", DispatchState),
    tenant_fk("order_id", "orders"),
    tenant_unique("number"),
    tenant_index("ix_dispatches_order", "order_id", "created_at"),
)
Index(
    "ix_dispatches_pool",
    dispatches.c.tenant_id,
    dispatches.c.ring_id,
    dispatches.c.created_at,
    postgresql_where=dispatches.c.state == DispatchState.RUNNING,
    sqlite_where=dispatches.c.state == DispatchState.RUNNING,
)
Index(
    "uq_dispatches_held",
    dispatches.c.tenant_id,
    dispatches.c.order_id,
    unique=True,
    postgresql_where=dispatches.c.state.in_(("running", "filled")),
    sqlite_where=dispatches.c.state.in_(("running", "filled")),
)

dispatch_targets = tenant_table(
    "dispatch_targets",
    Column("dispatch_id", Id, nullable=False),
    code_column("kind", TakerKind),
    Column("target_id", Id, nullable=False),
    Column("seq", SmallInteger, nullable=False),
    code_column("state", TargetState),
    # {score, parts, reasons}: why matching named this one.
    Column("match", Json),
    # Until when a place that came free is kept for who waited.
    Column("until", Instant),
    one_of("state", TargetState),
    tenant_fk("dispatch_id", "dispatches"),
    tenant_index("ix_dispatch_targets_target", "kind", "target_id", "state"),
    key=("dispatch_id", "kind", "target_id"),
)

takers = tenant_table(
    "takers",
    # One row per taker, raised by every take: it makes one taker's takes wait for each other, and tells
    # the second that what it read of the taker's load no longer holds.
    code_column("kind", TakerKind),
    Column("taker_id", Id, nullable=False),
    Column("takes_made", Integer, nullable=False, default=0),
    key=("kind", "taker_id"),
)

takes = tenant_table(
    "takes",
    Column("id", Id, nullable=False),
    Column("order_id", Id, nullable=False),
    Column("dispatch_id", Id, nullable=False),
    tally("nth"),
    code_column("kind", TakerKind),
    Column("taker_id", Id, nullable=False),
    Column("account_id", Id, nullable=False),
    code_column("state", TakeState),
    tally("round", 1),
    Column("taken_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("reached_at", Instant),
    tally("failed_tries"),
    Column("last_try_at", Instant),
    # Until when it is kept without a sign of life; none once there was one.
    Column("lease_until", Instant),
    Column("minutes", SmallInteger),
    one_of("state", TakeState),
    tenant_fk("order_id", "orders"),
    tenant_fk("dispatch_id", "dispatches"),
    tenant_unique("dispatch_id", "kind", "taker_id"),
    tenant_index("ix_takes_order", "order_id", "taken_at"),
    tenant_index("ix_takes_taker", "kind", "taker_id", "state", "taken_at"),
)

take_people = tenant_table(
    "take_people",
    # Who works on an order under which take: a person is on an order once at most.
    Column("order_id", Id, nullable=False),
    Column("account_id", Id, nullable=False),
    Column("take_id", Id, nullable=False),
    tally("position"),
    tenant_fk("take_id", "takes"),
    tenant_index("ix_take_people_take", "take_id"),
    tenant_index("ix_take_people_account", "account_id", "order_id"),
    key=("order_id", "account_id"),
)

give_backs = tenant_table(
    "give_backs",
    # Takes that were given back or ended by time, each time: a take that is taken up again forgets it. Append-only.
    code_column("kind", TakerKind),
    Column("taker_id", Id, nullable=False),
    Column("at", Instant, nullable=False),
    Column("order_id", Id, nullable=False),
    code_column("state", TakeState),
    one_of("state", TakeState),
    tenant_fk("order_id", "orders"),
    key=("kind", "taker_id", "at", "order_id"),
)

HandoverState = Literal["asked", "accepted", "declined", "withdrawn"]
HANDOVER_STATES: tuple[str, ...] = get_args(HandoverState)

handovers = tenant_table(
    "handovers",
    # A taker asks another to take the place; that one consents or not.
    Column("id", Id, nullable=False),
    Column("order_id", Id, nullable=False),
    Column("take_id", Id, nullable=False),
    code_column("kind", TakerKind),
    Column("taker_id", Id, nullable=False),
    code_column("state", HANDOVER_STATES),
    Column("text", Text),
    Column("asked_by", Id, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("ended_at", Instant),
    one_of("state", HANDOVER_STATES),
    tenant_fk("order_id", "orders"),
    tenant_fk("take_id", "takes"),
    tenant_index("ix_handovers_taker", "kind", "taker_id", "asked_at", "id"),
    tenant_index("ix_handovers_asker", "asked_by", "asked_at", "id"),
)
Index(
    "uq_handovers_asked",
    handovers.c.tenant_id,
    handovers.c.take_id,
    unique=True,
    postgresql_where=handovers.c.state == "asked",
    sqlite_where=handovers.c.state == "asked",
)

order_bodies = tenant_table(
    "order_bodies",
    # Bodies that a deliberation called to an escalated order.
    Column("order_id", Id, nullable=False),
    code_column("kind", TakerKind),
    Column("body_id", Id, nullable=False),
    Column("called_at", Instant, nullable=False),
    tenant_fk("order_id", "orders"),
    tenant_index("ix_order_bodies_body", "kind", "body_id"),
    key=("order_id", "kind", "body_id"),
)

requests = tenant_table(
    "requests",
    Column("id", Id, nullable=False),
    Column("order_id", Id, nullable=False),
    code_column("kind", Ask),
    code_column("status", AskState),
    Column("reason_code", String(32), nullable=False),
    Column("text", Text),
    Column("until_at", Instant),
    Column("until_on", Date),
    # Of an extension: the lease of the asker's take. Without it, the order's finish deadline.
    code_column("clock", ("lease",), nullable=True),
    code_column("level", Level, nullable=True),
    # Who should have it instead, in the asker's view.
    Column("suggestion", Text),
    # As of orders.
    Column("attachment_ids", Json),
    Column("asked_by", Id, nullable=False),
    Column("asked_grant_id", Id),
    code_column("taker_kind", TakerKind, nullable=True),
    Column("taker_id", Id),
    Column("by_street", Boolean, nullable=False, default=False),
    Column("asked_at", Instant, nullable=False),
    Column("decided_by", Id),
    Column("decided_at", Instant),
    Column("decision", Text),
    one_of("status", AskState),
    tenant_fk("order_id", "orders"),
    tenant_index("ix_requests_order", "order_id", "asked_at"),
    tenant_index("ix_requests_status", "status", "asked_at", "id"),
)
Index(
    "uq_requests_pending",
    requests.c.tenant_id,
    requests.c.order_id,
    requests.c.kind,
    requests.c.asked_by,
    unique=True,
    postgresql_where=requests.c.status == "pending",
    sqlite_where=requests.c.status == "pending",
)

ratings = tenant_table(
    "ratings",
    # One verdict per order and round; an edit is a new revision, the old one stays.
    Column("order_id", Id, nullable=False),
    tally("round", 1),
    tally("revision", 1),
    Column("score", SmallInteger, nullable=False),
    Column("solved", Boolean, nullable=False),
    Column("contacted", Boolean, nullable=False),
    Column("tags", Json, nullable=False, default=list, server_default="[]"),
    Column("text", Text),
    # {channel, at, note}: the word of the beneficiary, keyed in by staff.
    Column("follow_up", Json),
    Column("rated_by", Id, nullable=False),
    Column("rated_as", Id),
    Column("rated_at", Instant, nullable=False),
    tenant_fk("order_id", "orders"),
    key=("order_id", "round", "revision"),
)

order_views = tenant_table(
    "order_views",
    # Who saw contact data: it stood open in an answer (once a day), or was asked for with a purpose. Append-only.
    Column("id", Id, nullable=False),
    Column("order_id", Id, nullable=False),
    Column("account_id", Id, nullable=False),
    Column("grant_id", Id),
    code_column("role", Role, nullable=True),
    code_column("kind", VIEWS),
    Column("purpose", String(200)),
    Column("fields", Json, nullable=False),
    # The second person, of a look by break-glass.
    Column("second_id", Id),
    code_column("second_role", Role, nullable=True),
    Column("at", Instant, nullable=False),
    one_of("kind", VIEWS),
    tenant_fk("order_id", "orders"),
    tenant_fk("account_id", "accounts"),
    tenant_fk("second_id", "accounts"),
    tenant_index("ix_order_views_order", "order_id", "at", "id"),
    tenant_index("ix_order_views_account", "account_id", "at"),
)

order_recusals = tenant_table(
    "order_recusals",
    # Who must not know of an order, because it complains of them: an account, or a body with all its people.
    Column("order_id", Id, nullable=False),
    Column("party_id", Id, nullable=False),
    code_column("kind", RECUSED),
    Column("by", Id, nullable=False),
    Column("at", Instant, nullable=False),
    one_of("kind", RECUSED),
    tenant_fk("order_id", "orders"),
    key=("order_id", "party_id"),
)

attachments = tenant_table(
    "attachments",
    # A file as it was announced, as it lies on the disk (dispatch.files), and what it was handed in with.
    Column("id", Id, nullable=False),
    # Made by the client: announcing the same file again finds it.
    Column("client_id", Id, nullable=False),
    Column("uploader_id", Id, nullable=False),
    code_column("kind", FileKind),
    code_column("state", FileState),
    Column("said_mime", String(32), nullable=False),
    Column("said_size", Integer, nullable=False),
    Column("said_sha256", String(64)),
    Column("mime", String(32)),
    Column("size", Integer),
    Column("sha256", String(64)),
    Column("preview_sha256", String(64)),
    Column("width", Integer),
    Column("height", Integer),
    # What it hangs on: an order, with which entry of its log or with which request; once.
    Column("order_id", Id),
    code_column("used_for", Use, nullable=True),
    Column("seq", Integer),
    Column("request_id", Id),
    Column("position", SmallInteger),
    # Kept for somebody whose take had ended (dispatching.drafts).
    Column("draft_id", Id),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant),
    one_of("state", FileState),
    tenant_fk("uploader_id", "accounts"),
    tenant_fk("order_id", "orders"),
    tenant_unique("uploader_id", "client_id"),
    tenant_index("ix_attachments_order", "order_id", "used_at"),
    tenant_index("ix_attachments_state", "state", "expires_at"),
    tenant_index("ix_attachments_used", "used_at"),
)

counters = tenant_table(
    "counters",
    # Human numbers: one row per tenant and day.
    Column("day", String(8), nullable=False),
    Column("value", Integer, nullable=False),
    key=("day",),
)
