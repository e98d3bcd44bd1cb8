"""An order with everything that hangs on it: how it is read in one statement and what it means."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, false, func, select, true

from dispatch.catalog.tables import items
from dispatch.db.bound import TENANT
from dispatch.db.dialect import folded, listed
from dispatch.domain.attachments import FileState
from dispatch.domain.life import Asked, Dispatch, Life, Take, Target, Verdict
from dispatch.domain.moved import Moved
from dispatch.domain.order import (
    HELD,
    Ask,
    AskState,
    DispatchState,
    Level,
    Mode,
    State,
    TakerKind,
    TakeState,
    TargetState,
)
from dispatch.domain.people import Role
from dispatch.domain.running import Run
from dispatch.orders.tables import (
    attachments,
    dispatch_targets,
    dispatches,
    order_bodies,
    orders,
    ratings,
    requests,
    take_people,
    takes,
)
from dispatch.people.tables import accounts, bodies, grants, members
from dispatch.places.queries import ids_of
from dispatch.places.tables import places
from dispatch.sla.queries import Terms, run_of
from dispatch.sla.tables import clocks

Line = Mapping[str, Any]
NEWEST = 20
"""How many of each list an answer shows."""
SHOWN_OF_FILES = (
    *("id", "uploader_id", "kind", "mime", "size", "width", "height"),
    *("used_for", "seq", "request_id", "used_at"),
)
"""What an order tells of the files that hang on it."""

_street, _community, _grid = places.alias("street"), places.alias("community"), places.alias("grid")
_parent = orders.alias("parent")


def _beside(table: Any, column: ColumnElement[Any]) -> ColumnElement[bool]:
    return and_(table.c.tenant_id == orders.c.tenant_id, table.c.id == column)


ROW: tuple[ColumnElement[Any], ...] = (
    *orders.c,
    items.c.name.label("item_name"),
    items.c.flags.label("item_flags"),
    places.c.name.label("place_name"),
    places.c.path.label("place_path"),
    _street.c.name.label("street_name"),
    _community.c.name.label("community_name"),
    _grid.c.name.label("grid_name"),
    accounts.c.name.label("filer_name"),
    select(grants.c.role)
    .where(_beside(grants, orders.c.filer_grant_id))
    .correlate(orders)
    .scalar_subquery()
    .label("filed_as"),
    _parent.c.state.label("parent_state"),
    _parent.c.day.label("parent_day"),
    _parent.c.serial.label("parent_serial"),
    _parent.c.round.label("parent_round"),
    _parent.c.done_at.label("parent_done_at"),
    _parent.c.rested_at.label("parent_rested_at"),
)
"""The order's row, with the names that stand beside its ids."""

SOURCE = (
    orders.join(items, and_(items.c.tenant_id == orders.c.tenant_id, items.c.code == orders.c.item_code))
    .join(places, _beside(places, orders.c.place_id))
    .join(accounts, _beside(accounts, orders.c.filer_id))
    .outerjoin(_street, _beside(_street, orders.c.street_id))
    .outerjoin(_community, _beside(_community, orders.c.community_id))
    .outerjoin(_grid, _beside(_grid, orders.c.grid_id))
    .outerjoin(_parent, _beside(_parent, orders.c.parent_id))
)


_person, _body = accounts.alias("person"), bodies.alias("body")


def _named(table: Any, id: Any) -> tuple[Any, list[ColumnElement[Any]]]:
    """Join the name of a party: an account's or a body's, one of them null."""
    person, body = _person, _body
    source = table.outerjoin(
        person, and_(person.c.tenant_id == table.c.tenant_id, person.c.id == id)
    ).outerjoin(body, and_(body.c.tenant_id == table.c.tenant_id, body.c.id == id))
    return source, [body.c.name.label("body_name"), person.c.name.label("person_name")]


_SERVES = case(
    (dispatch_targets.c.kind == TakerKind.MEMBER, func.coalesce(members.c.state == "active", true())),
    (_body.c.retired_at.is_not(None), false()),
    else_=true(),
)
"""Whether a target serves: no member who left or pauses, no body out of service; who never checked in does."""


def hanging(these: Any, tenant_id: Any, *, listed: bool = False) -> list[ColumnElement[Any]]:
    """What hangs on orders, each kind of row folded into one column.

    Args:
        these: from a column of order ids to the condition that picks the orders.
        tenant_id: the tenant, a value or a column.
        listed: for a list, which shows of the clocks only those that have not stopped.
    """

    def fold(rows: Select[Any]) -> ColumnElement[Any]:
        return folded(rows, orders)

    def of(table: Any) -> Select[Any]:
        return select().where(table.c.tenant_id == tenant_id, these(table.c.order_id))

    source, taker_name = _named(takes, takes.c.taker_id)
    targets_source, target_name = _named(dispatch_targets, dispatch_targets.c.target_id)
    there = and_(
        members.c.tenant_id == dispatch_targets.c.tenant_id,
        members.c.account_id == dispatch_targets.c.target_id,
    )
    asker, put = accounts.alias("asker"), accounts.alias("put")
    return [
        fold(
            of(dispatches)
            .add_columns(*_but_tenant(dispatches))
            .order_by(dispatches.c.created_at, dispatches.c.id)
        ).label("dispatches"),
        fold(
            select(dispatch_targets.c.dispatch_id, dispatch_targets.c.kind, dispatch_targets.c.target_id)
            .add_columns(dispatch_targets.c.seq, dispatch_targets.c.state, dispatch_targets.c.match)
            .add_columns(dispatch_targets.c.until, _SERVES.label("serves"))
            .add_columns(dispatches.c.order_id, *target_name)
            .select_from(
                targets_source.outerjoin(members, there).join(
                    dispatches,
                    and_(
                        dispatches.c.tenant_id == dispatch_targets.c.tenant_id,
                        dispatches.c.id == dispatch_targets.c.dispatch_id,
                    ),
                )
            )
            .where(dispatch_targets.c.tenant_id == tenant_id, these(dispatches.c.order_id))
            .order_by(dispatch_targets.c.seq)
        ).label("targets"),
        fold(
            of(takes)
            .add_columns(*_but_tenant(takes), *taker_name)
            .select_from(source)
            .order_by(takes.c.taken_at, takes.c.nth, takes.c.id)
        ).label("takes"),
        fold(
            of(take_people)
            .add_columns(take_people.c.order_id, take_people.c.take_id, take_people.c.account_id)
            .add_columns(put.c.name)
            .select_from(
                take_people.join(
                    put,
                    and_(put.c.tenant_id == take_people.c.tenant_id, put.c.id == take_people.c.account_id),
                )
            )
            .order_by(take_people.c.position)
        ).label("people"),
        fold(
            of(requests)
            .add_columns(*_but_tenant(requests), asker.c.name.label("asker_name"))
            .select_from(
                requests.join(
                    asker, and_(asker.c.tenant_id == requests.c.tenant_id, asker.c.id == requests.c.asked_by)
                )
            )
            .order_by(requests.c.asked_at, requests.c.id)
        ).label("requests"),
        fold(
            of(ratings).add_columns(*_but_tenant(ratings)).order_by(ratings.c.round, ratings.c.revision)
        ).label("ratings"),
        fold(
            of(order_bodies).add_columns(order_bodies.c.order_id, order_bodies.c.kind, order_bodies.c.body_id)
        ).label("called"),
        fold(
            of(clocks)
            .add_columns(*_but_tenant(clocks))
            .where(clocks.c.stopped_at.is_(None) if listed else true())
            .order_by(clocks.c.started_at, clocks.c.clock, clocks.c.subject_id, clocks.c.nth)
        ).label("clocks"),
    ]


def _but_tenant(table: Any) -> list[ColumnElement[Any]]:
    return [column for column in table.c if column.key != "tenant_id"]


_FILES = folded(
    select(*(attachments.c[name] for name in SHOWN_OF_FILES))
    .where(
        attachments.c.tenant_id == orders.c.tenant_id,
        attachments.c.order_id == orders.c.id,
        attachments.c.state == FileState.READY,
    )
    .order_by(attachments.c.used_at, func.coalesce(attachments.c.seq, 0), attachments.c.position),
    orders,
)

WHOLE: Select[Any] = select(
    *ROW,
    items.c.limits.label("item_limits"),
    items.c.urgency.label("item_urgency"),
    *hanging(lambda order_id: order_id == orders.c.id, orders.c.tenant_id),
    _FILES.label("files"),
).select_from(SOURCE)
"""Orders with all that hangs on each. Built once: putting such a statement together costs more than running it."""

HUNG: Select[Any] = select(
    *hanging(
        lambda order_id: listed(order_id, "order_ids"),
        TENANT,
        listed=True,
    )
)
"""What hangs on a page of orders. Parameters: tenant_id, order_ids."""

LISTS = ("dispatches", "targets", "takes", "people", "requests", "ratings", "called", "clocks")


@dataclass(slots=True)
class Whole:
    """An order's row and its lists, oldest first, and what they mean to the rulebook. Lists of orders tell no files."""

    row: Any
    lists: Mapping[str, list[Line]]
    life: Life = field(init=False)
    runs: tuple[Run, ...] = field(init=False)
    """Its clocks, in the order in which they started; of a list's orders only those that have not stopped."""

    def __post_init__(self) -> None:
        self.life = _life(self.row, self.lists)
        self.runs = tuple(run_of(line) for line in self.lists["clocks"])

    def not_before(self, at: datetime) -> datetime:
        """An instant, or the order's last one if that lies later: the clock of a host may be set back, a log never."""
        last: datetime = self.row.updated_at
        return max(at, last)

    @property
    def number(self) -> str:
        """The number people say: D20261122-000123."""
        return number(self.row.day, self.row.serial)

    @property
    def files(self) -> list[Line]:
        """What was handed in with its moves and requests, oldest first."""
        files: list[Line] = self.row.files
        return files

    @property
    def dispatches(self) -> list[Dispatch]:
        """Every dispatch that the order ever had, oldest first."""
        return [_dispatch(line, self.lists["targets"]) for line in self.lists["dispatches"]]

    @property
    def places(self) -> dict[Level, UUID | None]:
        """The places that answer for it, by level."""
        return {
            Level.COMMUNITY: self.row.community_id,
            Level.STREET: self.row.street_id,
            Level.DISTRICT: None,
        }

    @property
    def rating(self) -> Line | None:
        """The verdict that stands for the current round."""
        return next(reversed(_standing_ratings(self.row, self.lists["ratings"])), None)

    def revisions(self, round_: int) -> int:
        """How many verdicts were ever given under a round's number."""
        return sum(line["round"] == round_ for line in self.lists["ratings"])


def terms_of(whole: Whole, moves: Iterable[Moved] = ()) -> Terms:
    """By what its clocks are judged after moves that may have fixed another item or urgency, or begun a round."""
    row = whole.row
    limits, own = row.item_limits, row.item_urgency
    order: dict[str, Any] = {}
    for moved in moves:
        order |= dict(moved.order)
        if moved.item is not None:
            limits, own = moved.item["limits"], moved.item["urgency"]
    return Terms(
        item_code=order.get("item_code", row.item_code),
        limits=limits,
        own=own,
        urgency=order.get("urgency", row.urgency),
        round=order.get("round", row.round),
        places=ids_of(row.place_path),
        appointment=row.wanted_to or row.wanted_from,
    )


def number(day: str, serial: int) -> str:
    """An order's human number, unique per tenant and day."""
    return f"D{day}-{serial:06d}"


_NUMBER = re.compile(r"\s*D([0-9]{8})-([0-9]{1,9})\s*", re.ASCII | re.IGNORECASE)


def read_number(said: str) -> tuple[str, int] | None:
    """Day and serial of an order's human number; None if it is something else."""
    match = _NUMBER.fullmatch(said)
    return (match[1], int(match[2])) if match else None


def dispatch_number(day: str, serial: int, nth: int) -> str:
    """A dispatch's human number: its order's, and the how-manieth dispatch of it."""
    return f"P{day}-{serial:06d}-{nth}"


def wholes(rows: Iterable[Any], hung: Any) -> list[Whole]:
    """Put rows of a page and what hangs on them together."""
    by_order: dict[str, dict[UUID, list[Line]]] = {name: {} for name in LISTS}
    for name in LISTS:
        for line in getattr(hung, name):
            by_order[name].setdefault(line["order_id"], []).append(line)
    return [Whole(row, {name: by_order[name].get(row.id, []) for name in LISTS}) for row in rows]


def _standing_ratings(row: Any, lines: list[Line]) -> list[Line]:
    """The verdict of the current round and what it was before, oldest first. A merged order's round is its parent's;
    what was said before the work now judged was done (as another's child, say) is no verdict on it."""
    merged = row.state == State.MERGED
    round_, done_at = (row.parent_round, row.parent_done_at) if merged else (row.round, row.done_at)
    return [line for line in lines if line["round"] == round_ and done_at and line["rated_at"] >= done_at]


def _life(row: Any, lists: Mapping[str, list[Line]]) -> Life:
    dispatched = [_dispatch(line, lists["targets"]) for line in lists["dispatches"]]
    rated = _standing_ratings(row, lists["ratings"])
    merged = row.state == State.MERGED
    current, former = _takes(row, lists)
    return Life(
        id=row.id,
        state=State(row.state),
        version=row.version,
        round=row.round,
        place=frozenset(ids_of(row.place_path))
        | {p for p in (row.street_id, row.community_id, row.grid_id) if p},
        filer_id=row.filer_id,
        filed_under=row.filer_grant_id,
        filed_as=Role(row.filed_as) if row.filed_as else None,
        beneficiary_id=row.beneficiary_id,
        on_behalf=row.on_behalf,
        urgency=row.urgency,
        item_code=row.item_code,
        item_flags=frozenset(row.item_flags),
        flags=frozenset(row.flags),
        level=Level(row.level) if row.level else None,
        left=State(row.left_state) if row.left_state else None,
        started=row.started,
        lead_id=row.lead_id,
        resolver_id=row.resolver_id,
        parent_id=row.parent_id,
        parent_state=State(row.parent_state) if row.parent_state else None,
        children=row.children_count,
        dispatches_made=row.dispatches_made,
        held=next((d for d in reversed(dispatched) if d.state in HELD), None),
        last=dispatched[-1] if dispatched else None,
        takes=current,
        former=former,
        barred=_barred(lists),
        called=frozenset((line["kind"], line["body_id"]) for line in lists["called"]),
        pending=tuple(_asked(line) for line in lists["requests"] if line["status"] == AskState.PENDING),
        asked=_counts(lists["requests"]),
        verdict=_verdict(rated[0], rated[-1]) if rated else None,
        done_at=row.parent_done_at if merged else row.done_at,
        rested_at=row.parent_rested_at if merged and row.parent_state == State.CLOSED else row.rested_at,
    )


def _dispatch(line: Line, targets: list[Line]) -> Dispatch:
    return Dispatch(
        id=line["id"],
        mode=Mode(line["mode"]),
        state=DispatchState(line["state"]),
        slots_min=line["slots_min"],
        slots_max=line["slots_max"],
        slots_taken=line["slots_taken"],
        takes_made=line["takes_made"],
        made_at=line["created_at"],
        kinds=frozenset(line["kinds"].split()),
        ring_id=line["ring_id"],
        expires_at=line["expires_at"],
        lasts_seconds=line["lasts_seconds"],
        extended=line["extended"],
        parallel=line["parallel"],
        slots_held=line["slots_held"],
        waiters=line["waiters"],
        wait_seconds=line["wait_seconds"],
        targets=tuple(
            Target(
                TakerKind(t["kind"]),
                t["target_id"],
                t["seq"],
                TargetState(t["state"]),
                until=t["until"],
                serves=t["serves"],
            )
            for t in targets
            if t["dispatch_id"] == line["id"]
        ),
    )


def _takes(row: Any, lists: Mapping[str, list[Line]]) -> tuple[tuple[Take, ...], tuple[Take, ...]]:
    """Takes that are active or were done in this round, and those done in earlier ones."""
    people: dict[UUID, list[UUID]] = {}
    for line in lists["people"]:
        people.setdefault(line["take_id"], []).append(line["account_id"])
    current: list[Take] = []
    former: list[Take] = []
    for line in lists["takes"]:
        if line["state"] not in (TakeState.ACTIVE, TakeState.DONE):
            continue
        earlier = line["state"] == TakeState.DONE and line["round"] != row.round
        (former if earlier else current).append(_take(line, tuple(people.get(line["id"], ()))))
    return tuple(current), tuple(former)


def _take(line: Line, people: tuple[UUID, ...]) -> Take:
    return Take(
        id=line["id"],
        dispatch_id=line["dispatch_id"],
        kind=TakerKind(line["kind"]),
        taker_id=line["taker_id"],
        state=TakeState(line["state"]),
        taken_at=line["taken_at"],
        account_id=line["account_id"],
        nth=line["nth"],
        reached_at=line["reached_at"],
        failed_tries=line["failed_tries"],
        last_try_at=line["last_try_at"],
        lease_until=line["lease_until"],
        people=people,
    )


def _barred(lists: Mapping[str, list[Line]]) -> frozenset[tuple[str, UUID]]:
    """Who returned it, from a take or before one."""
    returned = {(t["kind"], t["taker_id"]) for t in lists["takes"] if t["state"] == TakeState.RETURNED}
    asked = {
        (r["taker_kind"], r["taker_id"])
        for r in lists["requests"]
        if r["kind"] == Ask.RETURN and r["status"] == AskState.APPROVED
    }
    return frozenset(returned | asked)


def _asked(line: Line) -> Asked:
    party = (line["taker_kind"], line["taker_id"]) if line["taker_id"] else None
    return Asked(line["id"], Ask(line["kind"]), line["asked_by"], party, line["by_street"])


def _counts(lines: list[Line]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for line in lines:
        if line["status"] == AskState.APPROVED:
            counts[line["kind"]] = counts.get(line["kind"], 0) + 1
    return counts


def _verdict(first: Line, line: Line) -> Verdict:
    """The newest revision; ``at`` is the first one's, since the time to change one's mind runs from there."""
    return Verdict(
        line["score"],
        line["solved"],
        line["rated_by"],
        first["rated_at"],
        line["revision"],
        bool(line["follow_up"]),
    )
