"""What a move does: pure decisions, one function for each move that does more than change the state.

``step`` takes an order as it was seen and answers with a ``Moved``. Storage writes exactly that
(``orders/log.py``), and only where what was seen still holds.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from dispatch.domain import handing
from dispatch.domain.catalog import LONGEST
from dispatch.domain.life import Asked, Data, Life, Standing, Take, asked_of, own_take
from dispatch.domain.moved import Moved, NewAsk, TakeChange
from dispatch.domain.order import (
    ASKS,
    HELD,
    RESTING,
    Ask,
    AskState,
    Closing,
    DispatchState,
    Edge,
    Exit,
    Flag,
    Level,
    Move,
    Relation,
    State,
    TakeState,
    TargetState,
)
from dispatch.domain.people import Role
from dispatch.domain.refusal import FinishNotAllowed, RoleForbidden, wrong
from dispatch.domain.rules import judge, rank

TRIES = 3
"""Failed tries, at different times, after which an unreached resident's order may end as ``explained``."""

BETWEEN_TRIES = timedelta(hours=1)
"""Tries count as made at different times when they lie this far apart (ADR 0014)."""

SKEW = timedelta(minutes=10)
"""How far a phone's clock may run ahead of ours (peers' case 45)."""


def step(life: Life, move: Move, who: Standing, data: Data, *, at: datetime) -> Moved:
    """Decide one move of an existing order.

    Args:
        life: the order as it was seen.
        who: what the actor is to it.
        data: the move's body, validated at the edge; ids resolved by the action.
        at: aware instant of the request.

    Raises:
        OrderMoved: no such move from this state.
        RoleForbidden: not this actor's.
        ValidationFailed: a field is missing that the move needs from this state.
        Refusal: what the move's own rule has against it.
    """
    edge = judge(life, move, who, at=at)
    if Role.SYSTEM not in who.roles:
        for name in edge.needs:
            if data.get(name) is None:
                raise wrong(name, "请填写此项", "MISSING")
    decide = DECIDE.get(move)
    moved = decide(life, who, data, at) if decide else _plain(life, edge, data)
    return _settled(life, moved, at)


def _plain(life: Life, edge: Edge, data: Data) -> Moved:
    """A move with one target and no effect but the state and its words."""
    detail = {name: data[name] for name in ("reason_code",) if data.get(name)}
    return Moved(edge.move, life.state, edge.targets[0], data.get("text"), detail=detail)


def _settled(life: Life, moved: Moved, at: datetime) -> Moved:
    """What every move settles besides: requests that became impossible, the flag, the instant of rest."""
    decided = {id for id, _ in moved.requests}
    ended = {
        change.id
        for change in moved.takes
        if change.values.get("state", TakeState.ACTIVE) != TakeState.ACTIVE
    }
    void = tuple(
        (ask.id, AskState.WITHDRAWN)
        for ask in life.pending
        if ask.id not in decided and not _still_possible(ask, life, moved, ended)
    )
    order = dict(moved.order)
    if moved.after in RESTING and moved.before not in RESTING:
        order["rested_at"] = at
    elif moved.after not in RESTING and moved.before in RESTING:
        order["rested_at"] = None
    flags = life.flags if moved.flags is None else moved.flags
    if moved.after in RESTING or moved.after in (State.ACCEPTED, State.DONE, State.REDO):
        flags = flags - {Flag.SHORT_HANDED}
    detail = dict(moved.detail)
    if flags != life.flags:
        detail["flags"] = sorted(flags)
    return replace(
        moved,
        order=order,
        detail=detail,
        flags=flags if flags != life.flags else None,
        requests=(*moved.requests, *void),
    )


def _still_possible(ask: Asked, life: Life, moved: Moved, ended: set[UUID]) -> bool:
    if moved.after not in ASKS[ask.kind].states:
        return False
    if ask.kind is not Ask.RETURN:
        return True
    take = next((take for take in life.active if take.party == ask.party), None)
    if take:
        return take.id not in ended
    # An assignee who has not taken yet: as long as the assignment waits for him.
    held = life.held
    if held is None or ask.party is None or (moved.dispatch or {}).get("state", held.state) not in HELD:
        return False
    gone = any(t.party == ask.party and t.state is not TargetState.ASKED for t in moved.targets)
    return asked_of(held, ask.party) and not gone


# --- intake and community -------------------------------------------------------------------


def _supplement(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    after = State.SUBMITTED if life.state is State.NEED_INFO else life.state
    return Moved(Move.SUPPLEMENT, life.state, after, data["text"], detail=_pictures(data))


def _fixed(data: Data) -> dict[str, Any]:
    """Item and urgency as the community fixes them (resolved against the catalogue by the action)."""
    return {name: data[name] for name in ("item_code", "urgency") if data.get(name) is not None}


def _with_item_flags(life: Life, data: Data) -> frozenset[str] | None:
    if data.get("item_flags") is None:
        return None
    about = frozenset({Flag.ABOUT_PERSON}) if Flag.ABOUT_PERSON in data["item_flags"] else frozenset()
    return (life.flags - {Flag.ABOUT_PERSON}) | about


def _accept(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    fixed = _fixed(data)
    flags = _with_item_flags(life, data)
    return Moved(
        Move.ACCEPT, life.state, State.ACCEPTED, data.get("text"), fixed, fixed, flags, item=data.get("item")
    )


def _merge(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    order = {"parent_id": data["parent_id"], "children_count": 0}
    return Moved(Move.MERGE, life.state, State.MERGED, None, order, {"parent_id": str(data["parent_id"])})


def _unmerge(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    return Moved(
        Move.UNMERGE, life.state, State.SUBMITTED, data["text"], {"parent_id": None}, {"parent_id": None}
    )


def _resolve(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    if life.state is not State.SUBMITTED and data.get("item_code"):
        raise wrong("item_code", "已受理的需求单，办结时不能再改服务事项")
    fixed = _fixed(data) if life.state is State.SUBMITTED else {}
    body = data.get("by_body")
    detail = {"closing": str(data["closing"])} | ({"by_body": body} if body else {})
    return Moved(
        Move.RESOLVE,
        life.state,
        State.DONE,
        data["result"],
        fixed | _finished(life, data, at) | {"resolver_id": who.account_id},
        detail,
        flags=_with_item_flags(life, data),
        takes=handing.end_all(life, TakeState.DONE, at),
        item=data.get("item"),
    )


def _finished(life: Life, data: Data, at: datetime) -> dict[str, Any]:
    """What stays of the work: its result, and who led it."""
    return {"result": data["result"], "closing": data["closing"], "done_at": at, "lead_id": life.led_by}


def _cancel(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    """Withdraw; takes end and their takers are told. With children the filer alone leaves (see ``heir``)."""
    detail = {"reason_code": data["reason_code"]} if data.get("reason_code") else {}
    if life.children:
        return Moved(
            Move.CANCEL, life.state, State.CANCELLED, data.get("text"), {"children_count": 0}, detail
        )
    return Moved(
        Move.CANCEL,
        life.state,
        State.CANCELLED,
        data.get("text"),
        {"lead_id": None},
        detail,
        takes=handing.end_all(life, TakeState.CANCELLED, at),
        **_dispatch_ends(life, DispatchState.RECALLED, at),
    )


def _dispatch_ends(
    life: Life, state: DispatchState, at: datetime, *, slots: int | None = 0
) -> dict[str, Any]:
    """The held dispatch ends; ``slots`` None keeps its count."""
    if life.held is None:
        return {}
    values: dict[str, Any] = {"state": state, "ended_at": at}
    if slots is not None:
        values["slots_taken"] = slots
    return {"dispatch_id": life.held.id, "dispatch": values}


# --- service --------------------------------------------------------------------------------


def _staff(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    take = own_take(life, who)
    if take is None:
        raise RoleForbidden()
    people = tuple(dict.fromkeys(data["member_ids"]))
    detail = {"take_id": str(take.id), "member_ids": [str(id) for id in people]}
    return Moved(
        Move.STAFF,
        life.state,
        life.state,
        None,
        {},
        detail,
        takes=(TakeChange(take.id, {"people": people, **_confirmed(take)}),),
    )


def _lead(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    if data["take_id"] not in {take.id for take in life.active}:
        raise wrong("take_id", "请从这张单目前在办的接单中选择")
    detail = {"take_id": str(data["take_id"])}
    return Moved(Move.LEAD, life.state, life.state, data.get("text"), {"lead_id": data["take_id"]}, detail)


def _contact(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    take = own_take(life, who, staffed=True)
    if take is None:
        raise RoleForbidden()
    values: dict[str, Any] = dict(_confirmed(take))
    last = max((other.last_try_at for other in life.active if other.last_try_at), default=None)
    if data["reached"]:
        values["reached_at"] = take.reached_at or at
    elif last is None or at - last >= BETWEEN_TRIES:  # whoever of the takers tried
        values |= {"failed_tries": take.failed_tries + 1, "last_try_at": at}
    detail = {"take_id": str(take.id), "reached": data["reached"]}
    takes = (TakeChange(take.id, values),) if values else ()
    return Moved(Move.CONTACT, life.state, life.state, data.get("text"), {}, detail, takes=takes)


def _confirmed(take: Take) -> dict[str, Any]:
    """The taker gave a sign of life: the take is kept without a term. Nothing where it was before."""
    return {"lease_until": None} if take.lease_until else {}


def _all_confirmed(life: Life) -> tuple[TakeChange, ...]:
    return tuple(TakeChange(take.id, _confirmed(take)) for take in life.active if take.lease_until)


def _start(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    """The work begins, whoever says so: nobody who is on the order needs to call first any more."""
    after, order = State.IN_SERVICE, {"started": True}
    return Moved(Move.START, life.state, after, data.get("text"), order, takes=_all_confirmed(life))


def _progress(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    take = own_take(life, who, staffed=True)
    takes = (TakeChange(take.id, _confirmed(take)),) if take and take.lease_until else ()
    return Moved(Move.PROGRESS, life.state, life.state, data["text"], detail=_pictures(data), takes=takes)


def _pictures(data: Data) -> dict[str, Any]:
    return {"attachment_ids": list(data["attachment_ids"])} if data.get("attachment_ids") else {}


def _finish(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    active = life.active
    reached = any(take.reached_at for take in active)
    tries = sum(take.failed_tries for take in active)
    if data["closing"] == Closing.EXPLAINED and not reached and tries < TRIES:
        raise FinishNotAllowed(why="not_contacted")
    minutes = {line["take_id"]: line["minutes"] for line in data.get("minutes") or ()}
    if minutes.keys() - {take.id for take in active}:
        raise wrong("minutes", "只能填写这张单目前在办的接单的服务时长")
    takes = tuple(
        TakeChange(take.id, {"state": TakeState.DONE, "ended_at": at, "minutes": minutes.get(take.id)})
        for take in active
    )
    detail: dict[str, Any] = {"closing": str(data["closing"]), **_pictures(data)}
    return Moved(
        Move.FINISH,
        life.state,
        State.DONE,
        data["result"],
        _finished(life, data, at),
        detail,
        takes=takes,
        **_dispatch_ends(life, DispatchState.DONE, at, slots=None),
    )


def _escalate(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    level = Level(data["level"])
    if life.state is State.ESCALATED and rank(level) <= rank(life.level):
        raise wrong("level", "应高于目前所在的层级")
    order = {"level": level}
    detail = {"level": level.value}
    ends = _dispatch_ends(life, DispatchState.RECALLED, at, slots=None)
    takes = _all_confirmed(life)  # with the level it is, it is not taken from anybody by time
    return Moved(Move.ESCALATE, life.state, State.ESCALATED, data["text"], order, detail, takes=takes, **ends)


def _deliberate(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    bodies = [{"kind": body["kind"], "id": str(body["id"])} for body in data.get("bodies") or ()]
    detail: dict[str, Any] = {"bodies": bodies} if bodies else {}
    if data.get("due"):
        if not at < data["due"] <= at + LONGEST:
            raise wrong("due", "请填写晚于现在、一年以内的时间")
        detail["due"] = data["due"].isoformat()
    return Moved(Move.DELIBERATE, life.state, life.state, data["decision"], {}, detail)


def _resume(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    """Back to where the order was; without an active take there is nobody to go back to."""
    if life.state is State.ESCALATED:
        after = State.IN_SERVICE if life.started else State.TAKEN
        return Moved(Move.RESUME, life.state, after, data.get("text"), {"level": None}, {"level": None})
    after = life.left or State.ACCEPTED
    if after in (State.TAKEN, State.IN_SERVICE) and not life.active:
        after = State.ACCEPTED
    ends = _dispatch_ends(life, DispatchState.EXPIRED, at) if after is State.ACCEPTED else {}
    return Moved(
        Move.RESUME, life.state, after, data.get("text"), {"left_state": None}, {"left": None}, **ends
    )


def _park(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    detail = {"left": life.state.value, "until": data["until"].isoformat()}
    order = {"left_state": life.state, "review_on": data["until"]}
    takes = _all_confirmed(life)
    return Moved(Move.PARK, life.state, State.PAUSED, data.get("text"), order, detail, takes=takes)


# --- verdict --------------------------------------------------------------------------------


def _rate(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    """Take down a verdict. An unhappy one asks to reopen; a changed mind takes that wish back."""
    heard = data.get("follow_up")
    if who.relations & {Relation.FILER, Relation.BENEFICIARY}:
        if heard:
            raise wrong("follow_up", "本人评价不填写回访记录")
    elif not heard:
        raise wrong("follow_up", "代录评价须填写回访方式、时间和说明", "MISSING")
    elif heard["at"] > at + SKEW:
        raise wrong("follow_up.at", "回访时间不能晚于现在")
    after = State.EVALUATED if life.state is State.DONE else life.state
    happy = data["score"] >= 3 and data["solved"]
    # A merged child's filer may have a wish of his own here: that one is not ours to take back.
    # What staff filed with the word they heard is this verdict's wish too.
    voices = {who.account_id, life.verdict.by if life.verdict else None}
    wishes = [ask for ask in life.pending if ask.kind is Ask.REOPEN and ask.asked_by in voices]
    detail = {"score": data["score"], "solved": data["solved"], "contacted": data["contacted"]}
    detail |= _pictures(data)
    if heard:
        detail["follow_up"] = heard["channel"]
    return Moved(
        Move.RATE,
        life.state,
        after,
        None,
        {},
        detail,
        requests=tuple((ask.id, AskState.WITHDRAWN) for ask in wishes) if happy else (),
        files=None if happy or wishes else NewAsk(Ask.REOPEN, "unhappy", data.get("text")),
    )


def closes_itself(life: Life, rated: Moved, data: Data) -> bool:
    """Whether a happy verdict closes the order at once: nothing else pends."""
    open_asks = {ask.id for ask in life.pending} - {id for id, _ in rated.requests}
    return rated.after is State.EVALUATED and data["score"] >= 3 and data["solved"] and not open_asks


def _close(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    wishes = tuple((ask.id, AskState.REFUSED) for ask in life.pending if ask.kind is Ask.REOPEN)
    order = {"exit": Exit(data["exit"])}
    detail = {"exit": str(data["exit"])}
    return Moved(Move.CLOSE, life.state, State.CLOSED, data.get("text"), order, detail, requests=wishes)


def _redo(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    """Another round. With the same takers it goes straight on, if all of them still can (else to the community)."""
    order: dict[str, Any] = {
        "round": life.round + 1,
        "result": None,
        "closing": None,
        "exit": None,
        "done_at": None,
        "resolver_id": None,
        "level": None,
        "lead_id": None,
    }
    detail: dict[str, Any] = {"round": life.round + 1, "reason_code": data["reason_code"], "level": None}
    again = [take for take in life.takes if take.state is TakeState.DONE]
    common = {
        "requests": tuple((ask.id, AskState.APPROVED) for ask in life.pending if ask.kind is Ask.REOPEN),
        "text": data["text"],
    }
    if not (data.get("same_takers") and data.get("able") and again and life.last):
        return Moved(
            Move.REDO, life.state, State.REDO, order=order | {"started": False}, detail=detail, **common
        )
    last = life.last
    filled = DispatchState.FILLED if len(again) >= last.slots_max else DispatchState.RUNNING
    return Moved(
        Move.REDO,
        life.state,
        State.IN_SERVICE,
        order=order | {"started": True},
        detail=detail | {"same_takers": True},
        dispatch_id=last.id,
        dispatch={"state": filled, "slots_taken": len(again), "ended_at": None},
        takes=tuple(
            TakeChange(
                take.id,
                {
                    "state": TakeState.ACTIVE,
                    "ended_at": None,
                    "round": life.round + 1,
                    "lease_until": None,
                },
            )
            for take in again
        ),
        **common,
    )


def _flagged(move: Move, flag: Flag) -> "Decide":
    def decide(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
        return Moved(move, life.state, life.state, data["text"], flags=life.flags | {flag})

    return decide


def heir_of(children: Iterable[tuple[datetime, UUID]]) -> UUID:
    """Who takes a withdrawn parent's place: the child filed first."""
    return min(children)[1]


Decide = Callable[[Life, Standing, Data, datetime], Moved]

DECIDE: dict[Move, Decide] = {
    Move.SUPPLEMENT: _supplement,
    Move.ACCEPT: _accept,
    Move.MERGE: _merge,
    Move.UNMERGE: _unmerge,
    Move.RESOLVE: _resolve,
    Move.CANCEL: _cancel,
    Move.DISPATCH: handing.dispatch,
    Move.RECALL: handing.recall,
    Move.DECLINE: handing.decline,
    Move.LAPSE: handing.lapse,
    Move.PROCEED: handing.proceed,
    Move.RELEASE: handing.release,
    Move.STAFF: _staff,
    Move.LEAD: _lead,
    Move.CONTACT: _contact,
    Move.START: _start,
    Move.PROGRESS: _progress,
    Move.FINISH: _finish,
    Move.ESCALATE: _escalate,
    Move.DELIBERATE: _deliberate,
    Move.RESUME: _resume,
    Move.PARK: _park,
    Move.RATE: _rate,
    Move.CLOSE: _close,
    Move.REDO: _redo,
    Move.URGE: _flagged(Move.URGE, Flag.URGED),
    Move.SUPERVISE: _flagged(Move.SUPERVISE, Flag.SUPERVISED),
}
