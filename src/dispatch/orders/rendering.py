"""An order as its viewer may see it: labels, masks, moves."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

from dispatch.domain.calendar import Calendar
from dispatch.domain.life import Life, Standing, standing
from dispatch.domain.order import (
    MOVE_LABELS,
    PEOPLE,
    STATE_LABELS,
    Ask,
    AskState,
    Flag,
    Level,
    Mode,
    Move,
    State,
    TakeState,
)
from dispatch.domain.people import DISPATCHING_ROLES, ROLE_LABELS, Actor, Role
from dispatch.domain.planning import HANDED_OVER, allowance, explain, remaining
from dispatch.domain.privacy import KNOWS, Sight, View, masked_name, masked_phone, view
from dispatch.domain.rules import Offered, moves_for
from dispatch.domain.running import Run
from dispatch.domain.screening import screened, screened_whole
from dispatch.domain.sla import Clock
from dispatch.domain.wording import sentence
from dispatch.orders.schemas import (
    AskedOut,
    AssignedOut,
    BeneficiaryOut,
    DeadlineOut,
    DeadlinesOut,
    DispatchOut,
    ExplainedOut,
    FileOut,
    ItemRef,
    MatchOut,
    MoveOut,
    OrderOut,
    OrderRef,
    OwnerOut,
    PartyOut,
    PersonOut,
    PlaceOut,
    RatingOut,
    RequestOut,
    SegmentOut,
    StepOut,
    SummaryOut,
    TakeOut,
    TargetOut,
    TimelineOut,
    WhoOut,
)
from dispatch.orders.whole import NEWEST, Line, Whole, number
from dispatch.people.queries import name_at
from dispatch.web.wire import LocationOut

SUMMARY_TEXT = 120
NAMELESS = "匿名居民"
SOMEBODY = "居民"

UNTIL_THEN = frozenset({Clock.EXPIRY, Clock.LEASE, Clock.PLACE})
"""How long a dispatch or a take stands: told with it, and no deadline of the order."""

Zoned = Callable[[datetime | None], Any]


def shown(whole: Whole, actor: Actor, *, at: datetime) -> OrderOut:
    """The whole order for one viewer."""
    row, life = whole.row, whole.life
    who = standing(life, actor)
    seen = view(life, who, hide_name=row.hide_name, at=at)
    zoned = _zoned(actor)
    near = seen.sight is Sight.FULL and seen.contact
    return OrderOut(
        id=life.id,
        number=whole.number,
        state=life.state,
        state_label=_state_label(actor, life.state),
        effective_state=life.effective_state if life.state is State.MERGED else None,
        version=life.version,
        round=life.round,
        flags=_flags(whole, at),
        level=life.level,
        item=ItemRef(code=row.item_code, name=row.item_name),
        urgency=row.urgency,
        place=_place(row, seen.sight),
        address=row.address if near else None,
        location=LocationOut(**{k: row.location[k] for k in ("lng", "lat", "crs")})
        if near and row.location
        else None,
        text=_words(row.text, seen),
        answers=_answers(row.answers, seen),
        attachments=_files(whole, seen, zoned, actor),
        channel=row.channel,
        wanted_from=zoned(row.wanted_from),
        wanted_to=zoned(row.wanted_to),
        created_at=zoned(row.created_at),
        updated_at=zoned(row.updated_at),
        filer=_filer(row, seen),
        beneficiary=_beneficiary(row, seen),
        contact_phone=_phone(row.contact_phone, seen),
        parent=_parent(row),
        children_count=row.children_count,
        result=_words(row.result, seen),
        closing=row.closing,
        exit=row.exit,
        dispatches=[
            _dispatch(line, whole, seen, zoned, weighs=bool(who.scoped & DISPATCHING_ROLES))
            for line in whole.lists["dispatches"][-NEWEST:]
        ],
        takes=[_take(line, whole, seen, zoned, actor) for line in whole.lists["takes"][-NEWEST:]],
        requests=[
            AskedOut(**_asked(line, _asker(line, whole, seen), seen, zoned))
            for line in whole.lists["requests"][-NEWEST:]
        ],
        deadlines=[_deadline(run, zoned) for run in _with_deadline(whole)[-NEWEST:]],
        rating=_rating(whole, seen, zoned),
        moves=_moves(life, who, actor, at=at),
    )


def summed_up(whole: Whole, actor: Actor, *, at: datetime) -> SummaryOut:
    """An order in a list, for one viewer."""
    row, life = whole.row, whole.life
    who = standing(life, actor)
    seen = view(life, who, hide_name=row.hide_name, at=at)
    zoned = _zoned(actor)
    return SummaryOut(
        id=life.id,
        number=whole.number,
        state=life.state,
        state_label=_state_label(actor, life.state),
        effective_state=life.effective_state if life.state is State.MERGED else None,
        version=life.version,
        flags=_flags(whole, at),
        item=ItemRef(code=row.item_code, name=row.item_name),
        urgency=row.urgency,
        place=_place(row, seen.sight),
        text=_words(row.text, seen)[:SUMMARY_TEXT],
        created_at=zoned(row.created_at),
        updated_at=zoned(row.updated_at),
        next_due_at=zoned(min((run.due_at for run in _running(whole) if run.due_at), default=None)),
        assigned=_assigned(whole, actor),
        moves=_moves(life, who, actor, at=at),
    )


def _assigned(whole: Whole, actor: Actor) -> list[AssignedOut]:
    """A body knows its own people by name, and nobody else's."""
    mine = {grant.body_id for grant in actor.grants if grant.body_id}
    takes = {
        line["id"]
        for line in whole.lists["takes"]
        if line["taker_id"] in mine and line["state"] in (TakeState.ACTIVE, TakeState.DONE)
    }
    people = {p["account_id"]: p["name"] for p in whole.lists["people"] if p["take_id"] in takes}
    return [AssignedOut(id=id, name=name) for id, name in people.items()]


def explained(whole: Whole, actor: Actor, calendars: Mapping[int, Calendar], *, at: datetime) -> DeadlinesOut:
    """Every clock of the order for one viewer, with the reason of every second. ``calendars``: by version."""
    seen = view(whole.life, standing(whole.life, actor), hide_name=whole.row.hide_name, at=at)
    lines = whole.lists["clocks"]
    return DeadlinesOut(
        items=[
            _explained(run, line, whole, seen, calendars[line["calendar"]], _zoned(actor), at)
            for run, line in zip(whole.runs, lines, strict=True)
            if run.clock not in UNTIL_THEN
        ]
    )


def _explained(
    run: Run, line: Line, whole: Whole, seen: View, calendar: Calendar, zoned: Zoned, at: datetime
) -> ExplainedOut:
    end = run.stopped_at or (at if run.paused_at else run.due_at) or at
    unit = run.limit.unit if run.limit else None
    pieces = explain(run, end, calendar)
    return ExplainedOut(
        clock=run.clock,
        due_at=zoned(run.due_at),
        verdict=run.outcome,
        provisional=run.provisional,
        unit=unit,
        limit_seconds=allowance(run, calendar),
        started_at=zoned(run.since),
        owned_from=zoned(run.started_at),
        stopped_at=zoned(run.stopped_at),
        paused_at=zoned(run.paused_at),
        reason=run.reason,
        remaining_seconds=remaining(run, at, calendar),
        owner=_owner(run, whole, seen),
        policy=line["policy"],
        calendar=line["calendar"],
        segments=[
            SegmentOut(from_=zoned(p.start), to=zoned(p.end), counted=p.counted, reason=p.reason)
            for p in pieces
        ],
    )


def _owner(run: Run, whole: Whole, seen: View) -> OwnerOut:
    kind, id = run.owner.kind, run.owner.id
    names = {Level.COMMUNITY: whole.row.community_name, Level.STREET: whole.row.street_name}
    lines = [*whole.lists["takes"], *({**t, "taker_id": t["target_id"]} for t in whole.lists["targets"])]
    party = next((line for line in lines if (line["kind"], line["taker_id"]) == (kind, id)), None)
    name = _party(party, party["taker_id"], seen.sight).name if party else names.get(kind)  # type: ignore[call-overload]
    return OwnerOut(kind=kind, id=id, name=name)


def _running(whole: Whole) -> list[Run]:
    """Clocks that run, as a list shows them; what stands is no deadline to keep."""
    runs = [run for run in whole.runs if run.stopped_at is None and run.paused_at is None]
    return [run for run in runs if run.clock not in UNTIL_THEN]


def _with_deadline(whole: Whole) -> list[Run]:
    return [
        run for run in whole.runs if run.due_at and run.clock not in UNTIL_THEN and run.reason != HANDED_OVER
    ]


def _deadline(run: Run, zoned: Zoned) -> DeadlineOut:
    return DeadlineOut(
        clock=run.clock, due_at=zoned(run.due_at), verdict=run.outcome, provisional=run.provisional
    )


def told(steps: list[Any], whole: Whole, actor: Actor, *, at: datetime) -> TimelineOut:
    """The log for one viewer, in plain Chinese."""
    who = standing(whole.life, actor)
    seen = view(whole.life, who, hide_name=whole.row.hide_name, at=at)
    zoned = _zoned(actor)
    return TimelineOut(
        items=[
            StepOut(
                seq=step.seq,
                at=zoned(step.at),
                move=Move(step.move),
                from_=step.state_from,
                to=State(step.state_to),
                who=WhoOut(role=step.role, name=_author(step, whole, actor, seen)),
                attachment_ids=[line["id"] for line in whole.files if seen.files and line["seq"] == step.seq],
                text=sentence(
                    Move(step.move), State(step.state_to), step.detail, step.text and _words(step.text, seen)
                ),
            )
            for step in steps
        ]
    )


def listed(row: Any, actor: Actor) -> RequestOut:
    """A request in a list of its own. Who asked is known to himself and to the dispatcher, masked to others."""
    order = OrderRef(id=row.order_id, number=number(row.day, row.serial))
    where = {row.place_id, row.street_id, row.community_id, row.grid_id}
    own = row.asked_by == actor.account_id
    knows = own or any(grant.role in KNOWS and grant.place_id in where for grant in actor.grants)
    unnamed = row.hide_name or Flag.ABOUT_PERSON in row.flags
    seen = View(Sight.FULL if knows else Sight.MASKED, words=knows)
    hidden = not knows and unnamed and row.asked_by in (row.filer_id, row.beneficiary_id)
    asker = PersonOut(id=None, name=NAMELESS) if hidden else _person(row.asked_by, row.asker_name, seen)
    return RequestOut(order=order, **_asked(row._mapping, asker, seen, _zoned(actor)))


def _zoned(actor: Actor) -> Zoned:
    zone = actor.tenant.zone
    return lambda at: None if at is None else at.astimezone(zone)


def _state_label(actor: Actor, state: State) -> str:
    return actor.tenant.labels.get(f"state.{state}", STATE_LABELS[state])


def _moves(life: Life, who: Standing, actor: Actor, *, at: datetime) -> list[MoveOut]:
    labels = actor.tenant.labels
    return [
        _button(offered, labels.get(f"move.{offered.move}", MOVE_LABELS[offered.move]))
        for offered in moves_for(life, who, at=at)
    ]


@lru_cache(maxsize=1024)
def _button(offered: Offered, label: str) -> MoveOut:
    """Kept: every order of a page has a handful of them, and they are few."""
    return MoveOut(move=offered.move, label=label, needs=list(offered.needs))


def _flags(whole: Whole, at: datetime) -> list[str]:
    """The row's flags, and those that requests and clocks say: taken out of the rates, disputed, overdue."""
    flags = set(whole.life.flags)
    if any(run.overdue(at) for run in whole.runs):
        flags.add(Flag.OVERDUE)
    for line in whole.lists["requests"]:
        if line["kind"] == Ask.EXCLUSION and line["status"] == AskState.APPROVED:
            flags.add(Flag.EXCLUDED)
        if line["kind"] in (Ask.OBJECTION, Ask.RETURN) and line["status"] == AskState.PENDING:
            flags.add(Flag.DISPUTED)
    if _took_own(whole):
        flags.add(Flag.OWN_TAKE)
    return sorted(flags)


def _took_own(whole: Whole) -> bool:
    """Whether the filer is among those who serve (domain.md §4.1: flagged, not forbidden)."""
    return any(
        whole.life.filer_id in ((take.taker_id, *take.people) if take.kind in PEOPLE else take.people)
        for take in whole.life.takes
    )


def _words(text: Any, seen: View) -> Any:
    return text if seen.words or text is None else screened(text)


def _answers(answers: Any, seen: View) -> Any:
    if seen.sight is Sight.NOTHING or not seen.contact:
        return None
    return answers if seen.words else screened_whole(answers)


def _files(whole: Whole, seen: View, zoned: Zoned, actor: Actor) -> list[FileOut]:
    """The newest files; older ones are named in the timeline."""
    if not seen.files:
        return []
    return [
        FileOut(
            **{name: line[name] for name in FileOut.model_fields if name in line},
            mine=line["uploader_id"] == actor.account_id,
            added_at=zoned(line["used_at"]),
        )
        for line in whole.files[-NEWEST:]
    ]


def _place(row: Any, seen: Sight) -> PlaceOut:
    """Before a take only the block: the grid, else the community."""
    if seen is Sight.NOTHING:
        block = (row.grid_id, row.grid_name) if row.grid_id else (row.community_id, row.community_name)
        id, name = block if block[0] else (row.place_id, row.place_name)
    else:
        id, name = row.place_id, row.place_name
    return PlaceOut(
        id=id, name=name, street=row.street_name, community=row.community_name, grid=row.grid_name
    )


def _name(name: str, seen: Sight) -> str:
    if seen is Sight.FULL:
        return name
    return masked_name(name) if seen is Sight.MASKED else SOMEBODY


def _phone(phone: str | None, seen: View) -> str | None:
    if phone is None or seen.sight is Sight.NOTHING or not seen.contact:
        return None
    return phone if seen.sight is Sight.FULL else masked_phone(phone)


def _person(id: UUID, name: str, seen: View) -> PersonOut:
    return PersonOut(id=id if seen.sight else None, name=_name(name, seen.sight))


def _filer(row: Any, seen: View) -> PersonOut:
    if not seen.filer:
        return PersonOut(id=None, name=NAMELESS, relation=None)
    filer = _person(row.filer_id, row.filer_name, seen)
    return filer.model_copy(update={"relation": row.relation if seen.sight else None})


def _beneficiary(row: Any, seen: View) -> BeneficiaryOut:
    if not seen.beneficiary:
        return BeneficiaryOut(name=NAMELESS, phone=None)
    if row.beneficiary_id is None and not row.on_behalf:  # a body ordered for itself: no person to mask
        return BeneficiaryOut(name=row.beneficiary_name, phone=None)
    return BeneficiaryOut(
        name=_name(row.beneficiary_name, seen.sight), phone=_phone(row.beneficiary_phone, seen)
    )


def _parent(row: Any) -> OrderRef | None:
    if row.parent_id is None:
        return None
    return OrderRef(id=row.parent_id, number=number(row.parent_day, row.parent_serial))


def _party(line: Line, id: UUID, seen: Sight) -> PartyOut:
    """Whoever serves is known by name to those concerned; bodies to everyone."""
    person = line["kind"] in PEOPLE
    name = line["body_name"] or line["person_name"] or SOMEBODY
    return PartyOut(
        kind=line["kind"], id=id, name=masked_name(name) if person and seen is not Sight.FULL else name
    )


def _dispatch(line: Line, whole: Whole, seen: View, zoned: Zoned, *, weighs: bool) -> DispatchOut:
    """``weighs``: whether the viewer hands orders out, and so reads why matching named whom."""
    targets = [t for t in whole.lists["targets"] if t["dispatch_id"] == line["id"]][:NEWEST]
    if line["mode"] == Mode.OPEN and not weighs:
        targets = []  # who waits is nobody's business but the dispatcher's
    return DispatchOut(
        id=line["id"],
        number=line["number"],
        mode=line["mode"],
        state=line["state"],
        slots_min=line["slots_min"],
        slots_max=line["slots_max"],
        slots_taken=line["slots_taken"],
        kinds=line["kinds"].split(),
        ring_place_id=line["ring_id"],
        expires_at=zoned(line["expires_at"]),
        targets=[
            TargetOut(
                **_party(t, t["target_id"], seen.sight).model_dump(),
                seq=t["seq"],
                state=t["state"],
                match=MatchOut(**t["match"]) if weighs and t["match"] else None,
            )
            for t in targets
        ],
        note=_words(line["note"], seen),
        created_at=zoned(line["created_at"]),
    )


def _take(line: Line, whole: Whole, seen: View, zoned: Zoned, actor: Actor) -> TakeOut:
    of = next(d for d in whole.lists["dispatches"] if d["id"] == line["dispatch_id"])
    own = line["taker_id"] == actor.account_id
    return TakeOut(
        id=line["id"],
        number=take_number(of["number"], line["nth"]),
        dispatch_id=line["dispatch_id"],
        taker=_party(line, line["taker_id"], Sight.FULL if own else seen.sight),
        lead=line["id"] == whole.life.led_by,
        state=line["state"],
        taken_at=zoned(line["taken_at"]),
        lease_until=zoned(line["lease_until"]) if line["state"] == TakeState.ACTIVE else None,
        minutes=line["minutes"],
        people=[p["account_id"] for p in whole.lists["people"] if p["take_id"] == line["id"]]
        if seen.sight
        else [],
    )


def take_number(dispatch_number: str, nth: int) -> str:
    """A take's human number: its dispatch's, and the how-manieth take of it."""
    return f"T{dispatch_number[1:]}-{nth:02d}"


def _asker(line: Line, whole: Whole, seen: View) -> PersonOut:
    if _kept_back(line["asked_by"], whole, seen):
        return PersonOut(id=None, name=NAMELESS)
    return _person(line["asked_by"], line["asker_name"], seen)


def _kept_back(account_id: UUID, whole: Whole, seen: View) -> bool:
    """Whether an account is somebody whom this viewer may not know."""
    row = whole.row
    return (account_id == row.filer_id and not seen.filer) or (
        account_id == row.beneficiary_id and not seen.beneficiary
    )


def _asked(line: Line, asker: PersonOut, seen: View, zoned: Zoned) -> dict[str, Any]:
    on: Any = line["until_on"]
    if isinstance(on, str):  # folded into JSON a date is text
        on = date.fromisoformat(on)
    return {
        "id": line["id"],
        "kind": line["kind"],
        "status": line["status"],
        "reason_code": line["reason_code"],
        "text": _words(line["text"], seen),
        "until": on or zoned(line["until_at"]),
        "clock": line["clock"],
        "level": line["level"],
        "suggestion": _words(line["suggestion"], seen),
        "asked_by": asker,
        "asked_at": zoned(line["asked_at"]),
        "decided_at": zoned(line["decided_at"]),
        "decision": _words(line["decision"], seen),
    }


def _rating(whole: Whole, seen: View, zoned: Zoned) -> RatingOut | None:
    line = whole.rating
    if line is None:
        return None
    own: Literal["filer", "beneficiary"] = (
        "filer" if line["rated_by"] == whole.row.filer_id else "beneficiary"
    )
    return RatingOut(
        score=line["score"],
        solved=line["solved"],
        contacted=line["contacted"],
        tags=line["tags"],
        text=_words(line["text"], seen),
        by="follow_up" if line["follow_up"] else own,
        rated_at=zoned(line["rated_at"]),
    )


def _author(step: Any, whole: Whole, actor: Actor, seen: View) -> str:
    if step.account_id is None:
        return ROLE_LABELS[Role.SYSTEM]
    if _kept_back(step.account_id, whole, seen):
        return NAMELESS
    name = name_at(step.former, step.account_id, step.at, step.name)
    if step.account_id == actor.account_id or seen.sight is Sight.FULL:
        return name
    return masked_name(name) if seen.sight is Sight.MASKED else ROLE_LABELS[Role(step.role)]
