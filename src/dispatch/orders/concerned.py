"""Whom an order concerns and who lives where, brought along by the statement that reads the order."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import or_

from dispatch.db.bound import TENANT, Brought, Columns
from dispatch.db.dialect import folded, listed
from dispatch.domain.conflict import Concerned, conflicts
from dispatch.orders.tables import orders
from dispatch.orders.whole import Whole
from dispatch.people.queries import homes
from dispatch.people.tables import accounts

Home = Mapping[str, Any]


_CONCERNED = or_(listed(accounts.c.id, "home_ids"), accounts.c.id == orders.c.beneficiary_id)
_HOMES = Columns(homes=folded(homes(TENANT, _CONCERNED), orders))


def homes_column(account_ids: Iterable[UUID]) -> Brought:
    """A column ``homes`` with the homes of these accounts and of the order's beneficiary."""
    return Brought(_HOMES, {"home_ids": list(account_ids)})


def concerned(whole: Whole, home: Home | None, kept: frozenset[UUID] = frozenset()) -> Concerned:
    """Whom the order concerns. ``home``: the beneficiary's; ``kept``: who is kept from it."""
    row, home = whole.row, home or {}
    return Concerned(
        beneficiary_id=row.beneficiary_id,
        kept=kept,
        households=whole.life.place | {id for id in (home.get("household_id"),) if id},
        address_keys=frozenset(key for key in (home.get("address_key"), row.address_key) if key),
    )


def conflict(whole: Whole, lines: Iterable[Home], account_id: UUID) -> str | None:
    """The gravest reason why a person may have nothing to do with the order; reads ``homes_column``."""
    known = {line["id"]: line for line in lines}
    own = known.get(account_id, {})
    found = conflicts(
        concerned(whole, known.get(whole.row.beneficiary_id)),
        account_id,
        own.get("household_id"),
        own.get("address_key"),
    )
    return found[0] if found else None
