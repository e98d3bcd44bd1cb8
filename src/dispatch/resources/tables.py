"""Listings and the claims on them."""

from sqlalchemy import CheckConstraint, Column, Date, Integer, String, Text

from dispatch.db.base import code_column, one_of, tenant_fk, tenant_index, tenant_table
from dispatch.db.types import Id, Instant, Json
from dispatch.domain.listings import ClaimState, ListingKind, ListingState, Side

listings = tenant_table(
    "listings",
    Column("id", Id, nullable=False),
    code_column("side", Side),
    code_column("kind", ListingKind),
    Column("title", String(64), nullable=False),
    Column("text", Text, nullable=False),
    # Who published it: a body, or without one the community, street or district at the place.
    Column("body_id", Id),
    Column("place_id", Id, nullable=False),
    # Within which place it may be seen and claimed.
    Column("ring_id", Id, nullable=False),
    # Where it is, in words; for how many people; on what terms.
    Column("spot", String(200)),
    Column("seats", Integer),
    Column("terms", Text),
    # How much there is, of what measure, and how much claims hold of it.
    Column("quantity", Integer),
    Column("measure", String(16)),
    Column("held", Integer, nullable=False, default=0, server_default="0"),
    # A venue's opening hours: [{weekday 1..7, from "HH:MM", to "HH:MM"}] in the tenant's zone; null: all day.
    Column("opening_hours", Json),
    Column("starts_on", Date),
    Column("ends_on", Date),
    # The order that a demand comes from.
    Column("order_id", Id),
    code_column("state", ListingState, server_default="published"),
    # Grows with every act on the listing or on a claim of it: the lock under which claims are judged.
    Column("version", Integer, nullable=False, default=1, server_default="1"),
    Column("published_by", Id, nullable=False),
    Column("published_at", Instant, nullable=False),
    Column("withdrawn_at", Instant),
    one_of("side", Side),
    one_of("kind", ListingKind),
    one_of("state", ListingState),
    CheckConstraint("held >= 0 AND (quantity IS NULL OR held <= quantity)", name="held"),
    tenant_fk("body_id", "bodies"),
    tenant_fk("place_id", "places"),
    tenant_fk("ring_id", "places"),
    tenant_fk("order_id", "orders"),
    tenant_fk("published_by", "accounts"),
    tenant_index("ix_listings_ring", "ring_id", "side", "state", "published_at", "id"),
    tenant_index("ix_listings_body", "body_id", "published_at", "id"),
    tenant_index("ix_listings_place", "place_id", "published_at", "id"),
)

claims = tenant_table(
    "claims",
    Column("id", Id, nullable=False),
    Column("listing_id", Id, nullable=False),
    # Who claims: a body, or without one the community, street or district at the place.
    Column("body_id", Id),
    Column("place_id", Id, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    # The time a venue is booked for, [starts_at, ends_at).
    Column("starts_at", Instant),
    Column("ends_at", Instant),
    code_column("state", ClaimState),
    # Why it was declined or cancelled; how it went.
    Column("reason", Text),
    Column("note", Text),
    Column("claimed_by", Id, nullable=False),
    Column("claimed_at", Instant, nullable=False),
    Column("moved_by", Id, nullable=False),
    Column("moved_at", Instant, nullable=False),
    one_of("state", ClaimState),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("starts_at < ends_at", name="time"),
    tenant_fk("listing_id", "listings"),
    tenant_fk("body_id", "bodies"),
    tenant_fk("place_id", "places"),
    tenant_fk("claimed_by", "accounts"),
    tenant_fk("moved_by", "accounts"),
    tenant_index("ix_claims_listing", "listing_id", "state", "ends_at"),
    tenant_index("ix_claims_body", "body_id", "claimed_at", "id"),
    tenant_index("ix_claims_place", "place_id", "claimed_at", "id"),
)
