"""Orders by the words in them."""

from sqlalchemy import ColumnElement, FromClause, and_, exists, select

from dispatch.db.bound import TENANT
from dispatch.domain.grams import Sought, sought
from dispatch.orders.tables import order_grams, orders
from dispatch.orders.whole import read_number

LAST = "\U0010ffff"


def found_by(q: str) -> ColumnElement[bool]:
    """What a search box asks of orders: the number of one, or the words of its text."""
    named = read_number(q)
    if named is not None:
        return and_(orders.c.day == named[0], orders.c.serial == named[1])
    return _worded(sought(q))


def _worded(asked: Sought) -> ColumnElement[bool]:
    """Whether an order has every word that is sought.

    One list of ids, made once however many branches of a list ask for it: the first gram's orders, each
    looked up under the others.
    """
    wanted = [(gram, False) for gram in asked.grams] + [(sign, True) for sign in asked.begins]
    if not wanted:
        return orders.c.id.in_(())  # not false(): the tenant's condition would vanish beside it (ADR 0053)
    first, *others = [
        (order_grams.alias(f"gram_{nth}"), gram, begins) for nth, (gram, begins) in enumerate(wanted)
    ]
    found = select(first[0].c.order_id).where(
        _has(*first),
        *(exists().where(_has(*other), other[0].c.order_id == first[0].c.order_id) for other in others),
    )
    return orders.c.id.in_(select(found.cte("found").c.order_id))


def _has(table: FromClause, gram: str, begins: bool) -> ColumnElement[bool]:
    same = and_(table.c.gram >= gram, table.c.gram < gram + LAST) if begins else table.c.gram == gram
    return and_(table.c.tenant_id == TENANT, same)
