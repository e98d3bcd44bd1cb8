"""How a body's work stands; what a taker has in hand and behind, and by which rules it is judged; which order comes next."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    false,
    func,
    literal,
    not_,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatch.catalog.tables import checkin_items, items
from dispatch.db.bound import ME, TENANT, Brought, Columns, made_once
from dispatch.db.dialect import folded, listed
from dispatch.db.idempotency import Key, looked_up
from dispatch.db.types import Id, Instant
from dispatch.dispatching.tables import matching_rules, taking_rules
from dispatch.domain.ability import Skill, unable
from dispatch.domain.catalog import ItemFlag
from dispatch.domain.life import Party
from dispatch.domain.matchrule import EVERY_ITEM, qualifications
from dispatch.domain.order import PEOPLE, DispatchState, Mode, TakerKind, TakeState
from dispatch.domain.people import BODY_ROLES, Actor
from dispatch.domain.refusal import BodyNotFound
from dispatch.domain.taking import LATELY, GivenBack, Held, Load, limit_reached, rule_for
from dispatch.domain.taking import Rows as RuleRows
from dispatch.orders import visibility
from dispatch.orders.listing import OVERDUE
from dispatch.orders.tables import dispatches, give_backs, orders, take_people, takers, takes
from dispatch.orders.visibility import visible_to
from dispatch.people import queries as people
from dispatch.people.queries import PROOF, proven
from dispatch.people.serving import serving
from dispatch.people.shapes import Shape, shape_of, values
from dispatch.people.tables import body_people, members


@dataclass(frozen=True, slots=True)
class Tally:
    """How many orders: in hand, done, and of those in hand overdue."""

    open: int = 0
    done: int = 0
    overdue: int = 0


@dataclass(frozen=True, slots=True)
class Work:
    """What a body serves: all of it, what nobody was put on, and by person (id, name, tally)."""

    total: Tally
    unassigned: Tally
    members: tuple[tuple[UUID, str, Tally], ...]


async def work(db: AsyncConnection, actor: Actor, body_id: UUID, *, at: datetime) -> Work:
    """How the orders that a body has taken stand, in all and by the people it put on them.

    Its people are told by name, in the order of names: no ranking (国办函〔2026〕12号).

    Raises:
        BodyNotFound: unknown, or none that the actor acts for.
    """
    grant = next((g for g in actor.grants if g.body_id == body_id and g.role in BODY_ROLES), None)
    if grant is None:
        raise BodyNotFound()
    served = _served(shape_of(actor), BODY_ROLES[grant.role], body_id)
    bound = values(actor) | {"at": at}
    total = (await db.execute(select(*_tallied(served)), bound)).one()
    rows = (await db.execute(_by_person(actor.tenant.id, served), bound)).all()
    tallies = {row.account_id: Tally(row.open, row.done, row.overdue) for row in rows}
    unassigned = tallies.pop(None, Tally())
    everybody = tallies.keys() | await _people_of(db, actor.tenant.id, body_id)
    return Work(
        Tally(total.open, total.done, total.overdue), unassigned, await _named(db, actor, everybody, tallies)
    )


def _served(shape: Shape, kind: str, body_id: UUID) -> Any:
    """The body's takes: order, take, whether active, whether late."""
    mine = takes.alias("mine")  # the ways to see an order look at takes themselves
    active = mine.c.state == TakeState.ACTIVE
    return (
        visible_to(
            shape,
            orders.c.id.label("order_id"),
            mine.c.id.label("take_id"),
            case((active, 1), else_=0).label("active"),
            case((and_(active, OVERDUE), 1), else_=0).label("late"),
        )
        .join(mine, and_(mine.c.tenant_id == orders.c.tenant_id, mine.c.order_id == orders.c.id))
        .where(
            mine.c.kind == TakerKind(kind),
            mine.c.taker_id == body_id,
            mine.c.state.in_((TakeState.ACTIVE, TakeState.DONE)),
        )
        .subquery()
    )


def _tallied(served: Any) -> list[Any]:
    """An order counts once, however many rounds the body served in it."""
    return [
        func.count(case((served.c.active == 1, served.c.order_id)).distinct()).label("open"),
        func.count(case((served.c.active == 0, served.c.order_id)).distinct()).label("done"),
        func.count(case((served.c.late == 1, served.c.order_id)).distinct()).label("overdue"),
    ]


def _by_person(tenant_id: int, served: Any) -> Any:
    put = and_(take_people.c.tenant_id == tenant_id, take_people.c.take_id == served.c.take_id)
    return (
        select(take_people.c.account_id, *_tallied(served))
        .select_from(served.outerjoin(take_people, put))
        .group_by(take_people.c.account_id)
    )


async def _people_of(db: AsyncConnection, tenant_id: int, body_id: UUID) -> set[UUID]:
    rows = select(body_people.c.account_id).where(
        body_people.c.tenant_id == tenant_id, body_people.c.body_id == body_id
    )
    return set((await db.execute(rows)).scalars())


async def _named(
    db: AsyncConnection, actor: Actor, everybody: Collection[UUID], tallies: dict[UUID, Tally]
) -> tuple[tuple[UUID, str, Tally], ...]:
    names = await people.names(db, actor.tenant.id, [("member", id) for id in everybody])
    told = sorted((name, id) for (_, id), name in names.items())
    return tuple((id, name, tallies.get(id, Tally())) for name, id in told)


# --- what a taker has in hand ----------------------------------------------------------------

RULES = tuple(column for column in taking_rules.c if column.key not in ("tenant_id", "version", "updated_at"))

MOST_REMEMBERED = 50
"""Given-back takes that are looked at: more than any limit lets one give back in the time that counts."""


def rules_column(tenant_id: Any) -> ColumnElement[Any]:
    """Every rule that the tenant has set about taking."""
    return folded(select(*RULES).where(taking_rules.c.tenant_id == tenant_id))


def read_rules(lines: list[dict[str, Any]]) -> RuleRows:
    """Read ``rules_column``: the rules by item code."""
    return {
        line["item_code"]: {name: value for name, value in line.items() if name != "item_code"}
        for line in lines
    }


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


def _staffed() -> Select[Any]:
    """Orders that a body put this person on."""
    put_on = select(take_people.c.take_id).where(
        take_people.c.tenant_id == TENANT, take_people.c.account_id == bindparam("taker_id", type_=Id())
    )
    for_a_body = takes.c.kind.notin_(PEOPLE)
    return _in_hand(and_(takes.c.tenant_id == TENANT, takes.c.id.in_(put_on), for_a_body))


def load_columns(party: Party, *, at: datetime) -> Brought:
    """Columns that tell a taker's load and the rules, and how many takes it ever made."""
    bound = {"taker_kind": str(party[0]), "taker_id": party[1], "lately_since": at - LATELY}
    if party[0] is TakerKind.MEMBER:
        return Brought(_LOAD_OF_A_MEMBER, bound)
    return Brought(_LOAD_OF_A_PERSON if party[0] in PEOPLE else _LOAD_OF_A_BODY, bound)


def _of_taker(table: Table) -> ColumnElement[bool]:
    kind = table.c.kind == bindparam("taker_kind", type_=String())
    return and_(table.c.tenant_id == TENANT, kind, table.c.taker_id == bindparam("taker_id", type_=Id()))


def _load(**more: ColumnElement[Any]) -> Columns:
    counter = select(takers.c.takes_made).where(_of_taker(takers))
    lately = select(func.count()).select_from(takes).where(_of_taker(takes))
    lately = lately.where(takes.c.taken_at > bindparam("lately_since", type_=Instant()))
    back = (
        select(give_backs.c.order_id, give_backs.c.state, give_backs.c.at)
        .where(_of_taker(give_backs))
        .order_by(give_backs.c.at.desc())
        .limit(MOST_REMEMBERED)
    )
    return Columns(
        taking_rules=rules_column(TENANT),
        takes_made=func.coalesce(counter.scalar_subquery(), literal(0)),
        load_held=folded(_in_hand(_of_taker(takes))),
        load_lately=lately.scalar_subquery(),
        load_back=folded(back),
        **more,
    )


def _ability() -> dict[str, ColumnElement[Any]]:
    """What a member told on checking in, and which qualifications the tenant demands."""
    mine = members.c.account_id == bindparam("taker_id", type_=Id())
    told = select(members.c.skills, members.c.born_on, members.c.guardian_consent_on).where(
        members.c.tenant_id == TENANT, mine
    )
    demanded = select(matching_rules.c.item_code, matching_rules.c.qualifications).where(
        matching_rules.c.tenant_id == TENANT
    )
    return {"told": folded(told), "demanded": folded(demanded)}


_LOAD_OF_A_BODY = _load()
_LOAD_OF_A_PERSON = _load(load_staffed=folded(_staffed()))
_LOAD_OF_A_MEMBER = _load(load_staffed=folded(_staffed()), **_ability())


def read_load(row: Any) -> Load:
    """Read ``load_columns``."""
    return Load(
        held=[Held(**line) for line in row.load_held],
        staffed=[Held(**line) for line in getattr(row, "load_staffed", ())],
        lately=row.load_lately,
        given_back=[GivenBack(**line) for line in row.load_back],
    )


def unable_for(row: Any, item_code: str, flags: Collection[str], on: date) -> str | None:
    """The gravest reason why a member may not do an item with these flags on a day; reads ``load_columns``.

    Whoever never checked in told nothing: that stands against no item that demands nothing.
    """
    demanded = {line["item_code"]: line["qualifications"] for line in row.demanded}
    told: dict[str, Any] = row.told[0] if row.told else {}
    skills = [
        Skill(line["code"], line["name"], _day(line.get("expires_on"))) for line in told.get("skills", ())
    ]
    wanted = qualifications(item_code, demanded) if ItemFlag.QUALIFICATION in flags else None
    minors, consents = ItemFlag.MINORS in flags, _day(told.get("guardian_consent_on"))
    return next(iter(unable(wanted, minors, skills, _day(told.get("born_on")), consents, on)), None)


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


async def load_now(db: AsyncConnection, actor: Actor, party: Party, *, at: datetime) -> Any:
    """The same columns once more, and whether the taker still serves, under the lock of the taker's row: nobody else gives
    this taker a take."""
    told = [load_columns(party, at=at), serving(actor)]
    bound = {"tenant_id": actor.tenant.id, "me": actor.account_id}
    for brought in told:
        bound |= brought.values
    return (await db.execute(_alone(tuple(brought.columns for brought in told)), bound)).one()


@made_once
def _alone(columns: tuple[Columns, ...]) -> Select[Any]:
    return select(*(column for some in columns for column in some.labelled))


# --- the next order for a taker -------------------------------------------------------------


_OFFERED = Columns(
    offers=select(members.c["items"])
    .where(members.c.tenant_id == TENANT, members.c.account_id == ME)
    .scalar_subquery(),
    answered=folded(
        select(checkin_items.c.code, checkin_items.c.item_codes).where(checkin_items.c.tenant_id == TENANT)
    ),
    demanding=folded(
        select(items.c.code, items.c.flags).where(
            items.c.tenant_id == TENANT,
            or_(
                *(
                    cast(items.c.flags, Text).contains(f'"{flag}"')
                    for flag in (ItemFlag.QUALIFICATION, ItemFlag.MINORS)
                )
            ),
        )
    ),
    proof=PROOF.element,
)


async def before_next(
    db: AsyncConnection, actor: Actor, party: Party, key: Key | None, *, at: datetime
) -> Any:
    """What is to be known before an order is looked for: the load, the rules, what the member offers, and what the key
    led to before (``kept``). It proves the actor's grants."""
    told = [load_columns(party, at=at), Brought(_OFFERED), *looked_up(key)]
    bound = values(actor)
    for brought in told:
        bound |= brought.values
    row = (await db.execute(_alone(tuple(brought.columns for brought in told)), bound)).one()
    proven(actor, row.proof)
    return row


def offered_items(row: Any) -> set[str]:
    """The items that a member chose on checking in; reads ``before_next``."""
    offers = set(row.offers or ())
    return {item for line in row.answered if line["code"] in offers for item in line["item_codes"]}


_running = dispatches.alias("running")


async def next_open(
    db: AsyncConnection,
    actor: Actor,
    party: Party,
    known: Any,
    *,
    item_code: str | None,
    place_id: UUID | None,
    passed: Collection[UUID],
    wait: bool,
    at: datetime,
) -> UUID | None:
    """The best order that is open to a taker, its dispatch locked until the transaction ends.

    What the member chose on checking in comes first, then what is urgent, then what has waited longest. What
    somebody else is taking at this moment is passed by; with ``wait`` it is waited for (SQLite's writers take turns).

    Args:
        known: see ``before_next``.
        passed: orders that something stood against.
    """
    rules, load = read_rules(known.taking_rules), read_load(known)
    wanted = _next_open(shape_of(actor), wait, bool(item_code), bool(place_id))
    today = at.astimezone(actor.tenant.zone).date()
    against = [*_not_theirs_yet(rules, load, at), *_not_full(rules, load, party)]
    if against := [*against, *_not_beyond(known, party, today)]:
        wanted = wanted.where(*against)
    bound = values(actor) | {
        "at": at,
        "offered": sorted(offered_items(known)),
        "passed": sorted(passed),
        "wanted_item": item_code,
        "wanted_place": place_id,
    }
    found: UUID | None = await db.scalar(wanted, bound)
    return found


@made_once
def _next_open(shape: Shape, wait: bool, of_item: bool, at_place: bool) -> Select[Any]:
    fit = case((listed(orders.c.item_code, "offered"), 0), else_=1)
    wanted = (
        select(_running.c.order_id)
        .join(orders, and_(orders.c.tenant_id == _running.c.tenant_id, orders.c.id == _running.c.order_id))
        .where(
            _running.c.tenant_id == TENANT,
            _running.c.state == DispatchState.RUNNING,
            _running.c.mode == Mode.OPEN,
            orders.c.tenant_id == TENANT,
            not_(listed(orders.c.id, "passed")),
            or_(false(), *visibility.pool(shape, now=True)),
        )
        .order_by(fit, orders.c.urgency, _running.c.created_at, orders.c.id)
        .limit(1)
        .with_for_update(of=_running, skip_locked=not wait)
    )
    if of_item:
        wanted = wanted.where(orders.c.item_code == bindparam("wanted_item", type_=orders.c.item_code.type))
    if at_place:
        wanted = wanted.where(visibility.within(bindparam("wanted_place", type_=Id())))
    return wanted


def _not_theirs_yet(rules: RuleRows, load: Load, at: datetime) -> list[ColumnElement[bool]]:
    """Not so fresh that it is still for those who took less lately (``domain.taking.fair_until``)."""
    own = sorted(code for code in rules if code != EVERY_ITEM)
    found: list[ColumnElement[bool]] = []
    for code in (EVERY_ITEM, *own):
        rule = rule_for(code, rules)
        if rule.fair_seconds and load.lately >= rule.fair_takes:
            others = orders.c.item_code.in_(own) if code == EVERY_ITEM else orders.c.item_code != code
            ripe = _running.c.created_at <= at - timedelta(seconds=rule.fair_seconds)
            found.append(or_(others, ripe))
    return found


def _not_full(rules: RuleRows, load: Load, party: Party) -> list[ColumnElement[bool]]:
    """Not of an item of which this taker holds as many as may be held."""
    full = [code for code in rules if code != EVERY_ITEM and limit_reached(party[0], code, rules, load.held)]
    return [orders.c.item_code.notin_(full)] if full else []


def _not_beyond(known: Any, party: Party, on: date) -> list[ColumnElement[bool]]:
    """Not of an item that demands what this member has not."""
    if party[0] is not TakerKind.MEMBER:
        return []
    beyond = [line["code"] for line in known.demanding if unable_for(known, line["code"], line["flags"], on)]
    return [orders.c.item_code.notin_(beyond)] if beyond else []
