"""What a taker has in hand and behind, and by which rules it is judged: brought along by the statement that reads the order."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.db.dialect import folded
from dispatch.dispatching.tables import taking_rules
from dispatch.domain.life import Party
from dispatch.domain.order import TakeState
from dispatch.domain.taking import LATELY, GivenBack, Held, Load
from dispatch.domain.taking import Rows as RuleRows
from dispatch.orders.tables import give_backs, orders, take_people, takers, takes
from dispatch.people.queries import PEOPLE

RULES = tuple(column for column in taking_rules.c if column.key not in ("tenant_id", "version", "updated_at"))

MOST_REMEMBERED = 50
"""Given-back takes that are looked at: more than any limit lets one give back in the time that counts."""


def rules_column(tenant_id: int) -> ColumnElement[Any]:
    """Every rule that the tenant has set about taking."""
    return folded(select(*RULES).where(taking_rules.c.tenant_id == tenant_id))


def read_rules(lines: list[dict[str, Any]]) -> RuleRows:
    """Read ``rules_column``: the rules by item code."""
    return {
        line["item_code"]: {name: value for name, value in line.items() if name != "item_code"}
        for line in lines
    }


def load_columns(tenant_id: int, party: Party, *, at: datetime) -> dict[str, ColumnElement[Any]]:
    """Columns that tell a taker's load and the rules, and how many takes it ever made."""
    kind, taker_id = str(party[0]), party[1]
    counter = select(takers.c.takes_made).where(
        takers.c.tenant_id == tenant_id, takers.c.kind == kind, takers.c.taker_id == taker_id
    )
    own = and_(takes.c.tenant_id == tenant_id, takes.c.kind == kind, takes.c.taker_id == taker_id)
    lately = select(func.count()).select_from(takes).where(own, takes.c.taken_at > at - LATELY)
    back = (
        select(give_backs.c.order_id, give_backs.c.state, give_backs.c.at)
        .where(
            give_backs.c.tenant_id == tenant_id,
            give_backs.c.kind == kind,
            give_backs.c.taker_id == taker_id,
        )
        .order_by(give_backs.c.at.desc())
        .limit(MOST_REMEMBERED)
    )
    columns: dict[str, ColumnElement[Any]] = {
        "taking_rules": rules_column(tenant_id),
        "takes_made": func.coalesce(counter.scalar_subquery(), literal(0)),
        "load_held": folded(_in_hand(own)),
        "load_lately": lately.scalar_subquery(),
        "load_back": folded(back),
    }
    if kind in PEOPLE:
        columns["load_staffed"] = folded(_staffed(tenant_id, party))
    return columns


_theirs = orders.alias("theirs")
_HAND = (_theirs.c.item_code, _theirs.c.wanted_from, _theirs.c.wanted_to)


def _in_hand(own: ColumnElement[bool]) -> Select[Any]:
    """Orders of which active takes fulfil a condition."""
    return (
        select(*_HAND)
        .select_from(
            takes.join(
                _theirs, and_(_theirs.c.tenant_id == takes.c.tenant_id, _theirs.c.id == takes.c.order_id)
            )
        )
        .where(own, takes.c.state == TakeState.ACTIVE)
    )


def _staffed(tenant_id: int, party: Party) -> Select[Any]:
    """Orders that a body put this person on."""
    put_on = select(take_people.c.take_id).where(
        take_people.c.tenant_id == tenant_id, take_people.c.account_id == party[1]
    )
    return _in_hand(
        and_(takes.c.tenant_id == tenant_id, takes.c.id.in_(put_on), takes.c.kind.notin_(sorted(PEOPLE)))
    )


def read_load(row: Any) -> Load:
    """Read ``load_columns``."""
    return Load(
        held=[Held(**line) for line in row.load_held],
        staffed=[Held(**line) for line in getattr(row, "load_staffed", ())],
        lately=row.load_lately,
        given_back=[GivenBack(**line) for line in row.load_back],
    )


async def load_now(db: AsyncConnection, tenant_id: int, party: Party, *, at: datetime) -> Any:
    """The same columns once more, under the lock of the taker's row: nobody else gives this taker a take."""
    columns = load_columns(tenant_id, party, at=at)
    return (await db.execute(select(*(column.label(name) for name, column in columns.items())))).one()
