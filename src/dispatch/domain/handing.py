"""Handing an order out and giving it back: dispatch, recall, take, decline, lapse, proceed, release."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from dispatch.domain import queue
from dispatch.domain.catalog import ItemFlag
from dispatch.domain.life import Data, Dispatch, Life, Party, Standing, Take, Target, asked_of, own_take
from dispatch.domain.moved import Moved, TakeChange
from dispatch.domain.order import (
    ASSIGNABLE,
    OPEN_KINDS,
    PEOPLE,
    DispatchState,
    Flag,
    Mode,
    Move,
    State,
    TakerKind,
    TakeState,
    TargetState,
)
from dispatch.domain.refusal import (
    ModeNotAllowed,
    RoleForbidden,
    SlotsInvalid,
    TargetNotAllowed,
)

PAIR = 2
"""Takers of an item for two."""

MOST_SLOTS = 500
"""The largest team that one dispatch gathers."""

_ASKABLE = frozenset({TargetState.ASKED, TargetState.WAITING})


def dispatch(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    """Hand the order out. Takes kept from before count toward the slots.

    ``data``: mode, targets, parallel, kinds, ring_id, slots_min (1 unless told), slots_max, expires_in_seconds, note,
    dispatch_id (the new row's id). Fewer than the item needs stand in the log.

    Raises:
        SlotsInvalid: the numbers contradict each other.
    """
    mode = Mode(data["mode"])
    kept = len(life.active)
    lasts = data.get("expires_in_seconds")
    targets = _targets(life, mode, data)
    kinds = frozenset(data.get("kinds") or OPEN_KINDS) if mode is Mode.OPEN else frozenset()
    needed = _needed(life, kinds or {target.kind for target in targets})
    slots_min = data.get("slots_min") or 1
    slots_max = data.get("slots_max") or max(
        slots_min, kept + 1 if data.get("slots_min") is None else slots_min
    )
    if not 1 <= slots_min <= slots_max <= MOST_SLOTS or slots_max <= kept:
        raise SlotsInvalid(slots_min=slots_min, slots_max=slots_max, kept=kept)
    opened = Dispatch(
        id=data["dispatch_id"],
        mode=mode,
        state=DispatchState.RUNNING,
        slots_min=slots_min,
        slots_max=slots_max,
        slots_taken=kept,
        kinds=kinds,
        ring_id=_ring(life, data) if mode is Mode.OPEN else None,
        expires_at=at + timedelta(seconds=lasts) if lasts else None,
        lasts_seconds=lasts,
        parallel=bool(data.get("parallel")) or mode is Mode.ASSIGN,
        targets=targets,
    )
    detail: dict[str, Any] = {"dispatch_id": str(opened.id), "mode": mode.value, "level": None}
    if slots_min < needed:  # whoever hands it out decided so
        detail |= {"slots_min": slots_min, "needed": needed}
    after = State.OPEN if mode is Mode.OPEN else State.OFFERED
    order = {"dispatches_made": life.dispatches_made + 1, "level": None, "started": False}
    return Moved(Move.DISPATCH, life.state, after, data.get("note"), order, detail, opens=opened)


def _needed(life: Life, kinds: Collection[TakerKind]) -> int:
    """How many must take: two for a home visit by people (domain.md §7.2, 2p); a body sends two of its own."""
    people = any(kind in PEOPLE for kind in kinds)
    return PAIR if people and ItemFlag.TWO_PEOPLE in life.item_flags else 1


def _ring(life: Life, data: Data) -> UUID:
    ring: UUID = data["ring_id"]
    if ring not in life.place:
        raise TargetNotAllowed(why="ring_elsewhere", target=str(ring))
    return ring


def _targets(life: Life, mode: Mode, data: Data) -> tuple[Target, ...]:
    """The named candidates. An emergency is never left to whoever comes (product decision §4, U1)."""
    named = data.get("targets") or ()
    if mode is Mode.OPEN:
        if life.urgency == "U1" or "staff_only" in life.item_flags:
            raise ModeNotAllowed(mode=mode.value)
        if named:
            raise TargetNotAllowed(why="open_has_no_targets")
        return ()
    if not named:
        raise TargetNotAllowed(why="nobody_named")
    at_once = mode is Mode.ASSIGN or bool(data.get("parallel"))
    matches = {(TakerKind(line["kind"]), line["id"]): line.get("match") for line in named}
    targets = []
    for seq, line in enumerate(
        dict.fromkeys((TakerKind(line["kind"]), line["id"]) for line in named), start=1
    ):
        kind, id = line
        if mode is Mode.ASSIGN and kind not in ASSIGNABLE:
            raise TargetNotAllowed(why="not_assignable", target=str(id))
        if line in life.barred:
            raise TargetNotAllowed(why="returned", target=str(id))
        if any(take.party == line for take in life.active):
            raise TargetNotAllowed(why="already_on_order", target=str(id))
        state = TargetState.ASKED if at_once or seq == 1 else TargetState.WAITING
        targets.append(Target(kind, id, seq, state, matches[line]))
    return tuple(targets)


def recall(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    """Take the order back; its takes end with it."""
    return Moved(
        Move.RECALL,
        life.state,
        State.ACCEPTED,
        data.get("text"),
        {"lead_id": None, "started": False},
        {"reason_code": data["reason_code"]},
        takes=end_all(life, TakeState.RECALLED, at),
        **_change(life, {"state": DispatchState.RECALLED, "slots_taken": 0, "ended_at": at}),
    )


def end_all(life: Life, state: TakeState, at: datetime) -> tuple[TakeChange, ...]:
    """Every active take ends in the same way."""
    return tuple(TakeChange(take.id, {"state": state, "ended_at": at}) for take in life.active)


def _change(life: Life, values: dict[str, Any]) -> dict[str, Any]:
    return {"dispatch_id": life.held.id, "dispatch": values} if life.held else {}


def taken(life: Life, take_id: UUID, slots_taken: int) -> Moved:
    """A slot was won: where the order goes when ``slots_taken`` are held, this one included.

    The dispatch's own row was written by the guard that won the slot.
    """
    held = life.held
    enough = held is None or slots_taken >= held.slots_min
    after = State.TAKEN if life.state in (State.OPEN, State.OFFERED) and enough else life.state
    flags = life.flags - {Flag.SHORT_HANDED} if enough else life.flags
    detail: dict[str, Any] = {"take_id": str(take_id)}
    if flags != life.flags:
        detail["flags"] = sorted(flags)
    return Moved(Move.TAKE, life.state, after, None, {}, detail, flags=flags if flags != life.flags else None)


def asked_next(targets: tuple[Target, ...]) -> tuple[Target, ...]:
    """In an offer in order: the next waiting candidate is asked once nobody is."""
    if any(target.state is TargetState.ASKED for target in targets):
        return ()
    waiting = [target for target in targets if target.state is TargetState.WAITING]
    return (replace(min(waiting, key=lambda target: target.seq), state=TargetState.ASKED),) if waiting else ()


def decline(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    """No, thank you; without penalty. The next candidate is asked."""
    held = life.held
    assert held is not None  # judged
    mine = next(t for t in held.targets if t.party in who.parties and t.state is TargetState.ASKED)
    gone = (replace(mine, state=TargetState.DECLINED),)
    reason = {"reason_code": data["reason_code"]} if data.get("reason_code") else {}
    return _pass_on(life, held, Move.DECLINE, gone, DispatchState.DECLINED, data, reason, at)


def _pass_on(
    life: Life,
    held: Dispatch,
    move: Move,
    gone: tuple[Target, ...],
    end: DispatchState,
    data: Data,
    detail: dict[str, Any],
    at: datetime,
) -> Moved:
    """Candidates fell away: ask the next, go on short-handed, or give the order back."""
    next_asked = asked_next(queue.after(held.targets, gone))
    changed = (*gone, *next_asked)
    remaining = any(target.state in _ASKABLE for target in queue.after(held.targets, changed))
    if remaining:
        values: dict[str, Any] = {"state": held.state}
        if next_asked and held.lasts_seconds:
            values["expires_at"] = at + timedelta(seconds=held.lasts_seconds)
        return Moved(
            move,
            life.state,
            life.state,
            data.get("text"),
            {},
            detail,
            targets=changed,
            **_change(life, values),
        )
    if life.active:
        flags = life.flags | {Flag.SHORT_HANDED} if len(life.active) < held.slots_min else None
        values = _waiting_longer(held, at) if move is Move.LAPSE else {"state": held.state}
        return Moved(
            move,
            life.state,
            life.state,
            data.get("text"),
            {},
            detail,
            flags=flags,
            targets=changed,
            **_change(life, values),
        )
    values = {"state": end, "ended_at": at}
    return Moved(
        move,
        life.state,
        State.ACCEPTED,
        data.get("text"),
        {},
        detail,
        targets=changed,
        **_change(life, values),
    )


def _waiting_longer(held: Dispatch, at: datetime) -> dict[str, Any]:
    """With too few takers the expiry moves once by the same length, then the dispatcher is awaited."""
    if held.extended or held.expires_at is None or held.lasts_seconds is None:
        return {"state": held.state}
    return {
        "state": held.state,
        "extended": True,
        "expires_at": held.expires_at + timedelta(seconds=held.lasts_seconds),
    }


def lapse(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    """Nobody took it in time: widen the ring (``next_ring_id``), ask the next, or give it back."""
    held = life.held
    if data.get("unclaimed") or life.state in (State.TAKEN, State.IN_SERVICE):
        return queue.unclaimed(life, data.get("unclaimed", ()), data.get("ends", TargetState.LAPSED), at)
    if held is None:
        return Moved(Move.LAPSE, life.state, State.ACCEPTED)
    if held.mode is Mode.OPEN and data.get("next_ring_id"):
        values: dict[str, Any] = {"state": held.state, "ring_id": data["next_ring_id"]}
        if held.lasts_seconds:
            values["expires_at"] = at + timedelta(seconds=held.lasts_seconds)
        detail = {"ring_place_id": str(data["next_ring_id"])}
        return Moved(Move.LAPSE, life.state, life.state, None, {}, detail, **_change(life, values))
    over = queue.IN_LINE if held.mode is Mode.OPEN else {TargetState.ASKED}
    gone = tuple(replace(t, state=TargetState.LAPSED, until=None) for t in held.targets if t.state in over)
    moved = _pass_on(life, held, Move.LAPSE, gone, DispatchState.EXPIRED, data, {}, at)
    return replace(moved, dispatch={**(moved.dispatch or {}), "slots_held": 0}) if held.slots_held else moved


def proceed(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    """Go on with those who are there."""
    held = life.held
    count = len(life.active)
    change = {"slots_min": count} if held else None
    return Moved(
        Move.PROCEED,
        life.state,
        State.TAKEN,
        data.get("text"),
        {},
        {"slots_min": count},
        flags=life.flags - {Flag.SHORT_HANDED},
        dispatch_id=held.id if held else None,
        dispatch=change,
    )


def release(life: Life, who: Standing, data: Data, at: datetime) -> Moved:
    """Give a slot back.

    ``data["returned"]``: the party whose return was approved (its take ends ``returned``); ``data["lapsed"]``: the take
    whose lease is over (it ends ``lapsed``).
    """
    returned: Party | None = data.get("returned")
    lapsed: UUID | None = data.get("lapsed")
    ended = next((t for t in life.active if t.party == returned or t.id == lapsed), None)
    take = ended if returned or lapsed else own_take(life, who)
    if take is None:
        if returned and life.held and asked_of(life.held, returned):
            return _unassigned(life, life.held, returned, data, at)
        raise RoleForbidden()
    state = TakeState.RETURNED if returned else TakeState.LAPSED if lapsed else TakeState.RELEASED
    ends = TakeChange(take.id, {"state": state, "ended_at": at})
    detail = {"take_id": str(take.id), "reason_code": data["reason_code"]} | (
        {"returned": True} if returned else {}
    )
    order: dict[str, Any] = {"lead_id": None} if life.lead_id == take.id else {}
    stays = tuple(t for t in life.active if t.id != take.id)
    after, flags, values, targets = _without(life, take, stays, ends=state, at=at)
    if after not in (State.TAKEN, State.IN_SERVICE, State.ESCALATED, State.PAUSED):
        order["started"] = False
    return Moved(
        Move.RELEASE,
        life.state,
        after,
        data.get("text"),
        order,
        detail,
        flags=flags,
        takes=(ends,),
        targets=targets,
        **(_change(life, values) if values else {}),
    )


def _unassigned(life: Life, held: Dispatch, party: Party, data: Data, at: datetime) -> Moved:
    """A return approved before the assignee has taken: he falls away."""
    gone = tuple(replace(t, state=TargetState.DECLINED) for t in held.targets if t.party == party)
    detail = {"reason_code": data["reason_code"], "returned": True}
    return _pass_on(life, held, Move.RELEASE, gone, DispatchState.DECLINED, data, detail, at)


def _without(
    life: Life, take: Take, stays: tuple[Take, ...], *, ends: TakeState, at: datetime
) -> tuple[State, frozenset[str] | None, dict[str, Any], tuple[Target, ...]]:
    """Where the order goes when one taker leaves: (state, flags, dispatch values, targets)."""
    held = life.held
    least = held.slots_min if held else 1
    if held is None:
        if life.state in (State.ESCALATED, State.PAUSED) or stays:
            return life.state, None, {}, ()
        return State.ACCEPTED, None, {}, ()
    values, targets = _places(held, take, len(stays), ends, at)
    if life.state in (State.ESCALATED, State.PAUSED):
        return life.state, None, values, targets
    runs = held.unexpired(at)
    short = life.flags | {Flag.SHORT_HANDED}
    if life.state in (State.OPEN, State.OFFERED):
        return life.state, None, values, targets
    if life.state is State.TAKEN and len(stays) >= least:
        return life.state, None, values, targets
    if life.state is State.IN_SERVICE and stays:
        return life.state, (short if len(stays) < least else None), values, targets
    if runs and (held.mode is Mode.OPEN or _someone_asked(held, targets) or stays):
        return (State.OPEN if held.mode is Mode.OPEN else State.OFFERED), None, values, targets
    if stays:
        return life.state, short, values, targets
    end = DispatchState.DECLINED if runs else DispatchState.EXPIRED
    return State.ACCEPTED, None, values | {"state": end, "ended_at": at}, targets


def _places(
    held: Dispatch, take: Take, taken: int, ends: TakeState, at: datetime
) -> tuple[dict[str, Any], tuple[Target, ...]]:
    """What a place that came free does to the dispatch: (its values, the lines that change).

    With a slot free it runs, past its time too: then nobody can take from it, but nothing is full.
    """
    values: dict[str, Any] = {"slots_taken": taken, "state": DispatchState.RUNNING}
    if held.mode is Mode.OPEN:
        targets = _to_the_next(held, take, taken, at)
        values["slots_held"] = queue.kept(queue.after(held.targets, targets))
        return values, targets
    targets = _given_back(held, take, ends)
    if held.lasts_seconds and any(t.state is TargetState.ASKED and t.party != take.party for t in targets):
        values["expires_at"] = at + timedelta(
            seconds=held.lasts_seconds
        )  # the next one asked has his own time
    return values, targets


_STANDS: Mapping[TakeState, TargetState] = {
    TakeState.RELEASED: TargetState.ASKED,
    TakeState.RETURNED: TargetState.DECLINED,
    TakeState.LAPSED: TargetState.LAPSED,
}


def _given_back(held: Dispatch, take: Take, ends: TakeState) -> tuple[Target, ...]:
    """Who releases stays invited and may take again; who returned or fell silent is out, and the next is asked."""
    state = _STANDS[ends]
    gone = tuple(replace(target, state=state) for target in held.targets if target.party == take.party)
    return (*gone, *asked_next(queue.after(held.targets, gone)))


def _to_the_next(held: Dispatch, take: Take, taken: int, at: datetime) -> tuple[Target, ...]:
    """Of an open dispatch: who leaves is out of line, and the place that is free now is kept for the next."""
    gone = tuple(
        replace(t, state=TargetState.DECLINED, until=None) for t in held.targets if t.party == take.party
    )
    return (*gone, *queue.next_in_line(held, queue.after(held.targets, gone), taken, at))


def _someone_asked(held: Dispatch, changed: tuple[Target, ...]) -> bool:
    return any(target.state in _ASKABLE for target in queue.after(held.targets, changed))
