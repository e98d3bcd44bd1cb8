"""Tallies of reveals, policies, consents, what was asked of one's data, and what went to others."""

from sqlalchemy import Column, Integer, String

from dispatch.db.base import tenant_fk, tenant_table
from dispatch.db.types import Id

reveal_tallies = tenant_table(
    "reveal_tallies",
    # How often an account had contact data shown in an hour ("2026112409", UTC) or on a day ("20261124").
    Column("account_id", Id, nullable=False),
    Column("span", String(10), nullable=False),
    Column("shown", Integer, nullable=False),
    tenant_fk("account_id", "accounts"),
    key=("account_id", "span"),
)
