"""The pool in another order for every viewer, so that not everybody reaches for the same head.

Orders lie on a ring, by the last digits of their ids, which are drawn at random. Every viewer begins at a place of his own
and goes round once: a row's place never moves, so that pages neither repeat nor skip one, whatever comes in between.
"""

from hashlib import blake2b
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, or_, tuple_

from dispatch.db.dialect import TAIL_DIGITS, tail
from dispatch.orders.tables import orders

Place = tuple[int, str, UUID]


def start(account_id: UUID) -> str:
    """Where a viewer begins."""
    return blake2b(account_id.bytes, digest_size=TAIL_DIGITS // 2).hexdigest()


def place(account_id: UUID, order_id: UUID) -> Place:
    """Where an order stands for a viewer."""
    digits = order_id.hex[-TAIL_DIGITS:]
    return (int(digits < start(account_id)), digits, order_id)


def columns(account_id: UUID) -> tuple[ColumnElement[Any], ...]:
    """The same place in SQL."""
    digits = tail(orders.c.id)
    lap = case((digits < start(account_id), 1), else_=0)
    return (lap.label("lap"), digits.label("digits"), orders.c.id)


def beyond(account_id: UUID, order_id: UUID) -> ColumnElement[bool]:
    """Whether an order stands after another one for a viewer."""
    lap, digits, id = place(account_id, order_id)
    own_lap, own_digits, own_id = columns(account_id)
    return or_(own_lap > lap, and_(own_lap == lap, tuple_(own_digits, own_id) > tuple_(digits, id)))
