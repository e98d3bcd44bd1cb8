"""The pool in another order for every viewer, so that not everybody reaches for the same head.

Orders lie on a ring, by the last digits of their ids, which are drawn at random. Every viewer begins at a place of his own
and goes round once: a row's place never moves, so that pages neither repeat nor skip one, whatever comes in between.
"""

from hashlib import blake2b
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, String, and_, bindparam, case, or_, tuple_

from dispatch.db.dialect import TAIL_DIGITS, tail
from dispatch.db.types import Id
from dispatch.orders.tables import orders

Place = tuple[int, str, UUID]


def start(account_id: UUID) -> str:
    """Where a viewer begins."""
    return blake2b(account_id.bytes, digest_size=TAIL_DIGITS // 2).hexdigest()


def place(account_id: UUID, order_id: UUID) -> Place:
    """Where an order stands for a viewer."""
    digits = order_id.hex[-TAIL_DIGITS:]
    return (int(digits < start(account_id)), digits, order_id)


def values(account_id: UUID, order_id: UUID | None) -> dict[str, Any]:
    """What is bound in ``COLUMNS``, and with an order in ``BEYOND``."""
    bound: dict[str, Any] = {"ring_start": start(account_id)}
    if order_id is not None:
        bound["ring_lap"], bound["ring_digits"], bound["ring_id"] = place(account_id, order_id)
    return bound


_AFTER = (
    bindparam("ring_lap", type_=Integer()),
    bindparam("ring_digits", type_=String()),
    bindparam("ring_id", type_=Id()),
)
_DIGITS = tail(orders.c.id)
_LAP = case((bindparam("ring_start", type_=String()) > _DIGITS, 1), else_=0)

COLUMNS: tuple[ColumnElement[Any], ...] = (_LAP.label("lap"), _DIGITS.label("digits"), orders.c.id)
"""A place on the ring in SQL."""

BEYOND: ColumnElement[bool] = or_(
    _AFTER[0] < _LAP, and_(_AFTER[0] == _LAP, tuple_(_DIGITS, orders.c.id) > tuple_(*_AFTER[1:]))
)
"""Whether an order stands after another one for a viewer."""
